"""Time several things in turn, so that what slows the device slows them all, and tell medians with intervals."""

from __future__ import annotations

__all__ = ["MIN_ROUNDS", "Clock", "Estimate", "Rounds", "interleaved_rounds", "median_estimate", "on_one_core"]

import contextlib
import gc
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

Clock = Callable[[], int]

MIN_ROUNDS = 6
"""Fewest rounds of which the smallest and the largest value enclose the median with 95 % (1 - 2 / 2^6 = 96.9 %)."""

AIM_ROUNDS = 12
"""Rounds to divide the time into. In 6 s for 33 cuts of a network of 1.2 ms on two noisy x86 cores, times of operators
of the same shape scattered by 1.3 to 1.9 us with 12 rounds, 2.9 with 8, and 3.7 to 4.9 with 20."""

MAX_REPEATS = 100
"""Timed inferences in a row at most; more would let the parts drift apart."""

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""

EXACT_ROUNDS = 200
"""Up to here the ranks are exact; beyond, the normal approximation is as good."""


@dataclass(frozen=True)
class Estimate:
    """A median, and an interval that holds the true one in at least 95 of 100 cases; None for fewer than 6 values."""

    value: float
    interval: Optional[tuple[float, float]]

    @property
    def distinguishable(self) -> bool:
        """Whether the interval does not hold 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True)
class Rounds:
    """What :func:`interleaved_rounds` measured.

    Attributes:
        times: for each round the time of each part, ns.
        calls: for each round which calls of a part were timed, counted from its first; they are the same for all parts.
    """

    times: list[list[float]]
    calls: list[list[int]]

    def column(self, part: int) -> list[float]:
        """The times of one part, round by round."""
        return [times[part] for times in self.times]


def interleaved_rounds(
    parts: Sequence[Callable[[], object]],
    seconds: float,
    *,
    most_calls: Optional[int] = None,
    clock: Clock = time.perf_counter_ns,
) -> Rounds:
    """Time parts in turn, round by round.

    A round goes through all parts there and back, so that what slows the device for a while slows none of them in both
    turns; each time a part is called once without being timed and then a few times in a row. A round's time of a part
    is the shortest of them all: disturbances only ever add, and differences of medians were three times as uncertain.
    What was called to find out how long a round takes is thrown away.

    Args:
        parts: calls to time, such as the ``invoke`` of engines.
        seconds: how long to go on; ``MIN_ROUNDS`` are made even if they take longer.
        most_calls: of each part; ``MIN_ROUNDS`` are made even if they are more.
        clock: monotonic nanoseconds.
    """
    gc_was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begin = clock()
        for part in parts:
            part()
        _round(parts, 1, clock)
        done = 5
        once = max(1, clock() - begin) / done
        repeats = min(int(seconds * 1e9 / (2 * AIM_ROUNDS * once)) - 1, MAX_REPEATS)
        if most_calls is not None:
            repeats = min(repeats, most_calls // (2 * AIM_ROUNDS) - 1)
        repeats = max(repeats, 1)
        times: list[list[float]] = []
        calls: list[list[int]] = []

        def go_on() -> bool:
            enough = most_calls is not None and done + 2 * (1 + repeats) > most_calls
            return len(times) < MIN_ROUNDS or not (enough or clock() - begin >= seconds * 1e9)

        while go_on():
            times.append(_round(parts, repeats, clock))
            back = done + 1 + repeats
            calls.append([*range(done + 1, back), *range(back + 1, back + 1 + repeats)])
            done = back + 1 + repeats
    finally:
        if gc_was_enabled:
            gc.enable()
    return Rounds(times, calls)


def _round(parts: Sequence[Callable[[], object]], repeats: int, clock: Clock) -> list[float]:
    there = [_turn(part, repeats, clock) for part in parts]
    back = [_turn(part, repeats, clock) for part in reversed(parts)]
    return [min(turns) for turns in zip(there, reversed(back))]


def _turn(part: Callable[[], object], repeats: int, clock: Clock) -> float:
    part()
    times = []
    for _ in range(repeats):
        begin = clock()
        part()
        times.append(clock() - begin)
    return float(min(times))


def median_estimate(values: Sequence[float]) -> Estimate:
    """Median with the interval of the sign test, which supposes nothing of how the values are distributed.

    The r-th smallest and the r-th largest value enclose the median unless fewer than r of n values lie on one side of
    it, and how many do is binomial with n and 1/2 (Conover, "Practical Nonparametric Statistics", section 3.2). It
    supposes that rounds do not depend on one another.
    """
    ordered = sorted(values)
    rank = _interval_rank(len(ordered))
    interval = (ordered[rank - 1], ordered[-rank]) if rank else None
    return Estimate(_median(ordered), interval)


def _interval_rank(count: int) -> int:
    """The largest r for which fewer than r of ``count`` fair coins fall on one side with 2.5 % at most; 0 for none."""
    if count > EXACT_ROUNDS:
        return int((count - Z_95 * math.sqrt(count)) / 2)
    rank, below = 0, 0
    while rank < count:
        below += math.comb(count, rank)
        if below > 0.025 * 2**count:
            break
        rank += 1
    return rank


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


@contextlib.contextmanager
def on_one_core(*, wanted: bool) -> Iterator[None]:
    """Keep this thread, and threads it starts meanwhile, on the last core it may use; afterwards as before.

    Args:
        wanted: whether to; a system that knows no such thing is left as it is.
    """
    if not wanted or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(allowed)})
    except OSError:  # a container may forbid it
        yield
        return
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
