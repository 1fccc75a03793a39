"""The process that a running Android-like machine consists of; started as a program of its own, by its path.

It is three processes. The outer one listens on a port of loopback and carries every connection to adbd; it also runs
the machine's adb server. The middle one makes namespaces; the inner one is the machine's init: it mounts the root,
starts adbd, starts it again when it ends, as a phone's init does, and ends with the outer one, however that ends, and
all that runs in the machine with it. adbd listens on every interface, but of a network of its own that has loopback
alone: the outer process asks init for a socket of that network, connected to adbd, and is handed it.

Nothing but the standard library is imported, all of it at the start: init has no file of the host's once it has
changed its root. In user namespaces of an ordinary user all of this needs no privilege.
"""

from __future__ import annotations

__all__ = ["main", "start_time"]

import array
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

SHELL_UID = 2000
ADBD_PORT = 5555
RESPAWN_SECONDS = 0.2
CONNECT_SECONDS = 3.0
SERVER_SECONDS = 10.0
PIPE_BYTES = 1 << 20

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2
AUDIT_ARCH_X86_64, SYS_SOCKET, AF_VSOCK = 0xC000003E, 41, 40
REFUSED, ALLOWED = 0x00050000 | errno.EAFNOSUPPORT, 0x7FFF0000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
F_SETPIPE_SZ = 1031
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LOCKED = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, os.ST_NODIRATIME: 2048, 4096: 1 << 21}
"""Flags of a mount that a user namespace must keep when it mounts it again, as statvfs and as mount call them."""

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

SERVER_ENVIRONMENT = {"ADB_LIBUSB": "0", "ADB_LOCAL_TRANSPORT_MAX_PORT": "0", "ADB_MDNS": "0", "ADB_USB": "0"}
"""No USB, no emulators, no discovery; adb 36 takes three seconds to start otherwise."""

LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A step of the start failed; the message says which and why."""


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
    state = {"pid": os.getpid(), "start": start_time(os.getpid()), "port": front.getsockname()[1], "adb_port": adb_port}
    part = Path(f"{config['state']}.part")
    part.write_text(json.dumps(state))
    part.replace(config["state"])
    os.write(tell, b"ready")
    os.close(tell)
    os.waitpid(middle, 0)
    return 1


def start_time(pid: int) -> int:
    """When a process began, in clock ticks since the machine did (proc(5), field 22 of stat); -1 if it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return -1 if fields[0] == "Z" else int(fields[19])


# The outer process: connections and the adb server.


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
    environment.pop("ANDROID_ADB_SERVER_PORT", None)
    environment.pop("ADB_TRACE", None)
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
    _end_with_parent()
    with contextlib.suppress(OSError, Failed):
        _unshare(CLONE_NEWUSER | CLONE_NEWNS, os.getuid(), os.getgid())
        if Path("/dev/bus/usb").is_dir():
            _mount("none", "/", "", MS_REC | MS_PRIVATE)
            _mount("tmpfs", "/dev/bus/usb", "tmpfs", 0)


# The middle process: namespaces.


def _start(config: dict[str, Any], control: socket.socket) -> int:
    try:
        _end_with_parent()
        flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
        _unshare(flags, SHELL_UID, SHELL_UID)
        init = os.fork()
        if init == 0:
            os._exit(_init(config, control))
        control.close()
        _, status = os.waitpid(init, 0)
        return os.waitstatus_to_exitcode(status) & 0xFF
    except (OSError, Failed) as error:
        with contextlib.suppress(OSError):
            control.send(f"{error}".encode())
        return 1


def _end_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _unshare(flags: int, uid: int, gid: int) -> None:
    """Go into new namespaces, where this user has the given numbers.

    Raises:
        Failed: the kernel or its administrator forbids it.
    """
    outer_uid, outer_gid = os.getuid(), os.getgid()
    if LIBC.unshare(flags):
        raise Failed(f"namespaces of its own were refused: {os.strerror(ctypes.get_errno())}")
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1")
    except OSError as error:
        raise Failed(f"a user of its own was refused: {error.strerror}") from error


# The inner process: the machine's init.


def _init(config: dict[str, Any], control: socket.socket) -> int:
    try:
        _end_with_parent()
        socket.sethostname("localhost")
        _raise_loopback()
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
        with contextlib.suppress(OSError):
            signal.set_wakeup_fd(-1)
            os.setsid()
            os.closerange(3, 1024)
            os.chdir("/")
            _forbid_vsock()
            os.execve("/apex/com.android.adbd/bin/adbd", ["adbd"], ENVIRONMENT)  # noqa: S606
        os._exit(127)
    return pid


def _forbid_vsock() -> None:
    """Let no socket of the family vsock be made (seccomp(2)): it leads out of every network of one's own."""
    program = (
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, 5, AUDIT_ARCH_X86_64),
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 3, SYS_SOCKET),
        (0x20, 0, 0, 16),  # load its first argument
        (0x15, 0, 1, AF_VSOCK),
        (0x06, 0, 0, REFUSED),
        (0x06, 0, 0, ALLOWED),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    head = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0):
        os.write(2, b"sockets of the family vsock could not be forbidden; adbd is not started\n")
        os._exit(126)


def _await_adbd() -> None:
    until = time.monotonic() + CONNECT_SECONDS
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


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


def _mount_all(config: dict[str, Any]) -> None:
    root = config["root"]
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount(root, root, "", MS_BIND | MS_REC)
    _read_only(root)
    if config["data_bytes"]:
        _mount(
            "tmpfs", f"{root}/data/local/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={config['data_bytes']},mode=771"
        )
    else:
        _mount(config["data"], f"{root}/data/local/tmp", "", MS_BIND)
    _mount(config["vendor"], f"{root}/vendor", "", MS_BIND)
    _read_only(f"{root}/vendor")
    _mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV)
    _mount("/sys", f"{root}/sys", "", MS_BIND | MS_REC)
    _mount_dev(f"{root}/dev")
    os.chdir(root)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    if LIBC.syscall(number, b".", b"."):
        raise Failed(f"the root could not be changed to {root}: {os.strerror(ctypes.get_errno())}")
    if LIBC.umount2(b".", MNT_DETACH):
        raise Failed(f"the host's root could not be left: {os.strerror(ctypes.get_errno())}")
    os.chdir("/")


def _mount_dev(dev: str) -> None:
    _mount("tmpfs", dev, "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for name in DEVICES:
        Path(dev, name).touch()
        _mount(f"/dev/{name}", f"{dev}/{name}", "", MS_BIND)
    Path(dev, "pts").mkdir()
    _mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID, "newinstance,ptmxmode=0666,mode=600")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"}
    links.update({name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))})
    for name, aim in links.items():
        Path(dev, name).symlink_to(aim)
    _read_only(dev)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    if LIBC.mount(source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None):
        raise Failed(f"{kind or source} could not be mounted at {target}: {os.strerror(ctypes.get_errno())}")


def _read_only(path: str) -> None:
    present = os.statvfs(path).f_flag
    flags = sum(mount for stat, mount in LOCKED.items() if present & stat)
    _mount("none", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
