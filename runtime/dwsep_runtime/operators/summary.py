"""One form for what operators cost, however it was measured."""

from __future__ import annotations

__all__ = ["KINDS", "MeasuredOperator", "sum_by_kind"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from dwsep_runtime.operators.rounds import Estimate, median_estimate

Number = TypeVar("Number", int, float)

KINDS = ("depthwise", "pointwise", "standard", "dense", "other")
"""What operators are summed by: depthwise, 1x1 and other convolutions, dense layers, and all else."""


@dataclass(frozen=True)
class MeasuredOperator:
    """An operator and its time in every round.

    Attributes:
        index: position in the order of execution.
        name: in the model.
        type: in the words of the format, such as CONV_2D or QLinearConv.
        kind: one of ``KINDS``.
        macs: multiply-accumulates in one inference; None where unknown.
        times: of each round, ns.
        resolution: ns by which every one of the times may be off in the same direction.
        alone: ns that it takes in a model of its own; None where it was not tried.
    """

    index: int
    name: str
    type: str
    kind: str
    macs: Optional[int]
    times: Sequence[float]
    resolution: float = 0.0
    alone: Optional[float] = None

    def estimate(self) -> Estimate:
        """Median of the rounds and its interval."""
        return _widened(median_estimate(self.times), self.resolution)

    def to_json(self) -> dict[str, Any]:
        """The operator's entry in a profile."""
        found = self.estimate()
        return {
            "index": self.index,
            "name": self.name,
            "type": self.type,
            "kind": self.kind,
            "macs": self.macs,
            "ns": found.value,
            "interval_ns": list(found.interval) if found.interval else None,
            "distinguishable": found.distinguishable,
            "alone_ns": self.alone,
        }


def sum_by_kind(operators: Sequence[MeasuredOperator]) -> dict[str, dict[str, Any]]:
    """Sums of the kinds that occur.

    The times of a kind's operators are added round by round before the median is taken: of neighbouring operators one
    loses what the other is wrongly given, so that the sum is surer than its parts. Hence the sums of the kinds do not
    add up to the sum of all operators' medians exactly.

    Returns:
        For each kind: ``operators`` (how many), ``ns``, ``interval_ns``, ``macs`` and ``alone_ns``, each None if it is
        unknown of one of them.
    """
    sums = {}
    for kind in KINDS:
        members = [operator for operator in operators if operator.kind == kind]
        if not members:
            continue
        rounds = [sum(times) for times in zip(*(operator.times for operator in members))]
        # Errors of rounding are independent and uniform, so that their standard deviation is resolution / sqrt(3).
        spread = sum(operator.resolution**2 for operator in members) ** 0.5
        off = min(sum(operator.resolution for operator in members), 1.96 / 3**0.5 * spread)
        found = _widened(median_estimate(rounds), off)
        sums[kind] = {
            "operators": len(members),
            "ns": found.value,
            "interval_ns": list(found.interval) if found.interval else None,
            "macs": _total([operator.macs for operator in members]),
            "alone_ns": _total([operator.alone for operator in members]),
        }
    return sums


def _total(values: Sequence[Optional[Number]]) -> Optional[Number]:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if len(known) == len(values) else None


def _widened(estimate: Estimate, by: float) -> Estimate:
    if estimate.interval is None:
        return estimate
    low, high = estimate.interval
    return Estimate(estimate.value, (low - by, high + by))
