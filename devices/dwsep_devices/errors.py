"""Errors of devices; the root of the tree is :class:`dwsep_runtime.errors.DwsepError`.

DwsepError
└── DeviceError                 a device could not do what was asked
    ├── TransientDeviceError    it may work if tried again
    └── PermanentDeviceError    it will not work however often it is tried
"""

from __future__ import annotations

__all__ = ["DeviceError", "PermanentDeviceError", "TransientDeviceError"]

from dwsep_runtime.errors import DwsepError


class DeviceError(DwsepError):
    """A device could not do what was asked."""


class TransientDeviceError(DeviceError):
    """A failure that may pass: the same call may work if tried again."""


class PermanentDeviceError(DeviceError):
    """A failure that trying again does not mend."""
