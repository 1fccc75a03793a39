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

Fallen = dict[int, tuple[Objective, int]]
"""Runs that were shown to be worse than a leader, and in which objective."""


@dataclass(frozen=True)
class Candidates:
    """What a recommendation is made of. Runs are told by their index in ``runs``.

    Attributes:
        runs: all runs.
        objectives: those that were measured.
        figures: {run: {objective: figure}} of every run that has them all.
        eligible: runs on the front of those that meet the constraints.
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
    eligible: tuple[int, ...]
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

    def known(self, run: int) -> bool:
        """Whether each of its figures has an interval."""
        return all(figure.known for figure in self.figures[run].values())

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

    Of the runs on the front of those that meet the constraints, those remain that are not shown to be worse than the
    best of them in the first thing that matters, of these those that are not in the second, and so on. First comes
    accuracy, unless constraints say how much of it is enough; then the objectives in their order. What cannot be told
    apart to the end is decided by the figures themselves in the same order. Figures without an interval are not worse
    than any, so runs that have some are recommended only if all do.
    """
    if not candidates.figures:
        return None, _nothing(candidates)
    if not candidates.eligible:
        return None, _none_met(candidates)
    order = _order(candidates)
    remaining = [run for run in candidates.eligible if candidates.known(run)] or list(candidates.eligible)
    fallen: Fallen = {}
    for objective in order:
        first = min(remaining, key=lambda run: _cost(candidates, run, objective))
        behind = candidates.worse(first, remaining, objective)
        fallen.update(dict.fromkeys(behind, (objective, first)))
        remaining = [run for run in remaining if run not in fallen]
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
    clauses = [f"{candidates.name(best)}: {figures}", *_others(candidates, best, fallen)]
    return best, "; ".join(clauses)


def _order(candidates: Candidates) -> list[Objective]:
    """Objectives as they are weighed."""
    costs = [objective for objective in candidates.objectives if not objective.larger_is_better]
    accuracy = [objective for objective in candidates.objectives if objective.larger_is_better]
    return [*costs[:1], *accuracy, *costs[1:]] if candidates.constraints.of_accuracy else [*accuracy, *costs]


def _cost(candidates: Candidates, run: int, objective: Objective) -> float:
    value = candidates.figures[run][objective.name].value
    return -value if objective.larger_is_better else value


def _others(candidates: Candidates, best: int, fallen: Fallen) -> list[str]:
    """What the sentence says of the other runs."""
    others = [run for run in candidates.figures if run != best]
    if not others:
        return ["there is no other to compare it with"]
    weighed = next(
        (objective for objective in candidates.objectives if not objective.larger_is_better), candidates.objectives[0]
    )
    ahead = candidates.better(best, others, weighed)
    apart = {*ahead, *candidates.worse(best, others, weighed)}
    level = [run for run in candidates.eligible if run != best and run not in apart]
    clauses = _ahead(candidates, best, ahead, weighed, fallen)
    if level:
        names = listed(level, candidates.name)
        clauses.append(f"{names} {'is' if len(level) == 1 else 'are'} not distinguishable in {weighed.noun}")
    return clauses


def _ahead(candidates: Candidates, best: int, ahead: Sequence[int], weighed: Objective, fallen: Fallen) -> list[str]:
    """Why those that cost less are not recommended."""
    if not ahead:
        return [f"none is shown to be {weighed.better}"]
    lost = [run for run in ahead if run in candidates.unmet]
    unsure = [run for run in ahead if run in candidates.untold]
    met = [run for run in ahead if run in candidates.eligible]
    clauses = []
    if lost:
        points = 100 * (candidates.constraints.max_drop or 0)
        too_lossy = all(any(reason.startswith("it loses") for reason in candidates.unmet[run]) for run in lost)
        told = f"lose more than {points:g} point{'s' * (points != 1)}" if too_lossy else "do not meet the constraints"
        clauses.append(f"{'some ' if unsure or met else ''}{weighed.better} ones {told}")
    if unsure:
        verb = "meets" if len(unsure) == 1 else "meet"
        clauses.append(
            f"whether {listed(unsure, candidates.name)}, {weighed.better}, {verb} the constraints cannot be told"
        )
    reasons: dict[str, list[int]] = {}
    for run in met:
        reasons.setdefault(_why(candidates, best, run, fallen), []).append(run)
    if not met and len(ahead) > len(lost) + len(unsure):
        clauses.append(f"{'other ' if clauses else ''}{weighed.better} ones are worse otherwise than one on the front")
    clauses.extend(
        f"{listed(runs, candidates.name)} {'is' if len(runs) == 1 else 'are'} {weighed.better} but {reason}"
        for reason, runs in reasons.items()
    )
    return clauses


def _why(candidates: Candidates, best: int, run: int, fallen: Fallen) -> str:
    """Why a run on the front that costs less is not recommended."""
    if run not in fallen:
        return "without an interval of every figure"
    objective, leader = fallen[run]
    return objective.worse if leader == best else f"{objective.worse} than {candidates.name(leader)}"


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
