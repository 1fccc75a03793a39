"""How pip is called, so that a user's settings lead it to an index and never to other packages; and what it says."""

from __future__ import annotations

__all__ = ["PIP_ENVIRONMENT", "PIP_OPTIONS", "PipFailure", "pip_failure"]

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

PIP_OPTIONS = (
    "-vv",  # it is silent otherwise of an index that cannot be reached at the first try
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
)
EMPTIED = ("ABI", "BUILD_CONSTRAINT", "NO_BINARY", "PLATFORM", "PREFIX", "PYTHON", "REQUIREMENT", "ROOT", "TARGET")
REFUSED = ("DRY_RUN", "PRE", "QUIET", "REQUIRE_HASHES", "REQUIRE_VIRTUALENV", "USER")
PIP_ENVIRONMENT = {
    **{f"PIP_{name}": "" for name in EMPTIED},
    **{f"PIP_{name}": "0" for name in REFUSED},
    "PIP_CONSTRAINT": os.devnull,  # an empty value would leave the one of a configuration file in force
}
"""Settings of the user's pip that would choose other packages, or put them elsewhere; the rest (index, proxy,
certificates) holds."""

UNREACHABLE = re.compile(
    r"[Cc]onnection (?:broken|error|to \S+ timed out|failed)|Could not fetch URL \S+: (?!4\d\d )|Read timed out|"
    r"[Nn]ame resolution|[Nn]etwork is unreachable|HTTP error 5\d\d|5\d\d Server Error|IncompleteRead|"
    r"Failed to establish a new conn"
)
"""What pip says, as a warning or among its details, when the index cannot be reached or breaks off."""

ABSENT = re.compile(r"No matching distribution found|requires a different Python")


@dataclass(frozen=True)
class PipFailure:
    """Why pip failed.

    Attributes:
        reason: in its own words, one line.
        is_unreachable: whether the package index could not be reached, so that another try may do.
        is_absent: whether the index has no such package for the Python and platform.
    """

    reason: str
    is_unreachable: bool
    is_absent: bool


def pip_failure(errors: Sequence[str]) -> PipFailure:
    """What the lines that pip printed, on either output, tell of its failure.

    >>> pip_failure(["ERROR: No matching distribution found for tiny==7.0"])
    PipFailure(reason='No matching distribution found for tiny==7.0', is_unreachable=False, is_absent=True)
    """
    said = [line.strip() for line in errors if line.strip()]
    told = [line for line in said if line.startswith("ERROR: ")] or said or ["it gave no reason"]
    reason = told[-1].removeprefix("ERROR: ")
    unreachable = any(UNREACHABLE.search(line) for line in said)
    return PipFailure(reason, unreachable, bool(ABSENT.search(reason)) and not unreachable)
