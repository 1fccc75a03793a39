"""The devices by name."""

from __future__ import annotations

__all__ = ["DEVICES", "open_device"]

from collections.abc import Callable

from dwsep_devices.device import Device
from dwsep_devices.local import LocalDevice
from dwsep_runtime.errors import UnknownName

DEVICES: dict[str, Callable[[], Device]] = {"local": LocalDevice}


def open_device(name: str) -> Device:
    """Open a device; the caller closes it.

    Raises:
        UnknownName: no device has that name.
        DeviceError: it cannot be reached.
    """
    if name not in DEVICES:
        raise UnknownName("device", name, DEVICES)
    return DEVICES[name]()
