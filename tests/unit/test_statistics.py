"""Intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.shares import wilson_interval
from edge_dwsep.statistics import percentile, percentile_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(trials=st.integers(1, 10_000), share=st.floats(0, 1))
def test_wilson_interval_holds_the_share_and_stays_in_range(trials: int, share: float) -> None:
    successes = round(share * trials)
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_interval_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="received"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.9, 0.97])
def test_the_median_s_interval_covers_it_about_19_times_in_20(dependence: float) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        # A first-order autoregressive process: each sample remembers the one before it. Its median is 1e6.
        steps = rng.normal(0, 1e4, 2200)
        samples = np.empty_like(steps)
        samples[0] = steps[0]
        for index in range(1, len(steps)):
            samples[index] = dependence * samples[index - 1] + steps[index]
        interval = percentile_interval((1e6 + samples[200:]).astype(np.int64), 50)
        assert interval is not None
        covered += interval[0] <= 1e6 <= interval[1]
    assert 0.90 <= covered / 400 <= 0.99


def test_drift_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    steady = rng.normal(1e6, 1e4, 4000)
    drifting = steady + 1e5 * np.sin(np.arange(4000) / 600)
    width = [np.ptp(percentile_interval(samples.astype(np.int64), 50) or ()) for samples in (steady, drifting)]
    assert width[1] > 5 * width[0]


def test_too_few_samples_have_no_interval() -> None:
    samples = np.arange(199)
    assert percentile(samples, 50) == 99
    assert percentile_interval(samples, 50) is None
