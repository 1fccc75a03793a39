"""One emulated machine: a QEMU process, the folder it lives in, and the snapshots that it starts from.

A snapshot is the file of a machine's memory, which QEMU wrote while the machine ran, and the small rest of its state. A
machine that starts from it maps that file and copies only the pages that it writes, so nothing is read at the start.
"""

from __future__ import annotations

__all__ = ["Board", "Guest", "Snapshot", "boot", "resume", "snapshot_key", "take_snapshot"]

import base64
import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dwsep_devices.errors import HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.lab import device_tree, processes
from dwsep_devices.lab.image import Image
from dwsep_devices.lab.qmp import Qmp, connect
from dwsep_runtime.spawn import run_process

QEMU = "qemu-system-aarch64"

MEMORY = "2G"
ANSWER_SECONDS = 30.0
BOOT_SECONDS = 180.0
STEP_SECONDS = 120.0

COMMAND_LINE = (
    "console=ttyAMA0 quiet loglevel=3 rdinit=/init mitigations=off kpti=off nokaslr audit=0 random.trust_cpu=on "
    "cryptomgr.notests nosoftlockup"
)

COUNTING = ("-icount", "shift=0,sleep=off")
"""One instruction takes one nanosecond of the machine's time, and time leaps when the machine waits."""

LISTENS = "grep -q ':0016 00000000:0000 0A' /proc/net/tcp"
"""Whether something listens on port 22 (proc_pid_net(5): hexadecimal port, state TCP_LISTEN)."""

SAME_EACH_TIME = "norandmaps edge_dwsep.counting"
"""Added to the command line of a machine that counts: where memory lies and how Python hashes changes its counts."""

WARM = """\
python3 -c 'import argparse, asyncio, ctypes, decimal, gzip, hashlib, json, lzma, multiprocessing, random, sqlite3, ssl
import statistics, subprocess, tarfile, tempfile, threading, unittest, uuid, zipfile'
cd && mkdir x && cd x && head -c 1000000 /dev/urandom >a && tar czf b a && tar xzf b && sha256sum a && stat a && df . \
&& mv a c && cat /proc/cpuinfo && grep -c e c; flock . true; cd && rm -r x"""
"""What the runtime and those who bring it there use, so that it lies in a snapshot's memory."""


@dataclass(frozen=True)
class Board:
    """A machine by what its programs see of it.

    Attributes:
        name: of the machine.
        model: as its device tree tells it.
        cpu: as QEMU calls it.
        cores: how many.
        counting: whether its clock counts instructions.
    """

    name: str
    model: str
    cpu: str
    cores: int
    counting: bool = False


@dataclass(frozen=True)
class Snapshot:
    """A folder with ``memory``, ``state``, ``home.img`` and ``board.dtb`` of a machine that has started."""

    folder: Path


@dataclass(frozen=True)
class Guest:
    """A machine that runs.

    Attributes:
        folder: its folder, with ``qmp`` and ``console``, sockets, and ``serial.log``.
        pid: of QEMU.
        start: when that process began.
        ports: port on loopback by the machine's own port.
    """

    folder: Path
    pid: int
    start: int
    ports: dict[int, int]

    def as_root(self, script: str, *, seconds: float = ANSWER_SECONDS) -> str:
        """Run a script in the machine as root, by its console; what it printed.

        Raises:
            PermanentDeviceError: it ended with an exit code other than 0.
            TransientDeviceError: the machine does not answer.
        """
        return _as_root(self.folder / "console", script, seconds)


def boot(image: Image, board: Board, folder: Path, *, for_snapshot: bool = False) -> Guest:
    """Start a machine from its power switch on; it answers when this returns.

    Args:
        image: what it boots from.
        board: what it is.
        folder: for it alone, made here.
        for_snapshot: whether its memory shall lie in a file, which the host then writes to its disk.
    """
    _lay_folder(image, image.folder / "home.img", folder)
    (folder / "board.dtb").write_bytes(_device_tree(board))
    backend = "memory-backend-file,mem-path=memory,share=on" if for_snapshot else "memory-backend-ram"
    memory = ["-object", f"{backend},id=ram,size={MEMORY}"]
    with _started(board, folder, memory) as (process, qmp):
        _await_answer(process, folder / "console", BOOT_SECONDS)
        return _guest(process, qmp, folder)


