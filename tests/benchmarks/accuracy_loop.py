"""What counting accuracy adds to the engine's own time, in microseconds a sample, against the goal of 25.

The bare loop runs the same inputs, prepared before, through the same engine: set_inputs, invoke, get_outputs. Both
take turns, and the median of their differences is the figure, beside the engine's time; the ratio is that of the two
loops. Preprocessing grows with the image: at 224x224x3 the loop is also shown without it, as it says of itself.

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
from tests.benchmarks.figures import HEADER, show

GOAL_US = 25.0
REPEATS, LARGE_REPEATS = 9, 5
CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
LARGE = ("mobilenet_v1", "--alpha", "0.25", "--resolution", "224")
RECIPES = ("tflite-float32", "tflite-w8a8", "onnx-float32")
LARGE_BYTES = 60_000_000
LARGE_VALUES = 100_000


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


def added(artifact: Artifact, name: str, folder: Path) -> list[bool]:
    """Show the figures of an artifact on an engine; whether they meet the goal."""
    if artifact.manifest is None:
        raise SystemExit(f"{artifact.file} has no manifest; give a folder that edge-dwsep export has written")
    engine, version = load_engine(name, artifact.file, EngineSettings(), artifact.file.name)
    allocate_engine(engine, name, version, artifact.file.name)
    tensor, preprocessing = engine.inputs[0], artifact.manifest.preprocessing
    shape = artifact.manifest.model.input_shape
    large = int(np.prod(shape)) >= LARGE_VALUES
    count = min(2000, LARGE_BYTES // (4 * int(np.prod(shape))))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), np.uint8)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", rng.integers(0, artifact.manifest.model.outputs, count))
    scenario = Accuracy(str(folder / "images.npy"), str(folder / "labels.npy"), preprocessing)
    inputs = tensor.quantize(preprocessing.for_input(tensor.shape).apply(images))
    differences, bares, costs = [], [], []
    for repeat in range((LARGE_REPEATS if large else REPEATS) + 1):
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
    engine_us, whole = statistics.median(bares[1:]), statistics.median(differences[1:])
    without = statistics.median((cost["loop_overhead_ns"] - cost["preprocessing_ns"]) / 1000 for cost in costs[1:])
    title = f"{'x'.join(map(str, shape))} {artifact.variant} {name}"
    if not large:
        return [against_goal(title, whole, engine_us)]
    return [
        against_goal(f"{title}, without preprocessing", without, engine_us),
        against_goal(f"{title}, with preprocessing", whole, engine_us),
    ]


def against_goal(title: str, added_us: float, engine_us: float) -> bool:
    ratio, goal = (engine_us + added_us) / engine_us, f"at most {GOAL_US:g} us"
    return show(title, f"{added_us:.1f} us", f"{engine_us:.1f} us", ratio, goal, met=added_us <= GOAL_US)


def main(arguments: list[str]) -> bool:
    """Show each file on each engine; whether all meet the goal."""
    print(HEADER)
    met = []
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        if arguments:
            files = [file for file in sorted(Path(arguments[0]).iterdir()) if file.suffix in {".tflite", ".onnx"}]
        else:
            files = export(folder / "small", CHECKPOINT, "--data", "fashion-mnist-sample")
            files += export(folder / "large", *LARGE)
        for file in files:
            for name in engines_for(file):
                met += added(open_artifact(file), name, folder)
    return bool(met) and all(met)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
