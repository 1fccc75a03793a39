"""The user's devices: what may be kept, how it is found again, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.inventory import (
    BUILT_IN,
    KnownDevice,
    UnknownDevice,
    add_device,
    device_names,
    forget_device,
    load_device,
    profile_of,
)
from dwsep_devices.registry import ssh_options
from dwsep_runtime.errors import InvalidInput

PI = KnownDevice("pi", "raspberry-pi-5", host="pi@raspberrypi.local")
PHONE = KnownDevice("pixel", "android-phone", serial="39281FDJG001AB")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "edge-dwsep" / "devices"


@pytest.mark.parametrize(
    "device",
    [
        PI,
        PHONE,
        replace(PI, port=2222, identity='/home/m\u00fcller/a "key"', options=("-o", "ProxyJump=a b", "-J", "x\\y")),
        replace(PI, root="/mnt/ssd/edge-dwsep", host="fe80::1%eth0"),
        replace(PHONE, serial="adb-39281FDJG001AB (2)._adb-tls-connect._tcp"),
        KnownDevice("emu", "android-emulator-x86_64", serial="emulator-5554"),
        KnownDevice("Lab.1_a", "lab-pi4"),
    ],
)
def test_a_device_is_found_as_it_was_added(device: KnownDevice) -> None:
    add_device(device)
    assert load_device(device.name) == device
    assert device_names() == [device.name, *BUILT_IN]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_devices_need_no_adding(name: str) -> None:
    assert load_device(name) == KnownDevice(name, name)
    with pytest.raises(InvalidInput, match="is built in and needs no adding"):
        add_device(replace(PI, name=name))
    with pytest.raises(InvalidInput, match="is built in and cannot be forgotten"):
        forget_device(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "-pi", ".pi", "..", "a/b", "../pi", "a b", "a;b", "$(id)", "`id`", "a'b", 'a"b', "a\nb", "pi\n", "a\0b"),
        *("\u03c0", "a" * 65),
    ],
)
def test_hostile_names_are_refused_in_one_line(name: str, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="a device is named by at most 64 letters") as caught:
        add_device(replace(PI, name=name))
    assert "\n" not in str(caught.value)
    with pytest.raises(UnknownDevice) as unknown:
        load_device(name)
    assert "\n" not in str(unknown.value)
    assert str(unknown.value).endswith("add it with: edge-dwsep devices add NAME --kind KIND")
    assert not folder.exists()


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=id",
        "pi@-oProxyCommand=id",
        "-l@host",
        "a b",
        "a\nb",
        "host;id",
        "$(id)@host",
        "host`id`",
        "host'",
        'host"',
        "user@",
        "@host",
        "a" * 300,
        "pi@host:22",
        "ssh://host",
    ],
)
def test_hostile_hosts_are_refused_in_one_line(host: str, folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"host must be ") as caught:
        add_device(replace(PI, host=host))
    assert "\n" not in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize("serial", ["-s", "--help", "a\nb", "\x1b[2J", "a" * 300])
def test_hostile_serials_are_refused_in_one_line(serial: str, folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"serial must be ") as caught:
        add_device(replace(PHONE, serial=serial))
    assert "\n" not in str(caught.value)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (replace(PI, host=""), "needs a host; add --host USER@HOST"),
        (replace(PHONE, serial=""), "needs a serial; add --serial"),
        (replace(PI, serial="x"), "is not reached by adb; leave out --serial"),
        (replace(PHONE, host="x"), "is not reached by ssh; leave out --host"),
        (replace(PI, kind="lab-pi4"), "is not reached by ssh; leave out --host"),
        (replace(PI, kind="local"), "is this machine"),
        (replace(PI, kind="raspberry-pi-6"), "unknown kind of device 'raspberry-pi-6': did you mean"),
        (replace(PI, root="/"), "root must be a path whose last name has 'edge-dwsep' in it"),
        (replace(PI, root="~/../edge-dwsep"), "root must be a path on the device that begins with"),
        (replace(PI, port=70000), "port must be a whole number from 0 to 65535; received 70000"),
        (replace(PI, options=("-o", "a\nb")), "options must be a list of texts"),
    ],
)
def test_addresses_that_do_not_fit(device: KnownDevice, said: str, folder: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        add_device(device)
    assert said in str(caught.value)
    assert not folder.exists()


def test_a_name_is_taken_until_it_is_replaced_or_forgotten() -> None:
    add_device(PI)
    with pytest.raises(InvalidInput, match="device pi is there already; give --replace"):
        add_device(replace(PI, host="other"))
    assert load_device("pi") == PI
    add_device(replace(PI, host="other"), replace=True)
    assert load_device("pi").host == "other"
    forget_device("pi")
    with pytest.raises(UnknownDevice, match="add it with: edge-dwsep devices add pi --kind KIND"):
        load_device("pi")
    with pytest.raises(UnknownDevice):
        forget_device("pi")


def test_a_near_name_is_suggested() -> None:
    add_device(replace(PI, name="kitchen-pi"))
    with pytest.raises(UnknownDevice, match="did you mean 'kitchen-pi'"):
        load_device("kichen-pi")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('kind = "raspberry-pi-5"\nhots = "x"', "unknown key in {file} 'hots': did you mean 'host'?"),
        ('kind = "raspberry-pi-5"\nhost = "-x"', "{file}: host must be USER@HOST"),
        ('kind = "raspberry-pi-5"\nhost = 1', "{file}: host must be USER@HOST"),
        ('kind = "raspberry-pi-5"\nhost = "x"\nport = "22"', "{file}: port must be a whole number"),
        ('host = "x"', "{file}: kind is missing"),
        ('kind = "raspberry-pi-9"\nhost = "x"', "{file}: unknown kind of device 'raspberry-pi-9'"),
        ('kind = "raspberry-pi-5"', "{file}: kind raspberry-pi-5 is reached by ssh and needs a host"),
        ("kind = [", "{file} is no TOML: "),
    ],
)
def test_a_file_that_was_edited_wrongly_says_where_and_can_be_forgotten(folder: Path, content: str, said: str) -> None:
    folder.mkdir(parents=True)
    file = folder / "pi.toml"
    file.write_text(content)
    with pytest.raises(InvalidInput) as caught:
        load_device("pi")
    assert said.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)
    forget_device("pi")
    assert not file.exists()


def test_a_folder_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(PermanentDeviceError, match=r"pi: .*pi.toml could not be written: Not a directory; set XDG"):
        add_device(PI)
    assert device_names() == list(BUILT_IN)


def test_files_that_are_no_devices_are_passed_over(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("with space.toml", "notes.txt", ".pi.toml.1.part", "local.toml"):
        (folder / name).write_text("")
    assert device_names() == list(BUILT_IN)


def test_the_root_of_one_device_goes_before_that_of_its_kind() -> None:
    assert profile_of(PI).root == "~/.edge-dwsep"
    assert profile_of(replace(PI, root="/mnt/edge-dwsep")).root == "/mnt/edge-dwsep"


def test_options_of_the_ssh_client() -> None:
    known = replace(PI, port=2222, identity="/key", options=("-o", "ProxyJump=x"))
    assert ssh_options(known) == ("-o", "ProxyJump=x", "-o", "Port=2222", "-i", "/key")
    assert ssh_options(PI) == ()
