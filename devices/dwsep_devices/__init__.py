"""Gets the runtime and model files onto a target, and results back."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_devices.errors import DeviceError, PermanentDeviceError, TransientDeviceError
from dwsep_devices.local import LocalDevice
from dwsep_devices.registry import open_device, opened

if TYPE_CHECKING:
    from dwsep_devices.inventory import device_names
    from dwsep_devices.jobs import Setup, prepared, run_job, start

__all__ = [
    "Device",
    "DeviceError",
    "LocalDevice",
    "PermanentDeviceError",
    "Setup",
    "TransientDeviceError",
    "device_names",
    "open_device",
    "opened",
    "prepared",
    "push_blob",
    "run_job",
    "start",
]

LATER = {
    "Setup": "jobs",
    "device_names": "inventory",
    "prepared": "jobs",
    "run_job": "jobs",
    "start": "jobs",
}
"""Imported when first asked for: a device can be warmed meanwhile."""


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"dwsep_devices.{LATER[name]}"), name)
