"""The program that makes an environment on a device: it runs here as it runs there, with wheels made for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dwsep_devices.install import INSTALLER
from dwsep_devices.on_device.install_wheels import ANSWER
from tests.made_wheels import made_wheel

TEST = "import json, sys, tiny; print(json.dumps({'tiny': tiny.SIZE, 'prefix': sys.prefix != sys.base_prefix}))"

Install = Callable[..., Any]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Runs the installer for wheels; gives what it answers."""

    def run(*wheels: Path, python: str = sys.executable, **changes: Any) -> Any:
        asked = {
            "root": str(tmp_path / "root"),
            "hash": "a1",
            "pointer": "tiny-0001.pointer",
            "wheels": [{"path": str(wheel), "needed_by": []} for wheel in wheels],
            "unneeded": ["*/tests/*"],
            "test": TEST,
            "variables": {},
            "record": {"environment": "tiny", "hash": changes.get("hash", "a1"), "packages": {}},
            **changes,
        }
        command = [python, "-I", "-S", "-", json.dumps(asked)]
        done = subprocess.run(command, input=INSTALLER.read_text(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (line,) = done.stdout.splitlines()
        return json.loads(line.removeprefix(ANSWER))

    return run


def below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_makes_an_environment_that_runs(install: Install, tmp_path: Path) -> None:
    files = {"tiny/__init__.py": b"SIZE = 3\n", "tiny/tests/test_tiny.py": b"", "tiny-1.0.data/scripts/tiny": b"#!"}
    told = install(made_wheel(tmp_path, files={**files, "tiny-1.0.data/purelib/more.py": b""}))
    assert told["engines"] == {"tiny": 3, "prefix": True}
    made = tmp_path / "root/env/a1"
    assert json.loads((made / "environment.json").read_text()) == told
    (site,) = made.glob("lib/python*/site-packages")
    assert below(site) == ["__pycache__", "more.py", "tiny", "tiny-1.0.dist-info"]
    assert below(site / "tiny") == ["__init__.py", "__pycache__"]
    assert (tmp_path / "root/env/tiny-0001.pointer").read_text() == "a1"
    assert below(tmp_path / "root/env") == ["a1", "lock", "tiny-0001.pointer"]
    code = "import sys, tiny; print(tiny.__cached__ and sys.path[-1])"
    run = subprocess.run([made / "bin/python", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(site)


def pythons_here() -> dict[int, str]:
    """Pythons from 3.9 on that start, by their minor version; this one at least."""
    names = {minor: shutil.which(f"python3.{minor}") for minor in range(9, 15)}
    found = {minor: python for minor, python in names.items() if python and starts(python)}
    return {**found, sys.version_info.minor: sys.executable}


def starts(python: str) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("minor", "python"), pythons_here().items(), ids=str)
def test_it_runs_with_every_python_that_is_here(install: Install, tmp_path: Path, minor: int, python: str) -> None:
    told = install(made_wheel(tmp_path), python=python)
    assert told["engines"] == {"tiny": 1, "prefix": True}
    assert told["python"].startswith(f"3.{minor}.")
    (compiled,) = (tmp_path / "root/env/a1").glob("lib/python*/site-packages/__pycache__/tiny.*.pyc")
    assert compiled.name == f"tiny.cpython-3{minor}.pyc"


def test_compiled_files_tell_their_final_place(install: Install, tmp_path: Path) -> None:
    install(made_wheel(tmp_path))
    made = tmp_path / "root/env/a1"
    code = "import tiny; print(compile('', '', 'exec') and tiny.__spec__.loader.get_code('tiny').co_filename)"
    run = subprocess.run([made / "bin/python", "-I", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip().startswith(str(made))


def test_wheels_that_no_other_environment_waits_for_are_removed(install: Install, tmp_path: Path) -> None:
    wheel = made_wheel(tmp_path)
    waiting = [{"path": str(wheel), "needed_by": ["other"]}]
    install(wheels=waiting)
    assert wheel.exists()
    install(wheels=waiting, pointer="other-0001.pointer")
    assert not wheel.exists()


@pytest.mark.parametrize(
    ("files", "recorded", "said"),
    [
        ({"tiny.py": b"SIZE = 2\n"}, {"tiny.py": b"SIZE = 1\n"}, "tiny.py is not what its wheel's RECORD tells of"),
        ({"../../../../evil.py": b""}, {}, "../../../../evil.py would be unpacked outside of its folder"),
        ({"/evil/evil.py": b""}, {}, "/evil/evil.py would be unpacked outside of its folder"),
    ],
)
def test_a_wheel_that_is_not_what_it_says_is_refused_whole(
    install: Install, tmp_path: Path, files: Mapping[str, bytes], recorded: Mapping[str, bytes], said: str
) -> None:
    told = install(made_wheel(tmp_path, files=files, recorded=recorded))
    assert told == {"refused": "wheel", "reason": said}
    assert below(tmp_path / "root/env") == ["lock"]
    assert not list(tmp_path.rglob("evil.py"))


def test_a_file_that_the_record_does_not_tell_of_is_refused(install: Install, tmp_path: Path) -> None:
    wheel = made_wheel(tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("more.py", "")
    assert install(wheel)["reason"] == "more.py is not what its wheel's RECORD tells of"


def test_a_file_that_is_no_wheel_is_refused(install: Install, tmp_path: Path) -> None:
    (tmp_path / "no.whl").write_bytes(b"no archive")
    assert install(tmp_path / "no.whl") == {"refused": "wheel", "reason": "File is not a zip file"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('libgone.so: cannot open')", "ImportError: libgone.so: cannot open"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "the process that imports it ends by SIGILL"),
    ],
)
def test_an_environment_that_cannot_be_imported_is_not_kept(
    install: Install, tmp_path: Path, code: str, said: str
) -> None:
    told = install(made_wheel(tmp_path, files={"tiny.py": code.encode()}))
    assert told == {"refused": "import", "reason": said}
    assert below(tmp_path / "root/env") == ["lock"]


def test_what_stands_and_runs_is_left_as_it_is(install: Install, tmp_path: Path) -> None:
    wheel = made_wheel(tmp_path)
    first = install(wheel)
    made = (tmp_path / "root/env/a1").stat().st_mtime_ns
    assert install(wheel) == first  # the wheel is gone, and not needed
    assert (tmp_path / "root/env/a1").stat().st_mtime_ns == made


def test_what_stands_and_runs_no_more_is_made_again(install: Install, tmp_path: Path) -> None:
    install(made_wheel(tmp_path))
    python = tmp_path / "root/env/a1/bin/python"
    python.unlink()
    python.symlink_to("/no/such/python")
    assert install(made_wheel(tmp_path))["engines"]["tiny"] == 1
    assert python.exists()


@pytest.mark.parametrize("record", ["{}", "nonsense", '["a1"]', '{"hash": "b2"}'])
def test_what_stands_with_a_damaged_record_is_made_again(install: Install, tmp_path: Path, record: str) -> None:
    first = install(made_wheel(tmp_path))
    (tmp_path / "root/env/a1/environment.json").write_text(record)
    assert install(made_wheel(tmp_path)) == first


def test_leftovers_of_a_killed_installation_are_removed(install: Install, tmp_path: Path) -> None:
    (tmp_path / "root/env/b2.part/lib").mkdir(parents=True)
    install(made_wheel(tmp_path))
    assert below(tmp_path / "root/env") == ["a1", "lock", "tiny-0001.pointer"]


def test_environments_that_nothing_leads_to_are_removed(install: Install, tmp_path: Path) -> None:
    for number in range(5):
        install(made_wheel(tmp_path), hash=f"a{number}", pointer=f"tiny-000{number}.pointer")
    install(made_wheel(tmp_path), hash="b0", pointer="other-0000.pointer")
    pointers = [name for name in below(tmp_path / "root/env") if name.endswith(".pointer")]
    assert len(pointers) == 4
    assert {"tiny-0004.pointer", "other-0000.pointer"} <= set(pointers)
    led_to = {(tmp_path / "root/env" / name).read_text() for name in pointers}
    assert {name for name in below(tmp_path / "root/env") if len(name) == 2} == led_to


def test_two_installations_at_once_make_one_environment(tmp_path: Path) -> None:
    wheel = made_wheel(tmp_path)
    asked = {
        "root": str(tmp_path / "root"),
        "hash": "a1",
        "pointer": "tiny-0001.pointer",
        "wheels": [{"path": str(wheel), "needed_by": ["other"]}],
        "unneeded": [],
        "test": TEST,
        "variables": {},
        "record": {"hash": "a1", "packages": {}},
    }
    command = [sys.executable, "-I", "-S", str(INSTALLER), json.dumps(asked)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=60)[0] for process in started]
    assert told[0] == told[1] == told[2]
    assert "refused" not in told[0]
    assert below(tmp_path / "root/env") == ["a1", "lock", "tiny-0001.pointer"]
