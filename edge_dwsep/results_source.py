"""Results by what people call them: a file, the folder that a command wrote it to, or a sweep of the store."""

from __future__ import annotations

__all__ = ["IDENTITY", "results_of"]

from pathlib import Path
from typing import Any

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.results_file import read_results
from edge_dwsep.words import in_a_line

IDENTITY = ("device", "model", "variant", "format", "scheme", "engine", "threads", "batch", "engine_options")
"""What two runs have in common that are of the same thing."""

NEEDED = (*IDENTITY, "status", "valid", "error", "warnings", "file_bytes", "latency", "accuracy")
"""What every run tells since results have been written, and whoever weighs runs relies on."""


MOST_SHOWN = 80
"""Characters of a source that cannot be one."""


def results_of(source: str, store: str | None = None, *, samples: bool = False) -> dict[str, Any]:
    """Read results.

    Args:
        source: a results.json, a folder that holds one, or the id of a sweep or the beginning of one.
        store: URL or path of the store; None for the usual one.
        samples: whether raw samples are wanted; a file gives whatever it has.

    Raises:
        InvalidInput: a file cannot be read or holds no results, or there is no such sweep.
        StoreError: the store cannot be read.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return _read(path / "results.json")
        if path.exists() or path.suffix == ".json" or len(path.parts) != 1:
            return _read(path)
    except OSError as error:  # of a name that is too long, among others
        raise InvalidInput(
            f"results {in_a_line(source[:MOST_SHOWN])} cannot be looked for: {error.strerror}; "
            "give a results.json, its folder, or the id of a sweep"
        ) from error
    from edge_dwsep.store import open_store

    with open_store(store, create=False) as opened:
        return opened.results(source, samples=samples)


def _read(path: Path) -> dict[str, Any]:
    results = read_results(path)
    for kind in ("devices", "models"):
        if not all(isinstance(one.get("name"), str) for one in results[kind]):
            raise InvalidInput(f"{in_a_line(path)}: one of the {kind} has no name; write the results again")
    for position, run in enumerate(results["runs"], 1):
        missing = [key for key in NEEDED if key not in run]
        if missing:
            raise InvalidInput(f"{in_a_line(path)}: run {position} has no {missing[0]!r}; write the results again")
    return results
