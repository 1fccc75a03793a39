"""Compare variants that ran in turns: the paired ratio of their medians, its interval, and a verdict."""

from __future__ import annotations

__all__ = ["LEAST_DIFFERENCE", "compare", "launch_ratios", "ratio_interval", "verdict"]

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.arrays import decode_array

LEAST_DIFFERENCE = 0.01
"""A ratio nearer to 1 is never called a difference: where a process's memory happens to lie moves p50 by about as much
from launch to launch, and nobody ships one file instead of another for less."""

CONFIDENCE = 0.95


def launch_ratios(baseline: dict[str, Any], other: dict[str, Any]) -> NDArray[np.float64]:
    """Logarithm of other / baseline for each launch: the median over rounds of the ratio of the turns' medians.

    Args:
        baseline: one of the session's ``contenders``, with ``launches``.
        other: another of the same session.
    """
    ratios = []
    for ours, theirs in zip(baseline["launches"], other["launches"], strict=True):
        ours_ns, theirs_ns = (np.median(decode_array(one["turns_ns"]), axis=1) for one in (ours, theirs))
        ratios.append(float(np.median(np.log(theirs_ns / ours_ns))))
    return np.array(ratios)


def ratio_interval(logarithms: NDArray[np.float64]) -> tuple[float, tuple[float, float] | None]:
    """Typical ratio and its 95 % interval: Hodges and Lehmann's estimate and the interval of Wilcoxon's signed ranks.

    It asks of the launches only that they are independent and that their logarithms lie symmetrically around the
    true one, which holds for equal variants by exchange (Hollander and Wolfe, "Nonparametric Statistical Methods",
    section 3.2-3.3).

    Args:
        logarithms: of the ratio, one a launch.

    Returns:
        The ratio, and its interval, None for fewer than six launches: with five not even five of a sign tell at 95 %.
    """
    count = len(logarithms)
    first, second = np.triu_indices(count)
    averages = np.sort((logarithms[first] + logarithms[second]) / 2)
    ratio = math.exp(float(np.median(averages)))
    left_out = _left_out(count)
    if left_out is None:
        return ratio, None
    return ratio, (math.exp(averages[left_out]), math.exp(averages[len(averages) - 1 - left_out]))


@cache
def _left_out(count: int) -> int | None:
    """Averages to leave out at either end: the most for which the signed-rank statistic is beyond with <= 2.5 %."""
    ways = [1]
    for rank in range(1, count + 1):
        longer = ways + [0] * rank
        for total, number in enumerate(ways):
            longer[total + rank] += number
        ways = longer
    beyond = 0
    for total, number in enumerate(ways):
        beyond += number
        if beyond > 2**count * (1 - CONFIDENCE) / 2:
            return total - 1 if total else None
    return None


def verdict(interval: tuple[float, float] | None) -> str:
    """Word for a ratio's interval: "slower" or "faster" than the baseline, or "no difference shown"."""
    if interval is not None and interval[0] > 1 + LEAST_DIFFERENCE:
        return "slower"
    if interval is not None and interval[1] < 1 / (1 + LEAST_DIFFERENCE):
        return "faster"
    return "no difference shown"


def compare(baseline: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Compare a contender of a session with another, whose launches are paired with its own.

    Returns:
        ``ratio`` (the other's p50 over the baseline's), ``interval`` (95 %, of this one comparison, or None),
        ``verdict``, and ``launch_ratios``.
    """
    logarithms = launch_ratios(baseline, other)
    ratio, interval = ratio_interval(logarithms)
    return {
        "ratio": ratio,
        "interval": interval,
        "verdict": verdict(interval),
        "launch_ratios": np.exp(logarithms).tolist(),
    }
