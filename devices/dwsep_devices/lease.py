"""One measurement at a time on a device, also between two hosts or users: a lease that lies on the device.

It is a file with a token, an end, and its owner, inside a folder that every user of the device may write. The end is
told by the clock that counts since the device started, which nobody sets, and holds for that start alone.
"""

from __future__ import annotations

__all__ = ["Holder", "Lease", "lease_script", "parse_holder", "release_script", "wipe_lease_script"]

import contextlib
import getpass
import hashlib
import os
import platform
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from dwsep_devices.transport import quoted


def _owner() -> str:
    """This process, so that another on this host can tell whether it still lives: user@host#kernel, number, start."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = str(os.getuid())
    return f"{_plain(user)}@{_plain(platform.node())}#{_kernel()}:{os.getpid()}:{_started(os.getpid())}"


def _kernel() -> str:
    """What numbers of processes belong to: many hosts, and containers of one host, have the same name."""
    told = ""
    with contextlib.suppress(OSError):
        told = Path("/proc/sys/kernel/random/boot_id").read_text("ascii") + str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)


def _started(process: int) -> str:
    """When a process started, in ticks (man 5 proc, stat, field 22); empty if it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


MOST_OWNER = 200
"""Characters of an owner; it comes from the device and is printed."""


@dataclass(frozen=True)
class Lease:
    """What this process asks for.

    Attributes:
        path: folder on the device.
        token: tells it from every other.
        owner: for others to read.
    """

    path: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    owner: str = field(default_factory=_owner)


@dataclass(frozen=True)
class Holder:
    """Who has the device.

    Attributes:
        token: of the lease.
        seconds: until it ends by itself.
        owner: as its :class:`Lease` told.
    """

    token: str
    seconds: int
    owner: str

    @property
    def who(self) -> str:
        """The owner in words: user@host, and the number of its process there."""
        user, _, rest = self.owner.partition(":")
        process = rest.partition(":")[0]
        return f"{user} (process {process})" if process else user

    @property
    def is_dead_here(self) -> bool:
        """Whether it was a process of this host and user that has ended without giving the lease back."""
        who, process, started = (*self.owner.split(":"), "", "")[:3]
        mine = _owner().partition(":")[0]
        return who == mine and process.isdecimal() and _started(int(process)) != started


_NOW = (
    "now=$(cut -d. -f1 /proc/uptime 2>/dev/null || date +%s); boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
)


def lease_script(lease: Lease, seconds: float, *, instead_of: str = "") -> str:
    """A script that takes or prolongs the lease, and prints ``lease=ours`` or who has it.

    Args:
        lease: what is asked for.
        seconds: for how long, from now.
        instead_of: token of a lease that is known to be nobody's any more.
    """
    folder, token = quoted(lease.path), quoted(lease.token)
    return f"""d={folder}; [ -d "$d" ] || {{ mkdir "$d" && chmod 777 "$d"; }} 2>/dev/null
{{ flock 9 2>/dev/null; {_NOW}
t=; e=0; b=; o=; [ -f "$d/lease" ] && read -r t e b o < "$d/lease"
case $e in ''|*[!0-9]*) t= ;; esac
if [ -n "$t" ] && [ "$t" != {token} ] && [ "$t" != {quoted(instead_of)} ] && [ "$b" = "x$boot" ] && [ "$e" -gt "$now" ]
then echo "lease=$t $((e - now)) $o"
elif printf '%s %s %s %s\\n' {token} "$((now + {int(seconds)}))" "x$boot" {quoted(lease.owner)} > "$d/"{token} &&
chmod 666 "$d/"{token} && mv -f "$d/"{token} "$d/lease"; then echo lease=ours
else echo "lease=none"; fi; }} 9<"$d"
"""


def release_script(lease: Lease) -> str:
    """A script that gives the lease back if it is still ours."""
    folder = quoted(lease.path)
    return f"""d={folder}; {{ flock 9 2>/dev/null; t=; [ -f "$d/lease" ] && read -r t e b o < "$d/lease"
[ "$t" = {quoted(lease.token)} ] && rm -f "$d/lease"; }} 9<"$d"; true"""


def wipe_lease_script(lease: Lease) -> str:
    """A script that removes the lease's folder, where it is this user's."""
    return f"rm -rf {quoted(lease.path)} 2>/dev/null; true"


def parse_holder(answer: str) -> Holder | None:
    """Who has the device, from the value that :func:`lease_script` printed; None if it is ours.

    Raises:
        ValueError: the answer is not one of that script.
    """
    if answer == "ours":
        return None
    token, seconds, owner = answer.split(" ", 2)
    shown = "".join(character if character.isprintable() else "?" for character in owner)
    return Holder(token, int(seconds), shown[:MOST_OWNER])
