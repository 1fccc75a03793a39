"""Make an environment on a Linux device out of wheels: fetched here, pushed, installed there by its own Python."""

from __future__ import annotations

__all__ = ["RECIPE", "VARIABLES", "import_program", "install_wheels"]

import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices.environments import ENVIRONMENTS
from dwsep_devices.errors import DeviceError, DeviceFull, DeviceUnsuitable, PermanentDeviceError, TransientDeviceError
from dwsep_devices.sources import runtime_sources
from dwsep_devices.suitability import glibc_of, pythons_for, version_of
from dwsep_devices.transport import quoted
from dwsep_devices.unneeded import UNNEEDED, is_needed
from dwsep_devices.wheels import NoWheel, Wheel, fetch
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.spawn import RUNTIME_ENVIRONMENT

if TYPE_CHECKING:
    from dwsep_devices.probe import Facts, Python
    from dwsep_devices.remote import RemoteDevice

RECIPE = "1"
"""Raised when environments are made otherwise than before, so that they are made anew."""

INSTALL_SECONDS = 900.0
"""Limit of an installation; an emulated Raspberry Pi takes a minute."""

COMPILED = 1.4
"""What compiled files add to a package's size, as a factor."""

INSTALLER = Path(__file__).with_name("on_device") / "install_wheels.py"
ANSWER = "edge-dwsep="

VARIABLES = {**RUNTIME_ENVIRONMENT, "PYTHONHOME": "", "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""Of every process of the runtime; the last one because everything is compiled, and an environment stays as it is."""

IMPORTS = """import json
from dwsep_runtime.engines import import_engine
from dwsep_runtime.errors import EngineUnavailable
told, reason = {{}}, ""
for name in {names!r}:
    try:
        told[name] = import_engine(name)
    except EngineUnavailable as error:
        reason = str(error)
if not told:
    raise SystemExit(reason)
print(json.dumps(told))"""
"""Imports the engines of an environment; one of several may be unavailable there."""


def import_program(environment: str) -> str:
    """A Python program that imports the engines of an environment and prints their versions by name, as JSON."""
    return IMPORTS.format(names=[name for name, kind in ENGINES.items() if kind.environment == environment])


def install_wheels(
    device: RemoteDevice, environment: str, pointer: str, facts: Facts, on_step: Callable[[str], None]
) -> None:
    """Make an environment on a device, unless one of the same content is there, and let a pointer lead to it.

    Args:
        device: where.
        environment: name in ``ENVIRONMENTS``.
        pointer: name of the file that holds the environment's hash.
        facts: of the device.
        on_step: told of each step that takes time, as it begins.

    Raises:
        DeviceUnsuitable: there are no packages for the device, or they do not run on it.
        DeviceFull: it has too little free space.
        DeviceError: it could not be made for another reason.
    """
    python, wheels = _wheels(device, environment, facts, lambda: on_step("fetch packages"))
    _require_space(device, environment, wheels, facts)
    sources = runtime_sources(device)
    blobs = []
    for wheel in wheels:
        blob = f"{device.root}/blobs/{wheel.sha256}.whl"
        on_step(f"push {wheel.name} {wheel.version} ({wheel.path.stat().st_size / 1e6:.1f} MB)")
        device.push(wheel.path, blob, wheel.sha256)
        blobs.append({"path": blob, "sha256": wheel.sha256, "needed_by": _others(environment, wheel)})
    on_step(f"install {environment}")
    asked = {
        "root": device.root,
        "hash": _hash(python, facts, wheels),
        "pointer": pointer,
        "wheels": blobs,
        "unneeded": UNNEEDED,
        "test": import_program(environment),
        "variables": {**VARIABLES, "PYTHONPATH": sources},
        "record": {
            "environment": environment,
            "hash": _hash(python, facts, wheels),
            "packages": {wheel.name: wheel.version for wheel in wheels},
            "wheels": {wheel.name: wheel.sha256 for wheel in wheels},
        },
    }
    script = f"exec {quoted(python.path)} -I -S - {quoted(json.dumps(asked))}"
    said = device.ask(script, stdin=INSTALLER.read_text("utf-8"), timeout=INSTALL_SECONDS, check=False)
    _require_made(device, environment, said)


def _require_made(device: RemoteDevice, environment: str, said: str) -> None:
    """Raise what the installer tells of its failure."""
    answers = [line[len(ANSWER) :] for line in said.splitlines() if line.startswith(ANSWER)]
    begin = f"{device.name}: environment {environment}"
    if not answers:
        raise TransientDeviceError(f"{begin} could not be made: its installation broke off; the device may lack memory")
    try:
        answer: Any = json.loads(answers[-1])
        kind, reason = answer.get("refused"), answer.get("reason")
    except (ValueError, AttributeError) as error:
        raise PermanentDeviceError(f"{begin} could not be made: the device answered {answers[-1][:60]!r}") from error
    if kind == "full":
        raise DeviceFull(f"{begin} could not be made: the device is full ({reason}); make room there")
    if kind == "import":
        raise DeviceUnsuitable(f"{begin} does not run there: {reason}")
    if kind:
        raise PermanentDeviceError(f"{begin} could not be made: {reason}")


def _wheels(
    device: RemoteDevice, environment: str, facts: Facts, on_fetch: Callable[[], None] = lambda: None
) -> tuple[Python, list[Wheel]]:
    """The first Python of a device that there are packages for, and those packages."""
    kind, missing = ENVIRONMENTS[environment], list[NoWheel]()
    for python in pythons_for(kind, facts):
        glibc = glibc_of(python.libc or facts.libc)
        if glibc is None:
            continue
        try:
            version = version_of(python)
            wheels = fetch(kind.requirements, python=version, machine=facts.machine, glibc=glibc, on_fetch=on_fetch)
        except NoWheel as error:
            missing.append(error)
        except DeviceError as error:
            raise type(error)(f"{device.name}: environment {environment} could not be made: {error}") from error
        else:
            return python, wheels
    raise DeviceUnsuitable(f"{device.name}: environment {environment} cannot be made: {missing[0]}") from missing[0]


def _require_space(device: RemoteDevice, environment: str, wheels: Sequence[Wheel], facts: Facts) -> None:
    needed = 0.0
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as file:
            needed += COMPILED * sum(item.file_size for item in file.infolist() if is_needed(item.filename))
        needed += wheel.path.stat().st_size
    if facts.free_bytes is not None and facts.free_bytes < needed:
        raise DeviceFull(
            f"{device.name}: environment {environment} needs {needed / 1e6:.0f} MB, and {facts.free_bytes / 1e6:.0f} "
            f"are free in {device.root}; make room there"
        )


def _others(environment: str, wheel: Wheel) -> list[str]:
    """Other environments that want a package as this one does."""
    own = {requirement for requirement in ENVIRONMENTS[environment].requirements if requirement == wheel.name}
    return [name for name, kind in ENVIRONMENTS.items() if name != environment and own & set(kind.requirements)]


def _hash(python: Python, facts: Facts, wheels: Sequence[Wheel]) -> str:
    parts = [RECIPE, facts.machine, version_of(python), sorted(wheel.sha256 for wheel in wheels), UNNEEDED]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
