"""The lab machine ``android-arm64``: adbd for arm64 in an Android-like root of an emulated board."""

from __future__ import annotations

__all__ = ["AndroidArm64"]

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dwsep_devices.adb import AdbTransport, find_adb
from dwsep_devices.errors import TransientDeviceError
from dwsep_devices.lab import processes
from dwsep_devices.lab.connection import OF_ANOTHER_SERVER, LabConnection
from dwsep_devices.lab.image import Image
from dwsep_devices.lab.machine import Guest
from dwsep_devices.lab.pi import Machine, PiMachine

ADBD_PORT = 5555
SERVER_SECONDS = 10.0
UP_SECONDS = 60.0


class AndroidArm64(PiMachine):
    """The machine of this user on this host; see :class:`dwsep_devices.lab.pi.PiMachine`."""

    warm = (
        "/usr/sbin/chroot --userspec=2000:2000 /android /system/bin/sh -c 'ps -A; df; ls -l; sha256sum /system/bin/*'"
    )

    def up(self, *, cold: bool = False, on_step: Callable[[str], None] = lambda step: None) -> LabConnection:
        """Start the machine, unless it is up, with an adb server of its own; see the base class."""
        find_adb()
        return super().up(cold=cold, on_step=on_step)

    def _connection(self, found: Machine) -> LabConnection:
        return LabConnection(serial=f"127.0.0.1:{found.guest.ports[ADBD_PORT]}", adb_port=found.adb_port)

    def _warm(self, booted: Guest) -> None:
        booted.as_root(f"{self.warm} >/dev/null 2>&1; true", seconds=UP_SECONDS)

    def _give_access(self, image: Image, started: Guest) -> dict[str, Any]:
        """Start the machine's adb server, and make sure that it reaches adbd."""
        super()._give_access(image, started)
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            port = int(reserved.getsockname()[1])
        serve(find_adb(), port, started.folder)
        AdbTransport(f"lab-{self.name}", f"127.0.0.1:{started.ports[ADBD_PORT]}", port).shell(
            "true", timeout=UP_SECONDS
        )
        return {"adb_port": port}


WITHOUT_USB = 'mount -t tmpfs none /dev/bus/usb && exec "$@"'


def serve(adb: str, port: int, folder: Path) -> None:
    """Start an adb server that carries a machine's mark, and so ends with it.

    It sees neither local emulators nor, where this host allows that, USB devices: they are the user's own server's.

    Raises:
        TransientDeviceError: it does not start.
    """
    environment = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_SERVER}
    environment |= {
        "HOME": str(folder),
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "0",
        "ADB_MDNS": "0",
        processes.MARK: str(folder),
    }
    command = [adb, "-P", str(port), "nodaemon", "server"]
    hidden = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", WITHOUT_USB, "sh", *command]
    for tried in (hidden, command) if Path("/dev/bus/usb").is_dir() else (command,):
        with contextlib.suppress(FileNotFoundError), (folder / "adb.log").open("ab") as log:
            server = subprocess.Popen(
                tried,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
            if _serves(server, port):
                return
    raise TransientDeviceError(f"lab: {adb} could not be started as a server on port {port}")


def _serves(server: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            server.returncode = 0  # it outlives this program, which need not wait for it
            return True
        time.sleep(0.01)
    return False
