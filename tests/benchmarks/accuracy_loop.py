"""What counting accuracy adds to the engine's own time, in microseconds a sample, against the goal of 25.

The bare loop runs the same inputs, prepared before, through the same engine: set_inputs, invoke, get_outputs. Both
take turns, and the medians of their differences are printed, beside what the loop says of itself.

    python -m tests.benchmarks.accuracy_loop [FOLDER OF EXPORTED FILES]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

from dwsep_export import Artifact, open_artifact
from dwsep_runtime.accuracy import accuracy
from dwsep_runtime.accuracy_scenarios import Accuracy
from dwsep_runtime.engines import Engine, allocate_engine, engines_for, load_engine
from dwsep_runtime.engines.protocol import EngineSettings

GOAL_US = 25.0
REPEATS = 15
CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
LARGE = ("mobilenet_v1", "--alpha", "0.25", "--resolution", "224")
RECIPES = ("tflite-float32", "tflite-w8a8", "onnx-float32")
LARGE_BYTES = 120_000_000


def export(folder: Path, *words: str) -> list[Path]:
    """Files of a model in the recipes that the benchmark runs."""
    recipes = [word for recipe in RECIPES for word in ("--recipe", recipe)]
    script = [sys.executable, "-m", "edge_dwsep", "export", *words, *recipes, "--output", str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    return [file for file in sorted(folder.iterdir()) if file.suffix in {".tflite", ".onnx"}]


def bare(engine: Engine, inputs: np.ndarray) -> float:
    """Seconds of the loop that nothing can be left out of."""
    started = time.perf_counter()
    for row in range(len(inputs)):
        engine.set_inputs([inputs[row : row + 1]])
        engine.invoke()
        engine.get_outputs()
    return time.perf_counter() - started


def added(artifact: Artifact, name: str, folder: Path) -> str:
    """One line of figures for an artifact on an engine."""
    if artifact.manifest is None:
        raise SystemExit(f"{artifact.file} has no manifest; give a folder that edge-dwsep export has written")
    engine, version = load_engine(name, artifact.file, EngineSettings(), artifact.file.name)
    allocate_engine(engine, name, version, artifact.file.name)
    tensor, preprocessing = engine.inputs[0], artifact.manifest.preprocessing
    shape = artifact.manifest.model.input_shape
    count = min(2000, LARGE_BYTES // (4 * int(np.prod(shape))))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), np.uint8)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", rng.integers(0, artifact.manifest.model.outputs, count))
    scenario = Accuracy(str(folder / "images.npy"), str(folder / "labels.npy"), preprocessing)
    inputs = tensor.quantize(preprocessing.for_input(tensor.shape).apply(images))
    differences, bares, costs = [], [], []
    for repeat in range(REPEATS + 1):
        taken = {}
        for turn in ("bare", "ours") if repeat % 2 else ("ours", "bare"):
            if turn == "bare":
                taken[turn] = bare(engine, inputs)
            else:
                started = time.perf_counter()
                costs.append(accuracy(engine, scenario))
                taken[turn] = time.perf_counter() - started
        bares.append(1e6 * taken["bare"] / count)
        differences.append(1e6 * (taken["ours"] - taken["bare"]) / count)
    spread = sorted(differences[1:])
    quartiles = f"{spread[len(spread) // 4]:6.1f} to {spread[3 * len(spread) // 4]:6.1f}"
    loop, preparing, counting = (
        statistics.median(cost[key] / 1000 for cost in costs[1:])
        for key in ("loop_overhead_ns", "preprocessing_ns", "counting_ns")
    )
    return (
        f"{'x'.join(map(str, shape)):10} {artifact.variant:15} {name:12} engine {statistics.median(bares[1:]):8.1f} us"
        f"   adds {statistics.median(spread):6.1f} us (quartiles {quartiles}; goal {GOAL_US:g})"
        f"   outside the engine {loop:6.1f} us, of it preprocessing {preparing:6.1f}, counting {counting:5.1f}"
    )


def main(arguments: list[str]) -> None:
    """Print a line for each file and engine."""
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        if arguments:
            files = [file for file in sorted(Path(arguments[0]).iterdir()) if file.suffix in {".tflite", ".onnx"}]
        else:
            files = export(folder / "small", CHECKPOINT, "--data", "fashion-mnist-sample")
            files += export(folder / "large", *LARGE)
        for file in files:
            for name in engines_for(file):
                print(added(open_artifact(file), name, folder), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
