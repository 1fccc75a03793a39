"""Run a job in a fresh process on this machine, and learn how it ended even if the engine dies in it."""

from __future__ import annotations

__all__ = [
    "ERROR_LINES",
    "RUNTIME_ARGUMENTS",
    "RUNTIME_ENVIRONMENT",
    "Completed",
    "end_process",
    "finish",
    "run_in_process",
    "run_process",
    "start_process",
]

import codecs
import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

from dwsep_runtime.errors import EngineCrashed, EngineError, OutOfMemory, OutputTooLong, ProtocolError, TimedOut
from dwsep_runtime.protocol import ResultReader

if TYPE_CHECKING:
    from dwsep_runtime.job import Job

RUNTIME_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "PYTHONUTF8": "1"}
"""Set for every process of the runtime: onnxruntime 1.29 and later starts a telemetry uploader at import otherwise."""

START = (
    "import time; begun = time.monotonic_ns(); import sys; sys.path = [folder for folder in sys.path if folder];"
    "from dwsep_runtime.__main__ import leave, main; leave(main(['-'], begun))"
)
RUNTIME_ARGUMENTS = ("-c", START)
"""Arguments of a Python interpreter to run the job on standard input, no module taken from the working folder."""

ERROR_LINES = 200

MOST_OUTPUT = 1 << 30
"""Characters that a command may print; an hour's samples have some ten million."""

LONGEST_ERROR = 1 << 16
"""Characters kept of a line of standard error, about; of more, which nobody reads, the beginning."""

PIPE_BYTES = 65536
GRACE_SECONDS = 0.5
"""How long a process that was ended may take to say its last words."""

WANT_OF_MEMORY = re.compile(
    r"bad_alloc|MemoryError|more memory than its limit or|[Mm]emory allocation|[Aa]llocate (?:aligned )?memory|"
    r"[Cc]annot allocate|[Ff]ailed to map|[Oo]ut of memory"
)
"""What a failed allocation is called by Python, NumPy, the C library, the loader of libraries and the engines."""

PERHAPS_OF_MEMORY = re.compile(r"gave no reason|[Ff]ailed to allocate")
"""What engines say of a failed allocation, and of other things."""


@dataclass(frozen=True)
class Completed:
    """How a process ended.

    Attributes:
        returncode: exit code; negative for the signal that ended it.
        errors: the last lines of its standard error.
        timed_out: whether it was ended because its time was up.
    """

    returncode: int
    errors: Sequence[str]
    timed_out: bool = False


def start_process(command: Sequence[str], environment: Optional[Mapping[str, str]] = None) -> subprocess.Popen[str]:
    """Start a command in a session of its own, to be given to :func:`run_process` or :func:`end_process`."""
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def end_process(process: subprocess.Popen[str]) -> None:
    """End a process that is not needed after all, and whatever it started."""
    _kill(process)
    process.communicate()


def run_process(
    command: Sequence[str],
    *,
    stdin: str = "",
    timeout: float,
    environment: Optional[Mapping[str, str]] = None,
    on_line: Callable[[str], None] = lambda line: None,
    process: Optional[subprocess.Popen[str]] = None,
    most_output: int = MOST_OUTPUT,
    longest_line: int = MOST_OUTPUT,
) -> Completed:
    """Run a command to its end, in a session of its own, and end it if it takes too long or the caller is interrupted.

    Args:
        command: program and arguments.
        stdin: text for its standard input.
        timeout: seconds until it is killed.
        environment: added to this process's.
        on_line: called with each line of standard output.
        process: the command if it was started already, by :func:`start_process`.
        most_output: characters of standard output after which it is ended.
        longest_line: characters of one line after which it is ended.

    Raises:
        OutputTooLong: it printed more than it may.
    """
    process = process or start_process(command, environment)
    exchange = _Exchange(process, stdin, on_line, most_output, longest_line)
    try:
        expired = not exchange.run(time.monotonic() + timeout)
    finally:
        _kill(process)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
    return Completed(process.returncode, exchange.errors[-ERROR_LINES:], expired)


