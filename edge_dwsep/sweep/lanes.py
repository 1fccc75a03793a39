"""Carry steps out on this host: a few processes that compile, and one for each device."""

from __future__ import annotations

__all__ = ["LaneExecutor"]

import contextlib
import multiprocessing
import os
import platform
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from dwsep_runtime.errors import DwsepError
from edge_dwsep.side_by_side import interrupted_once
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.measure_steps import device_identity
from edge_dwsep.sweep.steps import Outcome, Step, StepOutput
from edge_dwsep.sweep.work import Worker

MOST_COMPILING = 4
"""Processes that compile at once: TensorFlow takes half a gigabyte in each."""

CLOSE_SECONDS = 30.0
"""That a process has to clean up its device before it is killed."""


class _Lane:
    """A process that does one step after another; it is started for its first step, and anew after it died."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._process: Any = None
        self.pipe: Connection | None = None
        self.step: Step | None = None
        self._began = 0.0

    def begin(self, step: Step, inputs: Mapping[str, StepOutput]) -> None:
        """Hand a step to the process."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, its = context.Pipe()
            self._process = context.Process(target=_live, args=(its, self._folder, self.name), name=self.name)
            self._process.start()
            its.close()
        self.step, self._began = step, time.monotonic()
        if self.pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # it has died, which is told when the pipe is read
                self.pipe.send((step, dict(inputs)))

    def hear(self, say: Callable[[str], None]) -> Outcome | None:
        """What the process told: the end of its step, or None for a word on the way."""
        step, self_pipe = self.step, self.pipe
        if step is None or self_pipe is None:
            return None
        try:
            kind, content = self_pipe.recv()
        except (EOFError, OSError):
            return self._died(step)
        if kind == "said":
            say(content)
            return None
        self.step = None
        ended: Outcome = content
        return ended

    def end(self) -> None:
        """Ask the process to end, which cleans up its device."""
        if self._process is not None and self._process.is_alive():
            self._process.terminate()  # which it takes as an interruption

    def gone(self, deadline: float) -> None:
        """Wait for the process to end; after the deadline it is killed."""
        if self._process is not None:
            self._process.join(max(0.0, deadline - time.monotonic()))
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        if self.pipe is not None:
            self.pipe.close()
        self._process = self.pipe = self.step = None

    def _died(self, step: Step) -> Outcome:
        self._process.join()
        code = self._process.exitcode
        self.gone(time.monotonic())
        ended = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        mend = "it may have run out of memory" if code == -signal.SIGKILL else "run it alone with --debug"
        error = f"{step.title}: its process ended {ended}; {mend}"
        return Outcome(step, None, error, "EngineCrashed", time.monotonic() - self._began, self.name)


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
        self._compiling = [_Lane(f"compile-{at + 1}", blobs.folder) for at in range(count)]
        self._devices: dict[str, _Lane] = {}
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

    def rest(self) -> None:
        """End the processes that compile: what is measured on this machine is to have it to itself."""
        _end([lane for lane in self._compiling if lane.step is None])

    def close(self) -> None:
        """End all processes; they clean up on their devices."""
        self._waiting.clear()
        _end(self._lanes())

    def _lanes(self) -> list[_Lane]:
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

    def _free_lane(self, step: Step) -> _Lane | None:
        if step.device:
            lane = self._devices.setdefault(step.device, _Lane(step.device, self._blobs.folder))
            return lane if lane.step is None else None
        free = [lane for lane in self._compiling if lane.step is None]
        if not free:
            return None
        network = str(step.asides.get("affinity", ""))
        chosen = next((lane for lane in free if self._last.get(lane.name) == network), free[0])
        self._last[chosen.name] = network
        return chosen


def _end(lanes: Sequence[_Lane]) -> None:
    deadline = time.monotonic() + CLOSE_SECONDS
    for lane in lanes:
        lane.end()
    for lane in lanes:
        lane.gone(deadline)


def _live(pipe: Connection, folder: Path, name: str) -> None:
    """The life of a lane's process."""
    interrupted_once()
    worker = f"{platform.node()} {name}"

    def say(said: str) -> None:
        pipe.send(("said", said))

    with contextlib.suppress(KeyboardInterrupt, EOFError, BrokenPipeError), Worker(BlobFolder(folder)) as work:
        while True:
            step, inputs = pipe.recv()
            began = time.monotonic()
            output, error, kind = None, "", ""
            try:
                output = work.do(step, inputs, say)
            except DwsepError as failure:
                error, kind = str(failure), type(failure).__name__
            except Exception as failure:  # noqa: BLE001  # the other steps are done all the same
                detail = " ".join(f"{type(failure).__name__}: {failure}".split())[:300]
                error, kind = f"internal error: {detail}; run it alone with --debug", DwsepError.__name__
            pipe.send(("done", Outcome(step, output, error, kind, time.monotonic() - began, worker)))
