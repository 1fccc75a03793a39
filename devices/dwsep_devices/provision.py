"""Environments of packages on a device that has no internet: fetched here, pushed, and made there whole or not at all.

``<root>/env/<hash>/`` is an environment, named by what it is made of. ``<root>/env/<name>-<wanted>.pointer`` holds the
hash of the one that answers what this host wants of that name, so that one question tells whether it is there, and an
upgrade of this host's packages asks for another one.
"""

from __future__ import annotations

__all__ = [
    "Provisioned",
    "can_provide",
    "command_for",
    "environment_facts",
    "pointer_name",
    "provision",
    "runtime_sources",
]

import hashlib
import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices.environments import ENVIRONMENTS
from dwsep_devices.errors import TransientDeviceError
from dwsep_devices.install import RECIPE, VARIABLES, install_wheels
from dwsep_devices.sources import compile_script, runtime_sources, sources_folder
from dwsep_devices.suitability import refusal
from dwsep_devices.transport import quoted
from dwsep_devices.unneeded import UNNEEDED
from dwsep_devices.wheels import alternatives
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.spawn import RUNTIME_ARGUMENTS

if TYPE_CHECKING:
    from dwsep_devices.probe import Facts
    from dwsep_devices.remote import RemoteDevice

COMPILE_SECONDS = 600.0

BUNDLE_CODE = ("bundle.py", "bundle_python.py", "on_device/compile_files.py", "on_device/install_wheels.py")
"""What makes bundles; a change of it asks for new ones."""


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


def command_for(
    device: RemoteDevice, environment: str, on_step: Callable[[str], None] = lambda step: None
) -> list[str]:
    """Program and arguments that run a job in an environment of a device, which is made if it is not there.

    Costs one question where everything is in place.

    Raises:
        UnknownName: no environment has that name.
        DeviceError: it could not be made.
    """
    return list(provision(device, environment, on_step).command)


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
    made = _provisioned(device, environment, told.get("record", ""))
    if made is None:
        _make(device, environment, on_step)
        told = _look(device, environment)
        made = _provisioned(device, environment, told.get("record", ""))
    if made is None:
        raise TransientDeviceError(
            f"{device.name}: environment {environment} was gone as soon as it was made; try again"
        )
    if told.get("sources") != "compiled":
        on_step("compile the runtime")
        _compile(device, made)
    _USED.setdefault(device, {})[environment] = made
    return made


def _make(device: RemoteDevice, environment: str, on_step: Callable[[str], None]) -> None:
    facts = device.facts()
    refused = refusal(ENVIRONMENTS[environment], facts)
    if refused:
        raise type(refused)(f"{device.name}: environment {environment} cannot be made: {refused}")
    pointer = pointer_name(environment, android=_is_android(device))
    if _is_android(device):
        from dwsep_devices.install_bundle import install_bundle

        install_bundle(device, environment, pointer, facts, on_step)
    else:
        install_wheels(device, environment, pointer, facts, on_step)


def _is_android(device: RemoteDevice) -> bool:
    return device.profile.transport == "adb"


def pointer_name(environment: str, *, android: bool) -> str:
    """Name of the file that leads to what this host wants of an environment; another when it wants another."""
    kind = ENVIRONMENTS[environment]
    wanted = [RECIPE, [alternatives(requirement) for requirement in kind.requirements], kind.pythons, UNNEEDED]
    if android:
        code = [(Path(__file__).parent / name).read_text("utf-8") for name in BUNDLE_CODE]
        wanted.append([hashlib.sha256(text.encode()).hexdigest() for text in code])
    return f"{environment}-{hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]}.pointer"


def _look(device: RemoteDevice, environment: str) -> dict[str, str]:
    """The record of an environment that is there, and whether the runtime's sources are, compiled for its Python."""
    script = f"""cd {quoted(device.root)} 2>/dev/null || exit 0
e=env/$(cat env/{pointer_name(environment, android=_is_android(device))} 2>/dev/null)
if [ -x "$e/bin/python" ] || [ -x "$e/bin/python3" ]; then
    r=$(cat "$e/environment.json" 2>/dev/null); printf 'record=%s\\n' "$r"
    v=$(printf '%s' "$r" | sed -n 's/.*"python": "\\([0-9]*[.][0-9]*\\).*/\\1/p')
    [ -f {quoted(sources_folder(device.root))}/"compiled.$v" ] && echo sources=compiled
fi
true"""
    return dict(line.split("=", 1) for line in device.ask(script).splitlines() if "=" in line)


def _provisioned(device: RemoteDevice, environment: str, record: str) -> Provisioned | None:
    """An environment as its record tells of it; None if there is none, or a damaged one."""
    try:
        told: Any = json.loads(record)
        folder, sources = f"{device.root}/env/{told['hash']}", sources_folder(device.root)
        if "bundle" in told:
            from dwsep_devices.bundle import bundle_command

            python = bundle_command(folder, told["bundle"], sources)
        else:
            variables = {**VARIABLES, "PYTHONPATH": sources}
            python = ["env", *(f"{name}={value}" for name, value in variables.items()), f"{folder}/bin/python"]
        return Provisioned(
            name=environment,
            command=(*python, *RUNTIME_ARGUMENTS),
            environment_hash=told["hash"],
            packages=told["packages"],
            python=told["python"],
            engines=told["engines"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def _compile(device: RemoteDevice, made: Provisioned) -> None:
    sources = runtime_sources(device)
    python = made.command[: len(made.command) - len(RUNTIME_ARGUMENTS)]
    marker = "compiled." + ".".join(made.python.split(".")[:2])
    device.ask(compile_script(python, sources, marker), timeout=COMPILE_SECONDS)
