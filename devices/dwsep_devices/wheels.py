"""Wheels for a device, fetched on this host by pip and kept in its cache, each checked by its hash at every use.

Which wheels answer a request is noted in a lock file, so that the same request gets the same files next time, also
without a network.
"""

from __future__ import annotations

__all__ = ["NoWheel", "Wheel", "alternatives", "fetch", "platform_tags"]

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dwsep_devices.cache import cache_folder, locked
from dwsep_devices.errors import DeviceError, DeviceUnsuitable, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.pip import PIP_ENVIRONMENT, PIP_OPTIONS, pip_failure
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.spawn import run_process

PIP_SECONDS = 900.0

OLDEST_GLIBC = {"x86_64": 5, "i686": 5}
"""Minor version of glibc 2 that the oldest manylinux tag of a machine stands for (PEP 600); elsewhere 17."""

OLD_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
"""Names that tags had before PEP 600, by the minor version of glibc 2."""

PYTHONS = tuple((3, minor) for minor in range(9, 15))
NEWEST_GLIBC = (2, 42)


@dataclass(frozen=True)
class Wheel:
    """A package's file.

    Attributes:
        name: of the package, normalized (PEP 503).
        version: of the package.
        path: of the file on this host.
        sha256: of the file's content.
    """

    name: str
    version: str
    path: Path
    sha256: str


class NoWheel(DeviceUnsuitable):
    """A package has no wheel for a Python, machine and C library."""


def fetch(
    requirements: Sequence[str],
    *,
    python: tuple[int, int],
    machine: str,
    glibc: tuple[int, int],
    on_fetch: Callable[[], None] = lambda: None,
) -> list[Wheel]:
    """Wheels that run with a CPython on a Linux machine, from the cache or else from the package index.

    Args:
        requirements: one a package. A bare name means the version that is installed on this host, so that a device runs
            what the host runs, or, where that has no wheel for the device, the newest that has one. Anything else
            (``name==version``, ``name<version``) is taken as pip takes it. Dependencies are not added.
        python: major and minor version of the CPython.
        machine: as ``uname -m`` tells it.
        glibc: version of the machine's GNU C library.
        on_fetch: called before the package index is asked; not at all if everything is here.

    Returns:
        The wheels, in the order of the requirements.

    Raises:
        NoWheel: a package has no wheel for that Python and machine.
        TransientDeviceError: the package index cannot be reached.
        HostLacks: this Python has no pip.
        PermanentDeviceError: pip failed otherwise, or the cache cannot be written.
    """
    target = _Target(python, machine, glibc)
    wanted = [alternatives(requirement) for requirement in requirements]
    identity = json.dumps([wanted, python, machine, glibc])
    folder = cache_folder() / "wheels"
    lock = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    kept = _whole(lock)
    if kept is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(lock.with_suffix(".lock")):
                kept = _whole(lock)  # another process may have been faster
                if kept is None:
                    on_fetch()
                    kept = _fetched(wanted, target, lock)
        except OSError as error:
            raise PermanentDeviceError(f"wheels cannot be kept in {folder}: {error.strerror or error}") from error
    return kept


def alternatives(requirement: str) -> list[str]:
    """What a requirement is met by, the best first; see :func:`fetch`.

    >>> alternatives("numpy==1.26.4")
    ['numpy==1.26.4']
    """
    if not re.fullmatch(r"[\w.-]+", requirement):
        return [requirement]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return [f"{requirement}=={importlib.metadata.version(requirement)}", requirement]
    return [requirement]


def platform_tags(machine: str, glibc: tuple[int, int]) -> list[str]:
    """Platforms whose wheels run on a machine, the newest first (PEP 600).

    >>> platform_tags("aarch64", (2, 18))
    ['manylinux_2_18_aarch64', 'manylinux_2_17_aarch64', 'manylinux2014_aarch64']
    """
    tags = []
    for minor in range(glibc[1], OLDEST_GLIBC.get(machine, 17) - 1, -1):
        tags.append(f"manylinux_{glibc[0]}_{minor}_{machine}")
        if minor in OLD_NAMES:
            tags.append(f"{OLD_NAMES[minor]}_{machine}")
    return tags


@dataclass(frozen=True)
class _Target:
    python: tuple[int, int]
    machine: str
    glibc: tuple[int, int]

    def __str__(self) -> str:
        version = f"{self.python[0]}.{self.python[1]}"
        return f"Python {version} on {self.machine} with glibc {self.glibc[0]}.{self.glibc[1]}"

    def options(self) -> list[str]:
        """Those that make pip choose for the target instead of for itself."""
        major, minor = self.python
        chosen = ["--python-version", f"{major}.{minor}", "--implementation", "cp"]
        for abi in (f"cp{major}{minor}", "abi3", "none"):
            chosen += ["--abi", abi]
        for tag in platform_tags(self.machine, self.glibc):
            chosen += ["--platform", tag]
        return chosen


