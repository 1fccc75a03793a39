"""Make an environment out of wheels that lie on this device: whole or not at all. The one argument is JSON, see `main`.

Nothing of this machine's packages is used or changed, and no network. The environment is what `python -m venv` makes,
less pip and the scripts for shells, so neither the module venv nor ensurepip need be installed.
"""

from __future__ import annotations

import base64
import compileall
import csv
import errno
import fcntl
import fnmatch
import hashlib
import io
import json
import os
import platform
import py_compile
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

KEPT_POINTERS = 3
"""Environments of one name that stay: two hosts may want different versions."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
IMPORT_SECONDS = 600
ANSWER = "edge-dwsep="


class Refused(Exception):
    """Why there will be no environment; the first argument is the kind of reason, the second says it."""


def main(given: str) -> Any:
    """Make the environment, unless it is there.

    Args:
        given: a JSON object with ``root`` (our folder), ``hash`` and ``pointer`` (names of the environment and of the
            file that leads to it), ``wheels`` (each with ``path`` and ``needed_by``, the environments that want it
            too), ``unneeded`` (patterns of files that are left out), ``test`` (a program that imports the engines and
            prints JSON), ``variables`` (of its process) and ``record`` (kept in environment.json).

    Returns:
        The record.
    """
    asked = json.loads(given)
    folder = Path(asked["root"], "env")
    folder.mkdir(parents=True, exist_ok=True)
    with Path(folder, "lock").open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when this process ends, however it ends
        for left in folder.glob("*.part"):  # by a process that was killed: the lock is ours
            remove(left)
        made = folder / asked["hash"]
        told = read_record(made, asked["hash"])
        if told is None or not works(made, asked):
            told = build(asked, made)
        write(folder / asked["pointer"], asked["hash"])
        tidy(folder, asked)
    return told


def build(asked: dict[str, Any], made: Path) -> dict[str, Any]:
    """Build it beside its place, try it, and rename it into its place."""
    part = made.with_name(f"{made.name}.part")
    try:
        make_venv(part)
        site = part / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        for wheel in asked["wheels"]:
            unpack(wheel["path"], site, asked["unneeded"])
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(str(site), quiet=2, stripdir=str(part), prependdir=str(made), invalidation_mode=mode)
        told = {**asked["record"], "python": platform.python_version(), "engines": try_it(part, asked)}
        write(part / "environment.json", json.dumps(told))
        remove(made)
        part.rename(made)
    finally:
        remove(part)
    return told


def make_venv(folder: Path) -> None:
    """The part of PEP 405 that an interpreter needs to take a folder for an environment."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(base)
    lines = (f"home = {base.parent}", "include-system-site-packages = false", f"version = {platform.python_version()}")
    write(folder / "pyvenv.cfg", "\n".join(lines) + "\n")


def unpack(wheel: str, site: Path, unneeded: list[str]) -> None:
    """Unpack a wheel; every file must be the one that the wheel's RECORD tells of, and lie in the folder."""
    with zipfile.ZipFile(wheel) as archive:
        hashes = read_hashes(archive)
        for item in archive.infolist():
            name = placed(item.filename)
            if not name or item.is_dir() or any(fnmatch.fnmatchcase(name, pattern) for pattern in unneeded):
                continue
            if name.startswith("/") or ".." in name.split("/"):
                raise Refused("wheel", f"{item.filename} would be unpacked outside of its folder")
            content = archive.read(item)
            recorded = hashes.get(item.filename)
            if recorded != hashlib.sha256(content).digest() and not name.endswith(".dist-info/RECORD"):
                raise Refused("wheel", f"{item.filename} is not what its wheel's RECORD tells of")
            target = site / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def placed(name: str) -> str:
    """Where a file of a wheel goes below site-packages; empty for scripts, headers and data (PEP 427)."""
    first, _, rest = name.partition("/")
    if not first.endswith(".data"):
        return name
    kind, _, rest = rest.partition("/")
    return rest if kind in {"purelib", "platlib"} else ""


def read_hashes(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """SHA-256 of each file by the wheel's RECORD."""
    (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD") and name.count("/") == 1)
    hashes = {}
    for name, digest, _ in csv.reader(io.StringIO(archive.read(record).decode("utf-8"))):
        kind, _, value = digest.partition("=")
        if kind == "sha256":
            hashes[name] = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    return hashes


def try_it(folder: Path, asked: dict[str, Any]) -> Any:
    """Import the engines in a process of its own: it may be killed by an instruction that this CPU has not."""
    process = subprocess.run(
        [folder / "bin" / "python", "-c", asked["test"]],
        env={**os.environ, **asked["variables"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=IMPORT_SECONDS,
        check=False,
    )
    said = [line for line in process.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise Refused("import", f"the process that imports it ends by {name}")
    if process.returncode:
        raise Refused("import", said[-1] if said else "it gave no reason")
    return json.loads(process.stdout.decode("utf-8").splitlines()[-1])


def works(folder: Path, asked: dict[str, Any]) -> bool:
    """Whether an environment that stands runs still: its Python may have gone with an upgrade of the system."""
    try:
        try_it(folder, asked)
    except (Refused, OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return True


def tidy(folder: Path, asked: dict[str, Any]) -> None:
    """Remove wheels that no other environment waits for, old pointers, and environments that none leads to."""
    pointers = list(folder.glob("*.pointer"))
    names = {name_of(pointer) for pointer in pointers}
    for wheel in asked["wheels"]:
        if names.issuperset(wheel["needed_by"]):
            remove(Path(wheel["path"]))
    own = folder / asked["pointer"]
    older = [pointer for pointer in pointers if name_of(pointer) == name_of(own) and pointer != own]
    older.sort(key=lambda pointer: pointer.stat().st_mtime, reverse=True)
    for pointer in older[KEPT_POINTERS - 1 :]:
        remove(pointer)
    led_to = {pointer.read_text("utf-8").strip() for pointer in folder.glob("*.pointer")}
    for made in folder.iterdir():
        if made.is_dir() and made.name not in led_to:
            remove(made)


def name_of(pointer: Path) -> str:
    """Name of the environment that a pointer leads to."""
    return pointer.name.rpartition("-")[0]


def read_record(folder: Path, name: str) -> Any:
    """What an environment tells of itself; None if there is none, or a damaged one."""
    try:
        told = json.loads((folder / "environment.json").read_text("utf-8"))
        return told if told["hash"] == name and {"packages", "python", "engines"} <= set(told) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, text: str) -> None:
    """Write a file in one rename."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()


if __name__ == "__main__":
    try:
        answer = main(sys.argv[1])
    except Refused as error:
        answer = {"refused": error.args[0], "reason": error.args[1]}
    except (zipfile.BadZipFile, ValueError) as error:
        answer = {"refused": "wheel", "reason": str(error)}
    except OSError as error:
        kind = "full" if error.errno in NO_ROOM else "system"
        where = f": {error.filename}" if error.filename else ""
        answer = {"refused": kind, "reason": f"{error.strerror}{where}"}
    except Exception as error:  # noqa: BLE001  # whoever asked reads the answer alone
        answer = {"refused": "system", "reason": f"{type(error).__name__}: {error}"}
    sys.stdout.write(f"{ANSWER}{json.dumps(answer)}\n")
