"""Write files so that each is whole under its final name or not there at all."""

from __future__ import annotations

__all__ = ["file_place", "json_text", "staging_folder", "write_text"]

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dwsep_export.errors import OutputNotWritable


@contextlib.contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder inside ``folder`` (made if absent), removed in the end with whatever is still in it.

    Files are finished in it and then renamed into ``folder``, which is on the same file system.

    Raises:
        OutputNotWritable: the folder cannot be made or written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".edge-dwsep-", dir=folder))
    except OSError as error:
        raise OutputNotWritable(
            f"output folder {folder} cannot be written: {error.strerror}; give another --output"
        ) from error
    try:
        yield staging
    except OSError as error:
        if error.filename is not None and not Path(error.filename).resolve().is_relative_to(folder.resolve()):
            raise
        raise OutputNotWritable(f"writing to {folder} failed: {error.strerror}; no file is half-written") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def json_text(values: Any) -> str:
    """JSON to be read by people: indented, but lists of plain numbers on one line."""
    indented = json.dumps(values, indent=1, allow_nan=False)
    # A line break is never inside a string, where JSON writes it as \\n.
    return re.sub(r"\[\n[\s\d.,eE+-]+\]", lambda numbers: re.sub(r"\s+", "", numbers[0]), indented) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file in one rename.

    Raises:
        OutputNotWritable: the folder cannot be written, or the disk is full.
    """
    place = file_place(path)
    with staging_folder(place.parent) as staging:
        part = staging / place.name
        part.write_text(text, encoding="utf-8")
        part.replace(place)


def file_place(path: Path) -> Path:
    """Where a file that is to have a name will lie: that of a link is where the link leads.

    Raises:
        OutputNotWritable: something lies there that is no file, such as a folder, or a device that a rename would put
            a file in the place of.
    """
    try:
        place = path.resolve()
        other = place.exists() and not place.is_file()
    except (OSError, RuntimeError) as error:  # a circle of links, until Python 3.13 a RuntimeError
        reason = getattr(error, "strerror", None) or "its links lead in a circle"
        raise OutputNotWritable(f"output {path} cannot be written: {reason}; give another --output") from error
    if other:
        raise OutputNotWritable(f"output {path} is there and no file; give another --output")
    return place
