"""Gets the runtime and model files onto a target, and results back."""

from dwsep_devices.blobs import push_blob
from dwsep_devices.device import Device
from dwsep_devices.errors import DeviceError, PermanentDeviceError, TransientDeviceError
from dwsep_devices.jobs import Setup, prepared, run_job, start
from dwsep_devices.local import LocalDevice
from dwsep_devices.registry import DEVICES, open_device

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
