"""Try again what may pass: with waits that grow, a few times, and never what is permanent."""

from __future__ import annotations

__all__ = ["TRIES", "retrying"]

import time
from collections.abc import Callable
from typing import TypeVar

from dwsep_devices.errors import TransientDeviceError

T = TypeVar("T")

TRIES = 4
FIRST_WAIT = 0.3
GROWTH = 3.0
"""Waits of 0.3, 0.9 and 2.7 s: a restarted adbd answers after half a second, a board's sshd after one or two."""


def retrying(call: Callable[[], T], *, tries: int = TRIES, sleep: Callable[[float], None] = time.sleep) -> T:
    """Call until it succeeds, fails for good, or has been tried often enough.

    Args:
        call: may be repeated without harm.
        tries: calls at most.
        sleep: waits so many seconds.

    Raises:
        TransientDeviceError: the last try's, saying how many there were.
        Exception: whatever else the call raises, at once.
    """
    for done in range(1, tries):
        try:
            return call()
        except TransientDeviceError:
            sleep(FIRST_WAIT * GROWTH ** (done - 1))
    try:
        return call()
    except TransientDeviceError as error:
        if tries > 1 and not str(error).endswith("times)"):  # of calls within, which tried often enough
            error.args = (f"{error} (tried {tries} times)",)
        raise
