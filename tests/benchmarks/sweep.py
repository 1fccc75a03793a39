"""A sweep of 24 variants beside the script that one would write: every variant converted by itself, then measured.

    python -m tests.benchmarks.sweep [--min-seconds S] [--precision P]

Both make MobileNet V2 at two widths and two resolutions in six recipes, and time each for as long on one engine. With a
precision the sweep ends a measurement early once p50 is known that closely, and the script is told to measure for as
long as the sweep did on the average. Then the sweep is given again unchanged, and again with one scheme more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

ALPHAS, RESOLUTIONS = (0.35, 0.5), (96, 128)
TFLITE = ("float32", "float16", "w8-dynamic", "w8a8")
ONNX = ("float32", "w8a8")
CALIBRATION_COUNT = 64
CHUNK_NS = 10_000_000
SECONDS_OF_RAPID = 6.0

MOST_OF_PEER = 0.5
AGAIN_SECONDS = 3.0
ONE_MORE = "--io=float32,int8"
OWN_STEPS = {"convert", "verify", "launch"}


def script(folder: Path, min_seconds: float, warm_up_seconds: float) -> None:
    """The peer: converters and quantizers called one variant after another, as their documentation shows it."""
    from dwsep_export.quiet import load_tensorflow, quiet

    load_tensorflow()
    import keras
    import numpy as np

    from edge_dwsep import build

    for alpha in ALPHAS:
        for side in RESOLUTIONS:
            keras.utils.set_random_seed(1)
            model = build("mobilenet_v2", alpha=alpha, input_shape=(side, side, 3))
            pixels = np.random.default_rng(0).integers(0, 256, (CALIBRATION_COUNT, side, side, 3), np.uint8)
            images = pixels.astype(np.float32) / 127.5 - 1
            for format, schemes in (("tflite", TFLITE), ("onnx", ONNX)):
                for scheme in schemes:
                    began = time.perf_counter()
                    file = folder / f"{alpha}-{side}-{scheme}.{format}"
                    with quiet():
                        if format == "tflite":
                            file.write_bytes(tflite(model, scheme, images))
                        else:
                            onnx_file(model, scheme, images, file)
                    made = time.perf_counter()
                    p50 = timed(file, images[:1], min_seconds, warm_up_seconds)
                    print(json.dumps([file.name, made - began, time.perf_counter() - made, p50]), flush=True)


def tflite(model: Any, scheme: str, images: Any) -> bytes:
    import tensorflow as tf

    def dataset() -> Iterator[list[Any]]:
        for row in range(len(images)):
            yield [images[row : row + 1]]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if scheme != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if scheme == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme == "w8a8":
        converter.representative_dataset = dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content: bytes = converter.convert()
    return content


def onnx_file(model: Any, scheme: str, images: Any, file: Path) -> None:
    import onnx
    import onnxslim
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model.export(file, format="onnx", verbose=False)
    onnx.save(onnxslim.slim(onnx.load(file)), file)
    if scheme == "float32":
        return
    name = onnx.load(file).graph.input[0].name
    rows = iter([{name: images[row : row + 1]} for row in range(len(images))])

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def get_next(self) -> dict[str, Any] | None:
            return next(rows, None)

    prepared = file.with_suffix(".prepared")
    quant_pre_process(file, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(prepared, file, Images(), per_channel=True)


def timed(file: Path, image: Any, min_seconds: float, warm_up_seconds: float) -> float:
    """Median milliseconds of an inference, by the same calls of the engines as ours."""
    invoke = session(file, image) if file.suffix == ".onnx" else compiled(file, image)
    until = time.perf_counter() + warm_up_seconds
    while time.perf_counter() < until:
        invoke()
    samples = []
    until = time.perf_counter() + min_seconds
    while time.perf_counter() < until:
        began = time.perf_counter_ns()
        invoke()
        samples.append(time.perf_counter_ns() - began)
    return statistics.median(samples) / 1e6


def compiled(file: Path, image: Any) -> Any:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator

    model = CompiledModel.from_file(str(file), HardwareAccelerator.CPU)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    inputs[0].write(image)
    return lambda: model.run_by_index(0, inputs, outputs)


def session(file: Path, image: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    running = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feed = {running.get_inputs()[0].name: image}
    return lambda: running.run(None, feed)


def peer(min_seconds: float, warm_up_seconds: float) -> tuple[float, float, float]:
    """Seconds that the script takes in all, for converting and for measuring."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "tests.benchmarks.sweep", "--peer", folder]
        words += ["--min-seconds", str(min_seconds), "--warm-up", str(warm_up_seconds)]
        began = time.perf_counter()
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        taken = time.perf_counter() - began
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    variants = len(ALPHAS) * len(RESOLUTIONS) * (len(TFLITE) + len(ONNX))
    if len(lines) != variants:
        raise SystemExit(f"the script made {len(lines)} of {variants} variants:\n{done.stderr[-2000:]}")
    return taken, sum(line[1] for line in lines), sum(line[2] for line in lines)


