"""Folders of the user's on this host (XDG Base Directory Specification 0.8)."""

from __future__ import annotations

__all__ = ["xdg_folder"]

import os
from pathlib import Path

from dwsep_devices.errors import PermanentDeviceError


def xdg_folder(variable: str, default: str, purpose: str) -> Path:
    """The folder of this toolchain below a base folder; it need not be there.

    Args:
        variable: of the environment, that names the base folder; an empty or relative path counts for nothing.
        default: the base folder below the user's home.
        purpose: what is kept there, for the message.

    Raises:
        PermanentDeviceError: the user has no home.
    """
    given = os.environ.get(variable, "")
    try:
        base = Path(given) if Path(given).is_absolute() else Path.home() / default
    except RuntimeError as error:
        raise PermanentDeviceError(f"local: there is no home folder to keep {purpose} in; set {variable}") from error
    return base / "edge-dwsep"
