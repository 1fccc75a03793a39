"""Percentiles of inference times, with intervals that hold for samples that depend on their neighbours."""

from __future__ import annotations

__all__ = [
    "MIN_SAMPLES",
    "half_of_batches",
    "mean_interval",
    "percentile",
    "percentile_interval",
    "relative_half_width",
    "student_t",
]

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""

T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
T_95_MORE = (2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)
"""97.5 % quantiles of Student's t for 1..15 and 16..30 degrees of freedom (any table; NIST/SEMATECH 1.3.6.7.2)."""

BATCHES = 20
LEAST_BATCH = 10
MIN_SAMPLES = BATCHES * LEAST_BATCH
"""Fewer have no interval: twenty batches of ten are the least that tells how batches differ."""

MIDDLE = (25.0, 75.0)
"""Percentiles that lie between the smallest and the largest sample for certain, however the samples depend."""

TAILS = (5.0, 95.0)
"""From here on outwards a percentile of all samples is that of the slowest processes, and of these there are too few to
tell where processes differ by more than each of them varies (simulated: 78 % of the intervals held p99)."""

MOST_CORRELATION = 0.9
MEDIAN_OVER_MEAN = math.sqrt(math.pi / 2)


def percentile(samples: NDArray[Any], q: float) -> float:
    """The ``q``-th percentile (0-100) of samples, interpolated linearly (Hyndman and Fan 1996, type 7)."""
    import numpy as np

    return float(np.percentile(samples, q))


def percentile_interval(processes: Sequence[NDArray[Any]], q: float) -> Optional[tuple[float, float]]:
    """95 % interval for a percentile: order statistics, whose ranks allow for dependence by batch means.

    For independent samples the interval of a percentile runs between two order statistics, whatever the distribution
    (David and Nagaraja, "Order Statistics", section 7.1): the ranks n p -+ z sqrt(n p (1 - p)). Inference times are not
    independent: a slow spell slows many in a row. So the error of the share of samples below the percentile is taken
    from the spread between consecutive batches, 20 of each process with at least ten samples, widened by the
    correlation of neighbouring batches (batch means: Law, "Simulation Modeling and Analysis", section 9.5.3), and
    never below that of independent samples. Batch means
    were preferred to a block bootstrap: as good at equal block length, and a thousand times cheaper on a device.

    A process may be slow as a whole, by where its memory lies for one. Of several processes the interval is therefore
    at least as wide as Student's for the logarithms of the processes' own percentiles, times sqrt(pi / 2), the error of
    a median over that of a mean: where processes differ by more than they vary, the percentile of all is the median of
    theirs.

    Args:
        processes: samples of each process, in the order they were taken.
        q: percentile, 0-100.

    Returns:
        Lower and upper bound around :func:`percentile` of all. None for fewer than 200 samples; where a bound of a
        percentile in a tail would lie beyond the smallest or largest of them (in the middle these are the bounds
        then); and for p95 and beyond where processes differ by more than the inferences of one of them do.
    """
    import numpy as np

    groups = [group for group in processes if len(group)]
    count = sum(len(group) for group in groups)
    if count < MIN_SAMPLES:
        return None
    ordered = np.sort(np.concatenate(groups))
    middle = percentile(ordered, q)
    share = q / 100
    independent = math.sqrt(share * (1 - share) / count)
    half = max(Z_95 * independent, half_of_batches([group <= middle for group in groups]))
    if half > min(share, 1 - share) and not MIDDLE[0] <= q <= MIDDLE[1]:
        return None
    low = float(ordered[math.floor(max(0.0, share - half) * (count - 1))])
    high = float(ordered[math.ceil(min(1.0, share + half) * (count - 1))])
    factor = _factor_between([percentile(group, q) for group in groups])
    if not TAILS[0] < q < TAILS[1] and _differ(groups):
        return None
    return min(low, middle / factor), max(high, middle * factor)


def relative_half_width(processes: Sequence[NDArray[Any]], q: float) -> Optional[float]:
    """Half the width of :func:`percentile_interval` as a share of the percentile; None where there is no interval."""
    import numpy as np

    interval = percentile_interval(processes, q)
    if interval is None:
        return None
    middle = percentile(np.concatenate(list(processes)), q)
    return (interval[1] - interval[0]) / 2 / middle if middle else None


def student_t(freedom: int) -> float:
    """97.5 % quantile of Student's t distribution for ``freedom`` degrees of freedom, at least 1."""
    table = T_95 + T_95_MORE
    return table[freedom - 1] if freedom <= len(table) else Z_95 + 2.5 / freedom


def half_of_batches(below: Sequence[NDArray[Any]]) -> float:
    """Half of the 95 % interval of the mean of dependent samples: from the spread of batches of each process.

    Args:
        below: of each process at least two samples, in their order; Booleans where the mean is a share.
    """
    import numpy as np

    means: list[float] = []
    neighbours = total = 0.0
    for part in below:
        batches = min(BATCHES, max(2, len(part) // LEAST_BATCH))
        own = np.array([batch.mean() for batch in np.array_split(part, batches)])
        centred = own - own.mean()
        neighbours += float(centred[1:] @ centred[:-1])
        total += float(centred @ centred)
        means.extend(own)
    freedom = len(means) - len(below)
    if not total:
        return 0.0
    correlation = min(max(neighbours / total, 0.0), MOST_CORRELATION)
    widened = math.sqrt((1 + correlation) / (1 - correlation))
    return student_t(freedom) * math.sqrt(total / freedom / len(means)) * widened


def _differ(groups: Sequence[NDArray[Any]]) -> bool:
    """Whether the medians of processes scatter more than the inferences of one process: in standard deviations."""
    import numpy as np

    if len(groups) < 2:
        return False
    medians = [percentile(group, 50) for group in groups]
    within = float(np.median([percentile(group, 84.1) - median for group, median in zip(groups, medians)]))
    return float(np.std(medians, ddof=1)) > within


def _factor_between(percentiles: Sequence[float]) -> float:
    """Factor up and down from the spread between processes; 1 of a single one, of which nothing is known."""
    import numpy as np

    if len(percentiles) < 2 or min(percentiles) <= 0:
        return 1.0
    spread = float(np.std(np.log(percentiles), ddof=1))
    return math.exp(MEDIAN_OVER_MEAN * student_t(len(percentiles) - 1) * spread / math.sqrt(len(percentiles)))


def mean_interval(processes: Sequence[NDArray[Any]]) -> Optional[tuple[float, float]]:
    """95 % interval for the mean of dependent samples, by batch means as :func:`percentile_interval`; or None."""
    import numpy as np

    groups = [np.asarray(group, np.float64) for group in processes if len(group)]
    if sum(len(group) for group in groups) < BATCHES or min(len(group) for group in groups) < 2:
        return None
    mean = float(np.concatenate(groups).mean())
    half = half_of_batches(groups)
    factor = _factor_between([float(group.mean()) for group in groups])
    if half >= mean:
        return None
    return min(mean - half, mean / factor), max(mean + half, mean * factor)
