"""Processes that outlive the lane that started them, because it was killed: the next would be timed beside them."""

from __future__ import annotations

__all__ = ["VARIABLE", "end_orphans"]

import contextlib
import os
import signal
from pathlib import Path

VARIABLE = "EDGE_DWSEP_LANE"
"""Of the environment of whatever a lane starts; its value is one that no other lane has."""


def end_orphans(mark: str) -> None:
    """Kill the processes of this machine that carry a mark, children of children too.

    Args:
        mark: the value of :data:`VARIABLE`; with an empty one nothing is done.
    """
    wanted = f"{VARIABLE}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*") if mark else ():
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
