"""Debian packages: what is read of apt's answers, and what is refused before apt is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwsep_devices.debian import fetch, require_programs
from dwsep_devices.debian_mirror import mirror_of, signed_by
from dwsep_devices.errors import HostLacks, PermanentDeviceError

BOOKWORM = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
SECURITY = "Packages|Debian|Debian-Security|main|bookworm-security|http://mirror/debian-security/|/s:2"
MAIN = "Packages|Debian|Debian|main|bookworm|http://mirror/debian/|/s:1"
NEVER_FETCHED = "Packages|$(ORIGIN)|$(LABEL)|main|bookworm|http://mirror/debian/|/s:1"


@pytest.mark.parametrize(
    ("targets", "release", "expected"),
    [
        ([SECURITY, MAIN], BOOKWORM, ("http://mirror/debian/", "/s:1")),
        ([MAIN], {"ID": "ubuntu"}, ("http://mirror/debian/", "/s:1")),
        ([NEVER_FETCHED], BOOKWORM, ("http://mirror/debian/", "/s:1")),
        ([NEVER_FETCHED], {"ID": "ubuntu", "VERSION_CODENAME": "bookworm"}, None),
        ([SECURITY], BOOKWORM, None),
        ([MAIN.replace("|main|", "|contrib|")], BOOKWORM, None),
        (["", "garbage"], BOOKWORM, None),
        ([], {}, None),
    ],
)
def test_the_mirror_is_that_of_an_entry_whose_origin_is_debian(targets, release, expected):
    assert mirror_of(targets, release) == expected


@pytest.mark.parametrize(
    ("name", "text", "entry", "expected"),
    [
        ("a.sources", "Types: deb\nSigned-By: /k/a.gpg\n\n# b\nTypes: deb\nSigned-By: /k/b.gpg\n", 2, "/k/b.gpg"),
        ("a.sources", "Types: deb\nURIs: http://mirror\n", 1, ""),
        ("a.sources", "Types: deb\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n", 1, ""),
        ("a.list", "# one\ndeb [arch=amd64 signed-by=/k/a.gpg] http://mirror bookworm main\n", 2, "/k/a.gpg"),
        ("a.list", "deb http://mirror bookworm main\n", 1, ""),
        ("a.list", "", 7, ""),
    ],
)
def test_the_key_is_that_of_the_entry(tmp_path, name, text, entry, expected):
    (tmp_path / name).write_text(text)
    assert signed_by(f"{tmp_path / name}:{entry}") == expected


@pytest.mark.parametrize("word", ["", "-o", "a b", "../x", "Name", "a/b", "a=1", "a\n"])
def test_what_is_no_name_never_reaches_apt(word):
    with pytest.raises(PermanentDeviceError, match="no name of a Debian package"):
        fetch([word], suite="bookworm", architecture="arm64")
    with pytest.raises(PermanentDeviceError, match="no name of a Debian package"):
        fetch(["toybox"], suite=word, architecture="arm64")


def test_a_missing_program_comes_with_the_command_that_installs_it(tmp_path, monkeypatch):
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        HostLacks, match=r"what is needed .*: one, two; .*: apt-get install --no-install-recommends p1 p2$"
    ):
        require_programs({"one": "p2", "apt-get": "apt", "two": "p1"}, "to do it")


def test_a_system_without_apt_is_refused_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(HostLacks, match="works on Debian, Ubuntu"):
        fetch(["toybox"], suite="bookworm", architecture="arm64")
    assert not Path(tmp_path / "cache").exists()
