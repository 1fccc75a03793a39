"""Results by what people call them: a file, the folder that a command wrote it to, or a sweep of the store."""

from __future__ import annotations

__all__ = ["results_of"]

from pathlib import Path
from typing import Any

from edge_dwsep.results_file import read_results


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
    if path.is_dir():
        return read_results(path / "results.json")
    if path.exists() or path.suffix == ".json" or len(path.parts) != 1:
        return read_results(path)
    from edge_dwsep.store import open_store

    with open_store(store, create=False) as opened:
        found: dict[str, Any] = opened.results(source, samples=samples)
    return found
