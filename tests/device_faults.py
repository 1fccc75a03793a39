"""What a device must do when something breaks, whatever leads to it: checks of a device, given a way to break it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dwsep_devices import Setup, run_job
from dwsep_devices.errors import DeviceBusy, DeviceFull
from dwsep_devices.push import PIECE
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.transport import quoted
from dwsep_runtime.errors import OutputTooLong
from dwsep_runtime.scenarios import SingleStream

HOSTILE = [
    "a b",
    "it's",
    'say "hi"',
    "a;touch pwned",
    "$(touch pwned)",
    "a\nb",
    "-rf",
    "naïve-日本",
    "a&b|c>d",
    "*?[x]",
]
QUICK = SingleStream(20, 0.2, 0.2)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def written(path: Path, size: int) -> tuple[Path, str]:
    """A file of random content, and its hash."""
    content = os.urandom(size)
    path.write_bytes(content)
    return path, sha256(content)


def hash_on(device: RemoteDevice, path: str) -> str:
    """Hash of a file on the device, by the device itself."""
    return device.ask(f"sha256sum < {quoted(path)}").split()[0]


def names_below(device: RemoteDevice, path: str) -> list[str]:
    """Names of everything below a folder of the device."""
    return device.ask(f"cd {quoted(path)} && find . ! -name . || true").split("\n")[:-1]


def job_processes(device: RemoteDevice) -> list[str]:
    """Numbers of the processes on the device that carry the mark of a job of ours."""
    mark = quoted(f"EDGE_DWSEP_JOB={device.profile.lease}/")
    return device.ask(f"grep -lF {mark} /proc/[0-9]*/environ 2>/dev/null; true").split()


def processes_about(device: RemoteDevice, word: str) -> list[str]:
    """Processes on the device whose command lines hold a word; not the one that looks for it."""
    return device.ask(f"grep -l '[{word[0]}]{word[1:]}' /proc/[0-9]*/cmdline 2>/dev/null; true").split()


def soon(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether something comes true within some seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def size_of(path: Path) -> Callable[[], int]:
    """How many bytes a file of this host has; none while it is not there."""

    def size() -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    return size


@contextlib.contextmanager
def when_it_has(size: int, grown: Callable[[], int], act: Callable[[], None]) -> Iterator[list[int]]:
    """Act once something has a size; gives a list that then holds the size."""
    acted: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.0005):
            if (now := grown()) >= size:
                act()
                acted.append(now)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield acted
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def sends_of(device: RemoteDevice) -> Iterator[list[int]]:
    """Sizes of the files that are sent meanwhile."""
    sent: list[int] = []
    send = device.transport.send

    def counted(local: Path, remote: str, *, timeout: float) -> None:
        sent.append(local.stat().st_size)
        send(local, remote, timeout=timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.transport, "send", counted)
        yield sent


@contextlib.contextmanager
def fetches_of(device: RemoteDevice) -> Iterator[list[str]]:
    """What is fetched meanwhile."""
    fetched: list[str] = []
    fetch = device.transport.fetch

    def counted(remote: str, local: Path, *, timeout: float) -> None:
        fetched.append(remote)
        fetch(remote, local, timeout=timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.transport, "fetch", counted)
        yield fetched


def require_push_goes_on(
    device: RemoteDevice,
    folder: Path,
    size: int,
    grown: Callable[[str], Callable[[], int]],
    break_it: Callable[[], None],
    *,
    kept: bool = True,
) -> None:
    """A push that breaks after an eighth goes on where it was, is verified, and leaves nothing that runs.

    Args:
        device: where to.
        folder: for files of this host.
        size: of the file.
        grown: gives what tells how many bytes a path on the device has.
        break_it: breaks the connection.
        kept: whether what arrived is kept; else all of it is sent again, in pieces that are.
    """
    local, digest = written(folder / "big", size)
    remote = f"{device.root}/blobs/{digest}"
    with sends_of(device) as sent, when_it_has(size // 8, grown(f"{remote}.part"), break_it) as broken:
        assert device.push(local, remote, digest)
    assert broken
    assert sent[0] == size
    if kept:
        assert len(sent) == 2
        assert sent[1] <= size - broken[0]
    else:
        assert sum(sent[1:]) == size
        assert max(sent[1:]) == PIECE
    assert hash_on(device, remote) == digest
    assert not [name for name in names_below(device, f"{device.root}/blobs") if digest in name and ".part" in name]
    assert soon(lambda: not processes_about(device, digest))
    device.ask(f"rm {remote}*")


def require_pull_made_again(device: RemoteDevice, folder: Path, size: int, break_it: Callable[[], None]) -> None:
    """A pull that breaks after a tenth is made again, whole."""
    local, digest = written(folder / "big", size)
    remote = f"{device.root}/blobs/{digest}"
    device.push(local, remote, digest)
    with fetches_of(device) as fetched, when_it_has(size // 10, size_of(folder / "back.part"), break_it):
        device.pull(remote, folder / "back")
    assert fetched == [remote, remote]
    assert sha256((folder / "back").read_bytes()) == digest
    assert not (folder / "back.part").exists()
    device.ask(f"rm {remote}*")


def require_run_begun_again(device: RemoteDevice, model: Path, break_it: Callable[[], None]) -> dict[str, Any]:
    """A run that breaks while it measures is begun again from nothing, and leaves no process; its result."""
    device.runtime_command_for("litert")  # made before
    phases: list[str] = []

    def on_event(event: dict[str, object]) -> None:
        if event["event"] == "phase":
            phases.append(str(event["phase"]))
            if event["phase"] == "measure" and phases.count("measure") == 1:
                break_it()

    scenario = SingleStream(20, 1.0, 0.2)
    result = run_job(device, model, "litert", scenario, Setup(), timeout=120, on_event=on_event)
    assert phases.count("load") == 2
    assert result["measured"]["timed_seconds"] >= 0.5  # of inferences alone
    assert job_processes(device) == []
    return result


def require_name_is_a_name(device: RemoteDevice, folder: Path, name: str) -> None:
    """A hostile name names a file, a folder and an argument, and does nothing else."""
    local, digest = written(folder / name, 1000)
    there = name.replace("\n", "-")
    remote = f"{device.root}/{there}/{there}"
    assert device.push(local, remote, digest)
    assert not device.push(local, remote, digest)
    device.pull(remote, folder / "back")
    assert (folder / "back").read_bytes() == local.read_bytes()
    said: list[str] = []
    device.run(["printf", "%s", name], timeout=10, on_line=said.append)
    assert "".join(said) == f"{name}\n"
    beside = device.root.rpartition("/")[0]
    assert device.ask(f"find {quoted(device.root)} {quoted(beside)} -name pwned 2>/dev/null; true") == ""


def require_other_content_sent(device: RemoteDevice, folder: Path) -> None:
    """Content is told by its hash, not by name and size."""
    remote = f"{device.root}/blobs/x"
    first, digest = written(folder / "a", 5000)
    device.push(first, remote, digest)
    second, other = written(folder / "b", 5000)
    assert device.push(second, remote, other)
    assert hash_on(device, remote) == other


def require_damaged_sent_again(device: RemoteDevice, folder: Path) -> None:
    """A file that was damaged on the device, size unchanged, is noticed."""
    local, digest = written(folder / "a", 5000)
    remote = f"{device.root}/blobs/{digest}"
    device.push(local, remote, digest)
    device.ask(f"printf xxx 1<> {remote}")
    assert device.push(local, remote, digest)
    assert hash_on(device, remote) == digest


def require_full_disk_told(device: RemoteDevice, folder: Path) -> None:
    """A file that does not fit is told before it is sent, or when space runs out on the way; it never half exists.

    Args:
        device: one whose root is on a file system of 16 MiB.
        folder: for files of this host.
    """
    blobs, filler = f"{device.root}/blobs", f"{device.root}/filler"
    local, digest = written(folder / "big", 30_000_000)
    with pytest.raises(DeviceFull, match=rf"^{device.name}: big needs 30\.0 MB, the device has 1\d\.\d MB free"):
        device.push(local, f"{blobs}/{digest}", digest)
    assert names_below(device, blobs) == []
    fits, its = written(folder / "small", 6_000_000)
    device.ask(f"head -c 11000000 /dev/zero > {filler}")
    with pytest.raises(DeviceFull):
        device.push(fits, f"{blobs}/{its}", its)
    device.ask(f"rm {filler}")
    send = device.transport.send

    def filled(local: Path, remote: str, *, timeout: float) -> None:
        device.ask(f"head -c 13000000 /dev/zero > {filler}")  # after there was room
        send(local, remote, timeout=timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.transport, "send", filled)
        with pytest.raises(DeviceFull, match=rf"^{device.name}: "):
            device.push(fits, f"{blobs}/{its}", its)
    assert its not in [Path(name).name for name in names_below(device, blobs)]
    device.ask(f"rm {filler}")
    assert device.push(fits, f"{blobs}/{its}", its)
    assert hash_on(device, f"{blobs}/{its}") == its
    assert not [name for name in names_below(device, blobs) if ".part" in name]


def require_endless_output_ended(device: RemoteDevice, model: Path) -> None:
    """A run that prints without end is ended on the device too."""
    device._commands["litert"] = ["sh", "-c", "yes 'two gigabytes'"]
    with pytest.raises(OutputTooLong, match="lines that are no part of its result, the last of them 'two gigabytes'"):
        run_job(device, model, "litert", QUICK, Setup(), timeout=120)
    device._commands["litert"] = ["sh", "-c", "head -c 2000000000 /dev/zero"]
    with pytest.raises(OutputTooLong, match="million characters"):
        run_job(device, model, "litert", QUICK, Setup(), timeout=120)
    del device._commands["litert"]
    assert job_processes(device) == []


def require_one_at_a_time(device: RemoteDevice, other: RemoteDevice) -> None:
    """A second measurement is refused where it is not wanted to wait, until the first is over."""
    other._wait = False
    device.hold()
    with pytest.raises(
        DeviceBusy, match=rf"^{device.name}: in use by \S+ \(process {os.getpid()}\), for \d+ s more at most"
    ):
        other.hold()
    device.close()
    other.hold()


def require_second_waits(device: RemoteDevice, other: RemoteDevice) -> None:
    """A second measurement waits, says so once, and goes on when the first is over."""
    device.hold()
    said: list[str] = []
    order: list[str] = []
    other._on_step = said.append
    other._sleep = lambda seconds: time.sleep(0.05)

    def hold() -> None:
        other.hold()
        order.append("second")

    waiting = threading.Thread(target=hold)
    waiting.start()
    assert soon(lambda: bool(said), 20)
    order.append("first")
    device.close()
    waiting.join(timeout=20)
    assert order == ["first", "second"]
    assert len(said) == 1
