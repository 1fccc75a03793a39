"""A plan as the TOML that it could be read from again."""

from __future__ import annotations

__all__ = ["toml_text"]

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(values: Mapping[str, Any]) -> str:
    """Write a mapping as TOML 1.0; None and empty values are left out, for no key of a plan means them.

    >>> print(toml_text({"model": ["a"], "data": None, "measure": {"mode": "rapid"}}))
    model = ["a"]
    <BLANKLINE>
    [measure]
    mode = "rapid"
    """
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items() if _told(value)]
    for key, value in values.items():
        if isinstance(value, Mapping):
            told = [f"{_key(name)} = {_value(inner)}" for name, inner in value.items() if _told(inner)]
            lines += [*([""] if lines else []), f"[{_key(key)}]", *told] if told else []
    return "\n".join(lines)


def _told(value: object) -> bool:
    return value is not None and value not in ([], (), {}, "")


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(str(key))} = {_value(inner)}' for key, inner in value.items() if _told(inner))}}}"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(inner) for inner in value)}]"
    # A basic string of TOML takes the escapes of JSON, pairs of surrogates excepted, and no DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
