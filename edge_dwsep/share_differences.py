"""Differences of two shares with intervals: of right answers to the same images, or to images of two samples."""

from __future__ import annotations

__all__ = ["paired_difference", "unpaired_difference"]

import math
from collections.abc import Callable
from functools import lru_cache

from dwsep_runtime.shares import wilson_interval

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""

HALVINGS = 40
"""After these the bounds of a share are known to a part in 10^12."""


@lru_cache(maxsize=65536)  # of thousands of runs many lose as much
def paired_difference(b: int, c: int, count: int) -> tuple[float, tuple[float, float]]:
    """How much larger the first of two shares of the same images is, and its 95 % score interval.

    The interval holds those differences that the score test does not refuse, with the discordant share at its most
    likely value for each of them (Tango 1998, "Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design", Statistics in Medicine 17, 891-908). Where the two never differ it is
    about four images wide to either side, while Wald's has no width at all.

    Args:
        b: images that only the first has right.
        c: images that only the second has right.
        count: all images, at least 1.

    Returns:
        (b - c) / count, and the lower and upper bound, in [-1, 1].

    >>> difference, (low, high) = paired_difference(30, 10, 1000)
    >>> round(difference, 3), round(low, 4), round(high, 4)
    (0.02, 0.008, 0.0336)
    """
    if count < 1 or min(b, c) < 0 or b + c > count:
        raise ValueError(f"b and c must not be negative and count at least their sum, received {b}, {c} and {count}")

    def score(difference: float) -> float:
        """Standard deviations between what was counted and what ``difference`` would make of it."""
        linear = (2 * count - b + c) * difference - b - c
        constant = -c * difference * (1 - difference)
        second_alone = (math.sqrt(max(0.0, linear * linear - 8 * count * constant)) - linear) / (4 * count)
        variance = count * (2 * second_alone + difference * (1 - difference))
        distance = b - c - count * difference
        if variance <= 0:
            return 0.0 if distance == 0 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    middle = (b - c) / count
    low = _boundary(-1.0, middle, lambda difference: score(difference) > Z_95)
    high = _boundary(1.0, middle, lambda difference: score(difference) < -Z_95)
    return middle, (low, high)


def unpaired_difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """How much larger the first of two shares of different images is, and its 95 % interval by Wilson's for each.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Statistics in Medicine 17, 873-890, method 10.

    Args:
        first: successes and trials.
        second: successes and trials.

    >>> difference, (low, high) = unpaired_difference((56, 70), (48, 80))
    >>> round(difference, 4), round(low, 4), round(high, 4)
    (0.2, 0.0524, 0.3339)
    """
    one, other = first[0] / first[1], second[0] / second[1]
    (low, high), (other_low, other_high) = wilson_interval(*first), wilson_interval(*second)
    middle = one - other
    return middle, (
        middle - math.hypot(one - low, other_high - other),
        middle + math.hypot(high - one, other - other_low),
    )


def _boundary(outside: float, inside: float, refused: Callable[[float], bool]) -> float:
    """Where, between a refused and an accepted value, refusal begins."""
    if not refused(outside):
        return outside
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        if refused(middle):
            outside = middle
        else:
            inside = middle
    return inside
