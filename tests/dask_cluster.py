"""A scheduler of dask.distributed and its workers, as processes on loopback that a test can kill."""

from __future__ import annotations

__all__ = ["Cluster"]

import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.device_faults import soon


@dataclass
class Cluster:
    """Processes by name; each worker has a cache of its own, as on a machine of its own.

    Attributes:
        folder: of their logs and caches.
        port: of the scheduler.
    """

    folder: Path
    port: int
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tcp://127.0.0.1:{self.port}"

    def scheduler(self) -> None:
        """Start the scheduler, and wait for it."""
        self._start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        assert soon(self.answers, 30), self.log("scheduler")

    def worker(self, name: str, *options: str) -> None:
        """Start a worker if it does not run."""
        running = self._processes.get(name)
        if running is None or running.poll() is not None:
            local = ("--local-directory", str(self.folder / "scratch"))
            self._start(name, "worker", self.address, "--nthreads", "1", "--name", name, *local, *options)

    def kill(self, name: str) -> None:
        """Kill a scheduler or worker, and only it: not what it has started, and not the nanny of a worker."""
        nursed = self.family(name, "spawn_main")
        if nursed:
            os.kill(min(nursed), signal.SIGKILL)
            return
        self._processes[name].kill()
        self._processes[name].wait()

    def family(self, name: str, words: str = "") -> dict[int, str]:
        """Command lines of all living processes of a worker that have some words in them, by number."""
        found = {}
        mark = f"CLUSTER_OF={self.folder}/{name}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    said = (process / "cmdline").read_bytes().decode().replace("\0", " ")
                    if words in said:
                        found[int(process.name)] = said
        return found

    def log(self, name: str) -> str:
        """What a process printed."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Kill everything."""
        for name, process in self._processes.items():
            for number in {process.pid: "", **self.family(name)}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, *arguments: str) -> None:
        environment = {
            **os.environ,
            "CLUSTER_OF": f"{self.folder}/{name}",
            "XDG_CACHE_HOME": str(self.folder / f"{name}-cache"),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def answers(self) -> bool:
        """Whether the scheduler can be connected to."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
