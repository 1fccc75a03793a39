"""The devices that can be named: those the user added, one TOML file each, and those that need no adding."""

from __future__ import annotations

__all__ = [
    "BUILT_IN",
    "KnownDevice",
    "UnknownDevice",
    "add_device",
    "device_names",
    "forget_device",
    "load_device",
    "profile_of",
    "require_device_name",
]

import contextlib
import dataclasses
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.profile import Profile, device_path, load_profile, text, texts, whole
from dwsep_devices.settings import NAME, Reader, config_folder, read_table, require_name
from dwsep_runtime.errors import InvalidInput, UnknownName

BUILT_IN = ("local", "lab-android", "lab-android-arm64", "lab-pi4", "lab-pi5")
"""Devices whose name is their kind; they need no address."""

HOST = re.compile(r"(?:[^\s@;|&`$(){}<>'\"-][^\s;|&`$(){}<>'\"]*@)?[A-Za-z0-9_:\[][A-Za-z0-9._:%\[\]-]*")
"""[user@]host: nothing that ssh could take for an option, nor a shell of a ProxyCommand for a command."""

MOST_TEXT = 200


class UnknownDevice(UnknownName):
    """A device that is not known; the message says how to add it."""

    def __init__(self, name: str, valid: Iterable[str]) -> None:
        super().__init__("device", name, valid)
        shown = name if NAME.fullmatch(name) else "NAME"
        self.args = (f"{self}; add it with: edge-dwsep devices add {shown} --kind KIND",)


@dataclass(frozen=True)
class KnownDevice:
    """How a device is reached.

    Attributes:
        name: what the user calls it.
        kind: name of its profile.
        host: of an ssh device: [user@]host, or an alias of the user's ssh configuration.
        port: of its ssh server; 0 for what ssh itself chooses.
        identity: file of the key to log in with; empty for what ssh itself chooses.
        options: further arguments of the ssh client, such as ("-J", "jump-host").
        serial: of an adb device, as ``adb devices`` lists it.
        root: folder on the device, if another than the profile's.
    """

    name: str
    kind: str
    host: str = ""
    port: int = 0
    identity: str = ""
    options: tuple[str, ...] = ()
    serial: str = ""
    root: str = ""

    @property
    def where(self) -> str:
        """Its address in a word; empty where it needs none."""
        return f"{self.host}{f':{self.port}' if self.port else ''}" or self.serial


def device_names() -> list[str]:
    """Names of all devices: the user's, and those that need no adding."""
    own = (path.stem for path in _folder().glob("*.toml"))
    return [*sorted(name for name in own if NAME.fullmatch(name) and name not in BUILT_IN), *BUILT_IN]


def load_device(name: str) -> KnownDevice:
    """How a device is reached.

    Raises:
        UnknownDevice: there is none of that name.
        InvalidInput: its file cannot be read, or a value is not accepted.
    """
    if name in BUILT_IN:
        return KnownDevice(name, name)
    if name not in device_names():
        raise UnknownDevice(name, device_names())
    path = _file(name)
    values = read_table(path, READERS)
    if "kind" not in values:
        raise InvalidInput(f'{path}: kind is missing; say kind = "raspberry-pi-4", or another of `devices kinds`')
    device = KnownDevice(name=name, **values)
    try:
        require_address(device, load_profile(device.kind))
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from error
    return device


def profile_of(device: KnownDevice) -> Profile:
    """The profile of a device, with what is set for this one alone.

    Raises:
        InvalidInput: the profile cannot be read, or there is none of its kind.
    """
    profile = load_profile(device.kind)
    return dataclasses.replace(profile, root=device.root) if device.root else profile


