"""What a sweep calls on workers of dask.distributed: steps, and what there is to know of a worker."""

from __future__ import annotations

__all__ = ["do", "end", "identity_of", "installed"]

import asyncio
import platform
from collections.abc import Mapping
from typing import Any

from dwsep_runtime.errors import DwsepError
from edge_dwsep.sweep.hands import Answer, Hands, Task
from edge_dwsep.sweep.measure_steps import device_identity
from edge_dwsep.sweep.same_code import installation

_hands = Hands()
"""Of this worker: one process of dask.distributed, whoever its clients are."""


def do(task: Task, contents: Mapping[str, bytes]) -> Answer:
    """Do a step, called by a worker.

    Args:
        task: to be done.
        contents: that this worker was found to lack, by SHA-256.
    """
    from distributed import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        known = worker.state.tasks.get(key)
        return known is not None and known.state in {"executing", "long-running"}

    def say(said: str) -> None:
        worker.log_event(task.session, said)

    return _hands.do(task, contents, str(worker.name), say, wanted)


async def end(session: str) -> None:
    """End the processes that did steps for a session last, called by a worker; they clean up on their devices."""
    await asyncio.to_thread(_hands.end, session)


def installed() -> dict[str, str]:
    """What is installed on the worker that calls it, and the name of its machine."""
    return {**installation(), "node": platform.node()}


def identity_of(device: str) -> dict[str, Any] | str:
    """Identity of a device as the worker that calls it knows it, or why it has none."""
    try:
        return device_identity.__wrapped__(device)  # by now; workers outlive changes of what is kept of devices
    except DwsepError as error:
        return str(error)
