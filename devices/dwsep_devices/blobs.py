"""Files on a device by their content: ``<root>/blobs/<sha256><suffix>``, sent once, never matched by name or size."""

from __future__ import annotations

__all__ = ["push_blob"]

from pathlib import Path

from dwsep_devices.device import Device
from dwsep_runtime.model_file import sha256_of


def push_blob(device: Device, local: Path) -> str:
    """Bring a file onto a device under the hash of its content.

    The suffix stays, because engines tell a model's format by it.

    Args:
        device: where to.
        local: file to bring.

    Returns:
        Path on the device.

    Raises:
        DeviceError: the file could not be brought there.
    """
    sha256 = sha256_of(local)
    remote = f"{device.root}/blobs/{sha256}{local.suffix}"
    device.push(local, remote, sha256)
    return remote
