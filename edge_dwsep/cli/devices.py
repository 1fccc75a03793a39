"""``edge-dwsep devices add|list|kinds|probe|doctor|provision|start|remove``."""

from __future__ import annotations

__all__ = ["devices"]

import contextlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_dwsep.cli.exit_codes import exit_code
from edge_dwsep.cli.lazy import LazyGroup
from edge_dwsep.cli.options import json_option

if TYPE_CHECKING:
    from dwsep_devices.probe import Facts
    from dwsep_devices.remote import RemoteDevice

EMULATOR = "android-emulator"
no_wait_option = click.option("--no-wait", is_flag=True, help="Fail rather than wait while a measurement runs there.")
SSH_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9]*=.+")


@click.group(
    cls=LazyGroup,
    commands_at={
        "add": ("edge_dwsep.cli.devices:add", "Name a device and say how it is reached."),
        "list": ("edge_dwsep.cli.devices:list_devices", "Names that --device takes."),
        "kinds": ("edge_dwsep.cli.devices:kinds", "Kinds of device that --kind takes."),
        "probe": ("edge_dwsep.cli.devices:probe_device", "What a device is, and which engines it can have."),
        "doctor": ("edge_dwsep.cli.devices:doctor", "What keeps a device from measuring, and what mends it."),
        "provision": ("edge_dwsep.cli.devices:provision_device", "Install engines on a device."),
        "start": ("edge_dwsep.cli.devices:start", "Start an emulator of your Android SDK."),
        "remove": ("edge_dwsep.cli.devices:remove", "Clear a device of all that is ours, and forget it."),
    },
)
def devices() -> None:
    """Add, probe, prepare and remove devices."""


@click.command("add")
@click.argument("name")
@click.option("--kind", help="What it is; `edge-dwsep devices kinds` lists them.")
@click.option("--host", default="", help="USER@HOST, or an alias of your ssh configuration.")
@click.option("--port", type=click.IntRange(1, 65535), help="Of its ssh server. [default: what ssh chooses]")
@click.option("--identity", type=click.Path(path_type=Path), help="Key to log in with. [default: what ssh chooses]")
@click.option("--ssh-option", "ssh_options", multiple=True, help="As ssh -o takes it: ProxyJump=HOST; repeatable.")
@click.option("--serial", default="", help="Of an Android device. [default: the one that adb lists]")
@click.option("--root", default="", help="Folder on the device for what is ours. [default: that of the kind]")
@click.option("--replace", is_flag=True, help="Replace a device of that name.")
@json_option
def add(
    name: str,
    kind: str | None,
    host: str,
    port: int | None,
    identity: Path | None,
    ssh_options: tuple[str, ...],
    serial: str,
    root: str,
    replace: bool,
    as_json: bool,
) -> None:
    """Keep under NAME how a device is reached. It need not be on."""
    from dwsep_devices.inventory import KnownDevice, add_device, require_device_name
    from dwsep_devices.profile import load_profile, profile_kinds
    from dwsep_runtime.errors import InvalidInput

    if kind is None:
        raise click.UsageError(f"--kind is missing; give one of {', '.join(profile_kinds())}")
    for option in ssh_options:
        if not SSH_OPTION.fullmatch(option):
            raise click.UsageError(f"--ssh-option must be NAME=VALUE, such as ProxyJump=HOST; received {option!r}")
    if identity is not None and not identity.is_file():
        raise InvalidInput(f"--identity must be the file of a private key; there is none at {str(identity)!r}")
    if load_profile(kind).transport == "adb" and not (serial or load_profile(kind).lab):
        serial = _only_serial(require_device_name(name))
    device = KnownDevice(
        name=name,
        kind=kind,
        host=host,
        port=port or 0,
        identity=str(identity.absolute()) if identity else "",
        options=tuple(part for option in ssh_options for part in ("-o", option)),
        serial=serial,
        root=root,
    )
    path = add_device(device, replace=replace)
    if as_json:
        click.echo(json.dumps({**asdict(device), "file": str(path)}))
    else:
        click.echo(f"{name} is kept in {path}; see whether it is ready: edge-dwsep devices doctor {name}")


@click.command("list")
@json_option
def list_devices(as_json: bool) -> None:
    """List the devices that --device takes: yours, this machine, and those of the lab."""
    from dwsep_devices.inventory import device_names
    from edge_dwsep.device_table import print_rows
    from edge_dwsep.table import console

    entries = [_entry(name) for name in device_names()]
    if as_json:
        click.echo(json.dumps(entries))
        return
    rows = [
        {
            "name": entry["name"],
            "kind": entry["kind"],
            "by": entry["transport"],
            "where": entry["where"],
            "figures": "emulated" if entry["emulated"] else "",
        }
        for entry in entries
    ]
    print_rows(console(), rows)
    for entry in entries:
        if entry["error"]:
            _say(f"{entry['name']}: {entry['error']}")


