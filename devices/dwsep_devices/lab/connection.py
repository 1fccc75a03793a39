"""How a machine of the lab is reached."""

from __future__ import annotations

__all__ = ["LabConnection"]

from dataclasses import dataclass


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
