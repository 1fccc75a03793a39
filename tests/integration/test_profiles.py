"""Operators of real networks timed by real engines, and an engine that an operator kills."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_runtime.engines import EngineSettings
from dwsep_runtime.operators.profile import profile_operators
from dwsep_runtime.operators.tflite_prefix import first_crashing_operator
from tests.conftest import CommandLine, Demo

pytestmark = pytest.mark.slow

DEMO_RUNS = [
    ("tflite", "float32.tflite"),
    ("tflite", "float16.tflite"),
    ("tflite", "w8-dynamic.tflite"),
    ("tflite", "w8a8.tflite"),
    ("litert", "float32.tflite"),
    ("litert", "w8a8.tflite"),
    ("onnxruntime", "float32.onnx"),
    ("onnxruntime", "w8a8.onnx"),
]
RUN_ONE = """
import sys
from pathlib import Path
from dwsep_runtime.engines import EngineSettings, allocate_engine, load_engine
from dwsep_runtime.timing import random_inputs
engine, version = load_engine("tflite", Path(sys.argv[1]), EngineSettings(), "part")
allocate_engine(engine, "tflite", version, "part")
engine.set_inputs(random_inputs(engine.inputs, 0))
engine.invoke()
"""


def macs_of_manifest(artifact: Path) -> int:
    macs: int = json.loads(Path(f"{artifact}.manifest.json").read_text())["model"]["macs"]
    return macs


def require_sound(profile: dict[str, Any], macs: int) -> None:
    """What must hold of any profile of a separable network, however busy the machine."""
    assert sum(operator["macs"] for operator in profile["operators"]) == macs
    kinds = profile["by_kind"]
    assert kinds["depthwise"]["macs"] < kinds["pointwise"]["macs"]
    assert sum(sums["macs"] for sums in kinds.values()) == macs
    assert all(np.isfinite(operator["ns"]) for operator in profile["operators"])
    assert kinds["pointwise"]["ns"] > 0
    assert all(np.isfinite(ratio) and ratio > 0 for ratio in profile["distortion"].values())


@pytest.mark.parametrize(("engine", "ending"), DEMO_RUNS)
def test_macs_of_all_operators_are_those_of_the_keras_network(demo: Demo, engine: str, ending: str) -> None:
    model = demo.artifact(ending)
    profile = profile_operators(model, engine, EngineSettings(), model.name, seconds=0.5)
    require_sound(profile, macs_of_manifest(model))
    assert profile["by_kind"]["depthwise"]["operators"] == 13
    assert profile["by_kind"]["pointwise"]["operators"] == 14


@pytest.mark.parametrize("optimization", ["disable", "basic", "extended"])
@pytest.mark.parametrize("ending", ["float32.onnx", "w8a8.onnx"])
def test_macs_do_not_depend_on_how_far_onnxruntime_rewrites_the_graph(
    demo: Demo, ending: str, optimization: str
) -> None:
    model = demo.artifact(ending)
    settings = EngineSettings(options={"optimization": optimization})
    require_sound(profile_operators(model, "onnxruntime", settings, model.name, seconds=0.3), macs_of_manifest(model))


def test_a_network_with_residual_branches_is_told_apart(tmp_path: Path, command_line: CommandLine) -> None:
    recipes = ["tflite-float32", "tflite-w8a8", "onnx-float32", "onnx-w8a8"]
    asked = [word for recipe in recipes for word in ("--recipe", recipe)]
    made = command_line(
        "export",
        "mobilenet_v2",
        "--alpha",
        "0.35",
        "--resolution",
        "32",
        "--classes",
        "10",
        *asked,
        "--output",
        tmp_path,
    )
    assert made.returncode == 0, made.stderr
    models = sorted([*tmp_path.glob("*.tflite"), *tmp_path.glob("*.onnx")])
    assert len(models) == len(recipes)
    for model in models:
        engine = "tflite" if model.suffix == ".tflite" else "onnxruntime"
        profile = profile_operators(model, engine, EngineSettings(), model.name, seconds=0.5)
        require_sound(profile, macs_of_manifest(model))
        assert {"depthwise", "pointwise", "standard", "dense"} <= set(profile["by_kind"])


def test_the_operator_that_kills_the_engine_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)], autograph=False)
    def overflow(x: Any) -> Any:
        zeros = tf.cast(tf.nn.relu(x), tf.int32) * 0
        # x86 processors trap the smallest int32 divided by -1, and TFLite does not guard it.
        return tf.abs(tf.cast(tf.math.floormod(zeros + np.int32(-(2**31)), zeros - 1), tf.float32))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([overflow.get_concrete_function()])
    model = tmp_path / "overflow.tflite"
    model.write_bytes(converter.convert())

    def crashes(part: Path) -> bool:
        command = [sys.executable, "-c", RUN_ONE, str(part)]
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode < 0

    found = first_crashing_operator(model, crashes)
    assert found is not None
    assert str(found) == f"operator {found.index} FLOOR_MOD"
