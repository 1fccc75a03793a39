"""The process on the host that a running Android-like machine consists of; the machine ends with it.

It listens on a port of loopback and carries every connection to adbd, and runs the machine's own adb server. A child of
it makes namespaces and is the parent of the machine's init (:mod:`dwsep_devices.lab.android_init`). adbd listens on
every interface, but of a network of its own that has loopback alone: this process asks init for a socket of that
network, connected to adbd, and is handed it.
"""

from __future__ import annotations

__all__ = ["START", "main"]

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from dwsep_devices.lab.android_init import run_init
from dwsep_devices.lab.connection import OF_ANOTHER_SERVER
from dwsep_devices.lab.namespaces import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    EVERYTHING,
    Failed,
    end_with_parent,
    keep_mounts_private,
    mount,
    unshare,
)
from dwsep_devices.lab.processes import started_at

START = (
    "import sys; sys.path[:0] = sys.argv[2:]; "
    "from dwsep_devices.lab.android_host import main; sys.exit(main(sys.argv[1]))"
)
"""Program for a Python without site packages; arguments: a path for :func:`main`, folders to import from."""

SHELL_UID = 2000
CONNECT_SECONDS = 3.0
SERVER_SECONDS = 10.0
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031

SERVER_ENVIRONMENT = {"ADB_LIBUSB": "0", "ADB_LOCAL_TRANSPORT_MAX_PORT": "0", "ADB_MDNS": "0", "ADB_USB": "0"}
"""No USB, no emulators, no discovery; adb 36 takes three seconds to start otherwise."""


def main(path: str) -> int:
    """Start a machine, and return once it can be used; it stays until its outer process is ended.

    Args:
        path: of a JSON object with ``root``, ``data``, ``data_bytes`` (0, or the size of a file system in memory that
            takes the place of ``data``), ``vendor``, ``state``, ``adb``, ``adb_home``.

    Returns:
        Exit code; the reason of a failure is printed to standard error.
    """
    config = json.loads(Path(path).read_text())
    told, tell = os.pipe()
    outer = os.fork()
    if outer:
        os.close(tell)
        with os.fdopen(told) as said:
            answer = said.read()
        sys.stderr.write("" if answer == "ready" else answer or "it ended at its start")
        return int(answer != "ready")
    os.close(told)
    try:
        os._exit(_outer(config, tell))
    except (OSError, Failed) as error:
        with contextlib.suppress(OSError):
            os.write(tell, f"{error}".encode())
        os._exit(1)


def _outer(config: dict[str, Any], tell: int) -> int:
    """Start everything, say "ready", and stay until the machine ends or this process is told to."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    middle = os.fork()
    if middle == 0:
        ours.close()
        os.close(tell)
        os._exit(_start(config, its))
    its.close()

    def end(*_: object) -> None:
        os._exit(0)  # the kernel ends what was started here: each asked it to

    signal.signal(signal.SIGTERM, end)
    answer = ours.recv(4096)
    if answer != b"ready":
        raise Failed(answer.decode() or "it ended at its start")
    front = socket.create_server(("127.0.0.1", 0))
    _, adb_port = _adb_server(config)
    threading.Thread(target=_serve, args=(front, ours), daemon=True).start()
    state = {"pid": os.getpid(), "start": started_at(os.getpid()), "port": front.getsockname()[1], "adb_port": adb_port}
    part = Path(f"{config['state']}.part")
    part.write_text(json.dumps(state))
    part.replace(config["state"])
    os.write(tell, b"ready")
    os.close(tell)
    os.waitpid(middle, 0)
    return 1


def _serve(front: socket.socket, control: socket.socket) -> None:
    lock = threading.Lock()
    while True:
        client, _ = front.accept()
        threading.Thread(target=_carry, args=(client, control, lock), daemon=True).start()


def _carry(client: socket.socket, control: socket.socket, lock: threading.Lock) -> None:
    """Carry one connection to adbd; the kernel copies, this process only says from where to where."""
    with client:
        inner = _connected(control, lock)
        if inner is None:
            return
        with inner:
            for end in (client, inner):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_copy, args=(inner, client), daemon=True)
            back.start()
            _copy(client, inner)
            back.join()


def _connected(control: socket.socket, lock: threading.Lock) -> socket.socket | None:
    """A socket of the machine's network, connected to adbd; None if there is none for a while."""
    until = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < until:
        with lock:
            control.send(b"connect")
            answer, descriptors, _, _ = socket.recv_fds(control, 16, 1)
        if descriptors:
            return socket.socket(fileno=descriptors[0])
        if not answer:
            return None
        time.sleep(0.05)
    return None


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Move what comes from one socket to another until either ends, and end both: adb never half closes one."""
    reader, writer = os.pipe()
    try:
        with contextlib.suppress(OSError):
            fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE_BYTES)
        with contextlib.suppress(OSError):
            while count := os.splice(source.fileno(), writer, PIPE_BYTES):
                while count:
                    count -= os.splice(reader, target.fileno(), count)
    finally:
        os.close(reader)
        os.close(writer)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _adb_server(config: dict[str, Any]) -> tuple[int, int]:
    """Process and port of the machine's own adb server.

    It sees neither USB devices, which are another server's, nor emulators on this host.
    """
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    environment = {**os.environ, **SERVER_ENVIRONMENT, "HOME": config["adb_home"]}
    for name in OF_ANOTHER_SERVER:
        environment.pop(name, None)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            _without_usb()
            os.dup2(os.open("/dev/null", os.O_RDWR), 0)
            os.closerange(3, 1024)
            os.execve(config["adb"], ["adb", "-P", str(port), "nodaemon", "server"], environment)  # noqa: S606
        os._exit(127)
    until = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return pid, port
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        time.sleep(0.005)
    raise Failed("its adb server did not start")


def _without_usb() -> None:
    end_with_parent()
    with contextlib.suppress(OSError, Failed):
        unshare(CLONE_NEWUSER | CLONE_NEWNS, os.getuid(), os.getgid())
        if Path("/dev/bus/usb").is_dir():
            keep_mounts_private()
            mount("tmpfs", "/dev/bus/usb", "tmpfs", 0)


def _start(config: dict[str, Any], control: socket.socket) -> int:
    try:
        end_with_parent()
        unshare(EVERYTHING, SHELL_UID, SHELL_UID)
        init = os.fork()
        if init == 0:
            os._exit(run_init(config, control))
        control.close()
        _, status = os.waitpid(init, 0)
        return os.waitstatus_to_exitcode(status) & 0xFF
    except (OSError, Failed) as error:
        with contextlib.suppress(OSError):
            control.send(f"{error}".encode())
        return 1
