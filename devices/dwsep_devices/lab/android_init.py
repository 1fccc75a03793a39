"""The init process of an Android-like machine: it mounts the root, starts adbd, and starts it again when it ends.

It has no file of the host's once it has changed its root, so whatever it needs is imported before.
"""

from __future__ import annotations

__all__ = ["run_init"]

import array
import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

from dwsep_devices.lab.namespaces import (
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    Failed,
    change_root,
    end_with_parent,
    forbid_vsock,
    keep_mounts_private,
    mount,
    mounted_below,
    raise_loopback,
    read_only,
)

ADBD_PORT = 5555
RESPAWN_SECONDS = 0.2
START_SECONDS = 3.0

SETTINGS = ("acpi", "asound", "bus", "driver", "fs", "irq", "mtrr", "scsi", "sys", "sysrq-trigger")
"""Parts of /proc by which a kernel is set. Where this program is run by root, the machine's user is root to them."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")

ENVIRONMENT = {
    "ADBD_PORT": str(ADBD_PORT),
    "ANDROID_DATA": "/data",
    "ANDROID_ROOT": "/system",
    "HOME": "/",
    "PATH": "/system/bin",
    "SHELL": "/system/bin/sh",
    "TMPDIR": "/data/local/tmp",
}


def run_init(config: dict[str, Any], control: socket.socket) -> int:
    """Be the first process of new namespaces, until the other end of ``control`` is closed.

    Args:
        config: see :mod:`dwsep_devices.lab.android_host`.
        control: says "ready", or why not; then every message on it asks for a socket connected to adbd.
    """
    try:
        end_with_parent()
        socket.sethostname("localhost")
        raise_loopback()
        _mount_all(config)
        os.setsid()
    except (OSError, Failed) as error:
        with contextlib.suppress(OSError):
            control.send(f"{error}".encode())
        return 1
    quiet = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1):  # standard error stays the machine's log
        os.dup2(quiet, number)
    wake, woken = os.pipe()
    for number in (wake, woken):
        os.set_blocking(number, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    adbd, due = _start_adbd(), 0.0
    watched: list[Any] = [control, wake]
    _await_adbd()
    control.send(b"ready")
    while True:
        wait = max(0.0, due - time.monotonic()) if due else 5.0
        ready, _, _ = select.select(watched, [], [], wait)
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 512)
        if adbd in _reaped():
            due = time.monotonic() + RESPAWN_SECONDS
        if due and time.monotonic() >= due:
            adbd, due = _start_adbd(), 0.0
        if control in ready:
            if not control.recv(16):
                return 0  # the outer process is gone
            _hand_over(control)


def _reaped() -> set[int]:
    ended = set()
    with contextlib.suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            ended.add(pid)
    return ended


def _start_adbd() -> int:
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            os.setsid()
            os.closerange(3, 1024)
            os.chdir("/")
            forbid_vsock()
            os.execve("/apex/com.android.adbd/bin/adbd", ["adbd"], ENVIRONMENT)  # noqa: S606
        except (OSError, Failed) as error:
            os.write(2, f"adbd could not be started: {error}\n".encode())
        os._exit(127)
    return pid


def _await_adbd() -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            _to_adbd().close()
            return
        time.sleep(0.005)


def _to_adbd() -> socket.socket:
    made = socket.socket()  # create_connection resolves names, for which it imports modules
    try:
        made.settimeout(1)
        made.connect(("127.0.0.1", ADBD_PORT))
        made.settimeout(None)
    except OSError:
        made.close()
        raise
    return made


def _hand_over(control: socket.socket) -> None:
    try:
        with _to_adbd() as inner:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [inner.fileno()]))]
            control.sendmsg([b"here"], ancillary)
    except OSError:
        control.send(b"none")


def _mount_all(config: dict[str, Any]) -> None:
    root = config["root"]
    keep_mounts_private()
    mount(root, root, "", MS_BIND | MS_REC)
    read_only(root)
    if config["data_bytes"]:
        mount("tmpfs", f"{root}/data/local/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={config['data_bytes']},mode=771")
    else:
        mount(config["data"], f"{root}/data/local/tmp", "", MS_BIND)
    mount(config["vendor"], f"{root}/vendor", "", MS_BIND)
    read_only(f"{root}/vendor")
    mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    for name in SETTINGS:
        path = f"{root}/proc/{name}"
        if Path(path).exists():
            mount(path, path, "", MS_BIND | MS_REC)
            read_only(path)
    mount("/sys", f"{root}/sys", "", MS_BIND | MS_REC)
    for path in mounted_below(f"{root}/sys"):
        read_only(path)
    _mount_dev(f"{root}/dev")
    change_root(root)


def _mount_dev(dev: str) -> None:
    mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in DEVICES:
        Path(dev, name).touch()
        mount(f"/dev/{name}", f"{dev}/{name}", "", MS_BIND)
    Path(dev, "pts").mkdir()
    mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID, "newinstance,ptmxmode=0666,mode=600")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
    links.update({name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))})
    for name, aim in links.items():
        Path(dev, name).symlink_to(aim)
    read_only(dev)
