"""QEMU's own protocol for being controlled (QMP), over a socket in a folder."""

from __future__ import annotations

__all__ = ["Qmp", "connect"]

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from dwsep_devices.errors import ConnectionLost, TransientDeviceError


def connect(path: Path, seconds: float, alive: Callable[[], bool] = lambda: True) -> socket.socket:
    """A connection to a socket that may not be there yet.

    Args:
        path: of the socket; it may be longer than addresses of sockets are.
        seconds: how long to try.
        alive: whether the process that makes it still runs.

    Raises:
        TransientDeviceError: nobody answers there.
    """
    until = time.monotonic() + seconds
    while True:
        made = socket.socket(socket.AF_UNIX)
        try:
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
            try:
                made.connect(f"/proc/self/fd/{folder}/{path.name}")
            finally:
                os.close(folder)
        except OSError as error:
            made.close()
            if time.monotonic() > until or not alive():
                raise TransientDeviceError(f"lab: nothing answers at {path}: {error.strerror}") from error
            time.sleep(0.01)
        else:
            return made


class Qmp:
    """A connection to one QEMU."""

    def __init__(self, path: Path, seconds: float, alive: Callable[[], bool] = lambda: True) -> None:
        self._socket = connect(path, seconds, alive)
        self._socket.settimeout(seconds)
        self._file = self._socket.makefile("r")
        try:
            self._line()  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command of QMP.

        Raises:
            TransientDeviceError: QEMU refused it.
            ConnectionLost: it does not answer.
        """
        message = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise ConnectionLost(f"lab: the emulator has gone: {error.strerror}") from error
        while True:
            answer = self._line()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise TransientDeviceError(f"lab: the emulator refused {command}: {answer['error']['desc']}")

    def monitor(self, line: str) -> str:
        """Run a command of the monitor for humans; what it printed."""
        return str(self.execute("human-monitor-command", **{"command-line": line}))

    def _line(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = json.loads(self._file.readline() or "null") or {}
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"lab: the emulator does not answer: {error}") from error
        if not answer:
            raise ConnectionLost("lab: the emulator has gone")
        return answer

    def close(self) -> None:
        """Close the connection; the machine runs on."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()

    def __enter__(self) -> Qmp:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
