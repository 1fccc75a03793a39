"""Percentiles of latencies, and intervals for them."""

from __future__ import annotations

__all__ = ["percentile", "percentile_interval"]

import math

import numpy as np
from numpy.typing import NDArray

BATCHES = 20
T_95 = 2.0930240544082634
"""97.5 % quantile of Student's t distribution with BATCHES - 1 degrees of freedom."""

MIN_BATCH = 10


def percentile(samples: NDArray[np.int64], q: float) -> float:
    """The ``q``-th percentile (0-100) of samples, interpolated linearly (Hyndman and Fan 1996, type 7)."""
    return float(np.percentile(samples, q))


def _dependence(estimates: NDArray[np.float64]) -> float:
    """Factor by which positive correlation r of neighbours widens the error of a mean: sqrt((1 + r) / (1 - r)).

    Source: the variance of the mean of a first-order autoregressive process (Law, section 4.4).
    """
    centred = estimates - estimates.mean()
    total = float(centred @ centred)
    correlation = float(centred[1:] @ centred[:-1]) / total if total else 0.0
    bounded = min(max(correlation, 0.0), 0.9)
    return math.sqrt((1 + bounded) / (1 - bounded))


def percentile_interval(samples: NDArray[np.int64], q: float) -> tuple[float, float] | None:
    """95 % interval for a percentile of samples that follow one another in time, by batch means.

    Inference times are not independent: a slow spell slows many in a row. The samples are cut into 20 consecutive
    batches, and the spread of the batches' percentiles tells how sure the whole one is (Law, "Simulation Modeling and
    Analysis", section 9.5.3), widened as far as neighbouring batches resemble each other. It speaks of this run: what
    changes more slowly than the run lasts, or from one run to the next, is not in it.

    Args:
        samples: in the order they were taken.
        q: percentile, 0-100.

    Returns:
        Lower and upper bound around :func:`percentile`; None for fewer than 200 samples.
    """
    if len(samples) < BATCHES * MIN_BATCH:
        return None
    estimates = [percentile(batch, q) for batch in np.array_split(samples, BATCHES)]
    half = T_95 * float(np.std(estimates, ddof=1)) / math.sqrt(BATCHES) * _dependence(np.array(estimates))
    whole = percentile(samples, q)
    return max(0.0, whole - half), whole + half
