"""A process that puts files back to what they were, however the process that changed them ends."""

from __future__ import annotations

__all__ = ["Restoration", "restored"]

import contextlib
import fcntl
import gc
import os
import signal
import socket
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOCK_SECONDS = 2.0
"""How long another process may take to put the files back; it takes milliseconds, a measurement takes longer."""

LOCK_STEP_SECONDS = 0.02

SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)
"""What ends a process on request or with its terminal; the guardian ends when its work is done."""


@dataclass
class Restoration:
    """How files are being restored.

    Attributes:
        guardian: number of the process that will do it.
        failed: files that could not be put back, known once the ``with`` block is left.
    """

    guardian: int
    failed: list[Path] = field(default_factory=list)


@contextlib.contextmanager
def restored(files: Sequence[Path]) -> Iterator[Restoration]:
    """Write the files' contents back when the ``with`` block is left or this process ends, by whatever means.

    A process is forked that outlives this one: it is in a session of its own, ignores the signals that end the session
    of this one, keeps none of its files open, and waits on a socket that the kernel closes when this process dies. It
    alone writes back, also when the block is left; only what it has not put back then, because it was killed itself,
    is written from here. What stood in a file on entry is put back even if another program has changed the file since.
    Nothing is put back if the kernel stops, or if everything started by the login or container is killed at once; and a
    killed process's forks that live on (started without exec) keep the guardian waiting until they end too.

    Enter it before threads are started, thus before an engine is loaded. A second process that enters it for the same
    files meanwhile waits, so that it never takes another's setting for the original one.

    Args:
        files: of a few bytes each, such as settings in /sys; at least one.

    Raises:
        OSError: a file cannot be read, or no process can be forked; nothing was changed.
        TimeoutError: another process has had them for longer than two seconds.
    """
    lock = _lock(files[0])
    try:
        before = [(os.path.abspath(path), Path(path).read_bytes()) for path in files]  # noqa: PTH100  # not resolved
        ours, its = socket.socketpair()
        guardian = _fork(before, its.fileno(), lock)
        its.close()
    finally:
        os.close(lock)
    owner = os.getpid()
    with ours:
        if ours.recv(1) != b"r":
            _reap(guardian)
            raise OSError("the process that would restore it did not start")
        restoration = Restoration(guardian)
        try:
            yield restoration
        finally:
            if os.getpid() == owner:
                ours.shutdown(socket.SHUT_RDWR)
                _reap(guardian)
                restoration.failed = [Path(path) for path, content in before if not _put_back(path, content)]


def _lock(path: Path) -> int:
    """Descriptor of the file with a lock on it, which lasts until every copy of the descriptor is closed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise TimeoutError("another measurement on this device has it") from None
            time.sleep(LOCK_STEP_SECONDS)
        else:
            return descriptor


def _fork(before: Sequence[tuple[str, bytes]], watched: int, lock: int) -> int:
    """Start the guardian; signals wait until it ignores them."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of threads that a library may have started: the child takes no lock of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            _guard(before, watched, lock)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
    return process


def _guard(before: Sequence[tuple[str, bytes]], watched: int, lock: int) -> None:
    """The guardian's life; it never returns."""
    try:
        os.setsid()
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        os.chdir("/")
        gc.disable()  # a file object that is collected would close a number that is another's by then
        _close_all_but({watched, lock})
        os.write(watched, b"r")
        while os.read(watched, 1):
            pass
        for path, content in before:
            _put_back(path, content)
    except BaseException:  # noqa: BLE001, S110  # there is nobody to tell; the lines of the caller must not run here
        pass
    finally:
        os._exit(0)


def _close_all_but(kept: set[int]) -> None:
    """Close what was inherited, and let standard input and output be nothing: their readers wait for the last copy."""
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number not in {0, 1, 2, *kept}:
            with contextlib.suppress(OSError):  # the listing's own is in it, and closed by now
                os.close(number)


def _put_back(path: str, content: bytes) -> bool:
    """Write the file unless it holds the content already; whether it holds it now."""
    try:
        if Path(path).read_bytes() != content:
            Path(path).write_bytes(content)
        return Path(path).read_bytes() == content
    except OSError:
        return False


def _reap(process: int) -> None:
    with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored, the kernel has reaped it
        os.waitpid(process, 0)
