"""Devices by ssh, on the emulated Raspberry Pi: what can go wrong with a board with a kernel and a clock of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dwsep_devices import Setup, run_job
from dwsep_devices.errors import DeviceBusy, HostLacks, TransientDeviceError
from dwsep_devices.lab import LabConnection
from dwsep_devices.lab.pi import BOARDS, PiMachine
from dwsep_devices.profile import load_profile
from dwsep_devices.provision import provision
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.ssh import SshTransport
from dwsep_devices.transport import quoted
from dwsep_runtime.scenarios import SingleStream
from tests.device_faults import (
    QUICK,
    require_full_disk_told,
    require_pull_made_again,
    require_push_goes_on,
    require_run_begun_again,
)
from tests.lab_fixtures import lab_pi4
from tests.small_models import small_tflite

__all__ = ["lab_pi4"]

pytestmark = pytest.mark.slow

PI = PiMachine(BOARDS["pi4"])
ROOT = "~/.edge-dwsep-faults"
PROFILE = replace(load_profile("lab-pi4"), root=ROOT, lease="/tmp/edge-dwsep.lease-faults")  # noqa: S108

KILL_SESSIONS = 'for one in $(pgrep -P "$(cat /run/sshd.pid)"); do kill -9 $(pgrep -P "$one") "$one"; done'
"""Each connection has a process of sshd, and that one of the user's rights."""


@contextlib.contextmanager
def opened(connection: LabConnection, root: str = ROOT, *options: str) -> Iterator[RemoteDevice]:
    transport = SshTransport("lab-pi4", connection.host, (*connection.ssh_options, *options))
    with contextlib.closing(RemoteDevice(transport, replace(PROFILE, root=root))) as device:
        yield device


@pytest.fixture(scope="module")
def equipped(lab_pi4: LabConnection) -> Iterator[LabConnection]:
    """The board with an engine; nothing of it stays."""
    with opened(lab_pi4) as device:
        try:
            provision(device, "litert")
        except (HostLacks, TransientDeviceError) as error:  # of packages that cannot be fetched here
            pytest.skip(str(error))
        device.close()
        yield lab_pi4
        device.wipe()


@pytest.fixture
def board(lab_pi4: LabConnection) -> Iterator[RemoteDevice]:
    with opened(lab_pi4) as device:
        yield device


@pytest.fixture
def able(equipped: LabConnection) -> Iterator[RemoteDevice]:
    """The board, by a device that knows nothing of what was there before."""
    with opened(equipped) as device:
        yield device


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    return file


@pytest.fixture
def small(lab_pi4: LabConnection) -> Iterator[str]:
    """A folder on the board with 16 MiB for files."""
    PI.as_root("mkdir -p /home/pi/small && mount -t tmpfs -o size=16m,uid=1000,mode=0755 tmpfs /home/pi/small")
    yield "~/small/edge-dwsep"
    PI.as_root("umount /home/pi/small && rmdir /home/pi/small")


def tick_of(microseconds: int) -> str:
    """Have the kernel add so much to its clocks each hundredth of a second (man 2 adjtimex, ADJ_TICK)."""
    call = "struct.pack_into('I', t, 0, 0x4000); struct.pack_into('q', t, 88, %d); exit(libc.adjtimex(t) < 0)"
    made = "import ctypes, struct; t = ctypes.create_string_buffer(208); libc = ctypes.CDLL(None)"
    return f'python3 -c "{made}; {call % microseconds}"'


def kill_sessions() -> None:
    PI.as_root(f"{KILL_SESSIONS}; true")


def seen_by_root(path: str) -> Callable[[], int]:
    """How many bytes a file on the board has, asked by its console."""
    return lambda: int(PI.as_root(f"stat -c %s {quoted(path)} 2>/dev/null || echo 0"))


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """The whole board stands still for the length of the block."""
    running = PI.running()
    assert running is not None
    os.kill(running.guest.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(running.guest.pid, signal.SIGCONT)


def test_a_push_goes_on_when_sshd_is_killed(board, tmp_path):
    require_push_goes_on(board, tmp_path, 60_000_000, seen_by_root, kill_sessions)


def test_a_pull_is_made_again_when_sshd_is_killed(board, tmp_path):
    require_pull_made_again(board, tmp_path, 50_000_000, kill_sessions)


def test_a_run_is_begun_again_when_sshd_is_killed(able, model):
    require_run_begun_again(able, model, kill_sessions)


def test_a_full_disk_is_told_and_nothing_is_half_written(lab_pi4, small, tmp_path):
    with opened(lab_pi4, small) as device:
        require_full_disk_told(device, tmp_path)


def test_a_frozen_board_is_given_up_and_used_again_once_it_goes_on(lab_pi4, board):
    board.hold(60)
    with opened(lab_pi4, ROOT, "-o", "LogLevel=FATAL") as other:  # has a connection to open
        for device in (board, other):
            device._sleep = lambda seconds: None
        with frozen():
            for device, said in ((board, "no answer within 1 s"), (other, "did not answer within 1 s")):
                begun = time.monotonic()
                with pytest.raises(TransientDeviceError, match=rf"^lab-pi4: .*{said} \(tried 4 times\)"):
                    device.ask("true", timeout=1.0)
                assert time.monotonic() - begun < 8
        assert board.ask("echo here") == "here\n"
        assert other.ask("echo here") == "here\n"
        assert board.run(["true"], timeout=10).returncode == 0


def test_a_set_date_touches_neither_the_measurement_nor_the_lease(equipped, able, model):
    def refused() -> None:
        with opened(equipped) as other:
            other._wait = False
            with pytest.raises(DeviceBusy, match=r"for \d{1,3} s more at most"):
                other.hold()

    leaps: list[str] = []

    def on_event(event: dict[str, object]) -> None:
        if event.get("phase") == "measure":
            leaps.append(PI.as_root('date -s "+3 days"'))
            refused()

    try:
        result = run_job(able, model, "litert", SingleStream(20, 1.5, 0.2), Setup(), timeout=120, on_event=on_event)
    finally:
        PI.as_root(f"date -s @{time.time():.0f}")  # as great a leap back
    refused()
    assert len(leaps) == 1
    assert able.ask(f"cat {able.profile.lease}/lease").split()[0] == able._lease.token
    assert result["invalid"] == []
    assert result["measured"]["timed_seconds"] < 60
    assert abs(result["measured"]["witness"]["clock_drift_ppm"]) < 500


def test_a_clock_that_is_being_set_makes_the_measurement_invalid(able, model):
    PI.as_root(tick_of(11_000))
    try:
        result = run_job(able, model, "litert", QUICK, Setup(), timeout=120)
    finally:
        PI.as_root(tick_of(10_000))
    (said,) = result["invalid"]
    assert re.fullmatch(r"the clock was being set: it ran \d{5,6} ppm off", said)
    assert able.ask(f"cat {able.profile.lease}/lease").split()[0] == able._lease.token
