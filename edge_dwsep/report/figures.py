"""How numbers and foreign text are written on the page: significant digits, decimal prefixes, escaped."""

from __future__ import annotations

__all__ = ["MISSING", "count", "escape", "milliseconds", "percent", "plural", "size", "span", "value"]

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence

MISSING = "\N{EN DASH}"
"""Stands where a figure was not measured."""

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
"""What may not stand in XML 1.0, section 2.2."""


def escape(text: object) -> str:
    """Return ``text`` safe between tags and inside quoted attributes.

    What XML forbids (C0 controls other than tab and newline, lone surrogates) is replaced, so that the page can be
    written as UTF-8 and the picture be copied out of it as a file of its own.
    """
    return html.escape(FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text)), quote=True)


def _significant(number: float, digits: int = 3) -> str:
    """Write ``number`` with so many significant digits and no exponent; zeros that carry precision stay."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    exponent = int(f"{number:.{digits - 1}e}".split("e")[1])
    decimals = digits - 1 - exponent
    return f"{round(number, decimals):.{max(0, decimals)}f}"


def milliseconds(number: float | None) -> str:
    """Write a latency in ms, three significant digits.

    >>> milliseconds(0.05213), milliseconds(0.2), milliseconds(1234.5)
    ('0.0521', '0.200', '1230')
    """
    return MISSING if number is None else _significant(number)


def percent(share: float | None) -> str:
    """Write a share between 0 and 1 in per cent, one decimal, without the sign.

    >>> percent(0.9145)
    '91.5'
    """
    return MISSING if share is None else f"{100 * share:.1f}"


def size(number: float | None) -> str:
    """Write a number of bytes with a decimal prefix (1 kB = 1000 B), three significant digits.

    >>> size(314_168), size(3_490_000), size(512)
    ('314 kB', '3.49 MB', '512 B')
    """
    if number is None:
        return MISSING
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 999.5 or unit == "TB":
            break
    return f"{_significant(number)} {unit}"


def count(number: float | None) -> str:
    """Write a whole number with a comma between thousands.

    >>> count(218000)
    '218,000'
    """
    return MISSING if number is None else f"{number:,.0f}"


def plural(amount: int, noun: str) -> str:
    """Write a number of things.

    >>> plural(1, "run"), plural(5000, "run")
    ('1 run', '5,000 runs')
    """
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def span(interval: tuple[float, float] | None, written: Callable[[float], str]) -> str:
    """Write an interval in brackets, its ends written by ``written``; empty without an interval.

    >>> span((0.051, 0.053), milliseconds)
    '[0.0510, 0.0530]'
    """
    return "" if interval is None else f"[{written(interval[0])}, {written(interval[1])}]"


def value(item: object) -> str:
    """Write any JSON value as plain text (not escaped) for a definition list.

    >>> value([1800, 2400.0]), value({"a": 1, "b": None}), value(True)
    ('1800, 2400', 'a 1', 'yes')
    """
    if item is None:
        return MISSING
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.6g}"
    if isinstance(item, Mapping):
        return ", ".join(f"{key} {value(inner)}" for key, inner in item.items() if inner is not None) or MISSING
    if isinstance(item, Sequence) and not isinstance(item, str):
        return ", ".join(value(inner) for inner in item) or MISSING
    return str(item)
