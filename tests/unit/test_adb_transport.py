"""The adb transport against a stand-in for adb, in the states that no daemon of ours can be brought into."""

from __future__ import annotations

import pytest

from dwsep_devices.adb import AdbTransport
from dwsep_devices.errors import ConnectionLost, DeviceRefused, PermanentDeviceError, TransientDeviceError

STAND_IN = """#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$*" >> "$here/calls"
case $1 in
start-server) exit 0 ;;
devices) [ -e "$here/hangs" ] && exec sleep 30; printf 'List of devices attached\\n'; cat "$here/attached"; exit 0 ;;
connect) cat "$here/connects"; printf '%s\\tdevice\\n' "$2" > "$here/attached"; exit 0 ;;
disconnect) : > "$here/attached"; exit 0 ;;
esac
shift 2
[ "$1" = shell ] && [ -e "$here/dies" ] && { echo begun; cat "$here/errors" >&2; exit "$(cat "$here/dies")"; }
[ "$1" = shell ] && { eval "$2"; exit 0; }
cat "$here/copies" >&2
exit 1
"""


@pytest.fixture
def adb(tmp_path, monkeypatch):
    program = tmp_path / "adb"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    (tmp_path / "attached").touch()
    (tmp_path / "errors").touch()
    monkeypatch.setenv("ADB", str(program))
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    return tmp_path


def attach(adb, **devices):
    (adb / "attached").write_text("".join(f"{serial}\t{state}\n" for serial, state in devices.items()))


def calls(adb):
    return [line for line in (adb / "calls").read_text().splitlines() if not line.startswith("start-server")]


@pytest.mark.parametrize(
    ("state", "kind"),
    [("unauthorized", DeviceRefused), ("no permissions; see [x]", DeviceRefused), ("offline", TransientDeviceError),
     ("recovery", PermanentDeviceError)],
)  # fmt: skip
def test_a_device_in_another_state_is_refused_before_anything_is_run(adb, state, kind):
    attach(adb, R5=state)
    with pytest.raises(kind, match=r"^pixel: "):
        AdbTransport("pixel", "R5").shell("true", timeout=5)
    assert calls(adb) == ["devices"]


def test_no_device_and_several_devices_are_refused(adb):
    with pytest.raises(PermanentDeviceError, match=r"^pixel: no device is attached to adb; plug it in"):
        AdbTransport("pixel", "").shell("true", timeout=5)
    attach(adb, R5="device", R6="device")
    with pytest.raises(PermanentDeviceError, match=r"^pixel: 2 devices are attached: R5, R6; choose one with --serial"):
        AdbTransport("pixel", "").shell("true", timeout=5)


def test_the_only_device_is_named_in_every_call(adb):
    attach(adb, R5="device")
    transport = AdbTransport("pixel", "")
    transport.shell("echo one", timeout=5)
    transport.shell("echo two", timeout=5)
    assert transport.serial == "R5"
    first, *rest = calls(adb)
    assert first == "devices"
    assert all(call.startswith(("-s R5 shell", "echo", ");", "( ")) for call in rest if call)


@pytest.mark.parametrize("before", ["", "offline"])
def test_a_network_device_is_connected_to_when_it_is_not(adb, before):
    (adb / "connects").write_text("connected to phone:5555\n")
    if before:
        attach(adb, **{"phone:5555": before})
    lines: list[str] = []
    assert AdbTransport("pixel", "phone:5555").shell("echo hi", timeout=5, on_line=lines.append).returncode == 0
    assert lines == ["hi\n"]
    assert "connect phone:5555" in calls(adb)
    assert ("disconnect phone:5555" in calls(adb)) is bool(before)


def test_a_connection_that_fails_with_exit_code_0_is_a_failure(adb):
    (adb / "connects").write_text("failed to connect to 'phone:5555': Connection refused\n")
    with pytest.raises(TransientDeviceError, match=r"^pixel: phone:5555 cannot be reached: failed to connect"):
        AdbTransport("pixel", "phone:5555").shell("true", timeout=5)


@pytest.mark.parametrize("code", [0, 255])
def test_a_command_that_never_reported_its_end_is_lost_whatever_adb_answers(adb, code):
    attach(adb, R5="device")
    (adb / "dies").write_text(str(code))
    with pytest.raises(ConnectionLost, match=r"^pixel: the connection ended in the middle of a command"):
        AdbTransport("pixel", "R5").shell("echo begun; sleep 1", timeout=5)


@pytest.mark.parametrize("own", ["", "error: closed\n"])
@pytest.mark.parametrize("code", [1, 255])
def test_what_a_command_complained_of_says_nothing_of_a_connection_that_broke(adb, own, code):
    attach(adb, R5="device")
    (adb / "dies").write_text(str(code))
    (adb / "errors").write_text(f"cpuinfo: failed to open /sys/devices: Permission denied\n{own}")
    with pytest.raises(ConnectionLost, match=r"^pixel: the connection (ended in the middle|to R5 broke: closed)"):
        AdbTransport("pixel", "R5").shell("echo begun; sleep 1", timeout=5)


def test_a_server_that_hangs_is_given_up(adb, monkeypatch):
    monkeypatch.setattr("dwsep_devices.adb.LIST_SECONDS", 0.3)
    (adb / "hangs").touch()
    with pytest.raises(TransientDeviceError, match=r"did not list its devices within 0.3 s"):
        AdbTransport("pixel", "R5").shell("true", timeout=5)


def test_after_a_failure_the_device_is_looked_for_anew(adb, tmp_path):
    attach(adb, R5="device")
    (adb / "copies").write_text("adb: error: device offline\n")
    file = tmp_path / "file"
    file.touch()
    transport = AdbTransport("pixel", "R5")
    with pytest.raises(TransientDeviceError, match=r"R5 is offline"):
        transport.send(file, "/data/local/tmp/x", timeout=5)
    attach(adb, R5="unauthorized")
    with pytest.raises(DeviceRefused):
        transport.send(file, "/data/local/tmp/x", timeout=5)
