"""What the adb program says, as data: the devices that it lists, and errors of this toolchain for those it prints."""

from __future__ import annotations

__all__ = ["Attached", "failure_of", "listed", "of_adb", "refusal_of", "several"]

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dwsep_devices.errors import (
    ConnectionLost,
    DeviceError,
    DeviceFull,
    DeviceRefused,
    PermanentDeviceError,
    TransientDeviceError,
)

NOT_ANDROID = ("bootloader", "recovery", "rescue", "sideload", "host")
"""States of a device that answers adb and runs no Android."""


PROGRESS = re.compile(r"^\*|^\s*\[\s*\d+%\]|\d+ files? (?:pushed|pulled)")
"""Lines that tell of no failure."""


@dataclass(frozen=True)
class Attached:
    """A line of ``adb devices``.

    Attributes:
        serial: what adb calls the device.
        state: "device" if it can be used.
    """

    serial: str
    state: str


def listed(lines: Sequence[str]) -> list[Attached]:
    r"""The devices that ``adb devices`` lists.

    >>> listed(["List of devices attached", "emulator-5554\tdevice", "", "* daemon started successfully"])
    [Attached(serial='emulator-5554', state='device')]
    """
    pairs = [line.rstrip("\r\n").partition("\t") for line in lines]
    return [Attached(serial, state.strip()) for serial, tab, state in pairs if tab and serial and serial[0] != "*"]


def refusal_of(name: str, serial: str, attached: Sequence[Attached]) -> DeviceError | None:
    """Why a device cannot be used, by the list of those attached; None if it can.

    Args:
        name: of the device, for the message.
        serial: which one is meant.
        attached: what ``adb devices`` lists.
    """
    state = next((one.state for one in attached if one.serial == serial), "")
    if state == "device":
        return None
    if not attached:
        return _absent(name, serial)
    if not state:
        others = ", ".join(f"{one.serial} ({one.state})" for one in attached)
        return PermanentDeviceError(
            f"{name}: adb knows no device {serial!r}; attached are: {others}; name one of them with --serial"
        )
    return _of_state(name, serial, state)


def several(name: str, attached: Sequence[Attached]) -> PermanentDeviceError:
    """The error of a device without a serial where adb lists more than one."""
    serials = ", ".join(one.serial for one in attached)
    return PermanentDeviceError(f"{name}: {len(attached)} devices are attached: {serials}; choose one with --serial")


def failure_of(name: str, serial: str, said: Sequence[str]) -> DeviceError:
    """The error that a failed run of adb stands for.

    Args:
        name: of the device, for the message.
        serial: of the device.
        said: lines of adb's output and errors, the last the most telling.
    """
    lines = [line.strip() for line in said if line.strip() and not PROGRESS.search(line)]
    text = "\n".join(lines)
    state = _state_in(text)
    if state:
        return _of_state(name, serial, state)
    last = re.sub(r"^(?:adb: )?(?:error: )?", "", lines[-1]) if lines else ""
    for pattern, make in KINDS:
        found = re.search(pattern, text)
        if found:
            whole = next((line for line in lines if found.group(0) in line), last)
            return make(name, serial, re.sub(r"^(?:adb: )?(?:error: )?", "", whole))
    if not last:
        return ConnectionLost(f"{name}: the connection ended in the middle of a command")
    return TransientDeviceError(f"{name}: adb failed: {last}")


def of_adb(errors: Sequence[str]) -> list[str]:
    """The lines of a command's standard error that are adb's own; the others are of what ran on the device.

    >>> of_adb(["failed to open /sys/devices/system/cpu/possible: Permission denied", "error: closed"])
    ['error: closed']
    """
    return [line for line in errors if re.match(r"adb: |error: |\* |- ", line)]


def _state_in(text: str) -> str:
    """The state of the device, if that is what adb complains of."""
    found = re.search(
        r"device (?:still )?(unauthorized|offline|authorizing|connecting|bootloader|recovery|rescue|sideload)\b", text
    )
    if found:
        return found.group(1)
    if "failed to authenticate to" in text:  # of a device on the network
        return "unauthorized"
    return "no permissions" if re.search(r"no permissions|insufficient permissions", text) else ""


