"""What makes a latency doubtful or invalid, and when samples have two modes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dwsep_runtime.trust import Circumstances, bimodal, clock_drift_ppm, doubts, invalid

Draw = Callable[[np.random.Generator, int], NDArray[Any]]

ONE_MODE: dict[str, Draw] = {
    "normal, 5 % spread": lambda rng, n: rng.normal(40_000, 2000, n),
    "normal, 20 % spread": lambda rng, n: rng.normal(40_000, 8000, n).clip(100),
    "log-normal, narrow": lambda rng, n: 40_000 * rng.lognormal(0, 0.1, n),
    "log-normal, wide": lambda rng, n: 40_000 * rng.lognormal(0, 0.5, n),
    "exponential": lambda rng, n: rng.exponential(40_000, n) + 1,
    "exponential above a minimum": lambda rng, n: 40_000 + rng.exponential(10_000, n),
    "uniform": lambda rng, n: rng.uniform(30_000, 50_000, n),
    "uniform, wide": lambda rng, n: rng.uniform(10_000, 100_000, n),
    "Student's t, 3 degrees": lambda rng, n: (40_000 + 3000 * rng.standard_t(3, n)).clip(100),
    "normal with 3 % spikes": lambda rng, n: np.where(rng.random(n) < 0.03, 400_000, rng.normal(40_000, 2000, n)),
}


def mixture(fast: float, slow: float, spread: float, share: float, spikes: float = 0.0) -> Draw:
    """Two normal modes in milliseconds with a spread relative to each, and a share of interruptions."""

    def draw(rng: np.random.Generator, n: int) -> NDArray[Any]:
        modes = np.where(rng.random(n) < share, slow, fast) * 1e6
        samples = rng.normal(modes, spread * modes)
        return np.where(rng.random(n) < spikes, rng.uniform(2e5, 1e6, n), samples)

    return draw


TWO_MODES: dict[str, tuple[float, float, float, float, float]] = {
    "half and half": (0.040, 0.052, 0.05, 0.5, 0.0),
    "mostly fast": (0.040, 0.052, 0.05, 0.25, 0.0),
    "mostly slow": (0.040, 0.052, 0.05, 0.75, 0.0),
    "close and narrow": (0.040, 0.046, 0.02, 0.3, 0.0),
    "far and wide": (0.040, 0.080, 0.10, 0.3, 0.0),
    "with interruptions": (0.040, 0.052, 0.05, 0.5, 0.03),
}

SEEDS = {200: 200, 2000: 50, 20_000: 10}
"""Seeds that are tried by the number of samples."""


def found(draw: Draw) -> list[tuple[float, float, float] | None]:
    return [
        bimodal(draw(np.random.default_rng(seed), count).astype(np.int64))
        for count, seeds in SEEDS.items()
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("draw", ONE_MODE.values(), ids=ONE_MODE)
def test_samples_of_one_mode_are_almost_never_called_bimodal(draw: Draw) -> None:
    assert sum(modes is not None for modes in found(draw)) <= 2


@pytest.mark.parametrize("mixed", TWO_MODES.values(), ids=TWO_MODES)
def test_two_modes_are_always_found_where_they_are(mixed: tuple[float, float, float, float, float]) -> None:
    fast, slow, _, share, spikes = mixed
    for modes in found(mixture(*mixed)):
        assert modes is not None
        assert modes[0] / 1e6 == pytest.approx(fast, rel=0.05)
        assert modes[1] / 1e6 == pytest.approx(slow, rel=0.08)
        assert modes[2] == pytest.approx(share * (1 - spikes), abs=0.15)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [40_000] * 49,
        [40_000] * 1000,
        [0] * 1000,
        [-5] * 500 + [40_000] * 10,
        [40_000] * 930 + [80_000] * 70,
        [40_000] * 500 + [43_000] * 500,
    ],
    ids=["none", "few", "equal", "zero", "hardly any above zero", "a mode of 7 %", "modes 7 % apart"],
)
def test_samples_without_two_clear_modes_have_none(samples: list[int]) -> None:
    assert bimodal(np.array(samples, np.int64)) is None


def test_two_values_are_two_modes() -> None:
    modes = bimodal(np.array([40_000, 40_000, 50_000, 40_000, 50_000] * 100, np.int64))
    assert modes == pytest.approx((40_000, 50_000, 0.4), rel=0.02)


@given(
    st.lists(st.integers(-10, 2**62), max_size=300),
    st.integers(1, 2**20),
)
def test_whatever_the_samples_modes_are_among_them_and_apart(values: list[int], factor: int) -> None:
    samples = np.array([value // factor for value in values] * 3, np.int64)
    modes = bimodal(samples)
    if modes is not None:
        fast, slow, share = modes
        assert max(samples.min(), 0) <= fast * (1 + 1e-9)
        assert slow <= samples.max() * (1 + 1e-9)
        assert slow >= fast * 1.1 * (1 - 1e-9)
        assert 0.1 <= share <= 0.9


def test_the_order_of_samples_and_their_unit_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    samples = mixture(0.040, 0.052, 0.05, 0.3)(rng, 3000).astype(np.int64)
    modes = bimodal(samples)
    assert modes is not None
    assert bimodal(rng.permutation(samples)) == modes
    assert bimodal(samples * 1000) == pytest.approx((modes[0] * 1000, modes[1] * 1000, modes[2]))


CALM: dict[str, Any] = {
    "samples": np.random.default_rng(0).normal(1e6, 2e4, 1024).astype(np.int64),
    "min_samples": 1024,
    "threads": 2,
    "cores": 4,
    "before": {
        "load_1min": 1.0,
        "temperature_c": 48.0,
        "frequency_mhz": [600.0],
        "throttled_now": [],
        "throttled_since_boot": [],
        "cpu_ticks": 10_000,
        "cpu_steal_ticks": 5000,
    },
    "during": ({"frequency_mhz": [1500.0], "temperature_c": 50.0}, {"frequency_mhz": [1490.0], "temperature_c": 51.0}),
    "after": {
        "load_1min": 2.0,
        "temperature_c": 52.0,
        "frequency_mhz": [1500.0],
        "throttled_now": [],
        "throttled_since_boot": [],
        "cpu_ticks": 11_000,
        "cpu_steal_ticks": 5010,
    },
    "yardstick_before_ns": 1_500_000,
    "yardstick_after_ns": 1_600_000,
    "involuntary_switches": 12,
    "timed_seconds": 1.1,
    "resolution_ns": 40,
    "loop_overhead_ns": 90.0,
    "clock_drift_ppm": -80.0,
    "steady": True,
    "conditions": ({"condition": "pin", "asked": [2, 3], "done": True, "said": "on core 2, 3"},),
}

TWICE_AS_FAST = np.array([1_000_000, 1_300_000] * 512, np.int64)


def seen(**changes: Any) -> Circumstances:
    """The calm circumstances with changes; those of ``before`` and ``after`` are made within them."""
    merged = {
        name: {**CALM[name], **value} if name in {"before", "after"} else value for name, value in changes.items()
    }
    return Circumstances(**{**CALM, **merged})


DOUBTFUL: list[tuple[dict[str, Any], str]] = [
    (
        {"before": {"throttled_since_boot": ["under-voltage"]}, "after": {"throttled_since_boot": ["under-voltage"]}},
        "the device was throttled since it started, not during the run (under-voltage)",
    ),
    (
        {
            "before": {"throttled_now": ["throttled"], "throttled_since_boot": ["throttled"]},
            "after": {"throttled_since_boot": ["throttled"]},
        },
        "the device was throttled until the run began (throttled)",
    ),
    (
        {"during": ({"frequency_mhz": [1500.0]}, {"frequency_mhz": [1300.0]})},
        "the processor's clock went from 1300 to 1500 MHz during the run",
    ),
    (
        {"during": (), "after": {"frequency_mhz": [700.0]}},
        "the processor's clock went from 600 to 700 MHz during the run",
    ),
    ({"yardstick_after_ns": 1_250_000}, "the processor's speed changed by 20 % during the run"),
    ({"yardstick_after_ns": 1_744_186}, "the processor's speed changed by 14 % during the run"),
    ({"after": {"temperature_c": 55.0}}, "the temperature rose by 7 C during the run, from 48 to 55 C"),
    ({"before": {"load_1min": 9.5}}, "the device was busy (load 9.5 on 4 cores): latency may be too high"),
    ({"threads": 8}, "more threads (8) than cores (2)"),
    ({"involuntary_switches": 44}, "another process took the core 40 times a second"),
    ({"after": {"cpu_steal_ticks": 5050}}, "another virtual machine took 5 % of the processor's time"),
    ({"clock_drift_ppm": -600.0}, "the clock was being set: it ran 600 ppm off"),
    ({"resolution_ns": 30_000}, "one step of the clock takes 3 % of the median inference"),
    ({"loop_overhead_ns": 50_000.0}, "timing nothing takes 5 % of the median inference"),
    ({"samples": CALM["samples"][:500]}, "only 500 of 1024 inferences were timed"),
    ({"steady": False}, "inference times never became steady in warm-up"),
    ({"samples": TWICE_AS_FAST}, "inferences ran at two speeds: 1 ms and, 50 % of them, 1.3 ms"),
    (
        {"conditions": ({"condition": "governor", "asked": "performance", "done": False, "said": "no cpufreq here"},)},
        "governor performance was asked and not had: no cpufreq here",
    ),
]

INVALID: list[tuple[dict[str, Any], str]] = [
    (
        {"during": ({"throttled_now": ["throttled"]}, {"throttled_now": ["throttled", "under-voltage"]})},
        "the device was throttled during the run (throttled, under-voltage)",
    ),
    (
        {"after": {"throttled_now": ["thermal status severe"]}},
        "the device was throttled during the run (thermal status severe)",
    ),
    (
        {"before": {"throttled_since_boot": []}, "after": {"throttled_since_boot": ["frequency capped"]}},
        "the device was throttled during the run (frequency capped)",
    ),
    ({"clock_drift_ppm": 60_000.0}, "the clock was being set: it ran 60000 ppm off"),
    ({"resolution_ns": 150_000}, "one step of the clock takes 15 % of the median inference"),
    ({"loop_overhead_ns": 2e6}, "timing nothing takes 200 % of the median inference"),
    ({"samples": np.zeros(1024, np.int64)}, "one step of the clock takes more than the median inference"),
    ({"samples": np.array([], np.int64)}, "no inference was timed"),
]


def test_a_calm_run_is_not_doubted() -> None:
    assert doubts(seen()) == invalid(seen()) == []


@pytest.mark.parametrize(("changes", "said"), DOUBTFUL, ids=[said for _, said in DOUBTFUL])
def test_a_doubt_is_said_and_the_latency_stays_valid(changes: dict[str, Any], said: str) -> None:
    assert doubts(seen(**changes)) == [said]
    assert invalid(seen(**changes)) == []


@pytest.mark.parametrize(("changes", "said"), INVALID, ids=[said for _, said in INVALID])
def test_what_makes_a_latency_invalid_is_said_and_is_no_doubt_as_well(changes: dict[str, Any], said: str) -> None:
    assert said in invalid(seen(**changes))
    assert said not in doubts(seen(**changes))


NOT_DOUBTED: list[dict[str, Any]] = [
    {"before": {"load_1min": 6.0}},
    {"threads": 2},
    {"yardstick_after_ns": 1_640_000},
    {"yardstick_after_ns": None},
    {"during": ({"frequency_mhz": [1500.0]}, {"frequency_mhz": [1380.0]})},
    {"after": {"temperature_c": 53.0}},
    {"after": {"temperature_c": 20.0}},
    {"involuntary_switches": 4, "timed_seconds": 0.01},
    {"involuntary_switches": 21},
    {"involuntary_switches": None},
    {"after": {"cpu_ticks": 10_050, "cpu_steal_ticks": 5010}},
    {"after": {"cpu_ticks": None, "cpu_steal_ticks": None}},
    {"clock_drift_ppm": 499.0},
    {"clock_drift_ppm": None},
    {"resolution_ns": 9000},
    {"steady": None},
    {"samples": CALM["samples"][:200], "min_samples": 200},
    {"before": {"throttled_since_boot": None}, "after": {"throttled_since_boot": None, "throttled_now": None}},
]


@pytest.mark.parametrize("changes", NOT_DOUBTED, ids=str)
def test_what_lies_below_a_threshold_or_is_not_told_is_not_doubted(changes: dict[str, Any]) -> None:
    assert doubts(seen(**changes)) == invalid(seen(**changes)) == []


def test_only_the_cores_that_the_run_was_pinned_to_count() -> None:
    def reading(*mhz: float) -> dict[str, Any]:
        return {"frequency_mhz": list(mhz), "frequency_cores": [0, 2, 3]}

    idle_one_moved = (reading(2800.0, 1500.0, 1500.0), reading(600.0, 1500.0, 1480.0))
    own_one_moved = (reading(2800.0, 1500.0, 1500.0), reading(2800.0, 1200.0, 1200.0))
    assert doubts(seen(during=idle_one_moved)) == []
    assert doubts(seen(during=own_one_moved)) == ["the processor's clock went from 1200 to 1500 MHz during the run"]
    assert doubts(seen(during=own_one_moved, conditions=())) == []


def test_two_speeds_that_a_coarse_clock_makes_are_not_two_speeds() -> None:
    samples = np.array([8000, 9000] * 512, np.int64)
    assert any("two speeds" in said for said in doubts(seen(samples=samples)))
    assert not any("two speeds" in said for said in doubts(seen(samples=samples, resolution_ns=1000)))


def test_sentences_are_short_and_alike() -> None:
    long = {"condition": "governor", "asked": "performance", "done": False, "said": "because " * 40}
    said = [
        sentence
        for changes, _ in [*DOUBTFUL, *INVALID, ({"conditions": (long,)}, "")]
        for sentence in [*doubts(seen(**changes)), *invalid(seen(**changes))]
    ]
    for sentence in said:
        assert len(sentence) < 140
        assert sentence[0].islower()
    assert max(len(sentence) for sentence in said) > 130


@pytest.mark.parametrize(
    ("monotonic", "raw", "ppm"),
    [(10**9, 10**9, 0.0), (10**9 + 500_000, 10**9, 500.0), (95 * 10**7, 10**9, -50_000.0), (5, 0, None)],
)
def test_drift_is_relative_to_the_uncorrected_clock(monotonic: int, raw: int, ppm: float | None) -> None:
    drift = clock_drift_ppm(monotonic, raw)
    assert drift is ppm or (drift is not None and ppm is not None and math.isclose(drift, ppm))
