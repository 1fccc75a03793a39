"""Bring a file onto a device: to a temporary name, checked there by its hash, renamed; an interrupted one goes on."""

from __future__ import annotations

__all__ = ["Asker", "push_file"]

import contextlib
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dwsep_devices.errors import DeviceFull, PermanentDeviceError, TransientDeviceError
from dwsep_devices.retries import retrying
from dwsep_devices.transport import Transport, quoted
from dwsep_runtime.errors import DwsepError, ProtocolError
from dwsep_runtime.model_file import sha256_of

SLOWEST = 50_000
"""Bytes a second below which a transfer is given up: a Raspberry Pi on bad wireless has ten times that."""

LEAST_SECONDS = 60.0
HASH_RATE = 5_000_000
"""Bytes a second that the slowest device hashes, an emulated one."""

LARGE = 4_000_000
"""Bytes from which on hashing takes longer than another command."""

FOLLOW_TRIES = 1500
"""Looks at a part that does not grow, fifty a second, before it is given up."""

PIECE = 8_000_000
"""Bytes that are sent at once when a break would lose all that was sent: a fifth of a second by USB 2."""

MARGIN = 4_000_000
"""Bytes of free space that are left to the device."""

NUMBER = re.compile(r"[0-9]{1,18}")


class Asker(Protocol):
    """The part of a remote device that pushing needs."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def transport(self) -> Transport: ...  # noqa: D102

    def answers(self, script: str, *, timeout: float) -> dict[str, str]: ...  # noqa: D102


def push_file(
    device: Asker,
    local: Path,
    remote: str,
    sha256: str,
    *,
    sleep: Callable[[float], None],
    before_sending: Callable[[float], None] = lambda seconds: None,
) -> bool:
    """Copy a file onto a device, unless a file of that content is there.

    Args:
        device: where to.
        local: file to copy.
        remote: its path there; the folder is made.
        sha256: of the content.
        sleep: waits so many seconds between tries.
        before_sending: told how many seconds it may take, where anything is to be sent.

    Returns:
        Whether anything was copied.

    Raises:
        DeviceFull: there is not enough free space.
        DeviceError: it could not be brought there whole.
    """
    try:
        size = local.stat().st_size
    except OSError as error:
        raise PermanentDeviceError(f"{device.name}: {local} cannot be read: {error.strerror}") from error
    patience = LEAST_SECONDS + size / HASH_RATE
    sent: list[int] = []
    piece = max(size, 1)

    def once() -> None:
        nonlocal piece
        told = device.answers(_look(remote, sha256), timeout=patience)
        if told["is"] == "same":
            return
        have = _number(device, told, "have")
        have = have if have <= size else 0
        _require_space(device, told, size - have, local.name)
        before_sending((size - have) / SLOWEST)
        if sent and not have:  # adbd removes what came before its client went; let it keep pieces
            piece = PIECE
        sent.append(size - have)
        hashed = _Hashing(device, remote, size) if size >= LARGE else None
        _send(device, local, f"{remote}.part", have, size, piece=piece)
        _confirm(device, local, remote, sha256, patience, hashed.result() if hashed else "")

    try:
        retrying(once, sleep=sleep)
    except PermanentDeviceError:
        _require_space(device, device.answers(_look(remote, sha256), timeout=patience), 1, local.name)
        raise
    return bool(sent)


class _Hashing:
    """The device hashes what arrives while it arrives, so that little remains to be done in the end."""

    def __init__(self, device: Asker, remote: str, size: int) -> None:
        self._hash = ""
        self._patience = LEAST_SECONDS + size / HASH_RATE
        self._thread = threading.Thread(target=self._ask, args=(device, remote, size), daemon=True)
        self._thread.start()

    def _ask(self, device: Asker, remote: str, size: int) -> None:
        def take(line: str) -> None:
            if line.startswith("hash="):
                self._hash = line.strip()[5:]

        limit = self._patience + size / SLOWEST
        with contextlib.suppress(DwsepError):  # then it is hashed in the end
            # Not tried again: the next try of a push that breaks has another that follows it.
            device.transport.shell(_follow(remote, size), timeout=limit, on_line=take)

    def result(self) -> str:
        """The hash; empty if there is none."""
        self._thread.join(self._patience)
        return self._hash


def _follow(remote: str, size: int) -> str:
    """Hash a part that grows until it has a size; given up if it does not grow, or is there no more."""
    folder, name = quoted(remote.rpartition("/")[0]), quoted(remote.rpartition("/")[2])
    return f"""cd {folder} || exit; p=./{name}.part; n=0; s=0
