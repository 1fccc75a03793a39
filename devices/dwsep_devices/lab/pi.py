"""The lab machines that are QEMU's: built, started, found again, ended; also after a crash of anything."""

from __future__ import annotations

__all__ = ["BOARDS", "Machine", "PiMachine"]

import contextlib
import json
import os
import platform
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dwsep_devices.cache import locked, locked_if_free, working_in_cache
from dwsep_devices.errors import HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.lab import machine, processes, snapshots
from dwsep_devices.lab.access import run_by_ssh, write_access
from dwsep_devices.lab.connection import LabConnection
from dwsep_devices.lab.image import Image
from dwsep_devices.lab.machine import Board, Guest, Snapshot

MOST_CORES = 4
"""As many as the boards have; no more than the host has, of which each is emulated by one."""

START_TRIES = 2


def _cores() -> int:
    return max(1, min(MOST_CORES, os.cpu_count() or 1))


BOARDS: dict[str, Board] = {
    "pi4": Board("pi4", "Raspberry Pi 4 Model B (emulated)", "cortex-a72", _cores()),
    "pi5": Board("pi5", "Raspberry Pi 5 Model B (emulated)", "cortex-a76", _cores()),
}

ANDROID = Board("android-arm64", "Android-like root (emulated)", "cortex-a76", _cores())


@dataclass(frozen=True)
class Machine:
    """A machine of this user that runs, as its state file tells it.

    Attributes:
        guest: the machine.
        owner: process that it ends with, and when that began; None if it runs until it is taken down.
        started: seconds since 1970.
        from_snapshot: whether it was started from one.
        adb_port: of its own adb server; None if it has none.
    """

    guest: Guest
    owner: tuple[int, int] | None
    started: float
    from_snapshot: bool
    adb_port: int | None = None


