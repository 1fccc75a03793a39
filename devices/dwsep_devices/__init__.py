"""Gets the runtime and model files onto a target, and results back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_devices.errors import DeviceError, PermanentDeviceError, TransientDeviceError
from dwsep_devices.local import LocalDevice
from dwsep_devices.registry import DEVICES, open_device

if TYPE_CHECKING:
    from dwsep_devices.jobs import Setup, prepared, run_job, start

__all__ = [
    "DEVICES",
    "Device",
    "DeviceError",
    "LocalDevice",
    "PermanentDeviceError",
    "Setup",
    "TransientDeviceError",
    "open_device",
    "prepared",
    "push_blob",
    "run_job",
    "start",
]

OF_JOBS = frozenset({"Setup", "prepared", "run_job", "start"})
"""Imported when first asked for: a device can be warmed meanwhile."""


def __getattr__(name: str) -> Any:
    if name not in OF_JOBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dwsep_devices import jobs

    return getattr(jobs, name)
