"""A place of a user's own to sweep in, where nothing of another user or test is known, and sweeps under way in it."""

from __future__ import annotations

__all__ = ["Place", "Sweeping", "one_line", "sweeping", "temporary", "told"]

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.device_faults import soon


@dataclass(frozen=True)
class Place:
    """Where a user sweeps: folders of caches, data and output of their own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that sweeps there."""
        return {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    @property
    def store(self) -> Path:
        """The default store of that user."""
        return self.folder / "data" / "edge-dwsep" / "results.sqlite"

    def command(self, *arguments: object) -> list[str]:
        """A command line."""
        return [sys.executable, "-m", "edge_dwsep", *map(str, arguments)]

    def run(self, *arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self.environment,
            cwd=self.folder,
        )

    def steps(self) -> dict[str, tuple[str, str]]:
        """Kind and time of every finished step in the store, by key; none while there is no store."""
        if not self.store.exists():
            return {}
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as connection:
            made = connection.execute("select count(*) from sqlite_master where name = 'dwsep_steps'").fetchone()
            rows = connection.execute("select key, kind, created from dwsep_steps").fetchall() if made[0] else []
        return {key: (kind, created) for key, kind, created in rows}


@dataclass
class Sweeping:
    """A sweep under way, in a session of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """What it has told so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, words: str, times: int = 1, seconds: float = 120) -> bool:
        """Wait until it has told something so often; False if it ended before."""
        deadline = time.monotonic() + seconds
        while self.said.count(words) < times:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)
        return True

    def ended(self, number: int) -> int:
        """Send a signal, and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def family(self) -> dict[int, str]:
        """Command lines of all processes of the sweep: those that have its mark in their environment."""
        found = {}
        mark = f"SWEEPING={self.log}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found[int(process.name)] = (process / "cmdline").read_bytes().decode().replace("\0", " ")
        return found

    def lanes(self) -> list[int]:
        """Numbers of its processes that do steps."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        family = self.family()
        return [int(number) for number in children if "spawn_main" in family.get(int(number), "")]

    def timed(self) -> list[int]:
        """Numbers of the processes of the runtime."""
        return [number for number, command in self.family().items() if "from dwsep_runtime" in command]

    def alone(self) -> bool:
        """Whether no process of the sweep is left, soon."""
        return soon(lambda: not self.family(), 20)


@contextlib.contextmanager
def sweeping(place: Place, *arguments: object, program: Sequence[object] = ("-m", "edge_dwsep")) -> Iterator[Sweeping]:
    """A sweep under way; killed in the end."""
    log = place.folder / f"log-{len(list(place.folder.glob('log-*')))}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *map(str, (*program, "sweep", *arguments))],
            env={**place.environment, "SWEEPING": str(log), "TMPDIR": str(temporary(place))},
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    under_way = Sweeping(process, log)
    try:
        yield under_way
    finally:
        for number in [process.pid, *under_way.family()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()


def temporary(place: Place) -> Path:
    """The folder for temporary files of a sweep that is to be ended."""
    folder = place.folder / "tmp"
    folder.mkdir(exist_ok=True)
    return folder


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a sweep that went well told as JSON."""
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def one_line(done: subprocess.CompletedProcess[str], code: int, *words: str) -> str:
    """The one line that says why a command failed."""
    lines = [line for line in done.stderr.splitlines() if line.startswith(("edge-dwsep: ", "Error: "))]
    assert done.returncode == code, (done.returncode, done.stderr)
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in lines[0] for word in words), lines[0]
    return lines[0]