def _whole(lock: Path) -> list[Wheel] | None:
    """The wheels of a lock file if each of them is there, undamaged."""
    wheels = list(_noted(lock))
    try:
        return wheels if wheels and all(sha256_of(wheel.path) == wheel.sha256 for wheel in wheels) else None
    except OSError:
        return None


def _noted(lock: Path) -> Iterator[Wheel]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        for entry in json.loads(lock.read_text("utf-8")):
            path = lock.parent / entry["sha256"] / Path(entry["file"]).name
            yield Wheel(entry["name"], entry["version"], path, entry["sha256"])


def _fetched(wanted: Sequence[list[str]], target: _Target, lock: Path) -> list[Wheel]:
    # What was chosen before and got lost stays chosen.
    before = {wheel.name: f"{wheel.name}=={wheel.version}" for wheel in _noted(lock)}
    choices = [list(dict.fromkeys([before.get(_normal(_name(one[0])), one[0]), *one])) for one in wanted]
    part = lock.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        _download_best(choices, target, part)
        found = {wheel.name: wheel for wheel in (_of_file(file) for file in sorted(part.glob("*.whl")))}
        names = [_normal(_name(choice[0])) for choice in wanted]
        if not set(names) <= set(found):
            raise PermanentDeviceError(f"pip downloaded {', '.join(found)} for {', '.join(names)}")
        wheels = [_kept(found[name], lock.parent) for name in names]
        entries = [
            {"name": wheel.name, "version": wheel.version, "file": wheel.path.name, "sha256": wheel.sha256}
            for wheel in wheels
        ]
        written = part / "lock.json"
        written.write_text(json.dumps(entries, indent=1), "utf-8")
        written.replace(lock)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return wheels


def _kept(wheel: Wheel, folder: Path) -> Wheel:
    """A wheel at the place where it stays."""
    place = folder / wheel.sha256 / wheel.path.name
    place.parent.mkdir(exist_ok=True)
    wheel.path.replace(place)
    return replace(wheel, path=place)


def _of_file(file: Path) -> Wheel:
    name, version = file.name.split("-")[:2]  # PEP 427
    return Wheel(_normal(name), version, file, sha256_of(file))


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _download_best(choices: Sequence[list[str]], target: _Target, folder: Path) -> None:
    try:
        _download([choice[0] for choice in choices], target, folder)
    except NoWheel:
        for choice in choices:
            _download_first(choice, target, folder)


def _download_first(choice: Sequence[str], target: _Target, folder: Path) -> None:
    for requirement in choice[:-1]:
        with contextlib.suppress(NoWheel):
            return _download([requirement], target, folder)
    try:
        return _download(choice[-1:], target, folder)
    except NoWheel as error:
        raise NoWheel(f"{error}{_elsewhere(choice[-1], target)}") from error


def _download(requirements: Sequence[str], target: _Target, folder: Path) -> None:
    _pip("download", "--dest", str(folder), *target.options(), *requirements, what=", ".join(requirements), of=target)


def _elsewhere(requirement: str, target: _Target) -> str:
    """Where there is a wheel, in words that end a sentence; empty if that cannot be told."""
    for glibc, condition in ((target.glibc, ""), (NEWEST_GLIBC, " with a newer glibc")):
        versions = []
        for python in PYTHONS:
            other = _Target(python, target.machine, glibc)
            options = ("--dry-run", "--ignore-installed", "--target", str(cache_folder() / "none"))
            with contextlib.suppress(DeviceError):
                _pip("install", *options, *other.options(), requirement, what=requirement, of=other)
                versions.append(f"{python[0]}.{python[1]}")
        if versions:
            return f"; there is one for Python {', '.join(versions)}{condition}"
    return ""


def _pip(command: str, *arguments: str, what: str, of: _Target) -> None:
    if importlib.util.find_spec("pip") is None:
        raise HostLacks(
            f"wheels for a device are fetched by pip, which {sys.executable} lacks; "
            f"run: {sys.executable} -m ensurepip (in an environment of uv: uv pip install pip)"
        )
    said: list[str] = []
    try:
        completed = run_process(
            [sys.executable, "-m", "pip", command, *PIP_OPTIONS, *arguments],
            timeout=PIP_SECONDS,
            environment=PIP_ENVIRONMENT,
            on_line=said.append,
        )
    except OSError as error:
        raise HostLacks(f"pip could not be started by {sys.executable}: {error.strerror}") from error
    if completed.timed_out:
        raise TransientDeviceError(f"pip took longer than {PIP_SECONDS:.0f} s to fetch {what}; try again")
    if not completed.returncode:
        return
    failure = pip_failure([*said, *completed.errors])
    if failure.is_unreachable:
        raise TransientDeviceError(
            f"{what} cannot be fetched: the package index cannot be reached ({failure.reason}); "
            "try again when this machine is connected"
        )
    if failure.is_absent:
        raise NoWheel(f"there is no wheel of {what} for {of}")
    raise PermanentDeviceError(f"{what} cannot be fetched: pip: {failure.reason}")
