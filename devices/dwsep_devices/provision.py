"""Environments of packages on a device that has no internet: fetched here, pushed, and made there whole or not at all.

``<root>/env/<hash>/`` is an environment, named by what it is made of. ``<root>/env/<name>-<wanted>.pointer`` holds the
hash of the one that answers what this host wants of that name, so that one question tells whether it is there, and an
upgrade of this host's packages asks for another one.
"""

from __future__ import annotations

__all__ = ["Provisioned", "can_provide", "command_for", "environment_facts", "provision", "runtime_sources"]

import hashlib
import json
import weakref
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices.environments import ENVIRONMENTS, EnvironmentKind
from dwsep_devices.errors import (
    DeviceError,
    DeviceFull,
    DeviceUnsuitable,
    PermanentDeviceError,
    TransientDeviceError,
)
from dwsep_devices.sources import compile_script, runtime_sources, sources_folder
from dwsep_devices.suitability import glibc_of, pythons_for, refusal, version_of
from dwsep_devices.transport import quoted
from dwsep_devices.unneeded import UNNEEDED, is_needed
from dwsep_devices.wheels import NoWheel, Wheel, alternatives, fetch
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.spawn import RUNTIME_ARGUMENTS, RUNTIME_ENVIRONMENT

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

OWN_VARIABLES = {**RUNTIME_ENVIRONMENT, "PYTHONHOME": "", "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
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


@dataclass(frozen=True)
class Provisioned:
    """An environment on a device.

    Attributes:
        name: in ``ENVIRONMENTS``.
        command: program and arguments on the device that run a job given on standard input.
        environment_hash: of all that it is made of.
        packages: version by name.
        python: its version.
        engines: version by name of the engines that can be imported in it.
    """

    name: str
    command: tuple[str, ...]
    environment_hash: str
    packages: Mapping[str, str]
    python: str
    engines: Mapping[str, str]


_USED: weakref.WeakKeyDictionary[Any, dict[str, Provisioned]] = weakref.WeakKeyDictionary()
"""Environments of each device that were used by this process."""


def can_provide(facts: Facts) -> dict[str, str]:
    """For each environment, why a device cannot have it; empty if it can, as far as that is known without trying."""
    reasons = {name: refusal(kind, facts) for name, kind in ENVIRONMENTS.items()}
    return {name: str(reason) if reason else "" for name, reason in reasons.items()}


def command_for(device: RemoteDevice, environment: str) -> list[str]:
    """Program and arguments that run a job in an environment of a device, which is made if it is not there.

    Costs one question where everything is in place.

    Raises:
        UnknownName: no environment has that name.
        DeviceError: it could not be made.
    """
    return list(provision(device, environment).command)


def environment_facts(device: RemoteDevice, environment: str) -> dict[str, Any]:
    """What results tell of the environment that a run was made in: its name, hash, packages and Python.

    Raises:
        DeviceError: it is not there and could not be made.
    """
    used = _USED.get(device, {}).get(environment) or provision(device, environment)
    return {
        "name": used.name,
        "hash": used.environment_hash,
        "packages": dict(used.packages),
        "python": used.python,
    }


def provision(
    device: RemoteDevice, environment: str, on_step: Callable[[str], None] = lambda step: None
) -> Provisioned:
    """Make an environment on a device, unless it is there.

    Args:
        device: where.
        environment: name in ``ENVIRONMENTS``.
        on_step: told of each step that takes time, as it begins.

    Raises:
        UnknownName: no environment has that name.
        DeviceUnsuitable: the device cannot run it.
        DeviceFull: it has too little free space.
        HostLacks: this host has no pip to fetch packages with.
        TransientDeviceError: the device or the package index cannot be reached.
        PermanentDeviceError: it could not be made for another reason.
    """
    if environment not in ENVIRONMENTS:
        raise UnknownName("environment", environment, ENVIRONMENTS)
    told = _look(device, environment)
    if not told.get("record"):
        _make(device, environment, on_step)
        told = _look(device, environment)
        if not told.get("record"):
            raise TransientDeviceError(
                f"{device.name}: environment {environment} was removed as it was made; try again"
            )
    made = _provisioned(device, environment, told["record"])
    if told.get("sources") != "compiled":
        on_step("compile the runtime")
        _compile(device, made)
    _USED.setdefault(device, {})[environment] = made
    return made


def _make(device: RemoteDevice, environment: str, on_step: Callable[[str], None]) -> None:
    kind, facts = ENVIRONMENTS[environment], device.facts()
    refused = refusal(kind, facts)
    if refused:
        raise type(refused)(f"{device.name}: environment {environment} cannot be made: {refused}")
    on_step("fetch packages")
    python, wheels = _wheels(device, environment, facts)
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
        "pointer": _pointer(environment),
        "wheels": blobs,
        "unneeded": UNNEEDED,
        "test": IMPORTS.format(names=_engines(environment)),
        "variables": {**OWN_VARIABLES, "PYTHONPATH": sources},
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


def _wheels(device: RemoteDevice, environment: str, facts: Facts) -> tuple[Python, list[Wheel]]:
    """The first Python of a device that there are packages for, and those packages."""
    kind, missing = ENVIRONMENTS[environment], list[NoWheel]()
    for python in pythons_for(kind, facts):
        glibc = glibc_of(python.libc or facts.libc)
        if glibc is None:
            continue
        try:
            version = version_of(python)
            return python, fetch(kind.requirements, python=version, machine=facts.machine, glibc=glibc)
        except NoWheel as error:
            missing.append(error)
        except DeviceError as error:
            raise type(error)(f"{device.name}: environment {environment} could not be made: {error}") from error
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


def _engines(environment: str) -> list[str]:
    return [name for name, kind in ENGINES.items() if kind.environment == environment]


def _hash(python: Python, facts: Facts, wheels: Sequence[Wheel]) -> str:
    parts = [RECIPE, facts.machine, version_of(python), sorted(wheel.sha256 for wheel in wheels), UNNEEDED]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _pointer(environment: str) -> str:
    kind: EnvironmentKind = ENVIRONMENTS[environment]
    wanted = [RECIPE, [alternatives(requirement) for requirement in kind.requirements], kind.pythons, UNNEEDED]
    return f"{environment}-{hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]}.pointer"


def _look(device: RemoteDevice, environment: str) -> dict[str, str]:
    """The record of an environment that is there, and whether the runtime's sources are there, compiled for it."""
    script = f"""cd {quoted(device.root)} 2>/dev/null || exit 0
h=$(cat env/{quoted(_pointer(environment))} 2>/dev/null)
[ -n "$h" ] && [ -x "env/$h/bin/python" ] && printf 'record=%s\\n' "$(cat "env/$h/environment.json")"
[ -f {quoted(sources_folder(device.root))}/"compiled.$h" ] && echo sources=compiled
true"""
    return dict(line.split("=", 1) for line in device.ask(script).splitlines() if "=" in line)


def _provisioned(device: RemoteDevice, environment: str, record: str) -> Provisioned:
    try:
        told: Any = json.loads(record)
        python = f"{device.root}/env/{told['hash']}/bin/python"
        variables = {**OWN_VARIABLES, "PYTHONPATH": sources_folder(device.root)}
        words = (f"{name}={value}" for name, value in variables.items())
        return Provisioned(
            name=environment,
            command=("env", *words, python, *RUNTIME_ARGUMENTS),
            environment_hash=told["hash"],
            packages=told["packages"],
            python=told["python"],
            engines=told["engines"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentDeviceError(
            f"{device.name}: the device tells {record[:60]!r} of environment {environment}; "
            f"remove what this tool keeps there and try again: edge-dwsep devices remove --keep {device.name}"
        ) from error


def _compile(device: RemoteDevice, made: Provisioned) -> None:
    sources = runtime_sources(device)
    python = made.command[: len(made.command) - len(RUNTIME_ARGUMENTS)]
    device.ask(compile_script(python, sources, f"compiled.{made.environment_hash}"), timeout=INSTALL_SECONDS)
