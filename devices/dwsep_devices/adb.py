"""Transport ``adb``: Google's own client, always for one serial, and trusted only as far as its exit codes go."""

from __future__ import annotations

__all__ = ["AdbTransport", "find_adb"]

import contextlib
import importlib.util
import os
import re
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from dwsep_devices.adb_words import Attached, failure_of, listed, of_adb, refusal_of, several
from dwsep_devices.errors import DeviceError, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.lab.connection import OF_ANOTHER_SERVER
from dwsep_devices.transport import run_marked
from dwsep_runtime.spawn import Completed, run_process

SERVER_SECONDS = 30.0
"""The first call of adb starts its server, which takes seconds where there are many USB devices."""

CONNECT_SECONDS = 20.0
LIST_SECONDS = 10.0

DEFAULT_PORT = 5037
LONGEST_SCRIPT = 60_000
"""Bytes: adb's client tells its server the length of a command in four hexadecimal digits."""

NETWORK_SERIAL = re.compile(r"(?:\[[0-9A-Fa-f:.%\w]+\]|[^\s:/]+):\d+")
"""A serial that ``adb connect`` accepts."""


def find_adb() -> str:
    """The adb program: ``$ADB``, then the PATH, then the one inside the Python package adbutils.

    Raises:
        HostLacks: there is none.
    """
    given = os.environ.get("ADB", "")
    if given:
        found = shutil.which(given)
        if found is None:
            raise HostLacks(
                f"local: ADB={given} is no program; set ADB to the path of adb, or unset it to search the PATH"
            )
        return found
    on_path = shutil.which("adb")
    if on_path is not None:
        return on_path
    spec = importlib.util.find_spec("adbutils")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        inside = shutil.which(str(Path(folder, "binaries", "adb")))
        if inside is not None:
            return inside
    raise HostLacks(
        "local: adb is not installed; install it (Debian: apt-get install adb; Android Studio: the SDK's "
        "platform-tools; or: pip install adbutils), put it on the PATH or set ADB to its path"
    )


