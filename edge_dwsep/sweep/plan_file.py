"""A plan as a TOML file, of which every key and value is checked and named with its line where it is not accepted.

Its keys are the options of ``edge-dwsep sweep``, some of them in tables: ``[measure]``, ``[choose]``, ``[search]``.

.. code-block:: toml

    name = "which variant ships"
    model = "mobilenet_v2"
    alpha = [0.35, 0.5]
    scheme = ["w8a8", "float16"]
    device = ["local", "pi4"]
    data = "photos"              # beside this file

    [measure]
    mode = "rapid"
"""

from __future__ import annotations

__all__ = ["given_in_file", "plan_from_toml"]

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwsep_devices.settings import MOST_BYTES
from edge_dwsep.datasets.names import is_known_set
from edge_dwsep.sweep.errors import InvalidPlan
from edge_dwsep.sweep.plan import SECTIONS, SweepPlan
from edge_dwsep.sweep.plan_keys import Given, read_plan
from edge_dwsep.sweep.toml_lines import toml_lines
from edge_dwsep.words import in_a_line

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def plan_from_toml(path: Path, overriding: Mapping[str, Given] | None = None, *, known_here: bool = True) -> SweepPlan:
    """Read a plan.

    Args:
        path: of the file; paths of models and data in it are taken from its folder.
        overriding: values by key that go before the file's.
        known_here: whether models, data and devices must be there on this machine.

    Raises:
        InvalidPlan: it cannot be read, is no TOML, or says what is not accepted.
    """
    return read_plan({**given_in_file(path), **(overriding or {})}, known_here=known_here)


def given_in_file(path: Path) -> dict[str, Given]:
    """What a plan file says, by key, with the line on which it stands.

    Raises:
        InvalidPlan: it cannot be read or is no TOML.
    """
    shown = in_a_line(path)
    text = _text_of(path, shown)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPlan(f"{shown}{_place_of(str(error), text)}; correct it there") from error
    if not table:
        raise InvalidPlan(f'{shown} is an empty plan; say at least which model, such as model = "mobilenet_v2"')
    lines, folder = toml_lines(text), path.parent
    given: dict[str, Given] = {}

    def add(key: str, value: Any, path: tuple[str, ...]) -> None:
        def place(line: int | None) -> str:
            return f"{shown}, line {line}" if line else shown

        own, name = lines.get(path), in_a_line(path[-1])
        items = tuple(f"{place(lines.get((*path, index), own))}: {name}" for index in range(_length(value)))
        given[key] = Given(_from_folder(key, value, folder), f"{place(own)}: {name}", items, place(own))

    for name, value in table.items():
        if name in SECTIONS and isinstance(value, dict):
            add(name, {}, (name,))
            for inner, one in value.items():
                add(f"{name}.{inner}", one, (name, inner))
        else:
            add(name, value, (name,))
    return given


def _text_of(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidPlan(f"{shown} cannot be read: {error.strerror}; give the path of a plan in TOML") from error
    if len(content) > MOST_BYTES:
        raise InvalidPlan(f"{shown} is larger than 1 MB; a plan has a few lines")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidPlan(
            f"{shown}, line {line}: not UTF-8, which TOML is written in; save the file as UTF-8"
        ) from error


def _place_of(said: str, text: str) -> str:
    """What tomllib said, with the line in front of it."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", said)
    if found:
        return f", line {found.group(1)}, column {found.group(2)}: no TOML: {in_a_line(said[: found.start()])}"
    if said.endswith(" (at end of document)"):
        last = text.rstrip().count("\n") + 1
        return f", line {last}: no TOML: {in_a_line(said.removesuffix(' (at end of document)'))}, and the file ends"
    return f": no TOML: {in_a_line(said)[:200]}"


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _from_folder(key: str, value: Any, folder: Path) -> Any:
    """The value with a path in it taken from a folder."""
    if key == "model":
        if isinstance(value, list):
            return [_from_folder(key, one, folder) for one in value]
        return str(folder / value) if isinstance(value, str) and value.endswith(".keras") else value
    if key == "data" and isinstance(value, str) and value.strip() and not is_known_set(value):
        return str(folder / value)
    return value
