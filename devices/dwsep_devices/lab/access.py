"""The user's own ssh let into an emulated machine: its key, the machine's host key, and a configuration with both."""

from __future__ import annotations

__all__ = ["run_by_ssh", "write_access"]

import shutil

from dwsep_devices.errors import TransientDeviceError
from dwsep_devices.lab import guest
from dwsep_devices.lab.image import Image
from dwsep_devices.lab.machine import Board, Guest
from dwsep_runtime.spawn import run_process

SSH_SECONDS = 60.0

SSH_CONFIG = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  HostKeyAlias {name}
  User {user}
  IdentityFile "{folder}/client_key"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "{folder}/known_hosts"
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  PreferredAuthentications publickey
  UpdateHostKeys no
  LogLevel ERROR
"""


def write_access(image: Image, board: Board, started: Guest) -> None:
    """What the user's own ssh needs to reach a machine: its address, its host key, the key that it lets in."""
    folder = started.folder
    shutil.copy(image.folder / "client_key", folder / "client_key")
    (folder / "client_key").chmod(0o600)
    key = " ".join((image.folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"{board.name} {key}\n")
    said = str(folder).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    text = SSH_CONFIG.format(name=board.name, port=started.ports[22], user=guest.USER, folder=said)
    (folder / "ssh_config").write_text(text)


def run_by_ssh(started: Guest, board: Board, script: str) -> None:
    """Run a script in a machine as its user.

    Raises:
        TransientDeviceError: the machine was not reached, or the script failed.
    """
    command = ["ssh", "-F", str(started.folder / "ssh_config"), "-o", "BatchMode=yes", board.name, script]
    done = run_process(command, timeout=SSH_SECONDS)
    if done.returncode or done.timed_out:
        said = next((line for line in reversed(done.errors) if line.strip()), "it gave no reason")
        raise TransientDeviceError(f"lab: the machine was not reached by ssh: {said}")
