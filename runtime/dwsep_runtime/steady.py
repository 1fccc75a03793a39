"""Warm-up that ends when inference times are steady, not after a guessed count."""

from __future__ import annotations

__all__ = ["Warmup", "change_point", "warm_up"]

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCKS = 20
"""Blocks of the window that must be steady. Pettitt's approximation is usable from about ten values on."""

LEAST_BLOCK_SECONDS = 0.01
SIGNIFICANCE = 0.05
LEAST_CHANGE = 0.02
"""A shift between the parts of less than 2 % is steady enough: noise of a busy machine is never free of shifts."""

Clock = Callable[[], int]


@dataclass(frozen=True)
class Warmup:
    """How the warm-up went.

    Attributes:
        count: inferences.
        seconds: that they took.
        first_ns: the first of them.
        steady: whether a window without a change point was found before the time was up.
    """

    count: int
    seconds: float
    first_ns: int
    steady: bool

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


def change_point(values: NDArray[Any]) -> Optional[int]:
    """Where a series changes its level, by Pettitt's test (Pettitt 1979, Applied Statistics 28:126), if it does.

    Args:
        values: in the order of time, at least two.

    Returns:
        Index of the first value of the second part; None where no change is significant at 5 %, or where the medians of
        the two parts differ by less than 2 %.
    """
    import numpy as np

    count = len(values)
    order = np.argsort(values, kind="stable")
    ranks = np.empty(count)
    ranks[order] = np.arange(1, count + 1)
    statistic = np.abs(2 * np.cumsum(ranks)[:-1] - np.arange(1, count) * (count + 1))
    at = int(np.argmax(statistic)) + 1
    if 2 * math.exp(-6 * float(statistic[at - 1]) ** 2 / (count**3 + count**2)) > SIGNIFICANCE:
        return None
    before, after = float(np.median(values[:at])), float(np.median(values[at:]))
    return at if abs(after - before) > LEAST_CHANGE * before else None


def warm_up(invoke: Callable[[], object], most_seconds: float, clock: Clock) -> Warmup:
    """Run inferences until their times are steady: no change point in the medians of the last 20 blocks.

    A block is at least three inferences and 10 ms; a window therefore lasts at least 0.2 s.

    Args:
        invoke: runs one inference.
        most_seconds: end even if not steady.
        clock: monotonic nanoseconds.

    Returns:
        What was seen.
    """
    import numpy as np

    begin = clock()
    invoke()
    now = clock()
    first_ns = now - begin
    count, medians = 1, []
    block: list[int] = []
    block_start, latest_end = now, begin + int(most_seconds * 1e9)
    steady = False
    while now < latest_end and not steady:
        start = now
        invoke()
        now = clock()
        count += 1
        block.append(now - start)
        if len(block) >= 3 and now - block_start >= LEAST_BLOCK_SECONDS * 1e9:
            medians.append(float(np.median(block)))
            block.clear()
            steady = len(medians) >= BLOCKS and change_point(np.array(medians[-BLOCKS:])) is None
            block_start = now = clock()
    return Warmup(count, (now - begin) / 1e9, first_ns, steady)
