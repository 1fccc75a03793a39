"""The processes by which a worker of dask.distributed does steps, and what is sent to it and comes back.

A worker hands each step to a process, as a sweep on one host does: a step can be interrupted then, as a thread cannot
be; what kills it leaves the worker alive; and TensorFlow, which needs half a gigabyte, is ended before something is
measured on the same machine.
"""

from __future__ import annotations

__all__ = ["Answer", "Hands", "Task", "Unwanted"]

import contextlib
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

from dwsep_runtime.errors import DwsepError
from edge_dwsep.sweep.blobs import BlobFolder, default_blobs
from edge_dwsep.sweep.lane import CLOSE_SECONDS, Lane, LaneProcess, end_lanes, live
from edge_dwsep.sweep.steps import Outcome, Step, StepOutput

POLL_SECONDS = 0.2
"""Between two looks whether a step is still wanted."""

IDLE_SECONDS = 60.0
"""Without a step, after which a worker ends its processes: a device is not kept from others by a client that died."""

START = (
    "import sys; sys.path = [folder for folder in sys.path if folder];"
    "from edge_dwsep.sweep.hands import _live; _live(*sys.argv[1:])"
)

ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
"""As the command line sets it for the processes of one host."""


@dataclass(frozen=True)
class Task:
    """A step as it is sent to a worker.

    Attributes:
        step: to be done.
        inputs: outputs of what it needs, by role.
        session: of whoever asks; progress is told under this topic.
    """

    step: Step
    inputs: Mapping[str, StepOutput]
    session: str

    @property
    def contents(self) -> dict[str, None]:
        """SHA-256 of all files that the step may read; whoever asks has them, and does not want them back."""
        named = [output.files for output in self.inputs.values()]
        given = self.step.spec.get("files")
        if isinstance(given, Mapping):
            named.append(given)
        return {sha256: None for files in named for sha256 in files.values()}


@dataclass(frozen=True)
class Answer:
    """What a worker answers.

    Attributes:
        outcome: how the step ended; None if it was not begun for want of contents.
        lacks: SHA-256 of the contents that the worker has to be given.
        contents: that came out, by SHA-256.
    """

    outcome: Outcome | None
    lacks: tuple[str, ...] = ()
    contents: Mapping[str, bytes] = field(default_factory=dict)


class Unwanted(DwsepError):
    """Whoever asked for a step does not want it any more, or is gone."""


class Hands:
    """The processes of this worker that do steps: one that compiles, and one for each device; one works at a time.

    Args:
        blobs: gives the folder of contents.
        idle_seconds: without a step, after which they are ended.
    """

    def __init__(self, blobs: Callable[[], BlobFolder] = default_blobs, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._blobs = blobs
        self._idle_seconds = idle_seconds
        self._busy = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._session = ""
        self._timer: threading.Timer | None = None

    def do(
        self,
        task: Task,
        contents: Mapping[str, bytes],
        name: str,
        say: Callable[[str], None],
        wanted: Callable[[], bool],
    ) -> Answer:
        """Do a step once what was begun before has ended.

        Args:
            task: to be done.
            contents: to be kept before it is.
            name: of the worker.
            say: told what takes long.
            wanted: whether the step is still wanted, asked while it is done.

        Raises:
            Unwanted: it was not, and has been interrupted.
        """
        with self._working(wanted):
            self._session = task.session
            try:
                blobs = self._blobs()
                for content in contents.values():
                    blobs.put(content)
                lacks = tuple(sha256 for sha256 in task.contents if not blobs.has(sha256))
                if lacks:
                    return Answer(None, lacks)
                outcome = self._outcome(task, blobs.folder, name, say, wanted)
                output = None if outcome is None else outcome.output
                made = {} if output is None else dict.fromkeys(output.files.values())
                return Answer(
                    outcome, contents={sha256: blobs.read(sha256) for sha256 in made if sha256 not in task.contents}
                )
            except Unwanted:
                raise
            except DwsepError as error:  # its disk is full, for one
                worker = f"{platform.node()} {name}"
                return Answer(Outcome(task.step, None, f"{worker}: {error}", type(error).__name__, 0.0, worker))

    def end(self, session: str) -> None:
        """End the processes if they worked for this session last."""
        if not self._busy.acquire(timeout=CLOSE_SECONDS):
            return
        try:
            if session == self._session:
                self._end_lanes(list(self._lanes))
        finally:
            self._busy.release()

    def _outcome(
        self, task: Task, folder: Path, name: str, say: Callable[[str], None], wanted: Callable[[], bool]
    ) -> Outcome | None:
        step = task.step
        if step.device == "local":
            self._end_lanes([""])  # what is measured on this machine is to have it to itself
        lane = self._lanes.setdefault(step.device, Lane(step.device or "compile", folder, _started))
        lane.begin(step, task.inputs)
        while lane.pipe is not None:
            if lane.pipe.poll(POLL_SECONDS):
                outcome = lane.hear(say)
                if outcome is not None:
                    return replace(outcome, worker=f"{platform.node()} {name} {lane.name}")
            elif not wanted():
                self._end_lanes([step.device])
                raise Unwanted(f"{step.title} is not wanted any more")
        return None

    @contextlib.contextmanager
    def _working(self, wanted: Callable[[], bool]) -> Iterator[None]:
        """A block that has the processes to itself; they are ended some time after it."""
        while not self._busy.acquire(timeout=POLL_SECONDS):
            if not wanted():
                raise Unwanted("a step is not wanted any more")
        try:
            if self._timer is not None:
                self._timer.cancel()
            yield
        finally:
            self._timer = threading.Timer(self._idle_seconds, self._rest)
            self._timer.daemon = True
            self._timer.start()
            self._busy.release()

    def _rest(self) -> None:
        if self._busy.acquire(blocking=False):
            try:
                self._end_lanes(list(self._lanes))
            finally:
                self._busy.release()

    def _end_lanes(self, names: list[str]) -> None:
        end_lanes([lane for lane in map(self._lanes.pop, names, [None] * len(names)) if lane is not None])


class _Started:
    """A process of this worker. multiprocessing starts none for a worker whose nanny has made it a daemon."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def exitcode(self) -> int | None:
        return self._process.returncode

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def join(self, timeout: float | None = None) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)


def _started(folder: Path, name: str) -> tuple[LaneProcess, Connection]:
    """A process that lives as :func:`edge_dwsep.sweep.lane.live` does, and our end of its pipe."""
    ours, its = socket.socketpair()
    with its:
        command = [sys.executable, "-c", START, str(its.fileno()), str(folder), name]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], env=_environment())
    return _Started(process), Connection(ours.detach())


def _environment() -> dict[str, str]:
    """This process's environment without what a nanny sets for its workers: memory is kept otherwise with it."""
    import dask

    set_by_nanny = dask.config.get("distributed.nanny.pre-spawn-environ", {})
    kept = {name: value for name, value in os.environ.items() if str(set_by_nanny.get(name)) != value}
    return {**kept, **ENVIRONMENT}


def _live(descriptor: str, folder: str, name: str) -> None:
    os.set_inheritable(int(descriptor), False)  # noqa: FBT003  # takes no name
    live(Connection(int(descriptor)), Path(folder), name)
