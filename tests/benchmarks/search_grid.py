"""Measure every point of a space of 200, so that searches of it can be replayed: makes ``search_grid.json``.

    python -m tests.benchmarks.search_grid FOLDER [--rounds 5]

MobileNet V1 at five widths, trained at 32x32 for three epochs on 20,000 photos of Fashion-MNIST, and gone on with at
48x48 for two more with smoothed labels (anew from another seed where export refused the float16 file); the six recipes;
both engines of TFLite, and onnxruntime; one and two threads. Accuracy is counted on 2000 test photos, once for each
file and engine (threads do not decide it). Latency is p50 of a process of its own with its 95 % interval, in rounds
over all points in random order. FOLDER keeps what is done, so that what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHAS = (0.125, 0.25, 0.35, 0.5, 0.75)
RESOLUTIONS = (32, 48)
THREADS = (1, 2)
TRAINING_IMAGES, EPOCHS, BATCH, RATE = 20_000, 3, 128, 4e-3
FURTHER_EPOCHS, SMOOTHING = 2, 0.1
ROUNDS = 5
SEEDS = (1, 2, 3)
TARGET = Path(__file__).with_name("search_grid.json")


def resized(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Photos uint8 (count, 28, 28, 1) at another size, bilinear."""
    from PIL import Image

    small = [Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in small])[..., np.newaxis]


def trained(alpha: float, side: int, file: Path, seed: int) -> Any:
    """A network, trained unless ``file`` holds it."""
    from dwsep_export.quiet import load_tensorflow

    load_tensorflow()
    import keras

    if file.exists():
        return keras.models.load_model(file)
    from edge_dwsep.datasets import fashion_mnist
    from edge_dwsep.models import build

    keras.utils.set_random_seed(seed)
    begun = RESOLUTIONS[0] != side
    epochs = FURTHER_EPOCHS if begun else EPOCHS
    photos = fashion_mnist.load("train").subset(np.arange(TRAINING_IMAGES, dtype=np.int64))
    model = build("mobilenet_v1", alpha=alpha, input_shape=(side, side, 1), classes=10)
    for layer in model.layers:
        if hasattr(layer, "momentum"):
            layer.momentum = 0.9
    if begun:
        smaller = file.parent.parent / f"mobilenet_v1_{alpha:g}_{RESOLUTIONS[0]}" / file.name
        model.set_weights(keras.models.load_model(smaller).get_weights())
    schedule = keras.optimizers.schedules.CosineDecay(RATE, epochs * TRAINING_IMAGES // BATCH)
    # Without smoothing, steep logits make float16 differ by more than export takes for rounding.
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING if begun else 0.0)
    model.compile(keras.optimizers.AdamW(schedule), loss)
    pixels = resized(photos.images, side).astype(np.float32) / 127.5 - 1
    model.fit(pixels, keras.utils.to_categorical(photos.labels, 10), batch_size=BATCH, epochs=epochs, verbose=0)
    part = file.with_name(f"part-{file.name}")
    model.save(part)
    part.replace(file)
    return model


def data_at(side: int) -> Any:
    """The package's sample of Fashion-MNIST at another size."""
    from edge_dwsep.datasets.labelled import LabelledImages
    from edge_dwsep.datasets.sources import DataSource, open_data

    sample = open_data("fashion-mnist-sample")
    evaluation, pool = (
        LabelledImages(f"{part.name}-{side}", resized(part.images, side), part.labels, part.class_names)
        for part in (sample.evaluation, sample.calibration_pool)
    )
    return DataSource(evaluation, pool, sample.calibration_indices)


def export(folder: Path) -> None:
    """Every network by every recipe, each network in its own folder, its name the last thing to be there."""
    from dwsep_export import RECIPES, BrokenPromise
    from dwsep_runtime.preprocessing import Preprocessing
    from edge_dwsep.cost import model_facts
    from edge_dwsep.export import export_source
    from edge_dwsep.model_source import ModelSource

    for side in RESOLUTIONS:
        data = data_at(side)
        for alpha in ALPHAS:
            name = f"mobilenet_v1_{alpha:g}_{side}"
            if (folder / name / "done").exists():
                continue
            (folder / name).mkdir(parents=True, exist_ok=True)
            preprocessing = Preprocessing(resize="pad", height=side, width=side, scale=(1 / 127.5,), offset=(-1.0,))
            labels = data.evaluation.class_names
            for seed in SEEDS:
                model = trained(alpha, side, folder / name / "model.keras", seed)
                facts = model_facts(model, name, "mobilenet_v1", alpha)
                source = ModelSource(model, facts, preprocessing, labels, trained=True)
                try:
                    export_source(source, RECIPES, folder / name, data=data)
                except BrokenPromise as error:
                    print(f"{name} with seed {seed}: {error}", file=sys.stderr, flush=True)
                    (folder / name / "model.keras").unlink()
                else:
                    break
            else:
                raise SystemExit(f"{name} cannot be exported with any of the seeds {SEEDS}")
            (folder / name / "done").touch()
            print(f"exported {name}", file=sys.stderr, flush=True)


