"""A remote device whose scripts run here: leases that are taken ahead, and what cannot be removed or understood."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dwsep_devices.errors import ConnectionLost, DeviceBusy, PermanentDeviceError
from dwsep_devices.lease import Holder, Lease
from dwsep_devices.remote import RemoteDevice
from dwsep_runtime.errors import ProtocolError
from dwsep_runtime.model_file import sha256_of
from tests.shell_device import ShellTransport, shell_device


def another(device, **options):
    return RemoteDevice(ShellTransport("board"), device.profile, **options)


class Slow(ShellTransport):
    """Takes its time, as a board does."""

    def shell(self, script, **options):
        time.sleep(0.3)
        return super().shell(script, **options)


class Down(ShellTransport):
    """Cannot be reached."""

    tries = 0

    def shell(self, script, **options):  # noqa: ARG002
        self.tries += 1
        raise ConnectionLost("board: no route to host")


def test_a_device_closed_while_it_warms_up_keeps_no_lease(tmp_path):
    free = shell_device(tmp_path)
    warmed = RemoteDevice(Slow("board"), free.profile)
    warmed.warm()
    warmed.close()
    another(free, wait=False).hold()


def test_a_device_closed_while_it_waits_for_another_never_takes_the_lease(tmp_path):
    holder = shell_device(tmp_path)
    holder.hold()
    asked = threading.Event()
    waiting = another(holder, on_step=lambda said: asked.set())
    waiting.warm()
    assert asked.wait(10)
    begun = time.monotonic()
    waiting.close()
    assert time.monotonic() - begun < 2.5
    holder.close()
    another(holder, wait=False).hold()


def test_what_failed_while_warming_up_is_told_at_once_and_tried_anew_after_that(tmp_path):
    down = Down("board")
    device = RemoteDevice(down, shell_device(tmp_path).profile, sleep=lambda seconds: None)
    device.warm()
    with pytest.raises(ConnectionLost, match="no route to host"):
        _ = device.root
    assert down.tries == 4
    with pytest.raises(ConnectionLost, match="no route to host"):
        device.hold()
    assert down.tries == 8


def seconds_left(device):
    _, end, *_ = Path(device.profile.lease, "lease").read_text().split()
    return int(end) - float(Path("/proc/uptime").read_text().split()[0])


def test_the_lease_outlasts_whatever_takes_long(tmp_path, monkeypatch):
    device = shell_device(tmp_path)
    device.ask("true", timeout=900)
    assert not Path(device.profile.lease).exists()  # a question alone takes none
    device.hold()
    assert seconds_left(device) == pytest.approx(120, abs=5)
    device.ask("true", timeout=900)
    assert seconds_left(device) == pytest.approx(1020, abs=5)
    other = RemoteDevice(ShellTransport("board"), replace(device.profile, lease=str(tmp_path / "other")))
    monkeypatch.setattr("dwsep_devices.push.SLOWEST", 10)
    file = tmp_path / "file"
    file.write_bytes(bytes(5000))
    digest = sha256_of(file)
    assert other.push(file, f"{other.root}/file", digest)
    assert seconds_left(other) == pytest.approx(620, abs=5)
    other.close()
    assert not other.push(file, f"{other.root}/file", digest)
    assert seconds_left(other) == pytest.approx(120, abs=5)


def test_a_folder_that_cannot_be_made_is_told_and_no_lease_is_taken(tmp_path):
    free = shell_device(tmp_path)
    (tmp_path / "file").touch()
    device = RemoteDevice(ShellTransport("board"), replace(free.profile, root=str(tmp_path / "file" / "edge-dwsep")))
    with pytest.raises(PermanentDeviceError, match="Not a directory"):
        device.hold()
    free.hold()


def test_wiping_that_leaves_something_is_an_error(tmp_path, monkeypatch):
    device = shell_device(tmp_path)
    device.hold()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "rm").write_text("#!/bin/sh\necho 'rm: cannot remove: Device or resource busy' >&2; exit 1\n")
    (programs / "rm").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    with pytest.raises(PermanentDeviceError, match="Device or resource busy"):
        device.wipe()
    assert (tmp_path / "root").exists()


@pytest.mark.parametrize("number", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", ""])
def test_a_size_that_is_no_number_is_told(tmp_path, monkeypatch, number):
    device = shell_device(tmp_path)
    monkeypatch.setattr("dwsep_devices.push._look", lambda *of: f"echo is=other; echo have={number}; echo free=1")
    file = tmp_path / "file"
    file.write_text("content")
    with pytest.raises(ProtocolError, match="for have, a number was expected"):
        device.push(file, f"{device.root}/file", "0" * 64)


def test_the_lease_of_a_process_is_void_only_on_the_kernel_that_it_ran_on():
    mine = Lease("/tmp/lease").owner  # noqa: S108  # not made
    who, _, started = mine.split(":")
    assert not Holder("t", 1, mine).is_dead_here
    assert Holder("t", 1, f"{who}:{2**22 - 1}:{started}").is_dead_here
    elsewhere = who.partition("#")[0] + "#00000000"
    assert not Holder("t", 1, f"{elsewhere}:{2**22 - 1}:{started}").is_dead_here
    assert not Holder("t", 1, f"{who}:\N{SUPERSCRIPT TWO}:{started}").is_dead_here


def test_no_wait_never_warms_up(tmp_path):
    device = shell_device(tmp_path)
    device.hold()
    second = another(device, wait=False)
    second.warm()
    with pytest.raises(DeviceBusy, match="leave out --no-wait"):
        second.hold()
