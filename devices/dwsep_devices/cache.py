"""The folder on this host for what can be made again, and locks in it."""

from __future__ import annotations

__all__ = ["cache_folder", "locked"]

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dwsep_devices.errors import PermanentDeviceError


def cache_folder() -> Path:
    """Where this toolchain may keep what it can make again (XDG Base Directory Specification 0.8).

    Raises:
        PermanentDeviceError: the user has no home.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if Path(given).is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise PermanentDeviceError("local: there is no home folder to keep a cache in; set XDG_CACHE_HOME") from error
    return base / "edge-dwsep"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends; others wait for it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
