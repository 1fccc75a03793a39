"""The user's settings: the folder they lie in, and TOML files of which every key and value is checked."""

from __future__ import annotations

__all__ = ["Reader", "config_folder", "read_table", "require_name"]

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dwsep_devices.xdg import xdg_folder
from dwsep_runtime.errors import InvalidInput, UnknownName

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

MOST_BYTES = 1 << 20
"""Of a settings file; one that was written for this has a few hundred."""

Reader = Callable[[Any], Any]
"""Turns the value of a key from what TOML gives into what is used; raises ValueError that says what is accepted."""


def config_folder() -> Path:
    """Where the user's devices and profiles lie (XDG Base Directory Specification 0.8).

    Raises:
        PermanentDeviceError: the user has no home.
    """
    return xdg_folder("XDG_CONFIG_HOME", ".config", "devices")


def require_name(what: str, name: str) -> str:
    """Make sure that a name can be a file's, a word of a command and a word of a message; returns it.

    Raises:
        InvalidInput: it cannot.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"a {what} is named by at most 64 letters, digits, '.', '_' and '-', and does not begin with '-' or '.'; "
            f"received {name[:80]!r}"
        )
    return name


def read_table(path: Path, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Read a TOML file that holds one table.

    Args:
        path: the file.
        readers: by key; a file may leave keys out.

    Returns:
        The value of each key that the file has, as its reader gives it.

    Raises:
        InvalidInput: it cannot be read, is no TOML, or has a value that is not accepted.
        UnknownName: it has a key that is not known.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise InvalidInput(f"{path} is larger than 1 MB; a file of settings has a few lines")
    try:
        table = tomllib.loads(content.decode())
    except ValueError as error:  # of TOML, or of UTF-8
        raise InvalidInput(f"{path} is no TOML: {' '.join(str(error).split())[:200]}; correct or delete it") from error
    values = {}
    for key, value in table.items():
        if key not in readers:
            raise UnknownName(f"key in {path}", key, readers)
        try:
            values[key] = readers[key](value)
        except ValueError as error:
            raise InvalidInput(f"{path}: {key} must be {error}; received {value!r:.80}") from error
    return values