class _Exchange:
    """What goes into a process and comes out of it, in one loop.

    No thread reads for it: the end of a pipe may stay open beyond the process, in a process that it has handed it to,
    as ssh does to the one that holds the connection, and a thread that waits for it could not be ended.
    """

    def __init__(
        self,
        process: subprocess.Popen[str],
        stdin: str,
        on_line: Callable[[str], None],
        most_output: int,
        longest_line: int,
    ) -> None:
        self._process = process
        self._input = memoryview(stdin.encode())
        self._on_line = on_line
        self._most_output, self._longest_line = most_output, longest_line
        self._printed = 0
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("output", "errors")}
        self._begun: dict[str, list[str]] = {"output": [], "errors": []}
        self._begun_length = 0
        self.errors: list[str] = []

    def run(self, deadline: float) -> bool:
        """Exchange until the process ends; False if it was killed because its time was up."""
        with selectors.DefaultSelector() as selector:
            for pipe, events, name in (
                (self._process.stdin, selectors.EVENT_WRITE, "input"),
                (self._process.stdout, selectors.EVENT_READ, "output"),
                (self._process.stderr, selectors.EVENT_READ, "errors"),
            ):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    selector.register(pipe, events, name)
            if self._until(selector, deadline) and self._has_ended(deadline):
                return True
            _kill(self._process)
            self._until(selector, time.monotonic() + GRACE_SECONDS)
        return False

    def _until(self, selector: selectors.BaseSelector, deadline: float) -> bool:
        """Exchange until both outputs have ended (True), or until a point in time."""
        while any(key.data != "input" for key in selector.get_map().values()):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                goes_on = self._write(key.fd) if key.data == "input" else self._read(key.fd, key.data)
                if not goes_on:
                    selector.unregister(key.fileobj)
                    if key.data == "input" and self._process.stdin is not None:
                        with contextlib.suppress(BrokenPipeError):
                            self._process.stdin.close()
        return True

    def _has_ended(self, deadline: float) -> bool:
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _write(self, descriptor: int) -> bool:
        """Write what the pipe takes; whether there is more."""
        try:
            written = os.write(descriptor, self._input[:PIPE_BYTES]) if self._input else 0
        except BlockingIOError:
            return True
        except BrokenPipeError:  # the process ended before it read everything; its exit code tells more
            return False
        self._input = self._input[written:]
        return len(self._input) > 0

    def _read(self, descriptor: int, name: str) -> bool:
        """Read what there is; whether more may come."""
        try:
            chunk = os.read(descriptor, PIPE_BYTES)
        except BlockingIOError:
            return True
        text = self._decoders[name].decode(chunk, final=not chunk)
        if name == "output":
            self._count(text)
        *whole, rest = text.split("\n")
        begun = self._begun[name]
        for line in whole:
            self._take(name, "".join((*begun, line, "\n")).replace("\r\n", "\n"))
            begun.clear()
        if rest and (name == "output" or sum(map(len, begun)) < LONGEST_ERROR):
            begun.append(rest)
        if not chunk and begun:
            self._take(name, "".join(begun))
            begun.clear()
        return bool(chunk)

    def _take(self, name: str, line: str) -> None:
        if name == "output":
            self._on_line(line)
            return
        self.errors.append(line.rstrip("\n"))
        del self.errors[:-ERROR_LINES]

    def _count(self, text: str) -> None:
        """Refuse more than a run can have to say, before it fills the memory."""
        self._printed += len(text)
        at = text.rfind("\n")
        self._begun_length = len(text) - at - 1 if at >= 0 else self._begun_length + len(text)
        if self._printed > self._most_output or self._begun_length > self._longest_line:
            raise OutputTooLong(
                f"the run printed {self._printed / 1e6:,.0f} million characters, more than any result has; it was ended"
            )


def run_in_process(
    job: Job, *, timeout: float, on_event: Callable[[dict[str, Any]], None] = lambda event: None
) -> dict[str, Any]:
    """Run a job in a fresh Python process on this machine.

    Args:
        job: what to do; its paths are this machine's.
        timeout: seconds until the process is killed.
        on_event: called with each event of the run.

    Returns:
        The ``result`` event.

    Raises:
        EngineCrashed: the process ended by a signal or took too long.
        DwsepError: the error that the run reported.
    """
    reader = ResultReader(job.id, on_event)
    completed = run_process(
        [sys.executable, *RUNTIME_ARGUMENTS],
        stdin=f"{json.dumps(job.to_json())}\n",
        timeout=timeout,
        environment=RUNTIME_ENVIRONMENT,
        on_line=reader.feed,
    )
    return finish(job, reader, completed)


def finish(job: Job, reader: ResultReader, completed: Completed) -> dict[str, Any]:
    """The result of a run whose process has ended; raises as :func:`run_in_process` does.

    A run that was given a memory limit and failed for want of memory raises OutOfMemory however it failed; one that may
    have, its own error with that said.
    """
    if completed.timed_out:
        raise TimedOut(f"engine {job.engine} did not finish {job.title} in time and was ended; give a longer --timeout")
    last = next((line.strip() for line in reversed(completed.errors) if line.strip()), "")
    try:
        return _result(job, reader, completed.returncode, last)
    except (EngineError, ProtocolError) as error:
        said, limit = str(error), _limit(job)
        if not limit or limit in said:
            raise
        if WANT_OF_MEMORY.search(f"{said} {last}"):
            raise OutOfMemory(
                f"engine {job.engine} needed more memory for {job.title} than {limit}; give a higher --memory-limit"
            ) from error
        if isinstance(error, (EngineCrashed, ProtocolError)) or PERHAPS_OF_MEMORY.search(said):
            raise type(error)(f"{said}; {limit} of memory may have been too little") from error
        raise


def _result(job: Job, reader: ResultReader, returncode: int, last: str) -> dict[str, Any]:
    if returncode < 0:
        name = _signal_name(-returncode)
        during = f" during {reader.phase}" if reader.phase else ""
        because = f"; standard error ends: {last[:200]!r}" if last else ""
        raise EngineCrashed(f"engine {job.engine} crashed on {job.title}{during}: its process ended by {name}{because}")
    try:
        result = reader.result()
    except ProtocolError as error:
        raise ProtocolError(f"{error}; standard error ends: {last[:300]!r}" if last else str(error)) from error
    if returncode:
        raise EngineCrashed(f"engine {job.engine} ended with exit code {returncode} after {job.title}")
    return result


def _limit(job: Job) -> str:
    """The memory limit that a job was given, in words; empty where it was given none."""
    return "" if job.memory_limit_bytes is None else f"its limit of {job.memory_limit_bytes / 1e6:g} MB"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have numbers alone
        return f"signal {number}"


def _kill(process: subprocess.Popen[str]) -> None:
    """End the process and whatever it started. Once it has been waited for, its number may be another's."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
