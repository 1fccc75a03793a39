"""Three speeds as ratios measured in one run: start-up against a bare import of click, four TFLite exports against one
plain conversion, and the whole demo against its time limit.

    python -m tests.benchmarks.speed
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

HELP_REPEATS = 21
EXPORT_REPEATS = 5
DEMO_SECONDS = 90.0
CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def command(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run(words, check=True, capture_output=True)


def startup() -> None:
    """``edge-dwsep --help`` beside ``python -c "import click"``, taking turns."""
    script = str(Path(sys.executable).with_name("edge-dwsep"))
    ours, bare = command(script, "--help"), command(sys.executable, "-c", "import click")
    pairs = [(seconds(ours), seconds(bare)) for _ in range(HELP_REPEATS + 1)][1:]
    help_time, click_time = (statistics.median(times) for times in zip(*pairs, strict=True))
    limit = 2 * click_time + 0.1
    print(
        f"edge-dwsep --help      {1000 * help_time:7.0f} ms   import click   {1000 * click_time:7.0f} ms   "
        f"ratio {help_time / click_time:.2f}   of the limit (2x + 100 ms): {help_time / limit:.2f}"
    )


def exports() -> None:
    """Four TFLite exports, with and without their verification, beside one conversion by TensorFlow's own call."""
    from dwsep_export import Recipe
    from dwsep_export.conversion import make_tflite
    from dwsep_export.exporter import Lowering, export_model
    from dwsep_export.quiet import quiet
    from edge_dwsep.datasets.sources import open_data
    from edge_dwsep.export import export_request
    from edge_dwsep.model_source import open_model

    recipes = [Recipe.parse(f"tflite-{scheme}") for scheme in ("float32", "float16", "w8-dynamic", "w8a8")]
    request = export_request(open_model(CHECKPOINT), open_data("fashion-mnist-sample"))

    def plain() -> None:
        import tensorflow as tf

        with quiet():
            tf.lite.TFLiteConverter.from_keras_model(request.model).convert()

    def four() -> None:
        lowering = Lowering(request, lambda step: None)
        for recipe in recipes:
            make_tflite(lowering, recipe)

    def four_verified() -> None:
        with tempfile.TemporaryDirectory() as folder:
            export_model(request, recipes, Path(folder))

    times = [tuple(seconds(work) for work in (plain, four, four_verified)) for _ in range(EXPORT_REPEATS + 1)][1:]
    single, together, verified = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"four TFLite exports    {together:7.2f} s    one conversion {single:7.2f} s    ratio {together / single:.2f}"
        f"   (with manifests and verification {verified:.2f} s, ratio {verified / single:.2f}; the limit is 1.6)"
    )


def demo() -> None:
    """The demo as a user starts it."""
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(sys.executable).with_name("edge-dwsep"))
        taken = seconds(command(script, "demo", "--output", folder))
    print(
        f"edge-dwsep demo        {taken:7.1f} s    limit          {DEMO_SECONDS:7.1f} s    "
        f"ratio {taken / DEMO_SECONDS:.2f}"
    )


if __name__ == "__main__":
    startup()
    exports()
    demo()
