"""Intervals of differences of shares, held against brute force and by their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_dwsep.share_differences import Z_95, paired_difference, unpaired_difference


def restricted_score(b: int, c: int, count: int, difference: float) -> float:
    """Tango's score by a search over the discordant share for the likeliest one, without the closed form."""
    low = max(0.0, -difference)
    second_alone = np.linspace(low, (1 - difference) / 2, 40_001)[1:-1]
    first_alone = second_alone + difference
    rest = 1 - first_alone - second_alone
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            (b * np.log(first_alone) if b else 0)
            + (c * np.log(second_alone) if c else 0)
            + ((count - b - c) * np.log(rest) if count > b + c else 0)
        )
    best = second_alone[np.nanargmax(likelihood)]
    variance = count * (2 * best + difference - difference**2)
    return float((b - c - count * difference) / math.sqrt(variance))


@pytest.mark.parametrize(("b", "c", "count"), [(30, 10, 1000), (5, 0, 200), (12, 14, 100), (1, 40, 2000)])
def test_bounds_of_a_paired_difference_are_where_the_score_test_begins_to_refuse(b: int, c: int, count: int) -> None:
    difference, (low, high) = paired_difference(b, c, count)
    assert difference == pytest.approx((b - c) / count)
    assert restricted_score(b, c, count, low) == pytest.approx(Z_95, abs=5e-3)
    assert restricted_score(b, c, count, high) == pytest.approx(-Z_95, abs=5e-3)


def test_runs_that_never_differ_still_have_an_interval() -> None:
    _, (low, high) = paired_difference(0, 0, 2000)
    assert high == pytest.approx(Z_95**2 / (2000 + Z_95**2), rel=1e-6)
    assert low == -high


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400))
def test_a_paired_difference_lies_in_its_interval_and_turns_with_its_sides(b: int, c: int, rest: int) -> None:
    count = max(1, b + c + rest)
    difference, (low, high) = paired_difference(b, c, count)
    assert -1 <= low <= difference <= high <= 1
    turned, (turned_low, turned_high) = paired_difference(c, b, count)
    assert (turned, turned_low, turned_high) == pytest.approx((-difference, -high, -low), abs=1e-9)


@pytest.mark.parametrize(("first", "second"), [(0.03, 0.03), (0.05, 0.01), (0.002, 0.002)])
def test_a_paired_interval_holds_the_truth_nineteen_times_in_twenty(first: float, second: float) -> None:
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(1000, [first, second, 1 - first - second], size=600)
    held = 0
    for b, c, _ in drawn.tolist():
        low, high = paired_difference(b, c, 1000)[1]
        held += low <= first - second <= high
    assert 0.935 <= held / len(drawn) <= 0.99


@pytest.mark.parametrize("wrong", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_cannot_be_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="b and c"):
        paired_difference(*wrong)


def test_an_unpaired_difference_is_wider_than_a_paired_one_of_the_same_shares() -> None:
    paired = paired_difference(30, 10, 1000)[1]
    unpaired = unpaired_difference((920, 1000), (900, 1000))[1]
    assert unpaired[1] - unpaired[0] > 1.5 * (paired[1] - paired[0])
