"""Which variants are worth shipping on each device, and which one is recommended."""

from __future__ import annotations

__all__ = ["Choice", "DeviceChoice", "choose"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_dwsep.answers import right_answers
from edge_dwsep.choice.accuracy import AccuracyScale
from edge_dwsep.choice.constraints import Constraints, findings
from edge_dwsep.choice.drop import Drop, drops
from edge_dwsep.choice.front import IntervalScale, Scale, kernel
from edge_dwsep.choice.objectives import DEFAULT_OBJECTIVES, Figure, Objective, objectives_named
from edge_dwsep.choice.recommendation import Candidates, recommend
from edge_dwsep.comparison import LEAST_DIFFERENCE

TIMES = frozenset(("p50", "p90", "p99"))


@dataclass(frozen=True)
class DeviceChoice:
    """What was found of the runs of one device and batch. Runs are told by their index in ``results["runs"]``.

    Attributes:
        device: its name.
        emulated: whether it is an emulated one, whose times tell nothing of the board's.
        batch: samples of an inference.
        objectives: names of those that were measured.
        front: runs that no other on the front is shown to be better than; never empty unless nothing meets the
            constraints.
        dominated: {run off the front: one on it that is better in one objective and worse in none}.
        unmet: {run shown not to meet the constraints: why}.
        untold: {run of which that cannot be told: why}; it takes part in the front but is not recommended.
        left_out: {run that failed, is not valid, or misses an objective: why}.
        drops: {run: accuracy lost against float}.
        recommended: the run recommended, if there is one.
        recommendation: a sentence.
        notes: more sentences.
    """

    device: str
    emulated: bool
    batch: int
    objectives: tuple[str, ...]
    front: tuple[int, ...]
    dominated: Mapping[int, int]
    unmet: Mapping[int, tuple[str, ...]]
    untold: Mapping[int, tuple[str, ...]]
    left_out: Mapping[int, str]
    drops: Mapping[int, Drop] = field(default_factory=dict)
    recommended: int | None = None
    recommendation: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values, of which runs are indices."""
        return {
            "device": self.device,
            "emulated": self.emulated,
            "batch": self.batch,
            "objectives": list(self.objectives),
            "front": list(self.front),
            "dominated": {str(run): by for run, by in self.dominated.items()},
            "unmet": {str(run): list(reasons) for run, reasons in self.unmet.items()},
            "untold": {str(run): list(reasons) for run, reasons in self.untold.items()},
            "left_out": {str(run): reason for run, reason in self.left_out.items()},
            "recommended": self.recommended,
            "recommendation": self.recommendation,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Choice:
    """The choice among the runs of some results: one for each device and batch.

    Attributes:
        objectives: names of what was asked for.
        constraints: what must be met.
        devices: one for each device and batch, in the order of the runs.
    """

    objectives: tuple[str, ...]
    constraints: Constraints
    devices: tuple[DeviceChoice, ...]

    @property
    def front(self) -> frozenset[int]:
        """Runs on the front of their device."""
        return frozenset(run for device in self.devices for run in device.front)

    @property
    def recommended(self) -> frozenset[int]:
        """Runs recommended for their device."""
        return frozenset(device.recommended for device in self.devices if device.recommended is not None)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "objectives": list(self.objectives),
            "constraints": self.constraints.to_json(),
            "devices": [device.to_json() for device in self.devices],
        }


def choose(
    results: Mapping[str, Any],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    constraints: Constraints | None = None,
) -> Choice:
    """Find the Pareto front of each device, and the variant to recommend.

    Runs differ in an objective only where their 95 % intervals do not overlap; in accuracy, where results tell which
    images were right, by McNemar's test; and in times only from 1 % on, as in :mod:`edge_dwsep.comparison`. Each
    comparison is made at 95 % by itself. Times of different devices, or of emulated ones and hardware, are never
    compared.

    Args:
        results: as :func:`edge_dwsep.results_file.read_results` gives them, full or light.
        objectives: names of :data:`edge_dwsep.choice.objectives.OBJECTIVES`; the first one besides accuracy is the
            cost that is weighed first.
        constraints: what must be met.

    Raises:
        InvalidInput: an objective is unknown or given twice, or there is none.
    """
    wanted = objectives_named(objectives)
    limits = constraints or Constraints()
    groups: dict[tuple[str, int], list[int]] = {}
    for index, run in enumerate(results["runs"]):
        groups.setdefault((run["device"], run["batch"]), []).append(index)
    chosen = [_choose_of(results, members, wanted, limits) for members in groups.values()]
    return Choice(tuple(objectives), limits, tuple(chosen))


def _choose_of(
    results: Mapping[str, Any], members: Sequence[int], wanted: Sequence[Objective], limits: Constraints
) -> DeviceChoice:
    """The choice among the runs of one device and batch."""
    runs = results["runs"]
    left_out = {index: reason for index in members if (reason := _unusable(runs[index]))}
    usable = [index for index in members if index not in left_out]
    figures = {index: {one.name: one.figure(runs[index]) for one in wanted} for index in usable}
    told = [one for one in wanted if any(figures[index][one.name] for index in usable)]
    notes = [f"{one.noun} was not measured and does not count" for one in wanted if told and one not in told]
    for index in usable:
        missing = [one.noun for one in told or wanted if figures[index][one.name] is None]
        if missing:
            left_out[index] = f"no {' and no '.join(missing)}"
    usable = [index for index in usable if index not in left_out]
    known = {
        index: drop
        for index, drop in zip(usable, drops(results, [runs[index] for index in usable]), strict=True)
        if drop is not None
    }
    unmet: dict[int, tuple[str, ...]] = {}
    untold: dict[int, tuple[str, ...]] = {}
    for index in usable:
        found = findings(limits, runs[index], known.get(index))
        if any(finding.met is False for finding in found):
            unmet[index] = tuple(finding.reason for finding in found if finding.met is False)
        elif any(finding.met is None for finding in found):
            untold[index] = tuple(finding.reason for finding in found if finding.met is None)
    allowed = [index for index in usable if index not in unmet]
    complete = {index: _complete(figures[index]) for index in usable}
    front, dominated = _front(allowed, told, complete, runs)
    first = runs[members[0]]
    notes.extend(_doubts(first, told, [runs[index] for index in usable]))
    candidates = Candidates(
        runs=runs,
        objectives=tuple(told),
        figures=complete,
        eligible=_front([index for index in allowed if index not in untold], told, complete, runs)[0],
        untold=untold,
        unmet=unmet,
        constraints=limits,
        scales=_scales(usable, told, complete, runs),
        positions={index: position for position, index in enumerate(usable)},
        failed=len(left_out),
    )
    best, sentence = recommend(candidates)
    return DeviceChoice(
        device=first["device"],
        emulated=bool(first.get("emulated")),
        batch=first["batch"],
        objectives=tuple(one.name for one in told),
        front=front,
        dominated=dominated,
        unmet=unmet,
        untold=untold,
        left_out=left_out,
        drops=known,
        recommended=best,
        recommendation=sentence,
        notes=tuple(notes),
    )


def _doubts(first: Mapping[str, Any], told: Sequence[Objective], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the intervals of times do not hold."""
    if not any(objective.name in TIMES for objective in told):
        return []
    doubts = []
    if first.get("emulated"):
        doubts.append(f"{first['device']} is emulated: its times tell nothing of the board's")
    if any(len(run["latency"]["processes"]) < 2 for run in runs):
        doubts.append("timed in a single process: how processes differ is in none of the intervals of times")
    return doubts


def _unusable(run: Mapping[str, Any]) -> str:
    if run["status"] != "ok":
        return f"failed: {run['error']}"
    if not run["valid"]:
        return next((warning for warning in run["warnings"] if warning.startswith("not valid")), "not valid")
    return ""


def _complete(figures: Mapping[str, Figure | None]) -> dict[str, Figure]:
    return {name: figure for name, figure in figures.items() if figure is not None}


def _front(
    members: Sequence[int],
    objectives: Sequence[Objective],
    figures: Mapping[int, Mapping[str, Figure]],
    runs: Sequence[Mapping[str, Any]],
) -> tuple[tuple[int, ...], dict[int, int]]:
    if not members or not objectives:
        return (), {}
    front, dominated = kernel(len(members), list(_scales(members, objectives, figures, runs).values()))
    return (
        tuple(members[point] for point in front),
        {members[point]: members[by] for point, by in dominated.items()},
    )


def _scales(
    members: Sequence[int],
    objectives: Sequence[Objective],
    figures: Mapping[int, Mapping[str, Figure]],
    runs: Sequence[Mapping[str, Any]],
) -> dict[str, Scale]:
    """An order for each objective, of the members by their position."""
    scales: dict[str, Scale] = {}
    for objective in objectives:
        own = [figures[index][objective.name] for index in members]
        if objective.name == "top1":
            scales["top1"] = AccuracyScale(own, [right_answers(runs[index]["accuracy"]) for index in members])
            continue
        low, high = (np.array([getattr(figure, bound) for figure in own], np.float64) for bound in ("low", "high"))
        margin = 1 + LEAST_DIFFERENCE if objective.name in TIMES else 1.0
        scales[objective.name] = IntervalScale(low, high * margin, larger_is_better=objective.larger_is_better)
    return scales
