"""A connection to a scheduler of dask.distributed, or one line that says why there is none."""

from __future__ import annotations

__all__ = ["connected", "quiet"]

import asyncio
import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import DwsepError
from edge_dwsep.sweep.errors import InvalidSweep, SchedulerLost

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10.0
"""That a scheduler has to answer, and to come back once its connection was lost."""


def connected(address: str) -> Client:
    """A client of a scheduler; the caller closes it.

    Args:
        address: such as ``tcp://10.0.0.5:8786``; ``tls://`` uses the certificates that dask's configuration names.

    Raises:
        DwsepError: the package is not installed.
        InvalidSweep: the address is none.
        SchedulerLost: no scheduler answers there, or one of another version.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise DwsepError(
            "--scheduler needs the package distributed, which is not here: pip install 'edge-dwsep[scale-out]'"
        ) from error
    _require_scheduler(address, metadata.version("distributed"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions, which are compared as far as they matter
            return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ImportError) as error:
        raise SchedulerLost(f"the scheduler at {address} does not let this sweep in: {_in_a_line(error)}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A block in which dask.distributed logs nothing: what matters of it is told as one line."""
    if os.environ.get("EDGE_DWSEP_DEBUG"):
        yield
        return
    with contextlib.suppress(ImportError):
        import distributed  # noqa: F401  # which sets the levels of its loggers
    loggers = [logging.getLogger(name) for name in sorted(logging.root.manager.loggerDict) if _is_theirs(name)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _is_theirs(logger: str) -> bool:
    return logger.partition(".")[0] in {"distributed", "tornado"}


def _require_scheduler(address: str, version: str) -> None:
    """Make sure that a scheduler of our version answers, before a client is made that would try for long."""
    accepted = "give --scheduler tcp://HOST:PORT, as `dask scheduler` prints it"
    if not address.strip():
        raise InvalidSweep(f"the address of the scheduler is empty; {accepted}")
    try:
        who = asyncio.run(_ask(address, "identity"))
        told = asyncio.run(_ask(address, "versions")) if who.get("type") == "Scheduler" else {}
    except (TypeError, ValueError) as error:  # TypeError where dask is told of no certificates
        raise InvalidSweep(f"{address!r} is no address of a scheduler: {_in_a_line(error)}; {accepted}") from error
    except (OSError, RuntimeError, asyncio.TimeoutError) as error:
        start = "start one there with `dask scheduler`, or give the address of another"
        raise SchedulerLost(f"no scheduler answers at {address} ({_reason(error)}); {start}") from error
    if who.get("type") != "Scheduler":
        raise InvalidSweep(f"at {address} is no scheduler but a {str(who.get('type')).lower()}; {accepted}")
    there = (told.get("packages") or {}).get("distributed")
    if there != version:
        raise SchedulerLost(
            f"the scheduler at {address} runs distributed {there}, and this machine has {version}; "
            "install the same on both: their protocol changes between versions"
        )


async def _ask(address: str, what: str) -> dict[str, Any]:
    """What a server of dask.distributed answers."""
    from distributed.comm.core import connect
    from distributed.security import Security

    async def answer() -> dict[str, Any]:
        comm = await connect(address, timeout=0.8 * CONNECT_SECONDS, **Security().get_connection_args("client"))
        try:
            await comm.write({"op": what, "reply": True})
            told = await comm.read()
        finally:
            comm.abort()
        return dict(told) if isinstance(told, dict) else {}

    return await asyncio.wait_for(answer(), CONNECT_SECONDS)


def _reason(error: BaseException) -> str:
    """Why a connection failed: what the operating system said, which stands at the end of the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = _in_a_line(error).rpartition("object at ")[2].partition(">: ")
    return said[2] or said[0] or f"nothing within {CONNECT_SECONDS:g} s that a scheduler would say"


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
