"""The environments of packages that engines run in, and how one is made on this machine.

One that cannot live in this toolchain's own lies in the user's cache folder, named by a hash of what makes it up. pip
makes it when it is first asked for; it is built beside its place and renamed into it, so it is whole or absent.
"""

from __future__ import annotations

__all__ = [
    "ENVIRONMENTS",
    "EnvironmentKind",
    "cache_folder",
    "environment_command",
    "is_met_here",
    "lacking_here",
    "provision",
]

import contextlib
import hashlib
import importlib.metadata
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dwsep_runtime
from dwsep_devices.cache import cache_folder, locked
from dwsep_devices.errors import DeviceError, PermanentDeviceError, TransientDeviceError
from dwsep_devices.pip import PIP_ENVIRONMENT, PIP_OPTIONS, pip_failure
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.harness import harness_sha256
from dwsep_runtime.spawn import RUNTIME_ARGUMENTS, Completed, run_process

PROBE_SECONDS = 60.0
BUILD_SECONDS = 900.0


@dataclass(frozen=True)
class EnvironmentKind:
    """What an environment is made of.

    Attributes:
        requirements: every package that is installed, as :func:`dwsep_devices.wheels.fetch` takes them.
        pythons: versions of Python that all of them have wheels for, the preferred one first; empty where that is left
            to the package index, and where this toolchain itself depends on them, so that its own Python has them.
        device_bytes: that it takes on a device, about, while it is made.
        glibc: oldest GNU C library by machine, where a package needs a newer one than NumPy does.
    """

    requirements: tuple[str, ...]
    pythons: tuple[tuple[int, int], ...] = ()
    device_bytes: int = 0
    glibc: Mapping[str, tuple[int, int]] = field(default_factory=dict)


ENVIRONMENTS: dict[str, EnvironmentKind] = {
    "litert": EnvironmentKind(("ai-edge-litert", "ml-dtypes", "numpy"), device_bytes=120_000_000),
    "onnxruntime": EnvironmentKind(("numpy", "onnxruntime"), device_bytes=130_000_000),
    "tflite-runtime": EnvironmentKind(
        ("numpy==1.26.4", "tflite-runtime==2.14.0"),
        ((3, 11), (3, 10), (3, 9)),
        device_bytes=80_000_000,
        glibc={"aarch64": (2, 34)},
    ),
}
"""The environments by the names that ``dwsep_runtime.engines.ENGINES`` uses."""


def environment_command(name: str) -> list[str]:
    """Program and arguments that run a job given on standard input in an environment, which is made if need be.

    Raises:
        UnknownName: no environment has that name.
        DeviceError: it could not be made.
    """
    python = provision(name)
    # It sees the packages of its environment and the runtime's sources; whatever else the user's PYTHONPATH leads to
    # stays out. Variables, unlike arguments, hold for the processes too that the runtime itself starts.
    variables = (f"PYTHONPATH={_runtime_sources()}", "PYTHONHOME=", "PYTHONNOUSERSITE=1")
    return ["env", *variables, str(python), *RUNTIME_ARGUMENTS]


def is_met_here(name: str) -> bool:
    """Whether the packages of an environment are installed in the one that this process runs in.

    Those that this toolchain depends on are. Of others, a package counts in any release of the same major version.
    Nothing is imported to find out.

    Raises:
        UnknownName: no environment has that name.
    """
    kind = _kind(name)
    return not kind.pythons or all(_is_installed(requirement) for requirement in kind.requirements)


def lacking_here(name: str) -> str:
    """Why an environment cannot be made on this machine, as far as that is told without starting a Python; else "".

    Raises:
        UnknownName: no environment has that name.
    """
    kind = _kind(name)
    if is_met_here(name) or any(True for _ in _candidates(kind)):
        return ""
    return f"it needs Python {_wanted(kind)}; this is {platform.python_version()}, and the PATH has no other that does"


def provision(name: str) -> Path:
    """Make an environment on this machine, unless it is there.

    Returns:
        Its Python; this one for packages that this toolchain depends on.

    Raises:
        UnknownName: no environment has that name.
        TransientDeviceError: the package index could not be reached.
        PermanentDeviceError: no suitable Python is installed here, or the environment could not be made.
    """
    kind = _kind(name)
    if not kind.pythons:
        return Path(sys.executable)
    candidates = list(_candidates(kind))
    for _, version in candidates:
        made = _python_of(_folder(kind, version))
        if made.exists():
            return made
    for python, version in candidates:
        if _can_build(python):
            return _built(name, kind, python, _folder(kind, version))
    major, minor = kind.pythons[0]
    raise PermanentDeviceError(
        f"local: environment {name} needs Python {_wanted(kind)} with venv and ensurepip; "
        f"this is Python {platform.python_version()}, and the PATH has no other that does; install one "
        f"(Debian: python{major}.{minor}-venv)"
    )


