"""Quantities of options and plans."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.choice.quantities import bytes_of, milliseconds_of, points_of, share_of

Read = Callable[[str, str], float]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (milliseconds_of, "20ms", 20),
        (milliseconds_of, "800us", 0.8),
        (milliseconds_of, "800 µs", 0.8),
        (milliseconds_of, "1s", 1000),
        (milliseconds_of, " .5 ms ", 0.5),
        (bytes_of, "1MB", 10**6),
        (bytes_of, "300kB", 300_000),
        (bytes_of, "1.5MiB", 1_572_864),
        (bytes_of, "2e3 B", 2000),
        (points_of, "1pp", 0.01),
        (points_of, "0pp", 0),
        (share_of, "90%", 0.9),
        (share_of, "0.5 %", 0.005),
    ],
)
def test_a_number_and_its_unit_are_read(read: Read, text: str, value: float) -> None:
    assert read(text, "--limit") == pytest.approx(value)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (milliseconds_of, "20", "--limit '20' has no unit; give a number and a unit, such as 20ms"),
        (milliseconds_of, "20 minutes", "cannot be read"),
        (milliseconds_of, "0ms", "must be above 0"),
        (milliseconds_of, "-3ms", "must be above 0"),
        (milliseconds_of, "1e999ms", "must be above 0"),
        (milliseconds_of, "nanms", "cannot be read"),
        (milliseconds_of, "", "cannot be read"),
        (bytes_of, "1Mb", "cannot be read"),
        (points_of, "1%", "such as 1pp"),
        (points_of, "-1pp", "must be 0 or more"),
        (points_of, "101pp", "at most 100"),
        (share_of, "0.9", "has no unit"),
        (share_of, "120%", "at most 100"),
    ],
)
def test_what_is_no_such_quantity_is_refused_with_an_example(read: Read, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        read(text, "--limit")


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (milliseconds_of, bytes_of, points_of, share_of):
        with contextlib.suppress(InvalidInput):
            assert read(text, "--limit") >= 0
