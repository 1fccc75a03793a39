"""What is to be known of runs besides their figures: what several of them say alike is said once."""

from __future__ import annotations

__all__ = ["condensed_notes", "each_once"]

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
FIGURE = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
"""An address, 127.0.0.1, is a number with more points than one."""


def condensed_notes(runs: Sequence[Mapping[str, Any]], title: Callable[[Mapping[str, Any]], str]) -> list[str]:
    """A line for each thing that is to be known; what differs by its numbers alone counts as the same.

    Of several that are alike the one with the largest number is told, with how many runs it is the most of.

    Args:
        runs: records as in results.json.
        title: what a run is called.
    """
    alike: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for note in _notes(run):
            alike.setdefault(NUMBER.sub("#", note), {}).setdefault(title(run), []).append(note)
    lines = []
    for said in alike.values():
        worst = max((note for notes in said.values() for note in notes), key=_first_number)
        if len(said) == 1:
            lines.append(f"{next(iter(said))}: {worst}")
        elif len({note for notes in said.values() for note in notes}) == 1:
            lines.append(f"{len(said)} of {len(runs)} runs: {worst}")
        else:
            lines.append(f"{len(said)} of {len(runs)} runs, at the most: {worst}")
    return lines


def each_once(failures: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Failed runs but for those that failed for the very reason of one before, as all do on a device that is off."""
    told = set()
    for failure in failures:
        reason = failure["device"], failure["error"].rpartition("before it told: ")[2]
        if reason not in told:
            told.add(reason)
            yield failure


def _notes(run: Mapping[str, Any]) -> list[str]:
    failed = [f"failed: {run['error']}"] if run["status"] != "ok" else []
    return [*failed, *run["warnings"]]


def _first_number(note: str) -> float:
    found = FIGURE.search(note)
    return float(found[0].replace(",", "")) if found else 0.0
