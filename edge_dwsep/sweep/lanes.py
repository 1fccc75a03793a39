"""Carry steps out on this host: a few processes that compile, and one for each device."""

from __future__ import annotations

__all__ = ["LaneExecutor"]

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.lane import Lane, end_lanes
from edge_dwsep.sweep.measure_steps import device_identity
from edge_dwsep.sweep.steps import Outcome, Step, StepOutput

MOST_COMPILING = 4
"""Processes that compile at once: TensorFlow takes half a gigabyte in each."""


class LaneExecutor:
    """See :class:`edge_dwsep.sweep.steps.Executor`.

    Args:
        blobs: where contents of files are.
        say: told what takes long.
        compiling: processes that compile; as many as there are cores, four at most, unless given.
    """

    def __init__(
        self, blobs: BlobFolder, say: Callable[[str], None] = lambda said: None, compiling: int | None = None
    ) -> None:
        self._blobs = blobs
        self._say = say
        count = compiling or max(1, min(MOST_COMPILING, len(os.sched_getaffinity(0))))
        self._compiling = [Lane(f"compile-{at + 1}", blobs.folder) for at in range(count)]
        self._devices: dict[str, Lane] = {}
        self._waiting: deque[tuple[Step, Mapping[str, StepOutput]]] = deque()
        self._last: dict[str, str] = {}

    def submit(self, step: Step, inputs: Mapping[str, StepOutput]) -> None:
        """Begin a step as soon as its device, or a process that compiles, is free."""
        self._waiting.append((step, inputs))
        self._hand_out()

    def wait(self, timeout: float) -> Sequence[Outcome]:
        """Steps that ended; see the protocol."""
        lanes = {lane.pipe: lane for lane in self._lanes() if lane.step is not None and lane.pipe is not None}
        if not lanes:
            return []
        ended = []
        for pipe in wait(list(lanes), timeout):
            if isinstance(pipe, Connection):
                outcome = lanes[pipe].hear(self._say)
                if outcome is not None:
                    ended.append(outcome)
        self._hand_out()
        return ended

    def identity(self, device: str) -> Mapping[str, Any]:
        """What tells a device from others; see the protocol."""
        return device_identity(device)

    def close(self) -> None:
        """End all processes; they clean up on their devices."""
        self._waiting.clear()
        end_lanes(self._lanes())

    def _lanes(self) -> list[Lane]:
        return [*self._compiling, *self._devices.values()]

    def _hand_out(self) -> None:
        """Give waiting steps to lanes that are free; of compiling lanes to the one that has the network loaded."""
        left: deque[tuple[Step, Mapping[str, StepOutput]]] = deque()
        while self._waiting:
            step, inputs = self._waiting.popleft()
            lane = self._free_lane(step)
            if lane is None:
                left.append((step, inputs))
            else:
                lane.begin(step, inputs)
        self._waiting = left

    def _free_lane(self, step: Step) -> Lane | None:
        if step.device:
            lane = self._devices.setdefault(step.device, Lane(step.device, self._blobs.folder))
            return lane if lane.step is None else None
        free = [lane for lane in self._compiling if lane.step is None]
        if not free:
            return None
        network = str(step.asides.get("affinity", ""))
        chosen = next((lane for lane in free if self._last.get(lane.name) == network), free[0])
        self._last[chosen.name] = network
        return chosen
