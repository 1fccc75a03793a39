"""One sentence: the variant to ship, how sure its figures are, and what the others would have to offer."""

from __future__ import annotations

__all__ = ["Candidates", "recommend"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edge_dwsep.choice.constraints import Constraints
from edge_dwsep.choice.front import Scale
from edge_dwsep.choice.names import listed, names_among
from edge_dwsep.choice.objectives import Figure, Objective


@dataclass(frozen=True)
class Candidates:
    """What a recommendation is made of. Runs are told by their index in ``runs``.

    Attributes:
        runs: all runs.
        objectives: those that were measured.
        figures: {run: {objective: figure}} of every run that has them all.
        met: runs that meet the constraints.
        untold: {run of which that cannot be told: why}.
        unmet: {run that does not: why}.
        constraints: what is asked for.
        scales: {objective: its order of the runs with figures, by their position}.
        positions: {run: its position in the scales}.
        failed: number of runs that take no part.
    """

    runs: Sequence[Mapping[str, Any]]
    objectives: tuple[Objective, ...]
    figures: Mapping[int, Mapping[str, Figure]]
    met: tuple[int, ...]
    untold: Mapping[int, Sequence[str]]
    unmet: Mapping[int, Sequence[str]]
    constraints: Constraints
    scales: Mapping[str, Scale]
    positions: Mapping[int, int]
    failed: int

    @cached_property
    def _names(self) -> Callable[[Mapping[str, Any]], str]:
        return names_among(self.runs[run] for run in self.figures)

    def name(self, run: int) -> str:
        """What a run is called among those with figures."""
        return self._names(self.runs[run])

    def better(self, run: int, others: Sequence[int], objective: Objective) -> list[int]:
        """Those of ``others`` that are shown to be better than a run."""
        rows = np.array([self.positions[other] for other in others], np.intp)
        column = np.array([self.positions[run]], np.intp)
        told = self.scales[objective.name].better(rows, column)[:, 0]
        return [other for other, is_better in zip(others, told, strict=True) if is_better]

    def worse(self, run: int, others: Sequence[int], objective: Objective) -> list[int]:
        """Those of ``others`` that are shown to be worse than a run."""
        row = np.array([self.positions[run]], np.intp)
        columns = np.array([self.positions[other] for other in others], np.intp)
        told = self.scales[objective.name].better(row, columns)[0]
        return [other for other, is_worse in zip(others, told, strict=True) if is_worse]


def recommend(candidates: Candidates) -> tuple[int | None, str]:
    """The run to ship, and a sentence.

    Of the runs that meet the constraints those remain that are not shown to be worse than the best in the first thing
    that matters, of these those that are not in the second, and so on. First comes accuracy, unless constraints say
    how much of it is enough; then the objectives in their order. What cannot be told apart to the end is decided by
    the figures themselves in the same order.
    """
    if not candidates.figures:
        return None, _nothing(candidates)
    if not candidates.met:
        return None, _none_met(candidates)
    order = _order(candidates)
    remaining = list(candidates.met)
    for objective in order:
        first = min(remaining, key=lambda run: _cost(candidates, run, objective))
        behind = set(candidates.worse(first, remaining, objective))
        remaining = [run for run in remaining if run not in behind]
    best = min(
        remaining,
        key=lambda run: (
            [_cost(candidates, run, objective) for objective in order],
            candidates.runs[run]["threads"],
            run,
        ),
    )
    figures = ", ".join(
        objective.written(candidates.figures[best][objective.name])
        for objective in sorted(candidates.objectives, key=lambda objective: objective.larger_is_better)
    )
    clauses = [f"{candidates.name(best)}: {figures}", *_others(candidates, best)]
    return best, "; ".join(clauses)


def _order(candidates: Candidates) -> list[Objective]:
    """Objectives as they are weighed."""
    costs = [objective for objective in candidates.objectives if not objective.larger_is_better]
    accuracy = [objective for objective in candidates.objectives if objective.larger_is_better]
    return [*costs[:1], *accuracy, *costs[1:]] if candidates.constraints.of_accuracy else [*accuracy, *costs]


def _cost(candidates: Candidates, run: int, objective: Objective) -> float:
    value = candidates.figures[run][objective.name].value
    return -value if objective.larger_is_better else value


def _others(candidates: Candidates, best: int) -> list[str]:
    """What the sentence says of the other runs."""
    others = [run for run in candidates.figures if run != best]
    if not others:
        return ["there is no other to compare it with"]
    cost = next((objective for objective in candidates.objectives if not objective.larger_is_better), None)
    clauses = []
    if cost is not None:
        ahead = candidates.better(best, others, cost)
        clauses.extend(_ahead(candidates, best, ahead, cost))
        behind = set(candidates.worse(best, others, cost))
        level = [run for run in candidates.met if run != best and run not in behind and run not in ahead]
        clauses.extend(_level(candidates, level, cost.noun))
    else:
        behind = set(candidates.worse(best, others, candidates.objectives[0]))
        level = [run for run in candidates.met if run != best and run not in behind]
        clauses.extend(_level(candidates, level, candidates.objectives[0].noun))
    return clauses


def _level(candidates: Candidates, level: Sequence[int], noun: str) -> list[str]:
    if not level:
        return []
    names = listed(level, candidates.name)
    return [f"{names} {'is' if len(level) == 1 else 'are'} not distinguishable in {noun}"]


def _ahead(candidates: Candidates, best: int, ahead: Sequence[int], cost: Objective) -> list[str]:
    """Why those that cost less are not recommended."""
    if not ahead:
        return [f"none is shown to be {cost.better}"]
    clauses = []
    lost = [run for run in ahead if run in candidates.unmet]
    unsure = [run for run in ahead if run in candidates.untold]
    met = [run for run in ahead if run not in candidates.unmet and run not in candidates.untold]
    if lost:
        only_drop = candidates.constraints.max_drop is not None and all(
            any(reason.startswith("it loses") for reason in candidates.unmet[run]) for run in lost
        )
        points = 100 * (candidates.constraints.max_drop or 0)
        told = f"lose more than {points:g} point{'s' * (points != 1)}" if only_drop else "do not meet the constraints"
        clauses.append(f"{'some ' if unsure or met else ''}{cost.better} ones {told}")
    if unsure:
        verb = "meets" if len(unsure) == 1 else "meet"
        clauses.append(
            f"whether {listed(unsure, candidates.name)}, which cost less, {verb} the constraints cannot be told"
        )
    if met:
        worse = _shown_worse(candidates, best, met)
        names = listed(met, candidates.name)
        clauses.append(f"{names} {'is' if len(met) == 1 else 'are'} {cost.better} but {worse}")
    return clauses


def _shown_worse(candidates: Candidates, best: int, met: Sequence[int]) -> str:
    """In what those that cost less are shown to be worse."""
    nouns = [objective.noun for objective in candidates.objectives if candidates.worse(best, met, objective)]
    return f"worse in {listed(nouns)}" if nouns else "not better otherwise"


def _nothing(candidates: Candidates) -> str:
    if candidates.failed:
        return "nothing can be recommended: no run succeeded, is valid and has every figure that was asked for"
    return "nothing can be recommended: there are no runs"


def _none_met(candidates: Candidates) -> str:
    clauses = []
    if candidates.untold:
        shown = next(iter(candidates.untold))
        clauses.append(
            f"of {len(candidates.untold)} it cannot be told, such as {candidates.name(shown)}: "
            f"{'; '.join(candidates.untold[shown])}"
        )
    if candidates.unmet:
        shown = next(iter(candidates.unmet))
        clauses.append(
            f"{len(candidates.unmet)} {'does' if len(candidates.unmet) == 1 else 'do'} not, such as "
            f"{candidates.name(shown)}: {'; '.join(candidates.unmet[shown])}"
        )
    return f"no variant is shown to meet the constraints: {'; '.join(clauses)}"
