"""Kinds of device: what comes with the package, and what a user's own files may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwsep_devices.inventory import BUILT_IN
from dwsep_devices.profile import PACKAGED, load_profile, profile_kinds
from dwsep_runtime.errors import InvalidInput, UnknownName


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    made = tmp_path / "edge-dwsep" / "profiles"
    made.mkdir(parents=True)
    return made


@pytest.mark.parametrize(
    ("kind", "transport", "root", "emulated", "lab"),
    [
        ("local", "local", "", False, ""),
        ("generic-linux", "ssh", "~/.edge-dwsep", False, ""),
        ("raspberry-pi-zero-2w", "ssh", "~/.edge-dwsep", False, ""),
        ("raspberry-pi-3", "ssh", "~/.edge-dwsep", False, ""),
        ("raspberry-pi-4", "ssh", "~/.edge-dwsep", False, ""),
        ("raspberry-pi-5", "ssh", "~/.edge-dwsep", False, ""),
        ("android-phone", "adb", "/data/local/tmp/edge-dwsep", False, ""),
        ("android-emulator-x86_64", "adb", "/data/local/tmp/edge-dwsep", True, ""),
        ("android-emulator-arm64", "adb", "/data/local/tmp/edge-dwsep", True, ""),
        ("lab-pi4", "ssh", "~/.edge-dwsep", True, "pi4"),
        ("lab-pi5", "ssh", "~/.edge-dwsep", True, "pi5"),
        ("lab-android", "adb", "/data/local/tmp/edge-dwsep", True, "android"),
        ("lab-android-arm64", "adb", "/data/local/tmp/edge-dwsep", True, "android-arm64"),
    ],
)
def test_kinds_of_the_package(kind: str, transport: str, root: str, emulated: bool, lab: str) -> None:
    profile = load_profile(kind)
    assert (profile.kind, profile.transport, profile.root, profile.emulated, profile.lab) == (
        kind,
        transport,
        root,
        emulated,
        lab,
    )
    assert bool(profile.lease) == (transport != "local")
    assert profile.title != kind


def test_every_file_of_the_package_is_a_kind_and_every_built_in_device_has_one() -> None:
    assert profile_kinds() == sorted(path.stem for path in PACKAGED.glob("*.toml"))
    assert set(BUILT_IN) <= set(profile_kinds())


def test_a_users_kind_differs_from_its_base_where_it_says_so(folder: Path) -> None:
    (folder / "ssd-pi.toml").write_text('base = "raspberry-pi-4"\nroot = "/mnt/ssd/edge-dwsep"\n')
    profile = load_profile("ssd-pi")
    assert profile.root == "/mnt/ssd/edge-dwsep"
    assert profile.title == "Raspberry Pi 4"
    assert profile.machines == ("aarch64", "armv7l")
    assert "ssd-pi" in profile_kinds()


def test_a_users_kind_replaces_that_of_the_package_and_may_be_based_on_it(folder: Path) -> None:
    (folder / "raspberry-pi-4.toml").write_text('base = "raspberry-pi-4"\ntitle = "ours"\n')
    assert load_profile("raspberry-pi-4").title == "ours"
    assert load_profile("raspberry-pi-4").transport == "ssh"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('transport = "ssh"\nrot = "~/edge-dwsep"', "unknown key in {file} 'rot': did you mean 'root'?"),
        ('transport = "ssh"\nlab = "pi4"', "unknown key in {file} 'lab'"),
        ('transport = "telnet"', "{file}: transport must be one of ssh, adb; received 'telnet'"),
        ('transport = "local"', "{file}: transport must be one of ssh, adb; received 'local'"),
        ('title = "x"', "{file}: transport is missing"),
        ('transport = "ssh"\nroot = "/home/pi"', "{file}: root must be a path whose last name has 'edge-dwsep' in it"),
        ('transport = "ssh"\nroot = "edge-dwsep"', "{file}: root must be a path on the device that begins with"),
        ('transport = "ssh"\nroot = "~/edge-dwsep/.."', "{file}: root must be a path on the device that begins with"),
        ('transport = "ssh"\nroot = "/a\\nb/edge-dwsep"', "{file}: root must be a line of text"),
        ('transport = "ssh"\nlease = "~/edge-dwsep.lease"', "{file}: lease must be a path on the device that begins"),
        ('transport = "ssh"\nemulated = "no"', "{file}: emulated must be true or false; received 'no'"),
        ('transport = "ssh"\ncores = -1', "{file}: cores must be a whole number from 0 to 4096; received -1"),
        ('transport = "ssh"\ncores = true', "{file}: cores must be a whole number from 0 to 4096; received True"),
        ('transport = "ssh"\nmachines = "aarch64"', "{file}: machines must be a list of texts"),
        ('transport = "ssh"\nmachines = [1]', "{file}: machines must be a list of texts"),
        ('base = "raspberry-pi-4"\ntransport = "adb"', "{file}: transport is 'adb' and that of its base 'ssh'"),
        ('base = "kind"', "{file}: base 'kind' leads back to itself"),
        ('base = "raspbery-pi-4"', "unknown kind of device 'raspbery-pi-4': did you mean 'raspberry-pi-4'?"),
        ("transport = ssh", "{file} is no TOML: "),
        ('title = "\\uD800"', "{file} is no TOML: "),
        ("x" * (1 << 20) + "x", "{file} is larger than 1 MB"),
    ],
)
def test_what_a_users_kind_may_not_say(folder: Path, content: str, said: str) -> None:
    file = folder / "kind.toml"
    file.write_text(content)
    with pytest.raises(InvalidInput) as caught:
        load_profile("kind")
    assert said.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kinds_based_on_one_another_are_refused(folder: Path) -> None:
    (folder / "one.toml").write_text('base = "two"')
    (folder / "two.toml").write_text('base = "one"')
    with pytest.raises(InvalidInput, match=r"two.toml: base 'one' leads back to itself"):
        load_profile("one")


def test_a_file_that_is_no_text_and_one_that_is_a_folder(folder: Path) -> None:
    (folder / "binary.toml").write_bytes(b"\xff\xfe")
    (folder / "folder.toml").mkdir()
    with pytest.raises(InvalidInput, match="is no TOML"):
        load_profile("binary")
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        load_profile("folder")


@pytest.mark.parametrize("kind", ["", "..", "../local", "/etc/passwd", "Local", "raspberry\npi"])
def test_unknown_kinds(kind: str) -> None:
    with pytest.raises(UnknownName, match="unknown kind of device"):
        load_profile(kind)
