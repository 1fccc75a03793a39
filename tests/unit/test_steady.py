"""The change-point test that ends the warm-up."""

from __future__ import annotations

import numpy as np
import pytest

from dwsep_runtime.steady import change_point


def test_steady_noise_is_rarely_called_a_change() -> None:
    rng = np.random.default_rng(0)
    found = [change_point(1e6 * (1 + 0.1 * rng.standard_normal(20))) for _ in range(500)]
    assert sum(at is not None for at in found) < 25


@pytest.mark.parametrize("at", [5, 10, 15])
@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_a_shift_is_found_where_it_is(at: int, factor: float) -> None:
    values = 1e6 * (1 + 0.02 * np.random.default_rng(1).standard_normal(20))
    values[at:] *= factor
    found = change_point(values)
    assert found is not None
    assert abs(found - at) <= 3  # the test leans towards the middle


def test_a_shift_too_small_to_matter_is_steady_enough() -> None:
    values = np.full(20, 1e6)
    values[10:] *= 1.01
    assert change_point(values) is None
    values[10:] *= 1.05
    assert change_point(values) == 10


def test_equal_values_have_no_change_point() -> None:
    assert change_point(np.full(20, 7.0)) is None