class PiMachine:
    """An emulated board of this user on this host.

    Args:
        board: what it is; one that counts instructions is not taken for one that does not.
        name: of the machine; its state lies in a folder of that name.
    """

    def __init__(self, board: Board, name: str = "") -> None:
        self.board = board
        self.name = name or board.name

    @property
    def title(self) -> str:
        """What it is, in words."""
        return f"{self.board.model}: QEMU {self.board.cpu}, {self.board.cores} cores"

    @property
    def folder(self) -> Path:
        """Where the state of the running machine lies; gone once it is down."""
        return snapshots.lab_folder() / "run" / self.name

    def build(self, *, refresh: bool = False, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
        """Make what the machine starts from: its disk of Debian packages, and a snapshot; unless they are there.

        Args:
            refresh: whether to look for newer packages.
            on_step: called with what is done next, in words.

        Returns:
            The manifest of its disk: ``packages`` with name, version and sha256 of each, and ``key``.

        Raises:
            HostLacks: a program is missing here, or this host is no Debian or the like.
            DeviceError: it could not be built.
        """
        _require_linux(self.name)
        with working_in_cache(f"lab-{self.name}"):
            image, _ = snapshots.built(self.board, self._warm, refresh=refresh, on_step=on_step)
            manifest: dict[str, Any] = json.loads((image.folder / "manifest.json").read_text())
        return manifest

    def up(self, *, cold: bool = False, on_step: Callable[[str], None] = lambda step: None) -> LabConnection:
        """Start the machine, unless it is up; what it starts from is built if need be.

        Args:
            cold: whether to boot it although there is a snapshot.
            on_step: called with what is done next, in words.

        Raises:
            HostLacks: a program is missing here, or this host is no Debian or the like.
            DeviceError: it could not be built or started.
        """
        _require_linux(self.name)
        self.sweep_orphans()
        with self._alone():
            if self._running() is None:
                snapshots.clear(self.folder)
                image, snapshot = snapshots.built(self.board, self._warm, cold=cold, on_step=on_step)
                on_step("starting")
                self._start(image, snapshot, owner=None)
        return self.connection()

    def down(self) -> bool:
        """End the machine and remove what it leaves, also after a crash.

        Returns:
            Whether it was up.
        """
        with self._alone():
            was_up = self._running() is not None
            snapshots.clear(self.folder)
        return was_up

    def running(self) -> Machine | None:
        """The machine, if it is up; what a crash left of one is removed."""
        found = self._running()
        if found is None and self.folder.exists():
            with self._alone():  # a start that is under way is waited for
                found = self._running()
                if found is None:
                    snapshots.clear(self.folder)
        return found

    def sweep_orphans(self) -> None:
        """End what killed programs left running beside the machine: machines that count, and those of a build."""
        for lock in _lock(self.name).parent.glob(f"{self.name}-instructions-*.lock"):
            orphan = PiMachine(self.board, lock.stem)
            with locked_if_free(lock) as ours:  # held while such a machine is started
                if ours and orphan._running() is None:
                    snapshots.clear(orphan.folder)
                    lock.unlink(missing_ok=True)
        snapshots.end_killed_builds()

    def connection(self) -> LabConnection:
        """How to reach the machine.

        Raises:
            PermanentDeviceError: it is not up.
        """
        found = self._running()
        if found is None:
            raise PermanentDeviceError(
                f"lab-{self.name}: the lab machine {self.name} is not up; start it with: edge-dwsep lab up {self.name}"
            )
        return self._connection(found)

    def _connection(self, found: Machine) -> LabConnection:
        return LabConnection(ssh_options=("-F", str(found.guest.folder / "ssh_config")), host=self.board.name)

    def _warm(self, booted: Guest) -> None:
        """Use what devices are used for, so that it lies in the memory of a snapshot."""
        run_by_ssh(booted, self.board, machine.WARM)

    def _give_access(self, image: Image, started: Guest) -> dict[str, Any]:
        """Make what is needed to reach a machine; what of it belongs into its state."""
        write_access(image, self.board, started)
        return {}

    @contextlib.contextmanager
    def instructions(
        self,
        *,
        prepared: str = "",
        prepare: Callable[[LabConnection], None] | None = None,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> Iterator[LabConnection]:
        """A machine of the same CPU whose nanoseconds are instructions, as long as the block lasts.

        It has one core, and is another one each time, so several may run at once.

        Args:
            prepared: names what ``prepare`` brings onto the machine, such as hashes of environments.
            prepare: called with a machine of which a snapshot is then taken, if there is none of that name yet; it
                must leave no connection open.
            on_step: called with what is done next, in words.

        Raises:
            HostLacks: a program is missing here, or this host is no Debian or the like.
            DeviceError: it could not be built or started.
        """
        _require_linux(self.name)
        kind = f"{self.name}-instructions"
        one = PiMachine(replace(self.board, name=kind, cores=1, counting=True), f"{kind}-{uuid.uuid4().hex[:12]}")
        self.sweep_orphans()
        with one._alone():
            image, snapshot = snapshots.built(one.board, one._warm, on_step=on_step)
            if prepare is not None and snapshot is not None:
                snapshot = snapshots.prepared(image, one.board, snapshot, prepared, prepare, on_step)
            on_step("starting")
            one._start(image, snapshot, owner=(os.getpid(), processes.started_at(os.getpid()) or 0))
        try:
            yield one.connection()
        finally:
            one.down()
            _lock(one.name).unlink(missing_ok=True)

    def as_root(self, script: str, *, seconds: float = machine.ANSWER_SECONDS) -> str:
        """Run a script in the machine as root, by its console; what it printed. It is for tests that break things.

        Raises:
            PermanentDeviceError: the machine is not up, or the script failed.
            TransientDeviceError: the machine does not answer.
        """
        self.connection()
        found = self._running()
        if found is None:
            raise TransientDeviceError(f"lab-{self.name}: the lab machine {self.name} has just ended")
        return found.guest.as_root(script, seconds=seconds)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The one process that starts or ends this machine; what the cache folder refuses is told."""
        with working_in_cache(f"lab-{self.name}"):
            _lock(self.name).parent.mkdir(parents=True, exist_ok=True)
            with locked(_lock(self.name)):
                yield

    def _running(self) -> Machine | None:
        try:
            state = json.loads((self.folder / "state.json").read_text())
            pid, start = int(state["pid"]), int(state["start"])
            ports = {int(inner): int(outer) for inner, outer in state["ports"].items()}
            owner = (int(state["owner"][0]), int(state["owner"][1])) if state["owner"] else None
            found = Machine(
                Guest(self.folder, pid, start, ports),
                owner,
                float(state["started"]),
                bool(state["from_snapshot"]),
                state.get("adb_port"),
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):  # not up, or written by another version
            return None
        if owner is not None and not processes.is_running(*owner):
            return None
        return found if processes.is_running(pid, start) else None

    def _start(self, image: Image, snapshot: Snapshot | None, owner: tuple[int, int] | None) -> None:
        """Start the machine; the caller holds the lock, and nothing of an earlier one is left."""
        for left in reversed(range(START_TRIES)):
            try:
                if snapshot is not None:
                    started = machine.resume(image, self.board, snapshot, self.folder)
                else:
                    started = machine.boot(image, self.board, self.folder)
                access = self._give_access(image, started)
                _write_state(started, {"owner": owner, "from_snapshot": snapshot is not None, **access})
            except TransientDeviceError:
                snapshots.clear(self.folder)
                if not left:
                    raise
                if snapshot is not None:  # damaged, perhaps; the next build takes another
                    snapshots.discard(snapshot.folder)
                    snapshot = None
            except BaseException:
                snapshots.clear(self.folder)
                raise
            else:
                return


def _lock(name: str) -> Path:
    return snapshots.lab_folder() / "run" / f"{name}.lock"


def _write_state(started: Guest, more: Mapping[str, Any]) -> None:
    state = {"pid": started.pid, "start": started.start, "ports": started.ports, "started": time.time(), **more}
    part = started.folder / "state.json.part"
    part.write_text(json.dumps(state))
    part.replace(started.folder / "state.json")


def _require_linux(name: str) -> None:
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        raise HostLacks(
            f"lab-{name}: it runs on Linux on x86_64 or aarch64, Debian, Ubuntu or the like; this is {sys.platform} on "
            f"{platform.machine()}"
        )
