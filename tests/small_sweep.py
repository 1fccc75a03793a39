"""A small sweep, finished once and copied for each test that spoils it."""

from __future__ import annotations

__all__ = ["MADE", "PLAN", "SHORT", "SMALL", "complete", "place", "ready", "whole_folder"]

import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_dwsep.results_file import read_results
from tests.sweep_place import Place

SHORT = ("--mode", "rapid", "--min-seconds", "0.1", "--min-samples", "20", "--max-warmup-seconds", "0.1")
SMALL = ("--alpha", "0.03125", "--resolution", "32", "--format", "tflite", "--engine", "litert", *SHORT)
MADE = ("mobilenet_v1", *SMALL, "--scheme", "float32,w8-dynamic")
PLAN = (*MADE, "--processes", "2", "--output", "out")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with a finished sweep of PLAN; not to be changed."""
    place = Place(tmp_path_factory.mktemp("ready"))
    done = place.run("sweep", *PLAN)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def place(ready: Place, tmp_path: Path) -> Place:
    """A copy of that place."""
    shutil.copytree(ready.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    return Place(tmp_path)


def complete(place: Place, results: dict[str, Any], folder: str = "out", runs: int = 2, launches: int = 2) -> None:
    """Make sure that a sweep's results are all there, in the folder as well."""
    assert [run["status"] for run in results["runs"]] == ["ok"] * runs
    assert all(len(run["launches"]) == launches for run in results["runs"])
    written = read_results(place.folder / folder / "results.json")
    assert [run["id"] for run in written["runs"]] == [run["id"] for run in results["runs"]]
    assert all(run["latency"]["samples_ns"]["shape"][0] == run["latency"]["count"] for run in written["runs"])
    whole_folder(place.folder / folder)


def whole_folder(folder: Path) -> None:
    """Make sure that nothing half-written lies in a sweep's folder."""
    names = sorted(path.name for path in folder.iterdir())
    known = {".edge-dwsep-sweep.lock", "artifacts", "report.html", "report.md", "results.json", "sweep.json"}
    assert set(names) <= known, names
    if (folder / "artifacts").is_dir():
        names = [path.name for path in (folder / "artifacts").iterdir()]
        assert all(name.endswith((".tflite", ".onnx", ".manifest.json")) for name in names), names
