"""Devices by adb, on the real adbd in an Android-like root: what can go wrong with pushes, runs, pulls and leases."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dwsep_devices.adb import AdbTransport, find_adb
from dwsep_devices.errors import HostLacks, TransientDeviceError
from dwsep_devices.lab.android import AndroidMachine, Running
from dwsep_devices.profile import load_profile
from dwsep_devices.provision import provision
from dwsep_devices.push import PIECE
from dwsep_devices.remote import RemoteDevice
from tests.android_fixtures import DATA, android_machine, android_running, settled
from tests.device_faults import (
    HOSTILE,
    hash_on,
    job_processes,
    names_below,
    require_damaged_sent_again,
    require_endless_output_ended,
    require_full_disk_told,
    require_name_is_a_name,
    require_one_at_a_time,
    require_other_content_sent,
    require_pull_made_again,
    require_push_goes_on,
    require_run_begun_again,
    require_second_waits,
    sends_of,
    size_of,
    when_it_has,
    written,
)
from tests.integration.test_adb import killed_adbd
from tests.small_models import small_tflite

__all__ = ["android_machine", "android_running"]

ROOT = f"{DATA}/edge-dwsep-faults"
PROFILE = replace(load_profile("lab-android"), root=ROOT, lease=f"{ROOT}.lease")


@contextlib.contextmanager
def opened(running: Running, root: str = ROOT) -> Iterator[RemoteDevice]:
    transport = AdbTransport("phone", running.serial, running.adb_port)
    with contextlib.closing(RemoteDevice(transport, replace(PROFILE, root=root))) as device:
        yield device


@pytest.fixture
def phone(android_running: Running) -> Iterator[RemoteDevice]:
    with opened(android_running) as device:
        yield device


@pytest.fixture
def equipped(phone: RemoteDevice) -> RemoteDevice:
    """The phone with an engine."""
    try:
        provision(phone, "litert")
    except (HostLacks, TransientDeviceError) as error:  # of packages that cannot be fetched here
        pytest.skip(str(error))
    return phone


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    return file


@pytest.fixture(scope="module")
def small_machine() -> Iterator[Running]:
    """A machine with 16 MiB for files, and nothing on it."""
    machine = AndroidMachine(f"android-test-{os.getpid()}-full")
    try:
        yield machine.up(data_bytes=16 << 20)
    except HostLacks as error:
        pytest.skip(str(error))
    finally:
        machine.down()


@pytest.fixture
def small_phone(small_machine: Running) -> Iterator[RemoteDevice]:
    with opened(small_machine) as device:
        yield device


@pytest.fixture
def frozen(android_machine: AndroidMachine) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Freezes adbd for the length of a block."""

    @contextlib.contextmanager
    def freeze() -> Iterator[None]:
        number = android_machine.adbd_pid()
        os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(number, signal.SIGCONT)

    return freeze


def seen_here(machine: AndroidMachine) -> Callable[[str], Callable[[], int]]:
    """How the files of the machine are seen on this host."""
    return lambda path: size_of(machine.data / path.removeprefix(f"{DATA}/"))


def end_server(running: Running) -> None:
    subprocess.run([find_adb(), "-P", str(running.adb_port), "kill-server"], capture_output=True, check=False)


def test_a_push_goes_on_when_adbd_is_killed(phone, android_machine, tmp_path):
    require_push_goes_on(phone, tmp_path, 150_000_000, seen_here(android_machine), lambda: killed_adbd(android_machine))


def test_a_push_is_made_again_when_the_adb_server_is_killed(phone, android_machine, android_running, tmp_path):
    def break_it() -> None:
        end_server(android_running)

    # adbd removes what it has of a file whose sender is gone
    require_push_goes_on(phone, tmp_path, 150_000_000, seen_here(android_machine), break_it, kept=False)


