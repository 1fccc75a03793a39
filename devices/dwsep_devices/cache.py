"""The folder on this host for what can be made again, and locks in it."""

from __future__ import annotations

__all__ = ["cache_folder", "locked", "locked_if_free", "working_in_cache"]

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.xdg import xdg_folder


def cache_folder() -> Path:
    """Where this toolchain may keep what it can make again (XDG Base Directory Specification 0.8).

    Raises:
        PermanentDeviceError: the user has no home.
    """
    return xdg_folder("XDG_CACHE_HOME", ".cache", "a cache")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends; others wait for it. Its holder may remove its file."""
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file.fileno(), path):
                continue  # its file was removed by the one who held it before
            yield
            return


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock if nobody else does; whether it is held."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield _is_at(file.fileno(), path)


@contextlib.contextmanager
def working_in_cache(name: str) -> Iterator[None]:
    """A block that works in the cache folder for a device of that name; what the file system refuses is told.

    Raises:
        PermanentDeviceError: in the place of an OSError, with the path and what to do.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or cache_folder()
        raise PermanentDeviceError(
            f"{name}: {where} cannot be used: {error.strerror}; free it or set XDG_CACHE_HOME"
        ) from error


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
