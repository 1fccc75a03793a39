"""Processes that a job starts on the device to run other jobs: for cold starts, and for taking turns."""

from __future__ import annotations

__all__ = ["Child"]

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Optional

from dwsep_runtime.errors import ProtocolError
from dwsep_runtime.job import Job
from dwsep_runtime.protocol import ResultReader
from dwsep_runtime.spawn import ERROR_LINES, Completed, finish


class Child:
    """A process that runs a job; leaving the ``with`` block ends it.

    It stays in this process's group, so that whoever ends that group ends it too.

    Args:
        job: what it runs.
        command: program and arguments that read a job from standard input.

    Attributes:
        spawned_ns: reading of the monotonic clock right before it was started.
        pid: its number.
    """

    def __init__(self, job: Job, command: Sequence[str]) -> None:
        self._job = job
        self._latest: dict[str, Any] = {}
        self._reader = ResultReader(job.id, self._keep)
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # until exit
        self.spawned_ns = time.monotonic_ns()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            errors="replace",
        )
        self.pid = self._process.pid
        self.say(json.dumps(job.to_json()))

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def say(self, line: str) -> None:
        """Give it a line of input."""
        pipe = self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended; what it said at its end tells more
            if pipe is not None:
                pipe.write(f"{line}\n")
                pipe.flush()

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read its output up to the next event of a kind.

        Raises:
            DwsepError: it ended before, with the error that it reported or the signal that ended it.
        """
        for line in self._process.stdout or ():
            self._latest = {}
            self._reader.feed(line)
            if self._latest.get("event") == event:
                return self._latest
        self.result()
        raise ProtocolError(f"run {self._job.id} ended without the event {event!r}")

    def result(self) -> dict[str, Any]:
        """End its input, read what remains of its output, and give its result.

        Raises:
            DwsepError: as :func:`dwsep_runtime.spawn.finish`.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        for line in self._process.stdout or ():
            self._reader.feed(line)
        returncode = self._process.wait()
        self._errors.seek(0)
        errors = self._errors.read().splitlines()[-ERROR_LINES:]
        return finish(self._job, self._reader, Completed(returncode, errors))

    def _keep(self, event: dict[str, Any]) -> None:
        self._latest = event
