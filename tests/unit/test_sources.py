"""The runtime's sources on a device: one archive, unpacked once, compiled once, few old versions."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import dwsep_runtime
from dwsep_devices.sources import archive, compile_script, runtime_sources, sources_folder
from dwsep_runtime.harness import harness_sha256
from tests.shell_device import shell_device

PACKAGE = Path(dwsep_runtime.__file__).parent
HARNESS = "import dwsep_runtime.harness as h; print(h.harness_sha256(), h.__cached__)"


def test_the_archive_holds_the_sources_alone_and_is_the_same_twice(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    (package / "__pycache__").mkdir(parents=True)
    for name in ("b.py", "a.py", "py.typed", "__pycache__/a.pyc"):
        (package / name).write_text(name)
    first = archive(package)
    (package / "a.py").touch()
    os.utime(package / "b.py", (1, 1))
    assert archive(package) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert [(entry.name, entry.uid, entry.mtime) for entry in tar] == [
            ("pack/a.py", 0, 1_000_000_000),
            ("pack/b.py", 0, 1_000_000_000),
        ]


@pytest.mark.parametrize("folder", ["plain", "it's; $(touch x)\\ 'ä'"])
def test_they_are_brought_once_and_are_the_same_there(tmp_path: Path, folder: str) -> None:
    device = shell_device(tmp_path / folder)
    sources = runtime_sources(device)
    assert sources == sources_folder(device.root)
    assert sorted(path.name for path in Path(sources, "dwsep_runtime").iterdir()) == sorted(
        path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path.is_dir() and list(path.glob("*.py")))
    )
    device.ask(compile_script([sys.executable], sources, "compiled.x"))
    command = ["env", f"PYTHONPATH={sources}", "PYTHONDONTWRITEBYTECODE=1", sys.executable, "-c", HARNESS]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split(None, 1)
    assert told[0] == harness_sha256()
    assert Path(told[1].strip()).is_file()
    before = len(device.transport.scripts)  # type: ignore[attr-defined]
    assert runtime_sources(device) == sources
    assert len(device.transport.scripts) == before + 1  # type: ignore[attr-defined]
    assert [path.name for path in Path(device.root, "blobs").iterdir()] == []
    device.close()


def test_compiling_is_done_once(tmp_path: Path) -> None:
    device = shell_device(tmp_path)
    sources = runtime_sources(device)
    script = compile_script([sys.executable], sources, "compiled.x")
    device.ask(script)
    (made,) = Path(sources, "dwsep_runtime/__pycache__").glob("spawn.*.pyc")
    first = made.stat().st_mtime_ns
    device.ask(script)
    assert made.stat().st_mtime_ns == first
    device.close()


def test_versions_that_were_not_used_for_long_are_removed(tmp_path: Path) -> None:
    device = shell_device(tmp_path)
    folder = Path(device.root, "runtime")
    for age, name in enumerate(["a" * 64, "b" * 64, "c" * 64, "notes", "d" * 64]):
        (folder / name).mkdir(parents=True)
        # Also where the device's clock went back: a version from the future does not remove the one that is wanted.
        os.utime(folder / name, (4_000_000_000 - age, 4_000_000_000 - age))
    (folder / f"{'e' * 64}.part").mkdir()
    runtime_sources(device)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["a" * 64, "b" * 64, harness_sha256(), "lock", "notes"]
    )
    device.close()
