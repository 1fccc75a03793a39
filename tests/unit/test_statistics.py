"""Intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dwsep_runtime.percentiles import mean_interval, percentile, percentile_interval, relative_half_width


def dependent(dependence: float, series: int, count: int) -> NDArray[np.int64]:
    """First-order autoregressive processes around 1e6, (series, count): each sample remembers the one before it."""
    steps = np.random.default_rng(0).normal(0, 1e4, (count + 200, series))
    for index in range(1, len(steps)):
        steps[index] += dependence * steps[index - 1]
    return (1e6 + steps[200:].T).astype(np.int64)


@pytest.mark.parametrize("dependence", [0.0, 0.5, 0.9, 0.97])
def test_the_median_s_interval_covers_it_about_19_times_in_20(dependence: float) -> None:
    intervals = [percentile_interval([samples], 50) or (1e6, 1e6) for samples in dependent(dependence, 300, 2000)]
    assert 0.90 <= np.mean([low <= 1e6 <= high for low, high in intervals]) <= 0.99


@pytest.mark.parametrize(("q", "true"), [(50, 1.0), (90, 1.1367), (99, 1.2619)])
def test_intervals_of_skewed_samples_cover_the_true_percentile(q: float, true: float) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        samples = (1e6 * np.exp(0.1 * rng.standard_normal(2000))).astype(np.int64)
        low, high = percentile_interval([samples], q) or (0.0, 0.0)
        covered += low <= 1e6 * true <= high
    assert covered / 300 >= 0.92


@pytest.mark.parametrize("processes", [3, 5, 10])
def test_the_interval_of_several_processes_covers_what_differs_between_them(processes: int) -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        groups = [1e6 * np.exp(rng.normal(0, 0.1) + 0.02 * rng.standard_normal(200)) for _ in range(processes)]
        low, high = percentile_interval(groups, 50) or (0.0, 0.0)
        covered += low <= 1e6 <= high
    assert covered / 300 >= 0.90


@pytest.mark.parametrize("q", [50, 90, 95, 99])
@pytest.mark.parametrize("between", [0.02, 0.1])
def test_intervals_over_processes_cover_the_tails_or_are_not_given(q: float, between: float) -> None:
    rng = np.random.default_rng(3)
    true = np.percentile(np.exp(rng.normal(0, between, 400_000) + 0.05 * rng.standard_normal(400_000)), q)
    held = []
    for _ in range(150):
        groups = [np.exp(rng.normal(0, between) + 0.05 * rng.standard_normal(400)) for _ in range(5)]
        interval = percentile_interval(groups, q)
        if interval is not None:
            held.append(interval[0] <= true <= interval[1])
    assert np.mean(held) >= 0.88 if len(held) > 30 else True


@given(st.lists(st.integers(1, 10**9), min_size=200, max_size=400), st.sampled_from([50, 90, 95]))
def test_an_interval_holds_its_percentile_and_lies_within_the_samples(samples: list[int], q: float) -> None:
    array = np.array(samples)
    interval = percentile_interval([array], q)
    if interval is not None:
        assert array.min() <= interval[0] <= percentile(array, q) <= interval[1] <= array.max()


def test_too_few_samples_for_a_high_percentile_have_no_interval() -> None:
    samples = np.random.default_rng(0).normal(1e6, 1e4, 200)
    assert percentile_interval([samples], 50) is not None
    assert percentile_interval([samples], 99) is None
    assert relative_half_width([samples], 99) is None


def test_the_mean_s_interval_covers_it_about_19_times_in_20() -> None:
    intervals = [mean_interval([samples]) or (0.0, 0.0) for samples in dependent(0.5, 300, 1000)]
    assert 0.90 <= np.mean([low <= 1e6 <= high for low, high in intervals]) <= 0.99
    assert mean_interval([np.arange(5)]) is None


def test_drift_widens_the_interval() -> None:
    rng = np.random.default_rng(0)
    steady = rng.normal(1e6, 1e4, 4000)
    drifting = steady + 1e5 * np.sin(np.arange(4000) / 60)
    width = [np.ptp(percentile_interval([samples.astype(np.int64)], 50) or ()) for samples in (steady, drifting)]
    assert width[1] > 5 * width[0]


def test_drift_as_long_as_the_run_bounds_the_median_by_the_samples_and_a_tail_not_at_all() -> None:
    samples = np.linspace(1e6, 2e6, 4000)
    assert percentile_interval([samples], 50) == (1e6, 2e6)
    assert percentile_interval([samples], 90) is None


def test_too_few_samples_have_no_interval() -> None:
    samples = np.arange(199)
    assert percentile(samples, 50) == 99
    assert percentile_interval([samples], 50) is None