def take_snapshot(guest_: Guest, snapshots: Path, name: str) -> Snapshot:
    """Write down a machine's state, which ends it; the caller has warmed it.

    Args:
        guest_: a machine that was started for a snapshot; its network must have no open connection.
        snapshots: folder of snapshots.
        name: of this one.
    """
    part = snapshots / f"part-{uuid.uuid4().hex}"
    part.mkdir(mode=0o700, parents=True)
    try:
        with Qmp(guest_.folder / "qmp", ANSWER_SECONDS) as qmp:
            qmp.execute("stop")
            _share_memory(qmp)
            qmp.execute("migrate", uri="exec:cat >state.part")
            _await_migration(qmp)
        processes.end(guest_.pid, guest_.start)
        (guest_.folder / "state.part").replace(guest_.folder / "state")
        for file in ("memory", "state", "home.img", "board.dtb"):
            (guest_.folder / file).rename(part / file)
        shutil.rmtree(guest_.folder, ignore_errors=True)
        part.rename(snapshots / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Snapshot(snapshots / name)


def resume(image: Image, board: Board, snapshot: Snapshot, folder: Path, *, for_snapshot: bool = False) -> Guest:
    """Start a machine where a snapshot was taken; it answers when this returns, and its clock is right.

    Args:
        image: what it booted from.
        board: what it is.
        snapshot: of that board.
        folder: for it alone, made here.
        for_snapshot: whether another snapshot will be taken of it, for which it needs a memory file of its own.
    """
    _lay_folder(image, snapshot.folder / "home.img", folder)
    for name in ("memory", "state", "board.dtb"):
        if for_snapshot:
            _copy(snapshot.folder / name, folder / name)
        else:
            (folder / name).symlink_to(snapshot.folder / name)
    share = "on" if for_snapshot else "off"
    memory = [
        "-object",
        f"memory-backend-file,id=ram,size={MEMORY},mem-path=memory,share={share}",
        "-incoming",
        "defer",
    ]
    with _started(board, folder, memory) as (process, qmp):
        _share_memory(qmp)
        qmp.execute("migrate-incoming", uri="exec:cat state")
        _await_migration(qmp)
        qmp.execute("cont")
        _as_root(folder / "console", f"date -s @{time.time():.3f}", ANSWER_SECONDS)
        return _guest(process, qmp, folder)


def snapshot_key(image: Image, board: Board) -> str:
    """Name of the snapshot of a board: a hash of all that it depends on."""
    program = shutil.which(QEMU)
    if program is None:
        raise HostLacks(_without_qemu())
    known = Path(program).stat()
    parts = [image.key, repr(board), program, known.st_size, known.st_mtime_ns, COMMAND_LINE, MEMORY, WARM]
    parts += [(image.folder / "host_key.pub").read_text()]  # made anew with each image, and known to what is in memory
    parts += [Path(str(file)).read_text() for file in (__file__, device_tree.__file__)]
    return f"{board.name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"


def _without_qemu() -> str:
    return f"lab: {QEMU} is not installed; install it with: apt-get install --no-install-recommends qemu-system-arm"


def _lay_folder(image: Image, home: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    _copy(home, folder / "home.img")
    for name in ("root.img", "kernel", "initrd"):
        (folder / name).symlink_to(image.folder / name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file that is mostly holes."""
    done = run_process(["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], timeout=STEP_SECONDS)
    if done.returncode:
        raise PermanentDeviceError(f"lab: {target} could not be made: {' '.join(done.errors)}")


def _machine(board: Board) -> list[str]:
    threads = "single" if board.cores == 1 else "multi"
    count = list(COUNTING) if board.counting else []
    return [QEMU, "-cpu", board.cpu, "-smp", str(board.cores), "-m", MEMORY, "-accel", f"tcg,thread={threads}", *count]


def _command_line(board: Board) -> str:
    counting = f" {SAME_EACH_TIME}" if board.counting else ""
    return f"{COMMAND_LINE} edge_dwsep.name={board.name}{counting}"


PLAIN = ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")

DEVICES = (
    *("-serial", "file:serial.log", "-kernel", "kernel", "-initrd", "initrd", "-dtb", "board.dtb"),
    *("-drive", "file=root.img,format=raw,if=none,id=root,readonly=on", "-device", "virtio-blk-pci,drive=root"),
    *("-drive", "file=home.img,format=raw,if=none,id=home,cache=unsafe", "-device", "virtio-blk-pci,drive=home"),
    *("-chardev", "socket,id=console,path=console,server=on,wait=off"),
    *("-device", "virtio-serial-pci", "-device", "virtconsole,chardev=console", "-device", "virtio-rng-pci"),
    *("-device", "virtio-net-pci,netdev=net,romfile=", "-qmp", "unix:qmp,server=on,wait=off"),
)

PORTS = (22, 5555)
"""Of sshd and of adbd."""

NETWORK = "user,id=net,restrict=on" + "".join(f",hostfwd=tcp:127.0.0.1:0-:{port}" for port in PORTS)
"""Nothing leads out of the machine; the host chooses free ports of its own."""


def _device_tree(board: Board) -> bytes:
    """QEMU's own description of the machine, with the board's model in it."""
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-") as folder:
        file = Path(folder, "board.dtb")
        _run_qemu(board, f"virt,dumpdtb={str(file).replace(',', ',,')}")
        return device_tree.with_model(file.read_bytes(), board.model)


def _run_qemu(board: Board, machine: str) -> None:
    try:
        done = run_process([*_machine(board), *PLAIN, "-machine", machine], timeout=STEP_SECONDS)
    except OSError as error:
        raise HostLacks(_without_qemu()) from error
    if done.returncode:
        said = next((line for line in reversed(done.errors) if line.strip()), "it gave no reason")
        raise PermanentDeviceError(f"lab: {QEMU} cannot be a {board.cpu}; QEMU 7.1 or newer can: {said}")


@contextlib.contextmanager
def _started(board: Board, folder: Path, memory: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], Qmp]]:
    """A QEMU that has started; it is ended if what follows fails, and runs on otherwise."""
    command = [
        *_machine(board),
        *PLAIN,
        *("-machine", "virt,memory-backend=ram", *memory, "-append", _command_line(board)),
        *("-netdev", NETWORK, *DEVICES),
    ]
    with (folder / "qemu.log").open("ab") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, processes.MARK: str(folder)},
                start_new_session=True,
            )
        except OSError as error:
            raise HostLacks(_without_qemu()) from error
    try:
        with Qmp(folder / "qmp", ANSWER_SECONDS, lambda: process.poll() is None) as qmp:
            yield process, qmp
    except BaseException as error:
        process.kill()
        process.wait()
        if isinstance(error, TransientDeviceError):
            said = (folder / "qemu.log").read_text(errors="replace").split("\n")
            told = next((line for line in reversed(said) if line.strip()), "")
            raise TransientDeviceError(f"{error}; {told}" if told else str(error)) from error
        raise


def _guest(process: subprocess.Popen[bytes], qmp: Qmp, folder: Path) -> Guest:
    ports = forwarded(qmp.monitor("info usernet"))
    start = processes.started_at(process.pid)
    if start is None or set(ports) != set(PORTS):
        raise TransientDeviceError("lab: the machine ended when it had started")
    _await_sshd(process, ports[22])
    process.returncode = 0  # it outlives this program, which need not wait for it
    return Guest(folder, process.pid, start, ports)


def forwarded(usernet: str) -> dict[int, int]:
    """Port on the host by the port in the machine, out of what QEMU's monitor says to "info usernet".

    >>> forwarded("  TCP[HOST_FORWARD]   9       127.0.0.1 33493       10.0.2.15    22     0     0")
    {22: 33493}
    """
    found = re.findall(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)", usernet)
    return {int(inner): int(outer) for outer, inner in found}


def _share_memory(qmp: Qmp) -> None:
    """Leave the memory out of what is migrated: it lies in a file."""
    capability = {"capability": "x-ignore-shared", "state": True}
    qmp.execute("migrate-set-capabilities", capabilities=[capability])


def _await_migration(qmp: Qmp) -> None:
    until = time.monotonic() + STEP_SECONDS
    while time.monotonic() < until:
        state = qmp.execute("query-migrate").get("status", "")
        if state == "completed":
            return
        if state in {"failed", "cancelled"}:
            break
        time.sleep(0.01)
    raise TransientDeviceError("lab: a snapshot could not be written or read")


def _await_answer(process: subprocess.Popen[bytes], console: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while process.poll() is None:
        try:
            _as_root(console, f"date -s @{time.time():.3f}; {LISTENS}", 1.0)
        except (TransientDeviceError, PermanentDeviceError) as error:
            if time.monotonic() > until:
                raise TransientDeviceError(f"lab: the machine did not start in {seconds:.0f} s") from error
            time.sleep(0.05)
        else:
            return
    raise TransientDeviceError("lab: the emulator ended while the machine started")


def _await_sshd(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until sshd says who it is: a first connection may be lost while QEMU does not know the machine yet."""
    until = time.monotonic() + ANSWER_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            if probe.recv(64).startswith(b"SSH-"):
                return
        time.sleep(0.05)
    raise TransientDeviceError("lab: the machine has started, but its sshd does not answer")


def _as_root(console: Path, script: str, seconds: float) -> str:
    mark = uuid.uuid4().hex
    encoded = base64.b64encode(script.encode()).decode()
    line = f'( eval "$(echo {encoded} | base64 -d)" ); echo; echo {mark} $?\n'
    until = time.monotonic() + seconds
    answer = b""
    ended = re.compile(rb"\n" + mark.encode() + rb" (\d+)\r?\n")
    with connect(console, seconds) as channel:
        channel.sendall(line.encode())
        while (found := ended.search(answer)) is None:
            channel.settimeout(max(0.001, until - time.monotonic()))
            try:
                read = channel.recv(65536)
            except (TimeoutError, ConnectionError):
                read = b""
            if not read:
                raise TransientDeviceError("lab: the machine does not answer on its console")
            answer += read
    text = answer[: found.start()].decode(errors="replace")
    if found.group(1) != b"0":
        raise PermanentDeviceError(
            f"lab: a command in the machine ended with {found.group(1).decode()}: {text.strip()}"
        )
    return text.removesuffix("\n")
