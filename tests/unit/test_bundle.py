"""Bundles for Android: which devices they run on, how they are started, and archives that are always the same."""

from __future__ import annotations

import io
import tarfile

import pytest

from dwsep_devices.bundle import _archive, build_bundle, bundle_command, require_android
from dwsep_devices.errors import DeviceUnsuitable, HostLacks
from dwsep_devices.probe import Facts
from dwsep_runtime.errors import UnknownName


def phone(machine="aarch64", abi="arm64-v8a", page_size=4096):
    return Facts(machine, bits=64, libc="bionic", android_sdk=34, abi=abi, page_size=page_size)


@pytest.mark.parametrize(
    "facts",
    [phone(), phone(page_size=16384), phone("x86_64", "x86_64"), phone(abi="")],
    ids=["phone", "phone with 16 KiB pages", "emulator", "no ABI told"],
)
def test_a_64_bit_android_is_suitable(facts):
    require_android(facts)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (phone(abi="armeabi-v7a"), "its programs are armeabi-v7a, and engines are released for arm64-v8a and x86_64"),
        (phone("armv8l", ""), "released for x86_64 and aarch64, and it is 'armv8l'"),
        (phone("x86_64", "x86"), "its programs are x86,"),
        (
            phone("x86_64", "x86_64", 16384),
            "its memory pages have 16384 bytes, and packages for x86_64 are built for 4096",
        ),
    ],
    ids=["32-bit programs", "32-bit kernel", "32-bit emulator", "emulator with 16 KiB pages"],
)
def test_what_no_bundle_runs_on_is_refused_with_the_reason(facts, reason):
    with pytest.raises(DeviceUnsuitable, match=reason):
        require_android(facts)


@pytest.mark.parametrize(
    ("machine", "loader"), [("x86_64", "ld-linux-x86-64.so.2"), ("aarch64", "ld-linux-aarch64.so.1")]
)
def test_a_bundle_is_started_by_its_own_loader(machine, loader):
    command = bundle_command("/data/e", machine, "/data/src")
    assert command[0] == "env"
    assert command[-6:] == [f"/data/e/lib/{loader}", "--library-path", "/data/e/lib", "/data/e/bin/python3", "-s", "-B"]
    variables = dict(word.split("=", 1) for word in command[1:-6])
    assert variables["PYTHONPATH"] == "/data/src:/data/e/site"
    assert variables["PYTHONHOME"] == variables["HOME"] == "/data/e"
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert "LD_LIBRARY_PATH" not in variables


def test_an_archive_does_not_depend_on_the_order_of_its_files():
    files = {"b": (b"2", False), "a": (b"1", True)}
    made = _archive(files)
    assert made == _archive(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        told = [(one.name, one.mode, one.uid, one.gid, one.uname, one.mtime) for one in archive]
    assert told == [("a", 0o755, 0, 0, "", 1_000_000_000), ("b", 0o644, 0, 0, "", 1_000_000_000)]


def test_unknown_environments_and_machines_are_refused():
    with pytest.raises(UnknownName, match="tensorrt"):
        build_bundle("tensorrt", "aarch64")
    with pytest.raises(DeviceUnsuitable, match="bundles are made for x86_64 and aarch64, not for riscv64"):
        build_bundle("litert", "riscv64")


def test_a_host_without_debian_packages_refuses_another_machine_and_says_which_host_does(monkeypatch, tmp_path):
    def lacking(*arguments, **options):
        raise HostLacks("local: apt-get is not installed")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("dwsep_devices.debian.fetch", lacking)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(HostLacks, match="use a Debian host, Ubuntu, or a host of aarch64"):
        build_bundle("litert", "aarch64")
