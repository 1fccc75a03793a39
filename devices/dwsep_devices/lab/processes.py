"""Processes of a machine, found by a variable that they carry: also those whose number nobody wrote down."""

from __future__ import annotations

__all__ = ["MARK", "end", "end_marked", "is_running", "marked", "started_at"]

import contextlib
import os
import select
import signal
from pathlib import Path

MARK = "EDGE_DWSEP_LAB"
"""Environment variable of a machine's processes; its value is the machine's folder."""

END_SECONDS = 10.0


def started_at(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine did (proc(5), field 22 of stat); None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def is_running(pid: int, start: int) -> bool:
    """Whether the process of a number still is the one that began then."""
    return started_at(pid) == start


def marked(folder: Path) -> list[tuple[int, int]]:
    """The processes of a machine: number, and when it began."""
    wanted = os.fsencode(f"{MARK}={folder}")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        start = started_at(int(entry.name))
        with contextlib.suppress(OSError):  # another user's, or one that has just ended
            if start is not None and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append((int(entry.name), start))
    return found


def end_marked(folder: Path) -> int:
    """End all processes of a machine; how many there were."""
    found = marked(folder)
    for pid, start in found:
        end(pid, start)
    return len(found)


def end(pid: int, start: int, *, by: signal.Signals = signal.SIGKILL) -> bool:
    """End the process of a number if it still is the one that began then, and wait until it is gone.

    Returns:
        Whether it is gone.
    """
    try:
        handle = os.pidfd_open(pid)  # from here on it is this very process, whatever its number is given to
    except OSError:
        return True
    try:
        if not is_running(pid, start):
            return True
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(handle, by)
        ended = bool(select.select([handle], [], [], END_SECONDS)[0])
        with contextlib.suppress(ChildProcessError):  # if this program started it, nobody else may collect it
            os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG)
        return ended
    finally:
        os.close(handle)
