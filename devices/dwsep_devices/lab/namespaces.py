"""Linux namespaces of one's own, and what is done in them: mounting, changing the root, filtering system calls.

Python has no names for these calls before 3.12, so the C library is asked. In a user namespace they need no privilege,
where the kernel's administrator allows that.
"""

from __future__ import annotations

__all__ = [
    "CLONE_NEWNS",
    "CLONE_NEWUSER",
    "EVERYTHING",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOSUID",
    "MS_REC",
    "Failed",
    "change_root",
    "end_with_parent",
    "forbid_vsock",
    "keep_mounts_private",
    "mount",
    "mounted_below",
    "raise_loopback",
    "read_only",
    "unshare",
]

import ctypes
import errno
import fcntl
import os
import re
import signal
import socket
import struct
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
EVERYTHING = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 1, 22, 38, 2
AUDIT_ARCH_X86_64, SYS_SOCKET, AF_VSOCK = 0xC000003E, 41, 40
REFUSED, ALLOWED = 0x00050000 | errno.EAFNOSUPPORT, 0x7FFF0000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
LOCKED = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
"""Flags of a mount that a user namespace must keep when it mounts it again, as statvfs and as mount call them: nosuid,
nodev, noexec, noatime, nodiratime, relatime. Other systems than Linux have no names for all of them."""

LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A call was refused; the message says which and why."""


def end_with_parent() -> None:
    """Let the kernel end this process when its parent ends, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def unshare(flags: int, uid: int, gid: int) -> None:
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


def raise_loopback() -> None:
    """Bring up the one interface of a new network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))


def keep_mounts_private() -> None:
    """Let nothing that is mounted from now on be seen outside, nor the other way round."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Attach a file system, or a part of one, at a path; with the arguments of the system call.

    Raises:
        Failed: it is refused.
    """
    if LIBC.mount(source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None):
        raise Failed(f"{kind or source} could not be mounted at {target}: {os.strerror(ctypes.get_errno())}")


def mounted_below(path: str) -> list[str]:
    """Where something is mounted, at a path and below it (proc_pid_mountinfo(5))."""
    fields = (line.split(b" ") for line in Path("/proc/self/mountinfo").read_bytes().splitlines())
    places = [
        os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), field[4])) for field in fields
    ]
    return [place for place in dict.fromkeys(places) if place == path or place.startswith(f"{path}/")]


def read_only(path: str) -> None:
    """Make what is mounted at a path read-only.

    Raises:
        Failed: it is refused.
    """
    present = os.statvfs(path).f_flag
    flags = sum(mount for stat, mount in LOCKED.items() if present & stat)
    mount("none", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def change_root(root: str) -> None:
    """Make a mount the root of this process, and let go of the one before.

    Raises:
        Failed: it is refused.
    """
    os.chdir(root)
    number = SYS_PIVOT_ROOT[os.uname().machine]
    if LIBC.syscall(number, b".", b"."):
        raise Failed(f"the root could not be changed to {root}: {os.strerror(ctypes.get_errno())}")
    if LIBC.umount2(b".", MNT_DETACH):
        raise Failed(f"the host's root could not be left: {os.strerror(ctypes.get_errno())}")
    os.chdir("/")


def forbid_vsock() -> None:
    """Let no socket of the family vsock be made (seccomp(2)): it leads out of every network of one's own.

    Raises:
        Failed: the kernel cannot filter.
    """
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
        raise Failed(f"sockets of the family vsock could not be forbidden: {os.strerror(ctypes.get_errno())}")
