"""The wheel, built and installed elsewhere, runs the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(PROJECT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("edge_dwsep-*.whl")
    return file


def test_the_wheel_holds_the_packages_and_their_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("edge_dwsep", "dwsep_export", "dwsep_runtime", "dwsep_devices"):
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    assert any(name.startswith("edge_dwsep/checkpoints/") and name.endswith(".keras") for name in names)
    assert any(name.startswith("edge_dwsep/samples/") and name.endswith(".npz") for name in names)
    assert any(name.endswith("LICENSE.fashion-mnist") for name in names)
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]
    assert wheel.stat().st_size < 5_000_000


def test_the_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    install = [str(home / "bin" / "pip"), "install", "--no-deps", "--no-index", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # Dependencies come from the environment that runs the tests; its editable install is not seen from here, because
    # a path file is read only in the environment's own folder.
    (site,) = (home / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    script = home / "bin" / "edge-dwsep"
    run = subprocess.run(
        [str(script), "demo", "--output", "out", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    assert len(results["runs"]) == 10
    assert (tmp_path / "out" / "report.html").exists()
    where = subprocess.run(
        [
            str(home / "bin" / "python"),
            "-c",
            "import edge_dwsep, dwsep_export; print(edge_dwsep.__file__, dwsep_export.__file__)",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    assert all(Path(path).is_relative_to(home) for path in where.stdout.split())
