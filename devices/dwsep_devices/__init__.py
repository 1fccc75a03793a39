"""Gets the runtime and model files onto a target, and results back."""

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_devices.errors import DeviceError, PermanentDeviceError, TransientDeviceError
from dwsep_devices.jobs import run_job
from dwsep_devices.local import LocalDevice
from dwsep_devices.registry import DEVICES, open_device

__all__ = [
    "DEVICES",
    "Device",
    "DeviceError",
    "LocalDevice",
    "PermanentDeviceError",
    "TransientDeviceError",
    "open_device",
    "push_blob",
    "run_job",
]