until [ -f "$p" ] || [ $n -gt {FOLLOW_TRIES} ]; do n=$((n + 1)); sleep 0.02; done
h=$({{ n=0; while [ $n -le {FOLLOW_TRIES} ] && b=$(stat -c %s "$p" 2>/dev/null)
do cat <&3; [ "$b" -ge {size} ] && break
[ "$b" = "$s" ] && {{ n=$((n + 1)); sleep 0.02; }} || n=0; s=$b; done; }} 3< "$p" | sha256sum | cut -d' ' -f1)
echo "hash=$h" """


def _confirm(device: Asker, local: Path, remote: str, sha256: str, patience: float, hashed: str) -> None:
    """Have the device check what arrived, unless it did meanwhile, and give it its name."""
    if device.answers(_finish(remote, sha256, hashed), timeout=patience)["is"] == "same":
        return
    if sha256_of(local) != sha256:
        raise PermanentDeviceError(f"{device.name}: {local} changed while it was copied; start again")
    raise TransientDeviceError(f"{device.name}: {local.name} arrived damaged")


def _send(device: Asker, local: Path, part: str, have: int, size: int, *, piece: int) -> None:
    """Send what is missing of a file, in pieces that each stay there; a part that stands is added to."""
    if have == size and size:
        return
    if not have and piece >= size:
        device.transport.send(local, part, timeout=LEAST_SECONDS + size / SLOWEST)
        return
    with local.open("rb") as whole:
        for begin in range(have, size, piece):
            whole.seek(begin)
            with tempfile.NamedTemporaryFile(prefix="edge-dwsep-rest-") as rest:
                rest.write(whole.read(min(piece, size - begin)))
                rest.flush()
                _append(device, Path(rest.name), part)


def _append(device: Asker, rest: Path, part: str) -> None:
    timeout = LEAST_SECONDS + rest.stat().st_size / SLOWEST
    try:
        device.transport.send(rest, f"{part}.rest", timeout=timeout)
    finally:
        _join(device, part, timeout)


def _join(device: Asker, part: str, timeout: float) -> None:
    """Add what arrived of the rest to the part, in a folder where both have fixed names."""
    joined = f"cd {quoted(part.rpartition('/')[0])} || exit; p=./{quoted(part.rpartition('/')[2])}\n"
    joined += '[ -f "$p.rest" ] && cat "$p.rest" >> "$p" && rm -f "$p.rest"; echo is=joined'
    device.answers(joined, timeout=timeout)


def _look(remote: str, sha256: str) -> str:
    """Is the content there; if not, how much of it is, and how much space is free (in KiB).

    A file that was checked once is not read again while the device says that it is the same file, unchanged: its
    number, size and times, with the fractions of a second, are kept beside it.
    """
    folder, name = quoted(remote.rpartition("/")[0]), quoted(remote.rpartition("/")[2])
    return f"""mkdir -p {folder} && cd {folder} || exit; f=./{name}; w={quoted(sha256)}; {IDENTITY}
i=$(identity "$f"); [ -n "$i" ] && [ "$(cat "$f.checked" 2>/dev/null)" = "$w $i" ] && {{ echo is=same; exit; }}
{_hash_of('"$f"')}; if [ "$h" = "$w" ]; then echo "$w $i" > "$f.checked"; echo is=same; exit; fi
rm -f "$f.part.rest"; have=0; [ -f "$f.part" ] && have=$(wc -c < "$f.part")
echo is=other; echo have=$have; echo free=$(df -Pk . 2>/dev/null | tail -n 1 | sed 's/  */ /g' | cut -d' ' -f4)"""


def _finish(remote: str, sha256: str, hashed: str) -> str:
    """Check the part and give it its name, or remove it; with the hash that it is known to have, if it is."""
    folder, name = quoted(remote.rpartition("/")[0]), quoted(remote.rpartition("/")[2])
    return f"""cd {folder} || exit; f=./{name}; w={quoted(sha256)}; {IDENTITY}
h={quoted(hashed)}; [ "$h" = "$w" ] || {{ {_hash_of('"$f.part"')}; }}
if [ "$h" = "$w" ]; then mv -f "$f.part" "$f" || exit
i=$(identity "$f"); [ -n "$i" ] && echo "$w $i" > "$f.checked"; echo is=same; else rm -f "$f.part"; echo is=damaged
fi"""


IDENTITY = "identity() { stat -c '%i %s %y %z' \"$1\" 2>/dev/null; }"
"""Number, size, and times of change of content and of all else, which nobody can set."""


def _hash_of(file: str) -> str:
    return f"h=; [ -f {file} ] && h=$(sha256sum < {file} | cut -d' ' -f1)"


def _require_space(device: Asker, told: dict[str, str], needed: int, what: str) -> None:
    free = told.get("free", "")
    if NUMBER.fullmatch(free) and int(free) * 1024 < needed + MARGIN:
        raise DeviceFull(
            f"{device.name}: {what} needs {needed / 1e6:.1f} MB, the device has {int(free) * 1024 / 1e6:.1f} MB free; "
            "make room there, or remove what this tool keeps: edge-dwsep devices remove --keep"
        )


def _number(device: Asker, told: dict[str, str], key: str) -> int:
    value = told.get(key, "").strip()
    if not NUMBER.fullmatch(value):
        raise ProtocolError(f"{device.name}: the device answered {value!r:.60} for {key}, a number was expected")
    return int(value)
