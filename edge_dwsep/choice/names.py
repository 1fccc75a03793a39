"""What runs are called in sentences."""

from __future__ import annotations

__all__ = ["listed", "names_among", "run_name"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from edge_dwsep.words import in_a_line


def names_among(runs: Iterable[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], str]:
    """A function that names each of these runs so that it can be told from the others.

    A name is the variant and the engine, and whatever of network, threads, batch and device is not the same in all.
    """
    known = list(runs)
    varied = {key for key in ("model", "threads", "batch", "device") if len({run[key] for run in known}) > 1}

    def name(run: Mapping[str, Any]) -> str:
        threads = run["threads"]
        parts = [
            f"{run['variant']}{' of ' + run['model'] if run['model'] and 'model' in varied else ''} on {run['engine']}",
            f"{threads} thread{'s' * (threads > 1)}" if "threads" in varied else "",
            f"batch {run['batch']}" if "batch" in varied else "",
            str(run["device"]) if "device" in varied else "",
        ]
        return in_a_line(", ".join(part for part in parts if part))

    return name


def run_name(run: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> str:
    """What a run is called among others; see :func:`names_among`."""
    return names_among(runs)(run)


Item = TypeVar("Item")


def listed(items: Sequence[Item], name: Callable[[Item], str] = str, most: int = 3) -> str:
    """Items in a sentence, the rest as a number.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    >>> listed(["a", "b"])
    'a and b'
    """
    shown = [name(item) for item in items[:most]]
    if len(items) > most:
        return f"{', '.join(shown)} and {len(items) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
