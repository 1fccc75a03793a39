"""What variants are chosen by: the figures of a run that matter, which way is better, and how they are written."""

from __future__ import annotations

__all__ = [
    "DEFAULT_OBJECTIVES",
    "INSTRUCTIONS_SCATTER",
    "MEMORY_SCATTER",
    "OBJECTIVES",
    "Figure",
    "Objective",
    "objectives_named",
]

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dwsep_runtime.errors import InvalidInput, UnknownName
from edge_dwsep.table import milliseconds

MEMORY_SCATTER = 0.025
"""How far the peak of one and the same file moved from process to process: 59.1 to 60.5 MB."""


INSTRUCTIONS_SCATTER = 1e-4
"""How far the count of one and the same file moved from run to run at most, rounded up: 0.004 %. The least and most of
a run's inferences say nothing of that: the first ones of a process take more."""


@dataclass(frozen=True)
class Figure:
    """A figure of a run, and the bounds of its 95 % interval.

    Attributes:
        value: the figure.
        low: lower bound; equal to the value where it is exact, minus infinity where nothing is known.
        high: upper bound.
    """

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Objective:
    """One of the figures that variants are chosen by.

    Attributes:
        name: as options call it.
        noun: what it is, in a sentence.
        better: what one is called that has more of what is wanted.
        worse: what one is called that has less of it.
        figure: takes it from a run's record; None where the run does not tell it.
        write: a value as people read it, with its unit.
        larger_is_better: true of accuracy alone.
    """

    name: str
    noun: str
    better: str
    worse: str
    figure: Callable[[Mapping[str, Any]], Figure | None]
    write: Callable[[float], str]
    larger_is_better: bool = False

    def written(self, figure: Figure) -> str:
        """The figure and its interval: ``3.1 ms [3.0, 3.2]``."""
        if not figure.known:
            return f"{self.write(figure.value)} (no interval)"
        if figure.low == figure.high:
            return self.write(figure.value)
        low, high = (self.write(bound).split(" ")[0] for bound in (figure.low, figure.high))
        return f"{self.write(figure.value)} [{low}, {high}]"


def _top1(run: Mapping[str, Any]) -> Figure | None:
    accuracy = run.get("accuracy")
    return Figure(accuracy["top1"], *accuracy["top1_interval"]) if accuracy else None


def _percentile(q: int) -> Callable[[Mapping[str, Any]], Figure | None]:
    def figure(run: Mapping[str, Any]) -> Figure | None:
        latency = run.get("latency")
        if not latency:
            return None
        bounds = latency[f"p{q}_interval_ms"] or (-math.inf, math.inf)
        return Figure(latency[f"p{q}_ms"], *bounds)

    return figure


def _exact(value: float | None) -> Figure | None:
    return None if value is None else Figure(value, value, value)


def _instructions(run: Mapping[str, Any]) -> Figure | None:
    cost = run.get("cost")
    if not cost:
        return None
    count = cost["per_inference"]
    return Figure(count, count / (1 + INSTRUCTIONS_SCATTER), count * (1 + INSTRUCTIONS_SCATTER))


def _memory(run: Mapping[str, Any]) -> Figure | None:
    peak = (run.get("memory") or {}).get("peak_bytes")
    return None if peak is None else Figure(peak, peak / (1 + MEMORY_SCATTER), peak * (1 + MEMORY_SCATTER))


def _write_milliseconds(value: float) -> str:
    return f"{milliseconds(value) or 0} ms"


def _write_bytes(value: float) -> str:
    return f"{value / 1e6:,.2f} MB" if value >= 1e6 else f"{value / 1e3:,.0f} kB"


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            "top1",
            "accuracy",
            "more accurate",
            "less accurate",
            _top1,
            lambda value: f"{100 * value:.1f} %",
            larger_is_better=True,
        ),
        Objective("p50", "latency", "faster", "slower", _percentile(50), _write_milliseconds),
        Objective("p90", "p90", "faster", "slower", _percentile(90), _write_milliseconds),
        Objective("p99", "p99", "faster", "slower", _percentile(99), _write_milliseconds),
        Objective("size", "size", "smaller", "larger", lambda run: _exact(run["file_bytes"]), _write_bytes),
        Objective("memory", "peak memory", "of less memory", "of more memory", _memory, _write_bytes),
        Objective(
            "instructions", "instructions", "cheaper", "dearer", _instructions, lambda value: f"{value / 1e6:,.3f} M"
        ),
    )
}

DEFAULT_OBJECTIVES = ("top1", "p50", "size")


def objectives_named(names: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives of these names, in their order.

    Raises:
        InvalidInput: there are none, one is unknown, or one is given twice.

    >>> [objective.noun for objective in objectives_named(["top1", "size"])]
    ['accuracy', 'size']
    """
    if not names:
        raise InvalidInput(f"no objective is given; give one or more of {', '.join(OBJECTIVES)}")
    for index, name in enumerate(names):
        if name not in OBJECTIVES:
            raise UnknownName("objective", name, OBJECTIVES)
        if name in names[:index]:
            raise InvalidInput(f"objective {name!r} is given twice; give it once")
    return tuple(OBJECTIVES[name] for name in names)
