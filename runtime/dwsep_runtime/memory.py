"""Memory of this process: how much it holds, how much it held at most, and a limit to what it may take."""

from __future__ import annotations

__all__ = ["data_bytes", "limit_memory", "peak_resident_bytes", "reset_peak", "resident_bytes"]

import resource
from pathlib import Path
from typing import Optional

from dwsep_runtime.errors import InvalidInput

PROCESS = Path("/proc/self")

RESET_PEAK = "5"
"""Written to clear_refs, sets the peak to what is resident now (man 5 proc, since Linux 4.0)."""


def resident_bytes(process: Path = PROCESS) -> Optional[int]:
    """Bytes of RAM that the process occupies now, files mapped into it included; None where the system tells none."""
    return _status(process, "VmRSS")


def peak_resident_bytes(process: Path = PROCESS) -> Optional[int]:
    """The most that :func:`resident_bytes` was since the process started or :func:`reset_peak` succeeded.

    The kernel counts in batches of up to some dozen pages a thread: the last 0.25 MB or so may be missing.
    """
    return _status(process, "VmHWM")


def data_bytes(process: Path = PROCESS) -> Optional[int]:
    """Bytes that :func:`limit_memory` limits: writable memory of the process's own, touched or not."""
    return _status(process, "VmData")


def reset_peak(process: Path = PROCESS) -> bool:
    """Let the peak begin anew from what is resident now; False where the system does not permit it."""
    try:
        (process / "clear_refs").write_text(RESET_PEAK, encoding="utf-8")
    except OSError:
        return False
    return True


def limit_memory(limit: int) -> bool:
    """Make allocations fail beyond a limit, as on a device with less memory: MemoryError in Python, for good.

    What is limited is RLIMIT_DATA, since Linux 4.7 all writable private memory. RLIMIT_AS would count address space as
    well, of which engines and allocators reserve gigabytes that they never touch, and RLIMIT_RSS does nothing. A limit
    below what the process has already stops all further growth. An engine may answer a failed allocation by ending
    the process.

    Args:
        limit: bytes, compared with :func:`data_bytes`.

    Returns:
        Whether the limit holds; False where the system does not permit it.

    Raises:
        InvalidInput: a limit that is not a positive whole number.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit <= 0:
        raise InvalidInput(f"a memory limit must be a positive number of bytes, received {limit!r}")
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _status(process: Path, name: str) -> Optional[int]:
    try:
        lines = (process / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        key, _, value = line.partition(":")
        number = value.split()
        if key == name and number and number[0].isdigit():
            return int(number[0]) * 1024
    return None
