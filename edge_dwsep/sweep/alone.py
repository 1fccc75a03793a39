"""One measurement at a time on this machine, whoever asks for it: a second would be timed with the first."""

from __future__ import annotations

__all__ = ["alone_here"]

import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator

from dwsep_devices.errors import DeviceBusy

NAME = "\0edge-dwsep measures here"
"""In the abstract namespace (man 7 unix): it belongs to the machine, leaves no file, and ends with its holder."""

POLL_SECONDS = 0.05


@contextlib.contextmanager
def alone_here(*, wait: bool = True, say: Callable[[str], None] = lambda said: None) -> Iterator[None]:
    """A block during which no other process of this machine, of whatever user, is in such a block.

    Args:
        wait: whether to wait while another is.
        say: told that it waits.

    Raises:
        DeviceBusy: another is, and waiting was not wanted.
    """
    told = False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        while not _taken(held):
            if not wait:
                raise DeviceBusy("local: another sweep measures on this machine; wait for it, or leave out --no-wait")
            if not told:
                told = True
                say("local: another sweep measures on this machine; waiting for it")
            time.sleep(POLL_SECONDS)
        yield


def _taken(held: socket.socket) -> bool:
    try:
        held.bind(NAME)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
