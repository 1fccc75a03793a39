"""What changed between two runs of one identity, figure by figure, each with the bounds of its 95 % interval."""

from __future__ import annotations

__all__ = ["Change", "change_of"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dwsep_runtime.shares import mcnemar
from edge_dwsep.answers import discordant
from edge_dwsep.choice.objectives import INSTRUCTIONS_SCATTER, MEMORY_SCATTER
from edge_dwsep.gate.latency_change import ALONE, mann_whitney, median_ratio, percentile_ratio, samples_by_process
from edge_dwsep.gate.rules import METRICS, POINTS
from edge_dwsep.share_differences import paired_difference, unpaired_difference

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """How a figure changed.

    Attributes:
        metric: one of ``METRICS``.
        base: the figure before.
        head: the figure after.
        change: as a share of the figure before, or of shares their difference.
        low: lower bound of the change; minus infinity where nothing is known.
        high: upper bound.
        p: probability of such a difference by chance, of Mann and Whitney's test for p50 and McNemar's for top1.
        note: what limits it, for people.
    """

    metric: str
    base: float
    head: float
    change: float
    low: float = -math.inf
    high: float = math.inf
    p: float | None = None
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "metric": self.metric,
            "base": self.base,
            "head": self.head,
            "unit": "pp" if self.metric in POINTS else "%",
            "change": self.change,
            "interval": [self.low, self.high] if self.known else None,
            "p": self.p,
            "note": self.note or None,
        }


def change_of(metric: str, base: Run, head: Run, *, same_images: bool) -> Change | None:
    """How a figure changed between two runs.

    Args:
        metric: one of ``METRICS``.
        base: record of a run, full or light.
        head: of the run to compare with it.
        same_images: whether accuracy was counted on the same data.

    Returns:
        None where one of the two does not tell it.
    """
    if metric.startswith("p") and metric[1:].isdigit():
        return _latency(metric, base, head)
    if metric in POINTS:
        return _share(metric, base, head, same_images=same_images)
    return _cost(metric, base, head)


def _latency(metric: str, base: Run, head: Run) -> Change | None:
    before, after = base.get("latency"), head.get("latency")
    if not before or not after:
        return None
    by_process = median_ratio(before, after) if metric == "p50" else None
    ratio, interval = by_process or percentile_ratio(before, after, int(metric[1:]))
    p = None
    if metric == "p50":
        samples = [samples_by_process(one) for one in (before, after)]
        if samples[0] is not None and samples[1] is not None:
            p = mann_whitney(samples[0], samples[1])
    note = ""
    if interval is None:
        note = f"the samples of one side bear no interval of {metric}"
    elif any(len(one["processes"]) < 2 for one in (before, after)):
        note = f"of a single process, so taken to be uncertain by a factor of {ALONE:g}; give --processes 5"
    low, high = interval or (0.0, math.inf)
    return Change(
        metric,
        before[f"{metric}_ms"],
        after[f"{metric}_ms"],
        ratio - 1,
        low - 1 if interval else -math.inf,
        high - 1,
        p,
        note,
    )


def _share(metric: str, base: Run, head: Run, *, same_images: bool) -> Change | None:
    if metric == "agreement":
        return _agreement(base, head)
    before, after = base.get("accuracy"), head.get("accuracy")
    if not before or not after:
        return None
    values = before[metric], after[metric]
    paired = discordant(after, before) if metric == "top1" and same_images else None
    if paired is not None:
        change, (low, high) = paired_difference(paired.b, paired.c, after["count"])
        note = "" if paired.exact else "from predictions alone, so wider than it would be"
        return Change(metric, *values, change, low, high, mcnemar(paired.b, paired.c), note)
    change, (low, high) = unpaired_difference(_counts(after, metric), _counts(before, metric))
    note = "" if metric != "top1" else "on other images, so not image by image"
    if metric == "top1" and same_images:
        note = "results do not tell which images were right, so not image by image"
    return Change(metric, *values, change, low, high, None, note)


def _counts(accuracy: Mapping[str, Any], metric: str) -> tuple[int, int]:
    return round(accuracy[metric] * accuracy["count"]), accuracy["count"]


def _agreement(base: Run, head: Run) -> Change | None:
    sides = []
    for run in (base, head):
        if not run.get("agreement") or not run.get("accuracy"):
            return None
        count = run["accuracy"]["count"]
        sides.append((round(run["agreement"]["top1"] * count), count))
    change, (low, high) = unpaired_difference(sides[1], sides[0])
    return Change("agreement", base["agreement"]["top1"], head["agreement"]["top1"], change, low, high)


def _exact(run: Run) -> tuple[float, float, float] | None:
    size = run.get("file_bytes")
    return None if not size else (size, size, size)


def _memory(run: Run) -> tuple[float, float, float] | None:
    peak = (run.get("memory") or {}).get("peak_bytes")
    # Both sides scatter, so the ratio's bounds are not those of each: independent errors add by their squares.
    return None if not peak else (peak, peak / _BOTH, peak * _BOTH)


_BOTH = math.exp(math.log(1 + MEMORY_SCATTER) / math.sqrt(2))


def _instructions(run: Run) -> tuple[float, float, float] | None:
    cost = run.get("cost")
    if not cost:
        return None
    count = cost["per_inference"]
    return count, count / (1 + INSTRUCTIONS_SCATTER), count * (1 + INSTRUCTIONS_SCATTER)


COSTS: Mapping[str, Callable[[Run], tuple[float, float, float] | None]] = {
    "size": _exact,
    "memory": _memory,
    "instructions": _instructions,
}
"""The figure with its lower and upper bound."""


def _cost(metric: str, base: Run, head: Run) -> Change | None:
    before, after = COSTS[metric](base), COSTS[metric](head)
    if before is None or after is None or metric not in METRICS:
        return None
    value, low, high = after[0] / before[0], after[1] / before[2], after[2] / before[1]
    return Change(metric, before[0], after[0], value - 1, low - 1, high - 1)