class AdbTransport:
    """See :class:`dwsep_devices.transport.Transport`.

    Args:
        name: what the user calls the device.
        serial: of the device, as ``adb devices`` lists it; HOST:PORT is connected to when need be; empty for the one
            device that is attached.
        server_port: of an adb server to use instead of the user's; it is started if it does not run, and then ended
            by :meth:`close`.
    """

    def __init__(self, name: str, serial: str, server_port: int | None = None) -> None:
        self.name = name
        self._serial = serial
        self._server_port = server_port
        self._adb = ""
        self._ready = False
        self._started_server = False

    @property
    def serial(self) -> str:
        """Of the device, as far as it is known yet."""
        return self._serial

    def shell(
        self,
        script: str,
        *,
        stdin: str = "",
        timeout: float,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        """Run a script; see the protocol.

        Raises:
            PermanentDeviceError: besides, the script is longer than adb can carry.
        """
        size = len(script.encode())
        if size > LONGEST_SCRIPT:
            raise PermanentDeviceError(
                f"{self.name}: a script of {size:,} bytes is longer than the {LONGEST_SCRIPT:,} that adb carries; "
                "send it as a file"
            )
        self._open()
        return run_marked(
            self.name,
            lambda marked: self._command("shell", marked),
            script,
            lambda completed: self._failure(of_adb(completed.errors)),
            stdin=stdin,
            timeout=timeout,
            on_line=on_line,
        )

    def send(self, local: Path, remote: str, *, timeout: float) -> None:
        """Copy a file to the device; see the protocol."""
        if not local.is_file():
            raise PermanentDeviceError(f"{self.name}: {local} is no file of this host")
        self._copy("push", [_plain(local), remote], f"{local} to {remote}", timeout)

    def fetch(self, remote: str, local: Path, *, timeout: float) -> None:
        """Copy a file from the device; see the protocol."""
        if local.is_dir():
            raise PermanentDeviceError(f"{self.name}: {local} is a folder; name the file to make")
        self._copy("pull", [remote, _plain(local)], f"{remote} to {local}", timeout)

    def close(self) -> None:
        """Forget the connection; end the adb server that this transport started, and no other."""
        self._ready = False
        if self._started_server:
            self._started_server = False
            with contextlib.suppress(DeviceError):
                self._run([*self._prefix(), "kill-server"], LIST_SECONDS)

    def attached(self) -> list[Attached]:
        """The devices that adb lists.

        Raises:
            DeviceError: adb's server cannot be reached.
        """
        self._serve()
        lines: list[str] = []
        completed = self._run([*self._prefix(), "devices"], LIST_SECONDS, lines.append)
        if completed.timed_out:
            raise TransientDeviceError(
                f"{self.name}: adb's server did not list its devices within {LIST_SECONDS:g} s; if that stays so, run "
                "adb kill-server"
            )
        if completed.returncode:
            raise failure_of(self.name, self._serial, [*lines, *completed.errors])
        return listed(lines)

    def _open(self) -> None:
        """Find the device and connect to it, once; a failure of a command makes it be done again."""
        if self._ready:
            return
        attached = self.attached()
        if not self._serial:
            if len(attached) > 1:
                raise several(self.name, attached)
            self._serial = attached[0].serial if attached else ""
        if NETWORK_SERIAL.fullmatch(self._serial) and Attached(self._serial, "device") not in attached:
            self._connect(attached)
            attached = self.attached()
        refusal = refusal_of(self.name, self._serial, attached)
        if refusal is not None:
            raise refusal
        self._ready = True

    def _connect(self, attached: Sequence[Attached]) -> None:
        """Connect to a device on the network; adb itself gives one up that was offline for a while."""
        if Attached(self._serial, "offline") in attached:
            self._run([*self._prefix(), "disconnect", self._serial], CONNECT_SECONDS)
        said: list[str] = []
        completed = self._run([*self._prefix(), "connect", self._serial], CONNECT_SECONDS, said.append)
        if completed.timed_out:
            raise TransientDeviceError(
                f"{self.name}: {self._serial} took longer than {CONNECT_SECONDS:.0f} s to connect"
            )
        text = " ".join([*said, *completed.errors])
        # adb 29 and older answer 0 whatever comes of it
        if completed.returncode or "connected to" not in text:
            raise failure_of(self.name, self._serial, [*said, *completed.errors])

    def _copy(self, action: str, arguments: Sequence[str], what: str, timeout: float) -> None:
        self._open()
        said: list[str] = []
        completed = self._run(self._command(action, *arguments), timeout, said.append)
        if completed.timed_out:
            self._ready = False
            raise TransientDeviceError(f"{self.name}: to copy {what} took longer than {timeout:g} s; it was given up")
        if completed.returncode:
            raise self._failure([*said, *completed.errors])

    def _failure(self, said: Sequence[str]) -> DeviceError:
        self._ready = False
        return failure_of(self.name, self._serial, said)

    def _command(self, *arguments: str) -> list[str]:
        return [*self._prefix(), "-s", self._serial, *arguments]

    def _prefix(self) -> list[str]:
        self._adb = self._adb or find_adb()
        if self._server_port is None:
            return [self._adb]
        unset = [word for name in OF_ANOTHER_SERVER for word in ("-u", name)]
        return ["env", *unset, self._adb, "-P", str(self._server_port)]

    def _serve(self) -> None:
        """Start adb's server if it does not run, by a call of its own: one that is ended early would end it too."""
        if self._server_port is None and os.environ.get("ADB_SERVER_SOCKET"):
            return
        if _listens(self._server_port or _own_port()):
            return
        completed = self._run([*self._prefix(), "start-server"], SERVER_SECONDS)
        if completed.returncode or completed.timed_out:
            raise failure_of(self.name, self._serial, ["cannot connect to daemon", *completed.errors])
        self._started_server = self._server_port is not None

    def _run(
        self, command: Sequence[str], timeout: float, on_line: Callable[[str], None] = lambda line: None
    ) -> Completed:
        try:
            return run_process(command, timeout=timeout, on_line=on_line)
        except OSError as error:
            raise HostLacks(f"{self.name}: {command[0]} could not be started: {error.strerror}; install adb") from error


def _plain(path: Path) -> str:
    """A path that cannot be taken for an option."""
    return str(path.absolute())


def _own_port() -> int:
    given = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
    return int(given) if given.isdigit() else DEFAULT_PORT


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        return True
    return False
