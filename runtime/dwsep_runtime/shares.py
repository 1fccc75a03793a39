"""Shares of images: how sure one is, and whether two that were counted on the same images differ."""

from __future__ import annotations

__all__ = ["mcnemar", "wilson_interval"]

import math

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % score interval for a share (Wilson 1927, "Probable inference, the law of succession").

    Args:
        successes: 0..trials.
        trials: at least 1.

    Returns:
        Lower and upper bound, in [0, 1].

    >>> low, high = wilson_interval(915, 1000)
    >>> round(low, 4), round(high, 4)
    (0.8961, 0.9307)
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"successes must be in 0..trials and trials at least 1, received {successes} of {trials}")
    share = successes / trials
    spread = Z_95 * Z_95 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def mcnemar(b: int, c: int) -> float:
    """Whether two classifiers err on the same images equally often: McNemar's test, exact and two-sided.

    Only images that one of them has right and the other wrong tell anything. If both were equally good, b of the
    b + c would be distributed binomially with a half (McNemar 1947, "Note on the sampling error of the difference
    between correlated proportions or percentages", Psychometrika 12, 153-157).

    Args:
        b: images that the first has right and the second wrong.
        c: images that the second has right and the first wrong.

    Returns:
        The probability of b and c at least as unequal as these, in (0, 1].

    >>> round(mcnemar(1, 9), 4)
    0.0215
    """
    if b < 0 or c < 0:
        raise ValueError(f"discordant counts must not be negative, received {b} and {c}")
    trials = b + c
    ways = tail = 1
    for chosen in range(min(b, c)):
        ways = ways * (trials - chosen) // (chosen + 1)
        tail += ways
    return min(1.0, float(2 * tail / (1 << trials)))
