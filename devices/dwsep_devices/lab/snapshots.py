"""What emulated machines start from, made once and kept in the cache: images and snapshots.

They are removed when nothing starts from them any more. One lock guards them all, held by whoever makes or removes
one. A folder of them is renamed before it is removed, so that none is ever seen in part.
"""

from __future__ import annotations

__all__ = ["built", "clear", "discard", "end_killed_builds", "lab_folder", "prepared"]

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from dwsep_devices.cache import cache_folder, locked, locked_if_free
from dwsep_devices.lab import machine, processes
from dwsep_devices.lab.access import write_access
from dwsep_devices.lab.connection import LabConnection
from dwsep_devices.lab.image import Image, build_image
from dwsep_devices.lab.machine import Board, Guest, Snapshot

BUILD_LOCK = "build.lock"
BUILDING = ".building"
"""Ends the name of the folder of a machine that a snapshot will be taken of."""

PREPARED = "+"
"""In the name of a snapshot, between that of the one it goes on from and what was added."""

MOST_PREPARED = 4
"""Snapshots of that kind that are kept: each takes the memory and the disk of what was installed."""


def lab_folder() -> Path:
    """Where all of the lab lies: ``images``, ``snapshots`` and ``run`` with a folder for each machine."""
    return cache_folder() / "lab"


def built(
    board: Board,
    warm: Callable[[Guest], None],
    *,
    refresh: bool = False,
    cold: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> tuple[Image, Snapshot | None]:
    """The image of a board and the snapshot it starts from, made if they are not there.

    Args:
        board: what it is.
        warm: called with a machine that has booted and that its user's ssh reaches, before its snapshot is taken.
        refresh: whether to look for newer packages.
        cold: whether to leave the snapshot out, which is None then.
        on_step: called with what is done next, in words.

    Raises:
        DeviceError: they could not be made.
    """
    lab = lab_folder()
    (lab / "snapshots").mkdir(parents=True, exist_ok=True)
    with locked(lab / BUILD_LOCK):
        image = build_image(lab / "images", refresh=refresh, on_step=on_step)
        if cold:
            return image, None
        key = machine.snapshot_key(image, board)
        taken = Snapshot(lab / "snapshots" / key)
        if not (taken.folder / "state").exists():
            _take(image, board, warm, key, on_step)
        _remove_stale(image, key, board)
    return image, taken


def prepared(
    image: Image,
    board: Board,
    snapshot: Snapshot,
    name: str,
    prepare: Callable[[LabConnection], None],
    on_step: Callable[[str], None],
) -> Snapshot:
    """A snapshot that goes on from another, with something brought onto the machine.

    Args:
        image: that the board booted from.
        board: what it is.
        snapshot: to go on from.
        name: of what is brought there.
        prepare: brings it there; called if there is no snapshot of that name yet. It must leave no connection open.
        on_step: called with what is done next, in words.

    Raises:
        DeviceError: it could not be made.
    """
    hashed = hashlib.sha256(name.encode()).hexdigest()[:24]
    made = Snapshot(snapshot.folder.with_name(f"{snapshot.folder.name}{PREPARED}{hashed}"))
    with locked(lab_folder() / BUILD_LOCK):
        if (made.folder / "state").exists():
            os.utime(made.folder)
            return made
        folder = _building(board)
        clear(folder)
        try:
            on_step("preparing it once")
            running = machine.resume(image, board, snapshot, folder, for_snapshot=True)
            write_access(image, board, running)
            prepare(LabConnection(ssh_options=("-F", str(folder / "ssh_config")), host=board.name))
            running.as_root("sync")
            discard(made.folder)
            machine.take_snapshot(running, made.folder.parent, made.folder.name)
        finally:
            clear(folder)
        kept = sorted(made.folder.parent.glob(f"*{PREPARED}*"), key=lambda path: path.stat().st_mtime)
        for old in kept[:-MOST_PREPARED]:
            if not _in_use(old):
                discard(old)
    return made


def end_killed_builds() -> None:
    """End the machines of which a program that was killed wanted to take a snapshot."""
    for folder in (lab_folder() / "run").glob(f"*{BUILDING}"):
        with locked_if_free(lab_folder() / BUILD_LOCK) as ours:  # held by a build that is under way
            if ours:
                clear(folder)


def clear(folder: Path) -> None:
    """End what is left of a machine that is not up, and remove its folder; the caller holds the machine's lock."""
    processes.end_marked(folder)
    shutil.rmtree(folder, ignore_errors=True)


def discard(folder: Path) -> None:
    """Remove an image or a snapshot, if it is there, at one moment for all who look for it."""
    part = folder.with_name(f"part-{uuid.uuid4().hex}")
    try:
        folder.rename(part)
    except FileNotFoundError:
        return
    shutil.rmtree(part, ignore_errors=True)


def _building(board: Board) -> Path:
    return lab_folder() / "run" / f"{board.name}{BUILDING}"


def _take(image: Image, board: Board, warm: Callable[[Guest], None], key: str, on_step: Callable[[str], None]) -> None:
    snapshots = lab_folder() / "snapshots"
    for leftover in (*snapshots.glob("part-*"), snapshots / key):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = _building(board)
    clear(folder)
    try:
        on_step("booting it once")
        booted = machine.boot(image, board, folder, for_snapshot=True)
        on_step("warming it for a snapshot")
        write_access(image, board, booted)
        warm(booted)
        booted.as_root("sync")
        machine.take_snapshot(booted, snapshots, key)
    finally:
        clear(folder)


def _remove_stale(image: Image, key: str, board: Board) -> None:
    """Remove snapshots of the board and images that nothing starts from any more; running machines keep their files."""
    for snapshot in (lab_folder() / "snapshots").glob(f"{board.name}-*"):
        kind, _, _ = snapshot.name.rpartition("-")
        if kind == board.name and snapshot.name.partition(PREPARED)[0] != key and not _in_use(snapshot):
            discard(snapshot)
    for other in (lab_folder() / "images").iterdir():
        if other.name != image.key and not _in_use(other):
            discard(other)


def _in_use(folder: Path) -> bool:
    links = (link for link in (lab_folder() / "run").glob("*/*") if link.is_symlink())
    return any(link.resolve().parent == folder.resolve() for link in links)
