"""A process that does one step after another, as those who hand it steps see it and as it lives."""

from __future__ import annotations

__all__ = ["CLOSE_SECONDS", "Lane", "LaneProcess", "end_lanes", "live", "spawned"]

import contextlib
import errno
import multiprocessing
import os
import platform
import select
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn, Protocol

from dwsep_export.errors import OutputNotWritable
from dwsep_export.quiet import interrupts_deferred
from dwsep_runtime.errors import DwsepError
from edge_dwsep.side_by_side import interrupted_once
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.orphans import VARIABLE, end_orphans
from edge_dwsep.sweep.steps import Outcome, Step, StepOutput
from edge_dwsep.sweep.work import Worker

CLOSE_SECONDS = 30.0
"""That a process has to clean up its device before it is killed."""

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LaneProcess(Protocol):
    """What a lane asks of its process."""

    @property
    def exitcode(self) -> int | None:
        """As it ended; negative for the signal that ended it, None while it lives."""
        ...

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        ...

    def terminate(self) -> None:
        """Send it SIGTERM, which it takes as an interruption."""
        ...

    def kill(self) -> None:
        """Send it SIGKILL."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait until it ends, or for some seconds."""
        ...


def spawned(folder: Path, name: str) -> tuple[LaneProcess, Connection]:
    """A process that lives as :func:`live` does, and our end of its pipe.

    Args:
        folder: of contents.
        name: of the lane.
    """
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=live, args=(its, folder, name), name=name)
    process.start()
    its.close()
    return process, ours


class Lane:
    """A process that does one step after another; it is started for its first step, and anew after it died.

    Args:
        name: told with what it did, and to whoever lists processes.
        folder: of contents.
        start: starts the process.
    """

    def __init__(
        self, name: str, folder: Path, start: Callable[[Path, str], tuple[LaneProcess, Connection]] = spawned
    ) -> None:
        self.name = name
        self._folder = folder
        self._start = start
        self._process: LaneProcess | None = None
        self.pipe: Connection | None = None
        self.step: Step | None = None
        self._began = 0.0
        self._mark = ""

    def begin(self, step: Step, inputs: Mapping[str, StepOutput]) -> None:
        """Hand a step to the process."""
        if self._process is not None and not self._process.is_alive():
            self.gone(time.monotonic())  # it died while it had nothing to do
        if self._process is None:
            with _undisturbed():
                self._process, self.pipe = self._start(self._folder, self.name)
        self.step, self._began = step, time.monotonic()
        if self.pipe is not None:
            with contextlib.suppress(OSError):  # it has died, which is told when the pipe is read
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
        if kind == "marks":
            self._mark = content
            return None
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
            if self._process.exitcode:
                end_orphans(self._mark)
        if self.pipe is not None:
            self.pipe.close()
        self._process = self.pipe = self.step = None
        self._mark = ""

    def _died(self, step: Step) -> Outcome:
        code = None
        if self._process is not None:
            self._process.join()
            code = self._process.exitcode
        self.gone(time.monotonic())
        ended = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        mend = "it may have run out of memory" if code == -signal.SIGKILL else "run it alone with --debug"
        error = f"{step.title}: its process ended {ended}; {mend}"
        return Outcome(step, None, error, "EngineCrashed", time.monotonic() - self._began, self.name)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put interruptions off to the end of the block, and in processes that it starts until they unblock them.

    A terminal interrupts these as well, while they are still importing what they need.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # which unblocks them
    with interrupts_deferred():
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_lanes(lanes: Sequence[Lane]) -> None:
    """End the processes of some lanes; they clean up on their devices, all at once."""
    deadline = time.monotonic() + CLOSE_SECONDS
    for lane in lanes:
        lane.end()
    for lane in lanes:
        lane.gone(deadline)


def live(pipe: Connection, folder: Path, name: str) -> None:
    """The life of a lane's process: steps come by the pipe, and what came out of them goes back.

    It ends when it is interrupted, and when the process at the other end is gone, however that ended: another sweep may
    then measure on the device, and must not find it busy with what nobody waits for.

    Args:
        pipe: to whoever hands out steps; duplex.
        folder: of contents.
        name: of the lane.
    """
    interrupted_once()
    worker = f"{platform.node()} {name}"

    def tell(kind: str, content: object) -> None:
        try:
            pipe.send((kind, content))
        except OSError:
            _interrupted()

    def next_step() -> tuple[Step, Mapping[str, StepOutput]]:
        try:
            given: tuple[Step, Mapping[str, StepOutput]] = pipe.recv()
        except (EOFError, OSError):
            return _interrupted()
        return given

    with contextlib.suppress(KeyboardInterrupt), Worker(BlobFolder(folder)) as work:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
        _watch(pipe)
        if name == "local":  # what leads to other devices is shared with whoever else uses them
            mark = os.environ[VARIABLE] = uuid.uuid4().hex
            tell("marks", mark)
        while True:
            step, inputs = next_step()
            outcome = _done(work, step, inputs, lambda said: tell("said", said), worker)
            tell("done", outcome)


def _done(
    work: Worker, step: Step, inputs: Mapping[str, StepOutput], say: Callable[[str], None], worker: str
) -> Outcome:
    """How a step ended."""
    began = time.monotonic()
    output, error, kind = None, "", ""
    try:
        output = work.do(step, inputs, say)
    except DwsepError as failure:
        error, kind = str(failure), type(failure).__name__
    except Exception as failure:  # noqa: BLE001  # the other steps are done all the same
        if isinstance(failure, OSError) and failure.errno in {errno.ENOSPC, errno.EDQUOT}:
            where = f"{failure.filename} cannot be written" if failure.filename else "a file cannot be written"
            error, kind = f"{where}: {failure.strerror}; free space there or set TMPDIR", OutputNotWritable.__name__
        else:
            detail = " ".join(f"{type(failure).__name__}: {failure}".split())[:300]
            error, kind = f"internal error: {detail}; run it alone with --debug", DwsepError.__name__
    return Outcome(step, output, error, kind, time.monotonic() - began, worker)


def _interrupted() -> NoReturn:
    """Wait for the interruption that is under way: what else ends this process could be disturbed by it."""
    while True:
        time.sleep(1)


def _watch(pipe: Connection) -> None:
    """Interrupt this process when the other end of its pipe is closed, and its main thread where another one was.

    Of two signals that come together the kernel may hand both to another thread; what the main thread waits for then
    goes on, and Python calls no handler.
    """
    caught, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    waiting = select.poll()
    waiting.register(pipe.fileno(), select.POLLRDHUP)
    waiting.register(caught, select.POLLIN)
    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        while not any(
            one == pipe.fileno() or {signal.SIGTERM, signal.SIGHUP} & set(os.read(caught, 64))
            for one, _ in waiting.poll()
        ):
            pass
        deadline = time.monotonic() + CLOSE_SECONDS
        while time.monotonic() < deadline:
            signal.pthread_kill(main, signal.SIGTERM)
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)  # there may be nobody left who would

    threading.Thread(target=interrupt, name="watch", daemon=True).start()
