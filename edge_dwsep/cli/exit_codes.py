"""Exit codes of the command line, by the class of what went wrong."""

from __future__ import annotations

__all__ = ["FAILED", "INTERNAL", "INTERRUPTED", "NOT_VALID", "exit_code", "exit_code_of_runs"]

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dwsep_runtime.errors import DwsepError, EngineCrashed, EngineUnavailable, InvalidInput, ProtocolError

FAILED = 1
NOT_VALID = 8
INTERNAL = 70
INTERRUPTED = 130
"""1: an engine refused or failed to run a model, and whatever has no code of its own. 8: measured, but the result says
itself that it is not valid. 70 is EX_SOFTWARE of sysexits.h; 130 is what a shell reports of a program ended by
SIGINT; click ends with 2 for a wrong call."""


def exit_code(kind: type[BaseException]) -> int:
    """The exit code for a class of errors."""
    from dwsep_devices.errors import DeviceError

    codes: dict[type[DwsepError], int] = {
        InvalidInput: 3,
        EngineUnavailable: 4,
        EngineCrashed: 5,
        ProtocolError: 6,
        DeviceError: 7,
    }
    return next((code for base, code in codes.items() if issubclass(kind, base)), FAILED)


def exit_code_of_runs(runs: Sequence[Mapping[str, Any]]) -> int:
    """The exit code for a series of runs: that of the first that failed, else 8 if one is not valid, else 0."""
    for run in runs:
        if run["status"] != "ok":
            kinds = {kind.__name__: kind for kind in _descendants(DwsepError)}
            return exit_code(kinds.get(run["error_class"], DwsepError))
    return 0 if all(run["valid"] for run in runs) else NOT_VALID


def _descendants(kind: type[DwsepError]) -> Iterator[type[DwsepError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _descendants(child)
