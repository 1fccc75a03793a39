"""A sampler of Optuna that chooses among the points of a space, none of them twice."""

from __future__ import annotations

__all__ = ["FrontSampler", "distributions_of", "first_count"]

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from edge_dwsep.search.propose import first_points, next_points
from edge_dwsep.search.space import Space

EXHAUSTED = "no point is left"


class FrontSampler(BaseSampler):
    """Fills the space at first, then takes what is likeliest to lie on the front.

    Points of trials that run count as taken, so that several can be asked for before one is told. What is proposed
    depends on the seed and on the study's trials alone, so a search that was interrupted goes on as it would have.

    Args:
        space: the points.
        seed: of random choices.
        first: points that fill the space.
    """

    def __init__(self, space: Space, seed: int, first: int) -> None:
        self.space = space
        self.seed = seed
        self.first = first
        self._ahead: list[int] = []
        self._known = -1

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002  # Optuna's signature
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """All axes."""
        return distributions_of(self.space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of the next point, by axis."""
        others = [one for one in study.get_trials(deepcopy=False) if one.number != trial.number]
        index = self.next_index(study, others)
        return {name: self.space.points[index][name] for name in search_space}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Nothing: a value alone is no point.

        Raises:
            ValueError: always; ask for all axes at once.
        """
        raise ValueError(f"{param_name!r} is no axis of this search; ask with the distributions of its space")

    def next_index(self, study: Study, trials: list[FrozenTrial]) -> int:
        """The next point, given all other trials.

        Raises:
            ValueError: every point was taken.
        """
        allowed = np.ones(len(self.space.points), bool)
        tried, values, taken = [], [], []
        for trial in trials:
            index = self.space.index(trial.params)
            if index is None:
                continue
            taken.append(index)
            allowed[index] = False
            if trial.state == TrialState.COMPLETE and trial.values is not None:
                tried.append(index)
                values.append(trial.values)
        if not allowed.any():
            raise ValueError(EXHAUSTED)
        rng = np.random.default_rng((self.seed, len(trials)))
        if len(taken) < self.first or len(tried) < 2:
            return first_points(self.space, 1, taken, allowed, rng)[0]
        if self._known != len(tried):
            maximize = [direction == StudyDirection.MAXIMIZE for direction in study.directions]
            self._ahead = next_points(
                self.space,
                len(self.space.points),
                np.array(tried, np.int64),
                np.array(values, np.float64),
                maximize,
                np.isin(np.arange(len(self.space.points)), tried, invert=True),
                np.random.default_rng((self.seed, len(tried))),
            )
            self._known = len(tried)
        return next(index for index in self._ahead if allowed[index])


def distributions_of(space: Space) -> dict[str, BaseDistribution]:
    """The axes as Optuna has them."""
    return {axis.name: CategoricalDistribution(axis.values) for axis in space.axes}


def first_count(space: Space, trials: int) -> int:
    """How many points fill the space at first: as many as there are effects, at most half of all."""
    effects = 1 + sum(len(axis.values) - 1 for axis in space.axes)
    return max(1, min(effects + 2, trials // 2))