def processor_seconds() -> float:
    """Of all processes started by this one that have ended: a busy machine changes it less than the time of day."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Sweep:
    """The command with a store, an output folder and a cache of its own."""

    def __init__(self, folder: Path, min_seconds: float, precision: float | None) -> None:
        self.store = folder / "store.sqlite"
        self.output = folder / "out"
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        self.words = [str(Path(sys.executable).with_name("edge-dwsep")), "sweep", "mobilenet_v2"]
        self.words += ["--alpha", ",".join(map(str, ALPHAS)), "--resolution", ",".join(map(str, RESOLUTIONS))]
        self.words += ["--engine", "litert,onnxruntime", "--mode", "rapid", "--min-seconds", str(min_seconds)]
        self.words += ["--precision", str(precision)] if precision else []
        self.words += ["--output", str(self.output), "--store", str(self.store), "--json"]

    def run(self, more: Sequence[str] = ()) -> tuple[float, dict[str, Any]]:
        """Seconds that it takes, and its results."""
        began = time.perf_counter()
        done = subprocess.run([*self.words, *more], env=self.environment, capture_output=True, text=True, check=False)
        taken = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{' '.join(self.words)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        results: dict[str, Any] = json.loads((self.output / "results.json").read_text())
        return taken, results

    def steps(self) -> dict[str, tuple[str, float]]:
        """Kind and seconds of each step that is stored, by its key."""
        with sqlite3.connect(self.store) as database:
            rows = database.execute("SELECT key, kind, seconds FROM dwsep_steps").fetchall()
        return {key: (kind, seconds) for key, kind, seconds in rows}


def main(min_seconds: float, precision: float | None) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(Path(folder), min_seconds, precision)
        worked = processor_seconds()
        ours, results = sweep.run()
        ours_worked = processor_seconds() - worked
        runs = [run for run in results["runs"] if run["status"] == "ok"]
        warm_up = statistics.mean(one["seconds"] for run in runs for one in run["latency"]["warmups"])
        min_seconds = statistics.mean(run["latency"]["timed_seconds"] for run in runs)
        by_kind: Counter[str] = Counter()
        for kind, seconds in sweep.steps().values():
            by_kind[kind] += seconds  # type: ignore[assignment]  # seconds are counted, too
        print(f"the sweep's steps, in seconds of work: {', '.join(f'{k} {v:.0f}' for k, v in by_kind.items())}")
        theirs, converting, measuring = peer(min_seconds, warm_up)
        theirs_worked = processor_seconds() - worked - ours_worked
        print(
            f"the script: {converting:.0f} s of converting, {measuring:.0f} of measuring ({min_seconds:.2f} s each, "
            f"after {warm_up:.2f} s of warm-up)"
        )
        good = ours <= MOST_OF_PEER * theirs and len(runs) == len(results["runs"])
        print(
            f"sweep of {len(runs)} variants {ours:6.1f} s    the script {theirs:6.1f} s    ratio {ours / theirs:.2f}"
            f"   the limit is {MOST_OF_PEER}"
        )
        print(
            f"processor time       {ours_worked:6.1f} s    the script {theirs_worked:6.1f} s    "
            f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
        )
        again, _ = sweep.run()
        good &= again < AGAIN_SECONDS
        print(f"again, unchanged     {again:6.2f} s    the limit is {AGAIN_SECONDS} s")
        before = sweep.steps()
        more, results = sweep.run([ONE_MORE])
        done = Counter(kind for key, (kind, _) in sweep.steps().items() if key not in before)
        good &= set(done) <= OWN_STEPS
        told = ", ".join(f"{count} {kind}" for kind, count in done.items())
        print(
            f"one more ({ONE_MORE}) {more:6.1f} s    {len(results['runs']) - len(runs)} runs more; steps done: {told}"
        )
    return good


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("--min-seconds", type=float, default=SECONDS_OF_RAPID)
    given.add_argument("--precision", type=float)
    given.add_argument("--warm-up", type=float, default=0.5)
    given.add_argument("--peer", type=Path)
    arguments = given.parse_args()
    if arguments.peer:
        script(arguments.peer, arguments.min_seconds, arguments.warm_up)
    else:
        sys.exit(not main(arguments.min_seconds, arguments.precision))