def _kind(name: str) -> EnvironmentKind:
    if name not in ENVIRONMENTS:
        raise UnknownName("environment", name, ENVIRONMENTS)
    return ENVIRONMENTS[name]


def _wanted(kind: EnvironmentKind) -> str:
    """Versions of Python in words."""
    names = [f"{major}.{minor}" for major, minor in kind.pythons]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _is_installed(requirement: str) -> bool:
    package, _, version = requirement.partition("==")
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return installed.split(".")[0] == version.split(".")[0]


def _candidates(kind: EnvironmentKind) -> Iterator[tuple[str, tuple[int, int]]]:
    """Pythons by the names that they have on the PATH, this one before the others, with their versions."""
    here = (sys.version_info.major, sys.version_info.minor)
    if here in kind.pythons and sys.implementation.name == "cpython":
        yield sys.executable, here
    for major, minor in kind.pythons:
        found = shutil.which(f"python{major}.{minor}")
        if found:
            yield found, (major, minor)


def _can_build(python: str) -> bool:
    """Whether a Python starts, which a version manager's placeholder does not, and has what makes environments."""
    with contextlib.suppress(OSError):
        return run_process([python, "-I", "-c", "import venv, ensurepip"], timeout=PROBE_SECONDS).returncode == 0
    return False


def _folder(kind: EnvironmentKind, version: tuple[int, int]) -> Path:
    parts = (*kind.requirements, f"cpython {version[0]}.{version[1]}", platform.machine())
    return cache_folder() / "environments" / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _built(name: str, kind: EnvironmentKind, python: str, folder: Path) -> Path:
    part = folder.with_name(f"{folder.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not _python_of(folder).exists():
                _discard(folder, part)  # of a Python that is gone, and of a process that was killed
                try:
                    _make(name, kind, python, part)
                    part.rename(folder)
                finally:
                    _discard(part)
    except OSError as error:
        raise PermanentDeviceError(
            f"local: environment {name} could not be made in {folder.parent}: {error.strerror}"
        ) from error
    return _python_of(folder)


def _discard(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _make(name: str, kind: EnvironmentKind, python: str, folder: Path) -> None:
    made = run_process([python, "-I", "-m", "venv", str(folder)], timeout=BUILD_SECONDS)
    _require_done(name, "venv", made)
    pip = [str(_python_of(folder)), "-I", "-m", "pip", "install", *PIP_OPTIONS, *kind.requirements]
    said: list[str] = []
    ended = run_process(pip, timeout=BUILD_SECONDS, environment=PIP_ENVIRONMENT, on_line=said.append)
    _require_done(name, "pip", replace(ended, errors=[*said, *ended.errors]))


def _require_done(name: str, program: str, completed: Completed) -> None:
    if completed.timed_out:
        raise TransientDeviceError(f"local: environment {name} could not be made: {program} took too long; try again")
    if completed.returncode:
        raise _failure(name, program, completed.errors)


def _failure(name: str, program: str, errors: Sequence[str]) -> DeviceError:
    failure = pip_failure(errors)
    if failure.is_unreachable:
        return TransientDeviceError(
            f"local: environment {name} could not be made: the package index cannot be reached ({program}: "
            f"{failure.reason}); try again when this machine is connected"
        )
    return PermanentDeviceError(f"local: environment {name} could not be made: {program}: {failure.reason}")


def _runtime_sources() -> Path:
    """A folder that holds the runtime's sources and nothing else, so that no other package comes with them."""
    package = Path(dwsep_runtime.__file__).parent
    folder = cache_folder() / "runtime" / harness_sha256()
    part = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.part")
    try:
        if not folder.exists():
            shutil.copytree(package, part / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            part.rename(folder)
    except OSError as error:
        if not folder.exists():  # otherwise another process was faster, and its copy is the same
            raise PermanentDeviceError(
                f"local: the runtime could not be copied to {folder}: {error.strerror}"
            ) from error
    finally:
        _discard(part)
    return folder
