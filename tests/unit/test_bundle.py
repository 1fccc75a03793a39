"""Bundles for Android: how they are started, archives that are always the same, and a cache that can be damaged."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import asdict

import pytest

from dwsep_devices.bundle import Bundle, _archive, _whole, build_bundle, bundle_command
from dwsep_devices.errors import DeviceUnsuitable, HostLacks
from dwsep_runtime.errors import UnknownName


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


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"other"), lambda path: path.unlink()])
def test_an_archive_of_the_cache_that_is_not_what_was_made_is_not_taken(tmp_path, damage):
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(b"whole")
    made = Bundle(archive, hashlib.sha256(b"whole").hexdigest(), "litert", "aarch64", "3.11", {"numpy": "2.0"}, 9)
    record = tmp_path / "record.json"
    record.write_text(json.dumps({**asdict(made), "path": archive.name}))
    assert _whole(record) == made
    damage(archive)
    assert _whole(record) is None
