"""Quantities as people write them in options and plans: 20ms, 1MB, 1pp, 90%."""

from __future__ import annotations

__all__ = ["bytes_of", "milliseconds_of", "points_of", "share_of"]

import math
import re
from collections.abc import Mapping

from dwsep_runtime.errors import InvalidInput

DURATIONS = {"us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3}
SIZES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
POINTS = {"pp": 0.01}
SHARES = {"%": 0.01}

NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*", re.ASCII)


def milliseconds_of(text: str, what: str) -> float:
    """A duration in ms.

    Raises:
        InvalidInput: not a positive number with a unit of time.

    >>> milliseconds_of("800us", "--max-p90")
    0.8
    """
    return _quantity(text, what, DURATIONS, "20ms, 800us or 1s")


def bytes_of(text: str, what: str) -> int:
    """A size in bytes; kB and MB are powers of 1000, KiB and MiB of 1024.

    Raises:
        InvalidInput: not a positive number with a unit of size.

    >>> bytes_of("1.5 MB", "--max-size")
    1500000
    """
    return round(_quantity(text, what, SIZES, "1MB, 300kB or 512KiB"))


def points_of(text: str, what: str) -> float:
    """A difference of shares, from percentage points.

    Raises:
        InvalidInput: not a number of percentage points of 0 to 100.

    >>> points_of("1pp", "--max-drop")
    0.01
    """
    return _share(text, what, POINTS, "1pp or 0.5pp, in percentage points")


def share_of(text: str, what: str) -> float:
    """A share, from per cent.

    Raises:
        InvalidInput: not a number of 0 to 100 per cent.

    >>> share_of("90%", "--min-top1")
    0.9
    """
    return _share(text, what, SHARES, "90%")


def _share(text: str, what: str, units: Mapping[str, float], examples: str) -> float:
    share = _quantity(text, what, units, examples, zero=True)
    if share > 1:
        raise InvalidInput(f"{what} must be at most 100, such as {examples}; received {text!r}")
    return share


def _quantity(text: str, what: str, units: Mapping[str, float], examples: str, *, zero: bool = False) -> float:
    found = NUMBER.fullmatch(text)
    if found is None or found[2] not in units:
        missing = found is not None and not found[2]
        told = "has no unit" if missing else "cannot be read"
        raise InvalidInput(f"{what} {text!r} {told}; give a number and a unit, such as {examples}")
    value = float(found[1]) * units[found[2]]
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise InvalidInput(
            f"{what} must be {'0 or more' if zero else 'above 0'}, such as {examples}; received {text!r}"
        )
    return value
