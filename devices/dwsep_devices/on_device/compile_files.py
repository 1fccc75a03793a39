"""Compile files for this Python: standard input is a JSON list of [source, target, name in messages]."""

from __future__ import annotations

import json
import py_compile
import sys
from pathlib import Path


def main(asked: list[list[str]]) -> None:
    """Compile each file; the same sources give the same bytes."""
    for source, target, name in asked:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            source,
            target,
            name,
            doraise=True,
            quiet=1,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


if __name__ == "__main__":
    main(json.load(sys.stdin))
