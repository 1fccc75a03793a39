"""Debian packages, fetched by the real apt from this machine's own mirror."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dwsep_devices import debian
from dwsep_devices.debian_mirror import MIRROR_VARIABLE
from dwsep_devices.errors import DeviceError, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_runtime.model_file import sha256_of

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="apt-get and dpkg-deb are not installed"
)

FETCH = (
    "from dwsep_devices.debian import fetch\n"
    "for one in fetch(['mksh'], suite='trixie', architecture='arm64'): print(one.name, one.sha256)"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the lists of trixie arm64, or a skip where no mirror is reached."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        try:
            debian.fetch(["toybox"], suite="trixie", architecture="arm64")
        except (HostLacks, TransientDeviceError) as error:
            pytest.skip(str(error))
    return folder


@pytest.fixture(autouse=True)
def in_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def test_a_package_of_another_suite_and_architecture_is_fetched_and_unpacked(tmp_path):
    (package,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    assert (package.name, sha256_of(package.path)) == ("toybox", package.sha256)
    debian.unpack(package, tmp_path / "root")
    program = next((tmp_path / "root").glob("**/bin/toybox")).read_bytes()
    assert program[:4] == b"\x7fELF"
    assert int.from_bytes(program[18:20], "little") == 183  # EM_AARCH64


def test_a_closure_has_what_the_package_needs():
    names = [one.name for one in debian.fetch(["toybox"], suite="trixie", architecture="arm64", closure=True)]
    assert {"libc6", "toybox"} <= set(names)
    assert names == sorted(names)


def test_what_is_here_needs_no_apt_and_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(MIRROR_VARIABLE, "http://127.0.0.1:9/none")
    told: list[str] = []
    begun = time.monotonic()
    assert debian.fetch(["toybox"], suite="trixie", architecture="arm64", on_fetch=lambda: told.append("fetched"))
    assert time.monotonic() - begun < 0.1
    assert told == []


def test_a_lost_file_is_fetched_again():
    (package,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    package.path.write_bytes(b"cut")
    package.path.unlink()
    (again,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    assert (again, sha256_of(again.path)) == (package, package.sha256)


def test_a_damaged_file_is_fetched_again():
    (package,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    package.path.write_bytes(b"cut")
    (again,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    assert sha256_of(again.path) == package.sha256


def test_a_file_of_the_right_size_and_other_content_is_not_unpacked_and_fetched_again(tmp_path):
    (package,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    content = bytearray(package.path.read_bytes())
    content[-1] ^= 1
    package.path.write_bytes(content)
    with pytest.raises(TransientDeviceError, match="was damaged since it was fetched"):
        debian.unpack(package, tmp_path / "root")
    told: list[str] = []
    (again,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64", on_fetch=lambda: told.append("fetched"))
    assert (again, sha256_of(again.path), told) == (package, package.sha256, ["fetched"])


def test_an_archive_that_no_record_tells_of_is_checked_before_it_is_taken(cache):
    (package,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    content = bytearray(package.path.read_bytes())
    content[-1] ^= 1
    package.path.write_bytes(content)
    (cache / "edge-dwsep/debian/trixie-arm64/fetched.json").unlink()
    (again,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    assert (again, sha256_of(again.path)) == (package, package.sha256)


def test_a_cache_folder_may_have_any_name(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / """it's "a" %20b; $(c)"""))
    (package,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    debian.unpack(package, tmp_path / "root")
    assert next((tmp_path / "root").glob("**/bin/toybox")).is_file()


def test_an_unsigned_mirror_is_refused_whatever_the_hosts_apt_allows(monkeypatch, tmp_path):
    (cached,) = debian.fetch(["toybox"], suite="trixie", architecture="arm64")
    mirror = tmp_path / "mirror"
    binary = mirror / "dists/trixie/main/binary-arm64"
    binary.mkdir(parents=True)
    shutil.copy(cached.path, mirror / "toybox.deb")
    fields = f"Package: toybox\nVersion: {cached.version}\nArchitecture: arm64\nFilename: toybox.deb\n"
    size = cached.path.stat().st_size
    (binary / "Packages").write_text(f"{fields}Size: {size}\nSHA256: {cached.sha256}\n")
    listed = (binary / "Packages").read_bytes()
    digest = hashlib.sha256(listed).hexdigest()
    (mirror / "dists/trixie/Release").write_text(
        "Origin: Debian\nLabel: Debian\nSuite: trixie\nCodename: trixie\nArchitectures: arm64\nComponents: main\n"
        f"Date: Sat, 01 Nov 2025 00:00:00 UTC\nSHA256:\n {digest} {len(listed)} main/binary-arm64/Packages\n"
    )
    (tmp_path / "apt.conf").write_text(
        'Acquire::AllowInsecureRepositories "true";\nAPT::Get::AllowUnauthenticated "true";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(MIRROR_VARIABLE, f"file:{mirror}")
    with pytest.raises(HostLacks, match=r"not signed.*: apt-get install debian-archive-keyring$"):
        debian.fetch(["toybox"], suite="trixie", architecture="arm64")


def test_two_processes_at_once_get_the_same():
    processes = [subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert answers[0] == answers[1] != ""


def test_a_package_that_is_not_there_is_named():
    with pytest.raises(PermanentDeviceError, match="no-such-package"):
        debian.fetch(["no-such-package"], suite="trixie", architecture="arm64")


def test_a_mirror_that_cannot_be_reached_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(MIRROR_VARIABLE, "http://127.0.0.1:9/none")
    with pytest.raises(TransientDeviceError, match=r"127\.0\.0\.1:9/none"):
        debian.fetch(["toybox"], suite="trixie", architecture="arm64")


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "edge-dwsep").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DeviceError, match="cannot be used"):
        debian.fetch(["toybox"], suite="trixie", architecture="arm64")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_full_disk_is_told_as_one(tmp_path):
    script = 'mount -t tmpfs -o size=1m tmpfs "$XDG_CACHE_HOME" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", FETCH]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(ended.stderr)
    assert f"PermanentDeviceError: local: {tmp_path}" in ended.stderr
    assert "cannot be used: its disk is full; free it or set XDG_CACHE_HOME" in ended.stderr


def test_the_system_stays_as_it_is():
    def state() -> list[tuple[str, int]]:
        folders = (Path("/var/lib/apt/lists"), Path("/var/cache/apt/archives"), Path("/var/lib/dpkg"))
        return [(str(path), path.stat().st_mtime_ns) for folder in folders for path in sorted(folder.glob("*.*"))]

    before = state()
    debian.fetch(["mksh"], suite="trixie", architecture="arm64", refresh=True)
    assert state() == before