def add_device(device: KnownDevice, *, replace: bool = False) -> Path:
    """Keep how a device is reached; it is not contacted.

    Args:
        device: as the user gave it.
        replace: whether one of that name may be there already.

    Returns:
        The file that says it.

    Raises:
        InvalidInput: a name, address or kind is not accepted, or the name is taken.
        PermanentDeviceError: the file cannot be written.
    """
    require_device_name(device.name)
    require_address(device, load_profile(device.kind))
    path = _file(device.name)
    if path.exists() and not replace:
        raise InvalidInput(
            f"device {device.name} is there already; give --replace, or first: edge-dwsep devices remove {device.name}"
        )
    written = {key: value for key, value in vars(device).items() if value and key != "name"}
    for key, value in written.items():
        _checked(key, list(value) if isinstance(value, tuple) else value)
    lines = [f"{key} = {_toml(value)}\n" for key, value in written.items()]
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(lines), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise PermanentDeviceError(
            f"{device.name}: {path} could not be written: {error.strerror}; set XDG_CONFIG_HOME to a folder that can be"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return path


def forget_device(name: str) -> None:
    """Take a device from the list; it is not contacted. A file that cannot be read is deleted all the same.

    Raises:
        InvalidInput: the device needs no adding, so it cannot be forgotten.
        UnknownDevice: there is none of that name.
        PermanentDeviceError: its file cannot be deleted.
    """
    if name in BUILT_IN:
        raise InvalidInput(
            f"device {name} is built in and cannot be forgotten; `devices remove {name} --keep` clears it"
        )
    if name not in device_names():
        raise UnknownDevice(name, device_names())
    try:
        _file(name).unlink(missing_ok=True)
    except OSError as error:
        raise PermanentDeviceError(f"{name}: {_file(name)} could not be deleted: {error.strerror}") from error


def require_device_name(name: str) -> str:
    """Make sure that a name may be given to a device; returns it.

    Raises:
        InvalidInput: it may not.
    """
    require_name("device", name)
    if name in BUILT_IN:
        raise InvalidInput(f"device {name} is built in and needs no adding; take another name")
    return name


def require_address(device: KnownDevice, profile: Profile) -> None:
    """Make sure that a device has the address that its kind needs, and no other.

    Raises:
        InvalidInput: it has not.
    """
    kind, transport = profile.kind, "none" if profile.lab else profile.transport
    if transport == "local":
        raise InvalidInput(f"kind {kind} is this machine, which is there already: --device local")
    if transport == "ssh" and not device.host:
        raise InvalidInput(f"kind {kind} is reached by ssh and needs a host; add --host USER@HOST")
    if transport == "adb" and not device.serial:
        raise InvalidInput(f"kind {kind} is reached by adb and needs a serial; add --serial, as `adb devices` lists it")
    if transport != "ssh" and (device.host or device.port or device.identity or device.options):
        raise InvalidInput(f"kind {kind} is not reached by ssh; leave out --host, --port, --identity and --ssh-option")
    if transport != "adb" and device.serial:
        raise InvalidInput(f"kind {kind} is not reached by adb; leave out --serial")


def _folder() -> Path:
    return config_folder() / "devices"


def _file(name: str) -> Path:
    return _folder() / f"{name}.toml"


def _toml(value: Any) -> str:
    """A value in TOML 1.0. Its strings are those of JSON but for surrogates, which no printable text needs."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _checked(key: str, value: Any) -> Any:
    try:
        return READERS[key](value)
    except ValueError as error:
        raise InvalidInput(f"{key} must be {error}; received {value!r:.80}") from error


def _host(value: Any) -> str:
    if not isinstance(value, str) or not HOST.fullmatch(value) or len(value) > MOST_TEXT:
        raise ValueError("USER@HOST, HOST or an alias of your ssh configuration, and may not begin with '-'")
    if re.fullmatch(r"[^:]+:\d+", value):
        raise ValueError("a host without its port, which --port gives")
    return value


def _serial(value: Any) -> str:
    if text(value).startswith("-") or len(value) > MOST_TEXT:
        raise ValueError("a serial as `adb devices` lists it, and may not begin with '-'")
    return str(value)


READERS: dict[str, Reader] = {
    "kind": text,
    "host": _host,
    "port": whole(0, 65535),
    "identity": text,
    "options": texts,
    "serial": _serial,
    "root": device_path,
}
