"""Errors of devices; the root of the tree is :class:`dwsep_runtime.errors.DwsepError`.

DwsepError
└── DeviceError                     a device could not do what was asked
    ├── TransientDeviceError        it may work if tried again
    │   └── ConnectionLost          the connection broke, or a command never reported its end
    └── PermanentDeviceError        it will not work however often it is tried
        ├── DeviceRefused           the device does not let this host in: host key, login, authorization
        ├── DeviceUnsuitable        it cannot run the runtime or the engine that was asked for
        ├── DeviceFull              it has too little free space
        ├── DeviceBusy              another measurement has it, and waiting was not wanted
        └── HostLacks               this host lacks a program or a package that is needed to reach or make a device
"""

from __future__ import annotations

__all__ = [
    "ConnectionLost",
    "DeviceBusy",
    "DeviceError",
    "DeviceFull",
    "DeviceRefused",
    "DeviceUnsuitable",
    "HostLacks",
    "PermanentDeviceError",
    "TransientDeviceError",
]

from dwsep_runtime.errors import DwsepError


class DeviceError(DwsepError):
    """A device could not do what was asked."""


class TransientDeviceError(DeviceError):
    """A failure that may pass: the same call may work if tried again."""


class ConnectionLost(TransientDeviceError):
    """The connection broke, or a command on the device never reported its end."""


class PermanentDeviceError(DeviceError):
    """A failure that trying again does not mend."""


class DeviceRefused(PermanentDeviceError):
    """The device does not let this host in; the message says how to be let in."""


class DeviceUnsuitable(PermanentDeviceError):
    """The device cannot run the runtime, or the engine that was asked for."""


class DeviceFull(PermanentDeviceError):
    """The device has too little free space."""


class DeviceBusy(PermanentDeviceError):
    """Another measurement has the device, and waiting for it was not wanted."""


class HostLacks(PermanentDeviceError):
    """This host lacks a program or a package that is needed to reach or make a device."""
