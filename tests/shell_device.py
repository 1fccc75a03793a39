"""A remote device that is this machine: scripts are run by its own ``sh``, files are copied; for tests of what a device
is made to do, without a connection.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from dwsep_devices.profile import Profile
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.transport import run_marked
from dwsep_runtime.spawn import Completed


class ShellTransport:
    """Leads to this machine.

    Args:
        name: of the device.

    Attributes:
        scripts: that were run.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.scripts: list[str] = []

    def shell(
        self,
        script: str,
        *,
        stdin: str = "",
        timeout: float,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        self.scripts.append(script)
        return run_marked(
            self.name,
            lambda whole: ["sh", "-c", whole],
            script,
            AssertionError,
            stdin=stdin,
            timeout=timeout,
            on_line=on_line,
        )

    def send(self, local: Path, remote: str, *, timeout: float) -> None:  # noqa: ARG002
        shutil.copyfile(local, remote)

    def fetch(self, remote: str, local: Path, *, timeout: float) -> None:  # noqa: ARG002
        shutil.copyfile(remote, local)

    def close(self) -> None:
        pass


def shell_device(folder: Path, name: str = "board") -> RemoteDevice:
    """This machine as a remote device, all of ours in a folder."""
    profile = Profile(name, "This machine", "ssh", str(folder / "root"), str(folder / "lease"))
    return RemoteDevice(ShellTransport(name), profile)
