"""Environments made for an engine: real virtual environments, and tflite-runtime run in the one that it needs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_devices import LocalDevice, PermanentDeviceError, TransientDeviceError, environments, run_job
from dwsep_devices.environments import (
    ENVIRONMENTS,
    EnvironmentKind,
    cache_folder,
    is_met_here,
    provision,
)
from dwsep_devices.local import OF_THIS_PYTHON
from dwsep_runtime.accuracy_scenarios import Predict
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.scenarios import SingleStream
from tests.small_models import SIDE, small_tflite

HERE = (sys.version_info.major, sys.version_info.minor)
QUICK = SingleStream(min_samples=30, min_seconds=0.05)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that finds one package, tiny 1.0, and no index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    (tmp_path / "constraints.txt").write_text("tiny==2.0\n")
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels/tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "SIZE = 1\n")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return tmp_path / "cache" / "edge-dwsep"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(ENVIRONMENTS, "tiny", EnvironmentKind(("tiny==1.0",), (HERE,)))
    return "tiny"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_every_environment_of_an_engine_is_known_and_pinned_exactly_where_it_is_made_here() -> None:
    assert {kind.environment for kind in ENGINES.values()} == set(ENVIRONMENTS)
    made_here = [kind for kind in ENVIRONMENTS.values() if kind.pythons]
    assert all("==" in requirement for kind in made_here for requirement in kind.requirements)


def test_packages_that_this_toolchain_depends_on_are_met_by_its_own_python() -> None:
    ours = {name for name, kind in ENVIRONMENTS.items() if not kind.pythons}
    assert ours | {""} == OF_THIS_PYTHON
    direct = {"edge-dwsep", "ai-edge-litert", "onnxruntime"}
    lines = [line for package in direct for line in requires(package) or () if "extra ==" not in line]
    depended = {re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("_", "-") for line in lines}
    for name in ours:
        assert set(ENVIRONMENTS[name].requirements) <= depended
        assert is_met_here(name)
        assert provision(name) == Path(sys.executable)
        assert LocalDevice().runtime_command_for(name) == LocalDevice().runtime_command_for("")


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown environment 'tflite-runtim': did you mean 'tflite-runtime'"):
        provision("tflite-runtim")


@pytest.mark.parametrize(
    ("requirements", "met"),
    [
        ((f"numpy=={np.__version__}",), True),
        ((f"numpy=={np.__version__.split('.')[0]}.0",), True),  # another release of the same major version
        (("numpy==99.0",), False),
        ((f"numpy=={np.__version__}", "no-such-package==1.0"), False),
    ],
)
def test_what_is_installed_here_needs_no_environment(
    monkeypatch: pytest.MonkeyPatch, requirements: tuple[str, ...], met: bool
) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "asked", EnvironmentKind(requirements, (HERE,)))
    assert is_met_here("asked") is met
    if met:
        assert LocalDevice().runtime_command_for("asked") == LocalDevice().runtime_command_for("")


def test_asking_whether_an_environment_is_met_imports_nothing() -> None:
    code = (
        "import json, sys; from dwsep_devices.environments import is_met_here; is_met_here('tflite-runtime');"
        "print(json.dumps([name for name in ('tensorflow', 'tflite_runtime', 'numpy') if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == []


@pytest.mark.parametrize(
    ("given", "expected"), [("/srv/c", "/srv/c/edge-dwsep"), ("relative", "/home/u/.cache/edge-dwsep")]
)
def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch, given: str, expected: str) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    assert cache_folder() == Path(expected)


def test_without_a_suitable_python_it_says_which_is_needed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placeholder = tmp_path / "bin" / "python3.98"  # as version managers put them on the PATH
    placeholder.parent.mkdir()
    placeholder.write_text("#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
    placeholder.chmod(0o755)
    monkeypatch.setenv("PATH", str(placeholder.parent), prepend=os.pathsep)
    monkeypatch.setitem(ENVIRONMENTS, "late", EnvironmentKind(("tiny==1.0",), ((3, 98), (3, 97))))
    with pytest.raises(PermanentDeviceError, match=r"environment late needs Python 3\.98 or 3\.97 with venv") as caught:
        provision("late")
    assert "Debian: python3.98-venv" in str(caught.value)
    assert names(cache) == []


@pytest.mark.slow
def test_two_processes_that_make_an_environment_at_once_both_get_it(cache: Path, tiny: str) -> None:
    code = (
        "import sys; from dwsep_devices.environments import ENVIRONMENTS, EnvironmentKind, provision;"
        f"ENVIRONMENTS['tiny'] = EnvironmentKind(('tiny==1.0',), ({HERE},)); print(provision('tiny'))"
    )
    command = [sys.executable, "-c", code]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=240)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert told[0] == told[1] == str(provision(tiny))
    held = subprocess.run([told[0], "-I", "-c", "import tiny; print(tiny.SIZE)"], capture_output=True, check=True)
    assert held.stdout == b"1\n"
    folder = Path(told[0]).parent.parent
    assert names(folder.parent) == [folder.name, f"{folder.name}.lock"]


@pytest.mark.slow
def test_an_environment_whose_python_is_gone_is_made_again(cache: Path, tiny: str) -> None:
    python = provision(tiny)
    made = python.lstat().st_mtime_ns
    assert provision(tiny) == python
    assert python.lstat().st_mtime_ns == made
    python.unlink()
    python.symlink_to("/no/such/python")
    assert provision(tiny) == python
    assert subprocess.run([python, "-I", "-c", "import tiny"], check=False).returncode == 0


@pytest.mark.slow
def test_what_pip_cannot_find_is_one_line_and_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "absent", EnvironmentKind(("tiny==7.0",), (HERE,)))
    with pytest.raises(PermanentDeviceError) as caught:
        provision("absent")
    assert str(caught.value) == (
        "local: environment absent could not be made: pip: No matching distribution found for tiny==7.0"
    )
    assert [name for name in names(cache / "environments") if not name.endswith(".lock")] == []


@pytest.mark.slow
def test_an_index_that_cannot_be_reached_is_an_error_that_may_pass(
    cache: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # discard: nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(TransientDeviceError, match=r"the package index cannot be reached .* try again") as caught:
        provision(tiny)
    assert "\n" not in str(caught.value)
    assert [name for name in names(cache / "environments") if not name.endswith(".lock")] == []


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(PermanentDeviceError, match=r"^local: environment tiny could not be made in .*: Not a dir"):
        provision(tiny)


@pytest.fixture(scope="session")
def tflite_runtime_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if is_met_here("tflite-runtime"):
        pytest.skip("tflite-runtime is installed here, so it needs no environment")
    candidates = list(environments._candidates(ENVIRONMENTS["tflite-runtime"]))
    if not any(environments._can_build(python) for python, _ in candidates):
        pytest.skip("tflite-runtime has no wheel for this Python, and no older one is on the PATH")
    return tmp_path_factory.mktemp("cache")


@pytest.mark.slow
class TestTFLiteRuntime:
    @pytest.fixture(autouse=True)
    def _cache(self, tflite_runtime_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tflite_runtime_cache))

    @pytest.fixture
    def device(self) -> Any:
        device = LocalDevice()
        yield device
        device.close()

    def test_the_command_line_makes_its_environment_and_measures_in_it(self, demo: Any, command_line: Any) -> None:
        run = command_line(
            *("bench", demo.artifact("-w8a8.tflite"), "--engine", "tflite-runtime"),
            *("--min-seconds", "0.1", "--min-samples", "20", "--json"),
        )
        assert run.returncode == 0, run.stderr
        (row,) = json.loads(run.stdout)["runs"]
        assert (row["engine"], row["engine_version"], row["status"]) == ("tflite-runtime", "2.14.0", "ok")

    def test_it_computes_what_the_interpreter_of_today_does(
        self, demo: Any, device: LocalDevice, tmp_path: Path
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1), np.uint8)
        np.save(tmp_path / "images.npy", pixels)
        file = demo.artifact("-float32.tflite")
        preprocessing = json.loads(file.with_name(f"{file.name}.manifest.json").read_text())["preprocessing"]
        outputs = []
        for engine in ("tflite", "tflite-runtime"):
            scenario = Predict(str(tmp_path / "images.npy"), str(tmp_path / f"{engine}.npy"), _read(preprocessing))
            run_job(device, file, engine, scenario, timeout=120)
            outputs.append(np.load(tmp_path / f"{engine}.npy"))
        assert outputs[0].shape == (8, 10)
        assert np.allclose(outputs[0], outputs[1], atol=1e-4)

    def test_packages_of_the_host_stay_out(
        self, device: LocalDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "numpy.py").write_text("raise SystemExit('the NumPy of the host')")
        (tmp_path / "tflite_runtime.py").write_text("raise SystemExit('not the one of the environment')")
        (tmp_path / "m.tflite").write_bytes(small_tflite())
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        result = run_job(device, tmp_path / "m.tflite", "tflite-runtime", QUICK, timeout=120)
        assert result["engine"]["version"] == "2.14.0"
        assert result["model"]["inputs"][0]["shape"] == [1, SIDE, SIDE, 1]

    def test_a_result_tells_the_same_sources_as_one_of_this_python(self, device: LocalDevice, tmp_path: Path) -> None:
        (tmp_path / "m.tflite").write_bytes(small_tflite())
        results = [
            run_job(device, tmp_path / "m.tflite", engine, QUICK, timeout=120)
            for engine in ("tflite", "tflite-runtime")
        ]
        assert results[0]["harness_sha256"] == results[1]["harness_sha256"]

    def test_it_is_pinned(self) -> None:
        python = provision("tflite-runtime")
        code = "import importlib.metadata as m; print(m.version('numpy'), m.version('tflite-runtime'))"
        run = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["1.26.4", "2.14.0"]


def _read(preprocessing: dict[str, Any]) -> Any:
    from dwsep_runtime.preprocessing import Preprocessing

    return Preprocessing.from_json(preprocessing)
