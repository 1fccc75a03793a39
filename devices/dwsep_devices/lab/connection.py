"""How a machine of the lab is reached."""

from __future__ import annotations

__all__ = ["OF_ANOTHER_SERVER", "LabConnection"]

from dataclasses import dataclass

OF_ANOTHER_SERVER = ("ADB_SERVER_SOCKET", "ADB_TRACE", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_ADB_SERVER_PORT")
"""Variables of the user's own adb server: a machine's would listen elsewhere than on loopback with them."""


@dataclass(frozen=True)
class LabConnection:
    """How a machine of the lab that is up is reached: by ssh or by adb.

    Attributes:
        ssh_options: for ssh and sftp, before the host; empty if it is reached by adb.
        host: name of the machine for ssh.
        serial: name of the machine for adb.
        adb_port: port of its own adb server on loopback; None if it is reached by ssh.
    """

    ssh_options: tuple[str, ...] = ()
    host: str = ""
    serial: str = ""
    adb_port: int | None = None
