"""Paired ratios, their intervals, and the words for them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.arrays import encode_array
from edge_dwsep.comparison import compare, ratio_interval, verdict
from edge_dwsep.latency import cold_start_figures, median_interval, throughput_figures


def contender(*launches: Any) -> dict[str, Any]:
    return {"launches": [{"turns_ns": encode_array(np.array(turns, np.int64))} for turns in launches]}


@pytest.mark.parametrize(
    ("launches", "left_out"),
    # Critical values of Wilcoxon's signed ranks, two-sided 5 % (Hollander and Wolfe, table A.4); none below six.
    [(5, None), (6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (12, 13), (15, 25)],
)
def test_the_interval_leaves_out_as_many_averages_as_the_table_says(launches: int, left_out: int | None) -> None:
    logarithms = np.log(1 + np.arange(launches) / 100)
    averages = np.sort([(a + b) / 2 for at, a in enumerate(logarithms) for b in logarithms[at:]])
    ratio, interval = ratio_interval(logarithms)
    assert ratio == pytest.approx(math.exp(np.median(averages)))
    if left_out is None:
        assert interval is None
    else:
        assert interval == pytest.approx((math.exp(averages[left_out]), math.exp(averages[-1 - left_out])))


def test_equal_variants_are_rarely_outside_their_interval_and_hardly_ever_called_different() -> None:
    rng = np.random.default_rng(0)
    intervals = [ratio_interval(0.01 * rng.standard_t(3, 10))[1] or (0.0, 0.0) for _ in range(1000)]
    assert 0.93 <= np.mean([low <= 1 <= high for low, high in intervals]) <= 0.98
    assert np.mean([verdict(interval) != "no difference shown" for interval in intervals]) < 0.01


def test_five_percent_is_found_through_two_percent_of_noise() -> None:
    rng = np.random.default_rng(1)
    found = [verdict(ratio_interval(math.log(1.05) + 0.02 * rng.standard_normal(10))[1]) for _ in range(300)]
    assert found.count("slower") > 290
    assert "faster" not in found


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((1.02, 1.08), "slower"),
        ((0.92, 0.98), "faster"),
        ((0.99, 1.05), "no difference shown"),
        ((1.002, 1.009), "no difference shown"),  # certain, and too small to matter
        ((1.005, 1.2), "no difference shown"),
        (None, "no difference shown"),
    ],
)
def test_verdicts(interval: tuple[float, float] | None, word: str) -> None:
    assert verdict(interval) == word


def test_turns_of_one_round_are_compared_with_each_other() -> None:
    rounds = np.array([[100, 100, 110], [200, 200, 900], [50, 50, 50]])  # the machine's speed differs by round
    baseline = contender(*[rounds] * 6)
    other = contender(*[rounds * 1.1] * 6)
    comparison = compare(baseline, other)
    assert comparison["ratio"] == pytest.approx(1.1, abs=1e-6)
    assert comparison["interval"] == pytest.approx((1.1, 1.1), abs=1e-6)
    assert comparison["verdict"] == "slower"
    assert comparison["launch_ratios"] == pytest.approx([1.1] * 6)


@pytest.mark.parametrize(("count", "expected"), [(5, None), (6, (0, 5)), (9, (1, 7)), (10, (1, 8)), (20, (5, 14))])
def test_the_median_of_a_few_independent_values_has_an_exact_interval(
    count: int, expected: tuple[int, int] | None
) -> None:
    assert median_interval(np.arange(count, dtype=np.float64)[::-1]) == expected


def test_cold_start_tells_each_stage() -> None:
    stages = {
        "load": [3_000_000] * 6,
        "total": [10_000_000, 20_000_000, 30_000_000, 40_000_000, 50_000_000, 60_000_000],
    }
    figures = cold_start_figures({"stages_ns": stages, "file_cache": "dropped"})
    assert (figures["starts"], figures["file_cache"]) == (6, "dropped")
    assert figures["load"]["p50_ms"] == 3.0
    assert figures["total"]["interval_ms"] == [10.0, 60.0]


def test_throughput_is_samples_a_second_over_all_processes() -> None:
    times = encode_array(np.full(100, 4_000_000))
    results = [{"measured": {"batch": 8, "samples_ns": times, "loop_ns": 100 * 4_000_000}}] * 2
    figures = throughput_figures(results)
    assert figures["samples_per_second"] == pytest.approx(2000)
    assert figures["interval"] == pytest.approx([2000, 2000])