@click.command("kinds")
@json_option
def kinds(as_json: bool) -> None:
    """List the kinds of device that `devices add --kind` takes, your own among them."""
    from dwsep_devices.profile import load_profile, profile_kinds, user_profiles
    from edge_dwsep.device_table import print_rows
    from edge_dwsep.table import console

    own = user_profiles()
    profiles = [load_profile(kind) for kind in profile_kinds()]
    if as_json:
        click.echo(json.dumps([{**asdict(item), "file": str(own.get(item.kind, ""))} for item in profiles]))
        return
    rows = [
        {
            "kind": item.kind,
            "what": item.title,
            "by": item.transport,
            "figures": "emulated" if item.emulated else "",
            "file": str(own.get(item.kind, "")),
        }
        for item in profiles
    ]
    print_rows(console(), rows)


@click.command("probe")
@click.argument("name")
@json_option
def probe_device(name: str, as_json: bool) -> None:
    """Ask the device NAME what it is: processor, memory, system, Python, sensors, and which engines it can have."""
    from dwsep_devices.inventory import load_device
    from edge_dwsep.device_table import print_facts
    from edge_dwsep.table import console

    facts = _facts(name)
    told = {"name": name, "kind": load_device(name).kind, **asdict(facts), "environments": _environments(name, facts)}
    if as_json:
        click.echo(json.dumps(told))
    else:
        print_facts(console(), told)


@click.command("doctor")
@click.argument("name")
@json_option
def doctor(name: str, as_json: bool) -> int:
    """Check everything between this host and the device NAME, and say what mends what is wrong.

    Ends with 7 if a check fails.
    """
    from dwsep_devices.doctor import diagnose
    from dwsep_devices.errors import DeviceError
    from edge_dwsep.device_table import print_checks
    from edge_dwsep.table import console

    checks = diagnose(name)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks]))
    else:
        print_checks(console(), checks)
    return exit_code(DeviceError) if any(check.state == "fail" for check in checks) else 0


@click.command("provision")
@click.argument("name")
@click.option("--engine", "engines", multiple=True, help="Engine to install; repeatable. [default: all but old ones]")
@no_wait_option
@json_option
def provision_device(name: str, engines: tuple[str, ...], no_wait: bool, as_json: bool) -> None:
    """Install engines on the device NAME, so that the first measurement need not. The device needs no internet."""
    from dwsep_devices.errors import DeviceUnsuitable
    from dwsep_runtime.engines import ENGINES, engine_kind

    wanted = engines or tuple(engine for engine, kind in ENGINES.items() if kind.default)
    environments = list(dict.fromkeys(engine_kind(engine).environment for engine in wanted))
    made: list[dict[str, Any]] = []
    unsuitable: list[DeviceUnsuitable] = []
    here = "nothing need be installed there; engines come with this Python"
    with contextlib.closing(_remote(name, here, wait=not no_wait)) as device:
        from dwsep_devices.provision import provision

        for environment in environments:
            try:
                done = provision(device, environment, _say)
            except DeviceUnsuitable as error:
                unsuitable.append(error)
                continue
            made.append(
                {
                    "environment": environment,
                    "environment_hash": done.environment_hash,
                    "packages": dict(done.packages),
                    "command": list(done.command),
                }
            )
            if not as_json:
                packages = ", ".join(f"{package} {version}" for package, version in done.packages.items())
                click.echo(f"{environment}: {packages}")
    if as_json:
        click.echo(json.dumps(made))
    for reason in unsuitable:
        if engines or not made:
            raise reason
        _say(str(reason))


@click.command("remove")
@click.argument("name")
@click.option("--keep", is_flag=True, help="Clear the device, but keep it in the list.")
@click.option("--forget", is_flag=True, help="Take it from the list without contacting it.")
@no_wait_option
def remove(name: str, keep: bool, forget: bool, no_wait: bool) -> None:
    """End what runs on the device NAME, delete everything of ours there, and take it from the list."""
    from dwsep_devices.errors import DeviceError
    from dwsep_devices.inventory import BUILT_IN, forget_device
    from dwsep_devices.ssh import SshTransport

    if keep and forget:
        raise click.UsageError("--keep and --forget contradict one another; give one")
    if not forget:
        try:
            with contextlib.closing(_remote(name, "nothing of ours stays there", wait=not no_wait)) as device:
                device.wipe()
                if isinstance(device.transport, SshTransport):
                    device.transport.disconnect()
        except DeviceError as error:
            if name not in BUILT_IN and not keep:
                error.args = (
                    f"{error}; it stays in the list; without contacting it: edge-dwsep devices remove {name} --forget",
                )
            raise
        click.echo(f"{name}: nothing of ours is left there")
    if not keep and (forget or name not in BUILT_IN):
        forget_device(name)
        click.echo(f"{name} is forgotten")


