"""What is waiting for a device, in the order in which it is to be done."""

from __future__ import annotations

__all__ = ["DeviceQueue", "Place"]

import heapq
from dataclasses import dataclass, field

from edge_dwsep.sweep.steps import Step, StepKind

PHASES = {StepKind.LAUNCH: 0, StepKind.COUNT: 0, StepKind.OPERATORS: 1, StepKind.ACCURACY: 2}
"""Order on a device: rounds of latency first, over all runs, so that drift hits all alike."""

Place = tuple[int, int, int, str]
"""Of a step in the queue: phase, round, position of its run, key."""


@dataclass
class DeviceQueue:
    """Steps that wait for a device, and how it fares.

    Attributes:
        reached: whether it answered, or need not.
        running: key of the step that it does; empty if it is free.
        lost: steps in a row that did not reach it.
        pushed: keys of the steps that brought a file there.
    """

    reached: bool
    running: str = ""
    lost: int = 0
    pushed: set[str] = field(default_factory=set)
    _waiting: list[Place] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def add(self, step: Step, position: int) -> None:
        """Let a step wait; a push and what reaches the device are never waited with."""
        if step.kind in PHASES:
            round_at = int(step.spec.get("round", 0))
            heapq.heappush(self._waiting, (PHASES[step.kind], round_at, position, step.key))

    def take(self) -> Place:
        """Take the place of the step that is next."""
        return heapq.heappop(self._waiting)

    def put_back(self, place: Place) -> None:
        """Let a step wait again where it did."""
        heapq.heappush(self._waiting, place)

    def clear(self) -> None:
        """Let nothing wait."""
        self._waiting.clear()
