"""Write files so that each is whole under its final name or not there at all."""

from __future__ import annotations

__all__ = ["json_text", "staging_folder", "write_text"]

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
    with staging_folder(path.parent) as staging:
        part = staging / path.name
        part.write_text(text, encoding="utf-8")
        part.replace(path)
