"""What runs say alike is said once."""

from __future__ import annotations

from typing import Any

import pytest

from edge_dwsep.notes import condensed_notes, each_once


def run(name: str, *warnings: str, error: str | None = None) -> dict[str, Any]:
    return {"name": name, "status": "failed" if error else "ok", "error": error, "warnings": list(warnings)}


@pytest.mark.parametrize(
    ("runs", "lines"),
    [
        ([], []),
        ([run("a")], []),
        ([run("a", "busy (load 3 on 2 cores)")], ["a: busy (load 3 on 2 cores)"]),
        ([run("a", "took the core 9 times", "took the core 12 times")], ["a: took the core 12 times"]),
        ([run("a", "hot"), run("b", "hot"), run("c")], ["2 of 3 runs: hot"]),
        (
            [run("a", "took the core 1,200 times"), run("b", "took the core 30 times")],
            ["2 of 2 runs, at the most: took the core 1,200 times"],
        ),
        ([run("a", "hot", "busy"), run("b", "busy")], ["a: hot", "2 of 2 runs: busy"]),
        ([run("a", error="no room"), run("b", error="no room")], ["2 of 2 runs: failed: no room"]),
        ([run("a", error="x"), run("b", error="y")], ["a: failed: x", "b: failed: y"]),
        ([run("a", error="127.0.0.1 port 22 does not answer")], ["a: failed: 127.0.0.1 port 22 does not answer"]),
    ],
)
def test_notes_that_differ_by_numbers_alone_are_told_once_by_the_largest(
    runs: list[dict[str, Any]], lines: list[str]
) -> None:
    assert condensed_notes(runs, lambda one: str(one["name"])) == lines


def test_what_fails_for_one_reason_on_a_device_is_told_once() -> None:
    failures = [
        {"device": "pi4", "error": "off"},
        {"device": "pi4", "error": "not tried, for the run before it told: off"},
        {"device": "pi5", "error": "off"},
        {"device": "pi4", "error": "full"},
    ]
    assert [(one["device"], one["error"]) for one in each_once(failures)] == [
        ("pi4", "off"),
        ("pi5", "off"),
        ("pi4", "full"),
    ]
