"""Emulators are started and waited for; the SDK's programs are stood in for by scripts, because none is installed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dwsep_devices.emulator import find_emulator, start_emulator
from dwsep_devices.errors import ConnectionLost, HostLacks, PermanentDeviceError, TransientDeviceError
from edge_dwsep.cli import main

EMULATOR = """#!/bin/sh
here=$(dirname "$0")
case $1 in
-list-avds) echo 'INFO | Storing crashdata'; echo pixel_6; exit 0 ;;
esac
echo "$@" > "$here/arguments"
[ -e "$here/fails" ] && echo 'PANIC: Missing emulator engine program' && exit 1
echo $$ > "$here/pid"
exec sleep 60
"""

ADB = """#!/bin/sh
here=$(dirname "$0")
[ "$1" = devices ] && { printf 'List of devices attached\\n'; [ -e "$here/pid" ] && printf 'emulator-%s\\tdevice\\n' "$(
    sed 's/.*-port //' "$here/arguments")"; exit 0; }
[ "$1" = start-server ] && exit 0
shift 3
times=$(cat "$here/times" 2>/dev/null || echo 0)
echo $((times + 1)) > "$here/times"
getprop() { [ -e "$here/slow" ] || [ "$times" -lt 2 ] || echo 1; }
eval "$1"
"""


@pytest.fixture
def sdk(tmp_path, monkeypatch):
    folder = tmp_path / "sdk/emulator"
    folder.mkdir(parents=True)
    for name, text in (("emulator", EMULATOR), ("adb", ADB)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    monkeypatch.setenv("ADB", str(folder / "adb"))
    monkeypatch.setattr("dwsep_devices.emulator.POLL_SECONDS", 0.01)
    yield folder
    if (folder / "pid").exists():
        with_pid = int((folder / "pid").read_text())
        if runs(with_pid):
            os.kill(with_pid, signal.SIGKILL)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_an_emulator_is_started_without_a_window_and_waited_for(sdk):
    serial = start_emulator("pixel_6", boot_seconds=20)
    assert serial.startswith("emulator-55")
    port = serial.removeprefix("emulator-")
    said = (sdk / "arguments").read_text().strip()
    assert said == f"-avd pixel_6 -no-window -no-audio -no-boot-anim -port {port}"
    assert int((sdk / "times").read_text()) >= 3
    assert runs(int((sdk / "pid").read_text()))


def test_an_emulator_that_does_not_boot_in_time_is_ended(sdk):
    (sdk / "slow").touch()
    with pytest.raises(TransientDeviceError, match=r"was not ready in time \(Android has not started in it yet"):
        start_emulator("pixel_6", boot_seconds=1)
    until = time.monotonic() + 5
    while runs(int((sdk / "pid").read_text())) and time.monotonic() < until:
        time.sleep(0.01)
    assert not runs(int((sdk / "pid").read_text()))


def test_an_emulator_that_ends_says_why(sdk):
    (sdk / "fails").touch()
    with pytest.raises(PermanentDeviceError, match="ended as it started: PANIC: Missing emulator engine program"):
        start_emulator("pixel_6", boot_seconds=20)


def test_an_unknown_virtual_device_is_named_with_those_there_are(sdk):
    with pytest.raises(PermanentDeviceError, match="no virtual device 'nexus'; there are: pixel_6; make one with"):
        start_emulator("nexus")


def test_without_an_sdk_the_error_says_what_to_install(monkeypatch, tmp_path):
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostLacks, match="sdkmanager emulator"):
        find_emulator()


def test_an_emulator_that_does_not_tell_what_it_is_is_told_with_the_way_to_end_it(tmp_path, monkeypatch, capsys):
    def lost(device):
        raise ConnectionLost("phone: the connection broke")

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("dwsep_devices.emulator.start_emulator", lambda avd, on_step: "emulator-5570")
    monkeypatch.setattr("dwsep_devices.remote.RemoteDevice.facts", lost)
    assert main(["devices", "start", "android-emulator", "--avd", "phone"]) == 7
    said = capsys.readouterr().err
    assert "phone: the connection broke; the emulator runs on, end it with: adb -s emulator-5570 emu kill" in said
    assert list(tmp_path.rglob("*.toml")) == []
