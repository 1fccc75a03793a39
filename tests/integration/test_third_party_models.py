"""Models that others trained and published: every engine of their format runs them, or says in a line why not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.arrays import decode_array
from dwsep_runtime.model_file import sha256_of
from tests.conftest import CommandLine
from tests.third_party import MODELS, REFUSED, PublishedModel, read_model

pytestmark = pytest.mark.slow

ENGINES = ("tflite", "litert")

WAYS: tuple[tuple[str, dict[str, str]], ...] = (("tflite", {}), ("litert", {}), ("tflite", {"xnnpack": "off"}))
"""Engines and their options; without XNNPACK, other kernels compute."""

OUTPUTS = """
import json, sys
from pathlib import Path
import numpy as np
from dwsep_runtime.engines import EngineSettings, allocate_engine, load_engine
from dwsep_runtime.timing import random_inputs

file, told = Path(sys.argv[1]), []
for place, (name, options) in enumerate(json.loads(sys.argv[3])):
    engine, version = load_engine(name, file, EngineSettings(options=options), file.name)
    allocate_engine(engine, name, version, file.name)
    engine.set_inputs(random_inputs(engine.inputs, 7))
    engine.invoke()
    np.savez(Path(sys.argv[2]) / f"{place}.npz", *engine.get_outputs())
    told.append({side: [tensor.to_json() for tensor in getattr(engine, side)] for side in ("inputs", "outputs")})
print(json.dumps(told))
"""

AGREE = (0.0, 0.01, 0.05)
"""Greatest difference from the first way, as share of the outputs' range: what is int8 inside is rounded at each
operator, by other kernels otherwise."""

REASONS_OF_THE_DEVICE = ("not valid: the device was throttled", "not valid: the clock was being set")
"""What may go wrong on a busy machine whatever is measured."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for model in (*MODELS, REFUSED):
        (folder / f"{model.name}.tflite").write_bytes(read_model(model))
    return folder


def bench(command_line: CommandLine, files: list[Path], output: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    measure = ("--mode", "rapid", "--min-seconds", "0.2", "--json", "--output", output, *options)
    run = command_line("bench", *files, *measure)
    assert json.loads(run.stdout) == json.loads(output.read_text())
    assert "Traceback" not in run.stderr
    return run.returncode, json.loads(run.stdout), run.stderr


@pytest.fixture(scope="module")
def runs(command_line: CommandLine, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The record of each model and engine, of one call for all."""
    files = [folder / f"{model.name}.tflite" for model in MODELS]
    code, results, said = bench(command_line, files, folder / "results.json")
    assert code in (0, 8), said
    return {(run["variant"], run["engine"]): run for run in results["runs"]}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_published_model_is_measured(
    runs: dict[tuple[str, str], dict[str, Any]], folder: Path, model: PublishedModel, engine: str
) -> None:
    run = runs[model.name, engine]
    assert (run["status"], run["error"]) == ("ok", None)
    reasons = [said for said in run["warnings"] if said.startswith("not valid: ")]
    assert run["valid"] == (not reasons)
    assert not [said for said in reasons if not said.startswith(REASONS_OF_THE_DEVICE)]
    assert run["sha256"] == hashlib.sha256(read_model(model)).hexdigest()
    samples = decode_array(run["latency"]["samples_ns"])
    assert len(samples) == run["latency"]["count"] >= 64
    assert samples.min() > 0
    assert samples.sum() > 0.1e9
    assert min(samples) / 1e6 <= run["latency"]["p50_ms"] <= max(samples) / 1e6
    assert not [said for said in run["warnings"] if "finite" in said]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_engines_compute_the_same_of_a_published_model(folder: Path, tmp_path: Path, model: PublishedModel) -> None:
    ways = WAYS[:2] if model.custom else WAYS
    command = [sys.executable, "-c", OUTPUTS, str(folder / f"{model.name}.tflite"), str(tmp_path), json.dumps(ways)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    for tensors in told:
        for side in ("inputs", "outputs"):
            assert tuple(tuple(tensor["shape"]) for tensor in tensors[side]) == getattr(model, side)
            assert {tensor["dtype"] for tensor in tensors[side]} == {model.dtype}
    outputs = []
    for place in range(len(ways)):
        with np.load(tmp_path / f"{place}.npz") as saved:
            outputs.append([saved[name].astype(np.float64) for name in saved.files])
    for other, share in zip(outputs, AGREE, strict=False):
        for one, its in zip(outputs[0], other, strict=True):
            assert np.isfinite(one).all()
            extent = np.iinfo(np.int8).max * 2 + 1 if model.dtype == "int8" else np.ptp(one) or np.abs(one).max()
            assert np.abs(one - its).max() <= share * extent


@pytest.mark.parametrize(
    ("model", "options", "named"),
    [
        (REFUSED, (), "Landmarks2TransformMatrix"),
        *(
            (model, ("--engine-option", "xnnpack=off", "--engine", "tflite"), model.custom)
            for model in MODELS
            if model.custom
        ),
    ],
    ids=lambda value: value.name if isinstance(value, PublishedModel) else "",
)
def test_a_custom_operator_that_an_engine_lacks_is_named_in_a_line(
    command_line: CommandLine, folder: Path, model: PublishedModel, options: tuple[str, ...], named: str
) -> None:
    file = folder / f"{model.name}.tflite"
    code, results, said = bench(command_line, [file], folder / "refused.json", *options)
    assert code == 1
    assert [run["engine"] for run in results["runs"]] == list(ENGINES[: 1 if options else 2])
    for run in results["runs"]:
        assert (run["status"], run["error_class"], run["valid"]) == ("failed", "EngineError", False)
        assert f"custom op: {named}" in run["error"]
        assert "\n" not in run["error"]
        assert run["sha256"] == sha256_of(file)
        assert f"edge-dwsep: {model.name} on {run['engine']} failed: {run['error']}\n" in said