def points(folder: Path) -> list[dict[str, Any]]:
    """Every point, with its file."""
    from dwsep_export import RECIPES, open_artifact
    from edge_dwsep.evaluate import engines_of

    found = []
    for alpha in ALPHAS:
        for side in RESOLUTIONS:
            for recipe in RECIPES:
                name = f"mobilenet_v1_{alpha:g}_{side}"
                file = folder / name / f"{name}-{recipe.scheme.value}.{recipe.format.value}"
                for engine in engines_of(open_artifact(file), ()):
                    for threads in THREADS:
                        axes = {"alpha": alpha, "resolution": side, "recipe": recipe.name, "engine": engine}
                        found.append({**axes, "threads": threads, "file": file})
    return found


def measure(folder: Path, rounds: int) -> None:
    """Accuracy of each file on each engine, then rounds of latency; a line of JSON for each in ``FOLDER/measured``."""
    from dwsep_devices import LocalDevice
    from dwsep_export import open_artifact
    from edge_dwsep.datasets.evaluation import EvaluationSet
    from edge_dwsep.measure import LatencySettings, measure_latency
    from edge_dwsep.measured_accuracy import AccuracySettings, evaluation_files, measure_accuracy

    log = folder / "measured"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    done = {(line["what"], line["point"], line["round"]) for line in lines}
    space, device = points(folder), LocalDevice()
    try:
        with log.open("a") as out:

            def tell(what: str, point: int, round_: int, **values: Any) -> None:
                print(json.dumps({"what": what, "point": point, "round": round_, **values}), file=out, flush=True)

            for side in RESOLUTIONS:
                with evaluation_files(EvaluationSet.of(data_at(side).evaluation)) as files:
                    for index, point in enumerate(space):
                        key = ("accuracy", index, 0)
                        if point["resolution"] != side or point["threads"] != THREADS[0] or key in done:
                            continue
                        artifact = open_artifact(point["file"])
                        told = measure_accuracy(
                            device,
                            artifact,
                            point["engine"],
                            files,
                            AccuracySettings(),
                            preprocessing=artifact.manifest.preprocessing,  # type: ignore[union-attr]
                        )["accuracy"]
                        tell(*key, top1=told["top1"], interval=told["top1_interval"])
            for round_ in range(rounds):
                order = list(range(len(space)))
                random.Random(round_).shuffle(order)  # noqa: S311  # an order
                for index in order:
                    key = ("latency", index, round_)
                    if key in done:
                        continue
                    point = space[index]
                    settings = LatencySettings(
                        min_samples=256,
                        min_seconds=0.2,
                        processes=1,
                        max_warmup_seconds=0.3,
                        threads=point["threads"],
                    )
                    told = measure_latency(device, open_artifact(point["file"]), point["engine"], settings)["latency"]
                    tell(*key, p50_ms=told["p50_ms"], interval=told["p50_interval_ms"], count=told["count"])
                print(f"round {round_ + 1} of {rounds}", file=sys.stderr, flush=True)
    finally:
        device.close()


def collect(folder: Path) -> dict[str, Any]:
    """Everything measured, as one JSON value."""
    from importlib import metadata

    space = points(folder)
    lines = [json.loads(line) for line in (folder / "measured").read_text().splitlines()]
    for point in space:
        point["bytes"] = point.pop("file").stat().st_size
        point["p50_ms"], point["p50_interval_ms"] = [], []
    for line in sorted((line for line in lines if line["what"] == "latency"), key=lambda line: line["round"]):
        space[line["point"]]["p50_ms"].append(round(line["p50_ms"], 6))
        interval = line["interval"]
        space[line["point"]]["p50_interval_ms"].append(interval and [round(bound, 6) for bound in interval])
    for line in lines:
        if line["what"] == "accuracy":
            for point in space[line["point"] : line["point"] + len(THREADS)]:
                point["top1"], point["top1_interval"] = line["top1"], [round(bound, 5) for bound in line["interval"]]
    packages = ("tensorflow", "keras", "ai-edge-litert", "onnxruntime")
    return {
        "made_by": "python -m tests.benchmarks.search_grid, on two shared x86 cores; see there for how",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": {name: metadata.version(name) for name in packages},
        "evaluation_images": 2000,
        "points": space,
    }


def main() -> None:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    export(arguments.folder)
    measure(arguments.folder, arguments.rounds)
    collected = collect(arguments.folder)
    head = json.dumps({key: value for key, value in collected.items() if key != "points"}, indent=1)
    rows = ",\n".join(json.dumps(point) for point in collected["points"])
    TARGET.write_text(f'{head[:-2]},\n "points": [\n{rows}\n ]\n}}\n')


if __name__ == "__main__":
    main()
