"""Whether latency changed between two measurements: the ratio of a percentile, and Mann and Whitney's test."""

from __future__ import annotations

__all__ = ["ALONE", "mann_whitney", "median_ratio", "percentile_ratio", "samples_by_process"]

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.arrays import decode_array
from dwsep_runtime.percentiles import MIN_SAMPLES, half_of_batches, student_t

ALONE = 1.6
"""Factor up and down that a percentile of a single process is taken to be uncertain by: processes of one file were seen
to differ by up to that much, and of a single one nothing tells by how much."""

Z_95 = 1.959963984540054


def median_ratio(base: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[float, tuple[float, float]] | None:
    """Ratio of p50 after to before, and its 95 % interval, from the p50 of each process.

    Processes are independent of one another, whatever their inferences are, and how their medians scatter holds both
    how processes differ and how much each of them varies. So the interval is that of Welch's test on their logarithms
    (Welch 1947, "The generalization of Student's problem when several different population variances are involved",
    Biometrika 34, 28-35; that processes are the units of a benchmark: Kalibera and Jones 2013, "Rigorous benchmarking
    in reasonable time"). It is a third narrower than what :func:`percentile_ratio` can tell of five processes.

    Returns:
        The ratio of the processes' geometric means, and its interval; None where a side has a single process.
    """
    sides = [np.log([process["p50_ms"] for process in one["processes"]]) for one in (base, head)]
    if min(map(len, sides)) < 2:
        return None
    errors = [float(np.var(side, ddof=1)) / len(side) for side in sides]
    total = sum(errors)
    freedom = [error**2 / (len(side) - 1) for error, side in zip(errors, sides, strict=True)]
    # Rounded down, so that the interval is rather too wide.
    half = math.sqrt(total) * student_t(max(1, int(total**2 / sum(freedom)))) if total else 0.0
    ratio = math.exp(float(np.mean(sides[1]) - np.mean(sides[0])))
    return ratio, (ratio * math.exp(-half), ratio * math.exp(half))


def percentile_ratio(
    base: Mapping[str, Any], head: Mapping[str, Any], q: int
) -> tuple[float, tuple[float, float] | None]:
    """Ratio of a percentile after to before, and its 95 % interval from the intervals of both.

    On the logarithmic scale the ratio is a difference, whose bounds lie as far off as the hypotenuse of how far off
    those of either figure do (the method of variance estimates recovery: Zou and Donner 2008, "Construction of
    confidence limits about effect measures: a general approach", Statistics in Medicine 27, 1693-1702).

    Args:
        base: ``latency`` of a run, full or light.
        head: of the run to compare with it.
        q: percentile, one that records have.

    Returns:
        The ratio; and its interval, None where one of the two has none.
    """
    ratio = head[f"p{q}_ms"] / base[f"p{q}_ms"]
    before, after = _logarithms(base, q), _logarithms(head, q)
    if before is None or after is None:
        return ratio, None
    (base_below, base_above), (head_below, head_above) = before, after
    return ratio, (
        ratio * math.exp(-math.hypot(head_below, base_above)),
        ratio * math.exp(math.hypot(head_above, base_below)),
    )


def _logarithms(latency: Mapping[str, Any], q: int) -> tuple[float, float] | None:
    """How far the bounds of a percentile are below and above it, as logarithms of ratios."""
    interval, value = latency[f"p{q}_interval_ms"], latency[f"p{q}_ms"]
    if not interval or interval[0] <= 0:
        return None
    below, above = math.log(value / interval[0]), math.log(interval[1] / value)
    if len(latency["processes"]) > 1:
        return below, above
    return max(below, math.log(ALONE)), max(above, math.log(ALONE))


def samples_by_process(latency: Mapping[str, Any]) -> list[NDArray[np.float64]] | None:
    """Inference times of each process, in ns; None of a light record, which has no samples."""
    if not latency.get("samples_ns"):
        return None
    together = decode_array(latency["samples_ns"]).astype(np.float64)
    ends = np.cumsum([process["count"] for process in latency["processes"]])
    return np.split(together, ends[:-1])


def mann_whitney(base: Sequence[NDArray[Any]], head: Sequence[NDArray[Any]]) -> float | None:
    """Probability of samples that differ as much as these if none were likelier to be the slower one.

    The statistic is Mann and Whitney's (1947, Annals of Mathematical Statistics 18, 50-60): in which share of all pairs
    the head's sample is the slower one, pairs of equal ones counting half. It is the mean of the samples' placements
    among the other side's; as Brunner and Munzel do (2000, Biometrical Journal 42, 17-25), its variance is taken from
    the placements of both sides, which asks for neither equal spread nor freedom from ties. Samples depend on their
    neighbours and on their process, so the variance of a mean placement is that of batch means, and at least that
    between processes, as in :mod:`dwsep_runtime.percentiles`; of independent samples the usual test overstates what it
    knows a hundredfold.

    Args:
        base: samples of each process, in the order they were taken.
        head: of the other side.

    Returns:
        The two-sided probability; None where a side has fewer than 200 samples or a single process, of which nothing
        tells how far processes differ.
    """
    sides = [[part for part in side if len(part) > 1] for side in (base, head)]
    if any(sum(map(len, side)) < MIN_SAMPLES or len(side) < 2 for side in sides):
        return None
    pooled = [np.sort(np.concatenate(side)) for side in sides]
    placements = [[_placements(part, pooled[1 - index]) for part in side] for index, side in enumerate(sides)]
    distance = float(np.concatenate(placements[1]).mean()) - 0.5
    error = math.hypot(*(_half_of_mean(side) for side in placements)) / Z_95
    if error == 0:
        return 1.0 if distance == 0 else 0.0
    return 2 * NormalDist().cdf(-abs(distance) / error)


def _placements(samples: NDArray[Any], ordered: NDArray[Any]) -> NDArray[np.float64]:
    """Share of the other side's samples below each of these, equal ones counting half."""
    below, not_above = (np.searchsorted(ordered, samples, side) for side in ("left", "right"))
    shares: NDArray[np.float64] = (below + not_above) / (2 * len(ordered))
    return shares


def _half_of_mean(placements: Sequence[NDArray[np.float64]]) -> float:
    """Half of the 95 % interval of a side's mean placement."""
    means = [float(part.mean()) for part in placements]
    between = student_t(len(means) - 1) * float(np.std(means, ddof=1)) / math.sqrt(len(means))
    return max(between, half_of_batches(placements))