def test_a_push_that_breaks_again_keeps_the_pieces_that_arrived(phone, android_machine, android_running, tmp_path):
    size = 60_000_000
    local, digest = written(tmp_path / "big", size)
    remote = f"{phone.root}/blobs/{digest}"
    grown = seen_here(android_machine)(f"{remote}.part")
    with sends_of(phone) as sent, when_it_has(size // 8, grown, lambda: end_server(android_running)) as first:
        second: list[int] = []

        def again() -> int:
            if first and not second and len(sent) > 4:
                second.append(grown())
                end_server(android_running)
            return len(second)

        with when_it_has(1, again, lambda: None):
            assert phone.push(local, remote, digest)
    assert first
    assert second[0] >= PIECE
    assert sum(sent[1:]) <= size + PIECE
    assert hash_on(phone, remote) == digest
    phone.ask(f"rm {remote}*")


def test_a_pull_is_made_again_when_adbd_is_killed(phone, android_machine, tmp_path):
    require_pull_made_again(phone, tmp_path, 100_000_000, lambda: killed_adbd(android_machine))


def test_a_run_is_begun_again_when_adbd_is_killed(equipped, android_machine, model):
    require_run_begun_again(equipped, model, lambda: killed_adbd(android_machine))


def test_a_run_is_begun_again_when_the_adb_server_is_killed(equipped, android_running, model):
    require_run_begun_again(equipped, model, lambda: end_server(android_running))


def test_a_frozen_adbd_is_given_up_and_leaves_no_process(phone, frozen):
    phone.hold(60)
    phone._sleep = lambda seconds: None
    begun = time.monotonic()
    with frozen():
        with pytest.raises(TransientDeviceError, match=r"^phone: no answer within 1 s \(tried 4 times\)"):
            phone.ask("true", timeout=1.0)
        assert time.monotonic() - begun < 8
    settled(phone.transport)
    assert phone.ask("echo here").strip() == "here"


def test_a_run_during_which_adbd_freezes_is_ended_before_the_next(phone, frozen, monkeypatch):
    monkeypatch.setattr("dwsep_devices.remote.CLEAN_UP_SECONDS", 0.5)
    phone.hold(60)
    with contextlib.ExitStack() as stack:
        completed = phone.run(
            ["sh", "-c", "trap '' HUP; echo begun; while true; do sleep 1; done"],
            timeout=2,
            on_line=lambda line: stack.enter_context(frozen()),
        )
        assert completed.timed_out
    settled(phone.transport)
    assert phone.run(["true"], timeout=10).returncode == 0
    assert job_processes(phone) == []


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_are_names_and_nothing_else(phone, tmp_path, name):
    require_name_is_a_name(phone, tmp_path, name)


@pytest.mark.parametrize("last", ["edge-dwsep b'$(touch pwned)", "-edge-dwsep", 'é"edge-dwsep'])
def test_a_folder_may_be_called_anything(android_running, android_machine, tmp_path, last):
    with opened(android_running, f"{DATA}/{last}") as device:
        local, digest = written(tmp_path / "f", 1000)
        assert device.push(local, f"{device.root}/f", digest)
        assert (android_machine.data / last / "f").read_bytes() == local.read_bytes()
        device.wipe()
    assert not (android_machine.data / last).exists()
    assert not (android_machine.data / "pwned").exists()


def test_other_content_of_the_same_name_and_size_is_sent(phone, tmp_path):
    require_other_content_sent(phone, tmp_path)


def test_a_file_that_was_damaged_on_the_device_is_sent_again(phone, tmp_path):
    require_damaged_sent_again(phone, tmp_path)


def test_a_full_disk_is_told_and_nothing_is_half_written(small_phone, tmp_path):
    require_full_disk_told(small_phone, tmp_path)


def test_nothing_is_left_after_wipe(small_phone, tmp_path):
    local, digest = written(tmp_path / "f", 1000)
    small_phone.push(local, f"{small_phone.root}/blobs/{digest}", digest)
    assert names_below(small_phone, DATA)
    small_phone.wipe()
    assert names_below(small_phone, DATA) == []


def test_a_run_that_prints_without_end_is_ended(phone, model):
    require_endless_output_ended(phone, model)


def test_one_measurement_at_a_time(phone, android_running):
    with opened(android_running) as other:
        require_one_at_a_time(phone, other)


def test_a_second_run_waits_for_the_first(phone, android_running):
    with opened(android_running) as other:
        require_second_waits(phone, other)
