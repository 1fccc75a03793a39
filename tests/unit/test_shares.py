"""Intervals of shares, and whether two shares of the same images differ."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.shares import mcnemar, wilson_interval


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


@pytest.mark.parametrize(
    ("b", "c", "p"),
    # By hand: twice the sum of C(b + c, i) for i up to the smaller, over 2**(b + c).
    [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 22 / 1024), (3, 4, 1.0), (2, 6, 2 * (1 + 8 + 28) / 256)],
)
def test_mcnemar_is_the_exact_binomial_probability(b: int, c: int, p: float) -> None:
    assert mcnemar(b, c) == pytest.approx(p, rel=1e-12)
    assert mcnemar(c, b) == mcnemar(b, c)


@given(b=st.integers(0, 60), c=st.integers(0, 60))
def test_mcnemar_is_the_sum_of_the_outcomes_that_are_no_likelier(b: int, c: int) -> None:
    trials = b + c
    tail = [math.comb(trials, i) / 2**trials for i in range(trials + 1) if abs(2 * i - trials) >= abs(b - c)]
    assert mcnemar(b, c) == pytest.approx(min(1.0, math.fsum(tail)), rel=1e-9)


def test_mcnemar_takes_counts_of_a_large_set() -> None:
    # By the normal approximation with continuity correction: z = (|b - c| - 1) / sqrt(b + c).
    z = 199 / math.sqrt(10_000)
    assert mcnemar(4900, 5100) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)
    assert 0 < mcnemar(0, 1000) < 1e-300


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="received -1 and 3"):
        mcnemar(-1, 3)