def _of_state(name: str, serial: str, state: str) -> DeviceError:
    if state in {"unauthorized", "authorizing"}:
        return DeviceRefused(
            f"{name}: {serial} has not authorized this host for adb; unlock it, confirm the dialogue 'Allow USB "
            "debugging' (tick 'always'), then try again; without a dialogue: Developer options, 'Revoke USB debugging "
            "authorizations', plug it in again"
        )
    if state.startswith("no permissions"):
        return DeviceRefused(
            f"{name}: this user may not open the USB device {serial}; install udev rules for it (Debian: "
            "apt-get install android-sdk-platform-tools-common), add the user to the group plugdev, log in anew and "
            "run adb kill-server"
        )
    if state in NOT_ANDROID:
        return PermanentDeviceError(f"{name}: {serial} is in {state} mode; start Android on it (adb reboot)")
    if state == "offline":
        return TransientDeviceError(
            f"{name}: {serial} is offline: it is attached and does not answer; if that stays so, plug it in again or "
            "run adb reconnect offline"
        )
    return TransientDeviceError(f"{name}: {serial} is in the state {state!r} and not ready yet; try again")


def _absent(name: str, serial: str, said: str = "") -> PermanentDeviceError:
    which = f" ({serial} is wanted)" if serial else ""
    return PermanentDeviceError(
        f"{name}: {said or 'no device is attached to adb'}{which}; plug it in, enable Developer options > USB "
        "debugging, and see that 'adb devices' lists it"
    )


def _unreachable(name: str, serial: str, said: str) -> DeviceError:
    return TransientDeviceError(
        f"{name}: {serial} cannot be reached: {said}; see that it is on, and adbd listens there"
    )


def _lost(name: str, serial: str, said: str) -> DeviceError:
    return ConnectionLost(f"{name}: the connection to {serial} broke: {said}")


def _server(name: str, serial: str, said: str) -> DeviceError:
    return TransientDeviceError(
        f"{name}: adb's server, which leads to {serial}, cannot be reached: {said}; try again, or run adb kill-server"
    )


def _full(name: str, serial: str, said: str) -> DeviceError:
    return DeviceFull(f"{name}: {serial} has too little free space: {said}; remove files from it")


def _gone(name: str, serial: str, said: str) -> DeviceError:
    return TransientDeviceError(f"{name}: {serial} is gone: {said}; if that stays so, plug it in again")


def _many(name: str, serial: str, said: str) -> DeviceError:
    return PermanentDeviceError(f"{name}: {serial or 'no serial'} names no one device: {said}; choose with --serial")


def _refused(name: str, serial: str, said: str) -> DeviceError:
    return PermanentDeviceError(f"{name}: {serial} refused: {said}")


REFUSED = (
    r"Permission denied|Operation not permitted|Read-only file system|No such file or directory|does not exist|"
    r"Is a directory|Not a directory|Not supported|File ?name too long|Invalid argument|File too large|"
    r"cannot (?:l?stat|create|open)|secure_mkdirs"
)
LOST = (
    r"protocol fault|closed|EOF|Connection reset|Broken pipe|connect failed|couldn't read from device|no response|"
    r"failed to read|failed to write"
)
NO_SERVER = r"cannot connect to daemon|failed to start daemon|daemon still not running|failed to check server version"
KINDS = (
    (r"No space left on device|Disk quota exceeded", _full),
    (NO_SERVER, _server),
    (r"(?:failed|unable|cannot) to connect to|failed to resolve host|cannot resolve host", _unreachable),
    (r"no devices/emulators found", _absent),
    (r"device '[^']*' not found|device with transport id|no such device", _gone),
    (r"more than one device", _many),
    (REFUSED, _refused),
    (LOST, _lost),
)
"""What adb prints, and the error that it stands for; the first that is found counts. Such lines hold names of files, so
what a device refuses comes before words like "closed"; whatever is unknown may pass."""
