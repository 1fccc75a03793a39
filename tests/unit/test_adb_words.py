"""What adb prints, and what is made of it."""

from __future__ import annotations

import pytest

from dwsep_devices.adb import NETWORK_SERIAL, find_adb
from dwsep_devices.adb_words import Attached, failure_of, listed, refusal_of, several
from dwsep_devices.errors import (
    ConnectionLost,
    DeviceFull,
    DeviceRefused,
    HostLacks,
    PermanentDeviceError,
    TransientDeviceError,
)

LISTING = """\
* daemon not running; starting now at tcp:5037
* daemon started successfully
List of devices attached
emulator-5554\tdevice
R58N123\tunauthorized
192.168.1.7:5555\toffline
????????????\tno permissions (missing udev rules? user is in the plugdev group); see [http://developer.android.com]

"""


def test_the_list_of_devices_is_read_with_whatever_state():
    assert listed(LISTING.splitlines()) == [
        Attached("emulator-5554", "device"),
        Attached("R58N123", "unauthorized"),
        Attached("192.168.1.7:5555", "offline"),
        Attached(
            "????????????",
            "no permissions (missing udev rules? user is in the plugdev group); see [http://developer.android.com]",
        ),
    ]


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        ("unauthorized", DeviceRefused, "has not authorized this host for adb; unlock it, confirm the dialogue"),
        ("authorizing", DeviceRefused, "has not authorized this host"),
        ("no permissions (user in plugdev group)", DeviceRefused, "install udev rules"),
        ("offline", TransientDeviceError, "is offline"),
        ("connecting", TransientDeviceError, "in the state 'connecting' and not ready yet"),
        ("recovery", PermanentDeviceError, "is in recovery mode; start Android on it"),
        ("bootloader", PermanentDeviceError, "is in bootloader mode"),
        ("sideload", PermanentDeviceError, "is in sideload mode"),
    ],
)
def test_each_state_has_its_own_refusal(state, kind, words):
    error = refusal_of("pixel", "R58N123", [Attached("R58N123", state)])
    assert type(error) is kind
    assert str(error).startswith("pixel: ")
    assert words in str(error)


def test_a_device_that_can_be_used_is_not_refused():
    assert refusal_of("pixel", "R58N123", [Attached("other", "offline"), Attached("R58N123", "device")]) is None


def test_no_device_and_another_device_are_told_apart():
    none, other = refusal_of("pixel", "", []), refusal_of("pixel", "R5", [Attached("emulator-5554", "device")])
    assert isinstance(none, PermanentDeviceError)
    assert "no device is attached to adb; plug it in, enable Developer options > USB debugging" in str(none)
    assert isinstance(other, PermanentDeviceError)
    assert "adb knows no device 'R5'; attached are: emulator-5554 (device); name one of them with --serial" in str(
        other
    )


def test_several_devices_are_listed():
    error = several("pixel", [Attached("a", "device"), Attached("b", "offline")])
    assert str(error) == "pixel: 2 devices are attached: a, b; choose one with --serial"


FULL = [
    "[ 40%] /data/local/tmp/x",
    "x: 0 files pushed. 0.0 MB/s",
    "adb: error: failed to copy 'x' to '/y': remote No space left on device",
]
NO_SERVER = ["* daemon not running", "adb: failed to start daemon", "error: cannot connect to daemon"]
DENIED = "failed to copy 'x' to '/y': remote couldn't create file: Permission denied"
NO_KEY = ["error: device unauthorized.", "This adb server's $ADB_VENDOR_KEYS is not set"]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ([], ConnectionLost, "the connection ended in the middle of a command"),
        (["error: closed"], ConnectionLost, "the connection to S broke: closed"),
        (["adb: device offline"], TransientDeviceError, "S is offline"),
        (NO_KEY, DeviceRefused, "authorized"),
        (["error: device still authorizing"], DeviceRefused, "authorized"),
        (["failed to authenticate to 10.0.0.9:5555"], DeviceRefused, "S has not authorized this host"),
        (["error: device still connecting"], TransientDeviceError, "not ready yet"),
        (["error: insufficient permissions for device: missing udev rules?"], DeviceRefused, "udev"),
        (["adb: device 'S' not found"], TransientDeviceError, "S is gone: device 'S' not found"),
        (["error: no devices/emulators found"], PermanentDeviceError, "no devices/emulators found (S is wanted)"),
        (["adb: more than one device/emulator"], PermanentDeviceError, "choose with --serial"),
        (NO_SERVER, TransientDeviceError, "adb's server, which leads to S, cannot be reached"),
        (["failed to connect to '10.0.0.9:5555': Connection refused"], TransientDeviceError, "S cannot be reached"),
        (["error: protocol fault (couldn't read status): Connection reset by peer"], ConnectionLost, "broke"),
        (FULL, DeviceFull, "too little free space"),
        ([f"adb: error: {DENIED}"], PermanentDeviceError, f"S refused: {DENIED}"),
        (
            ["adb: error: failed to stat remote object '/x/closed': No such file or directory"],
            PermanentDeviceError,
            "refused",
        ),
        (["adb: error: failed to copy 'x' to '/y': no response: Success"], ConnectionLost, "no response"),
        (["adb: error: something new"], TransientDeviceError, "adb failed: something new"),
        (["adb: error: failed to copy 'x' to '/y': couldn't read from device"], ConnectionLost, "couldn't read"),
        (["adb: error: failed to read copy response: EOF"], ConnectionLost, "failed to read copy response: EOF"),
    ],
)
def test_each_failure_is_of_its_own_class(said, kind, words):
    error = failure_of("pixel", "S", said)
    assert type(error) is kind
    assert str(error).startswith("pixel: ")
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("serial", "network"),
    [("192.168.1.7:5555", True), ("pixel.local:37123", True), ("[fe80::1%eth0]:5555", True), ("emulator-5554", False),
     ("R58N123", False), ("adb-1234-abc._adb-tls-connect._tcp", False)],
)  # fmt: skip
def test_which_serials_are_connected_to(serial, network):
    assert bool(NETWORK_SERIAL.fullmatch(serial)) is network


def program(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_adb_is_found_by_variable_then_path_then_in_adbutils(monkeypatch, tmp_path):
    given, on_path = program(tmp_path / "given", "my-adb"), program(tmp_path / "path", "adb")
    inside = program(tmp_path / "site/adbutils/binaries", "adb")
    (tmp_path / "site/adbutils/__init__.py").touch()
    monkeypatch.setenv("ADB", given)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert find_adb() == given
    monkeypatch.delenv("ADB")
    assert find_adb() == on_path
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_adb() == inside


def test_without_adb_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("ADB", raising=False)
    with pytest.raises(HostLacks, match="apt-get install adb"):
        find_adb()
    monkeypatch.setenv("ADB", "/nowhere/adb")
    with pytest.raises(HostLacks, match="ADB=/nowhere/adb is no program"):
        find_adb()
