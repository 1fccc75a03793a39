"""What runs are called in sentences."""

from __future__ import annotations

__all__ = ["listed", "run_name"]

from collections.abc import Mapping, Sequence
from typing import Any


def run_name(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> str:
    """Variant and engine of a run, and whatever else tells it from the others: network, threads.

    Args:
        run: its record.
        runs: those among which it is to be told.
    """
    several = any(other["model"] != run["model"] for other in runs)
    network = f" of {run['model']}" if several and run["model"] else ""
    threads = run["threads"]
    told = f", {threads} thread{'s' * (threads > 1)}" if any(other["threads"] != threads for other in runs) else ""
    return f"{run['variant']}{network} on {run['engine']}{told}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence, the rest as a number.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    >>> listed(["a", "b"])
    'a and b'
    """
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