@click.command("start")
@click.argument("kind")
@click.option("--avd", required=True, help="Name of the virtual device, as `emulator -list-avds` tells it.")
@click.option("--name", help="What to call it from now on. [default: the name of the virtual device]")
@json_option
def start(kind: str, avd: str, name: str | None, as_json: bool) -> None:
    """Start an emulator without a window, wait until it has booted, and keep it as a device.

    KIND is android-emulator. The figures of an emulator are marked so, and never ranked with those of hardware.
    """
    from dwsep_devices.inventory import KnownDevice, add_device, device_names, load_device, require_device_name
    from dwsep_runtime.errors import DwsepError, InvalidInput, UnknownName

    if kind != EMULATOR:
        raise UnknownName("kind to start", kind, [EMULATOR])
    name = require_device_name(avd if name is None else name)
    if name in device_names() and not load_device(name).kind.startswith(EMULATOR):
        raise InvalidInput(f"device {name} is a {load_device(name).kind}; give the emulator another name with --name")
    from dwsep_devices.adb import AdbTransport
    from dwsep_devices.emulator import start_emulator
    from dwsep_devices.profile import load_profile
    from dwsep_devices.remote import RemoteDevice

    serial = start_emulator(avd, on_step=_say)
    end = f"adb -s {serial} emu kill"
    try:
        with contextlib.closing(RemoteDevice(AdbTransport(name, serial), load_profile(f"{EMULATOR}-arm64"))) as device:
            machine = "x86_64" if device.facts().machine == "x86_64" else "arm64"
    except DwsepError as error:
        error.args = (f"{error}; the emulator runs on, end it with: {end}",)
        raise
    known = KnownDevice(name, f"{EMULATOR}-{machine}", serial=serial)
    add_device(known, replace=True)
    if as_json:
        click.echo(json.dumps({"avd": avd, **asdict(known)}))
    else:
        click.echo(f"{name} runs as {serial}; end it with: {end}")


def _only_serial(name: str) -> str:
    """The serial of the one device that adb lists."""
    from dwsep_devices.adb import AdbTransport
    from dwsep_runtime.errors import InvalidInput

    with contextlib.closing(AdbTransport(name, "")) as transport:
        attached = transport.attached()
    if len(attached) != 1:
        listed = ", ".join(f"{one.serial} ({one.state})" for one in attached) or "none"
        raise InvalidInput(f"{name} is reached by adb: choose its device with --serial; adb lists {listed}")
    return attached[0].serial


def _entry(name: str) -> dict[str, Any]:
    """What the list says of a device; of one whose file is broken, why."""
    from dwsep_devices.inventory import load_device, profile_of
    from dwsep_runtime.errors import InvalidInput

    try:
        known = load_device(name)
        profile = profile_of(known)
    except InvalidInput as error:
        return {"name": name, "kind": "", "transport": "", "where": "", "emulated": False, "error": str(error)}
    return {
        "name": name,
        "kind": known.kind,
        "transport": profile.transport,
        "where": known.where,
        "emulated": profile.emulated,
        "error": "",
    }


def _facts(name: str) -> Facts:
    if name == "local":
        from dwsep_devices.probe import probe_here

        return probe_here()
    with contextlib.closing(_remote(name, "", wait=False)) as device:
        return device.facts()


def _environments(name: str, facts: Facts) -> dict[str, str]:
    """Why each environment cannot be had on a device; empty if it can."""
    if name == "local":
        from dwsep_devices.environments import is_met_here
        from dwsep_runtime.engines import ENGINES

        names = dict.fromkeys(kind.environment for kind in ENGINES.values())
        return {item: "" if is_met_here(item) else "not installed; made by pip when first used" for item in names}
    from dwsep_devices.provision import can_provide

    reasons: dict[str, str] = can_provide(facts)
    return reasons


def _remote(name: str, why_not_here: str, *, wait: bool) -> RemoteDevice:
    """A device that is not this machine; the caller closes it."""
    from dwsep_devices import open_device
    from dwsep_devices.remote import RemoteDevice
    from dwsep_runtime.errors import InvalidInput

    if name == "local":
        raise InvalidInput(f"device local is this machine: {why_not_here}; name another device")
    device = open_device(name, wait=wait, on_step=_say)
    if not isinstance(device, RemoteDevice):
        raise TypeError(f"{name} is opened as {type(device).__name__}")
    return device


def _say(step: str) -> None:
    click.echo(step, err=True)
