"""The whole way on this machine: checkpoint, six artifacts, ten runs, one table and one picture."""

from __future__ import annotations

__all__ = ["CHECKPOINT", "run_demo"]

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dwsep_devices import LocalDevice
from dwsep_export import RECIPES, Recipe
from dwsep_export.output import staging_folder, write_text
from dwsep_runtime.errors import DwsepError
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.shares import wilson_interval
from edge_dwsep.choice import choose
from edge_dwsep.datasets.evaluation import EvaluationSet
from edge_dwsep.datasets.sources import open_data
from edge_dwsep.evaluate import Evaluation, engines_of, evaluate
from edge_dwsep.export import export_source, predictions_of
from edge_dwsep.measure import LatencySettings
from edge_dwsep.measured_accuracy import AccuracySettings, Predictions, evaluation_files
from edge_dwsep.model_source import open_model
from edge_dwsep.report import render
from edge_dwsep.results import new_results, write_results

CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
DATA = "fashion-mnist-sample"
LATENCY = LatencySettings(min_samples=1024, min_seconds=1.0, processes=1, max_warmup_seconds=0.6)
REFERENCE = "keras float32"


def run_demo(folder: Path, command: str, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
    """Export the checkpoint in every format and scheme, measure each on this machine, and write what came out.

    Args:
        folder: gets ``artifacts/``, ``results.json`` and ``report.html``.
        command: for the record.
        on_step: told what is being done.

    Returns:
        The content of results.json.

    Raises:
        DwsepError: the model or the output folder cannot be used; a variant that fails is in the results instead.
    """
    with staging_folder(folder):
        on_step("load the checkpoint")
    source = open_model(CHECKPOINT)
    data = open_data(DATA)
    results = new_results(command, {**LATENCY.to_json(), "data": DATA}, [LocalDevice.description])
    results["models"] = [{**asdict(source.facts), "labels": list(source.labels), "trained": True, "reference": None}]
    results["data"] = {"name": data.evaluation.name, "count": len(data.evaluation), "sha256": data.evaluation.sha256}
    failed: list[tuple[Recipe, DwsepError]] = []
    artifacts = export_source(
        source,
        RECIPES,
        folder / "artifacts",
        data=data,
        on_step=on_step,
        on_failure=lambda recipe, error: failed.append((recipe, error)),
    )
    on_step("classify with keras float32")
    expected = predictions_of(source.model, source.preprocessing or Preprocessing(), data.evaluation.images)
    correct = int(np.count_nonzero(expected == data.evaluation.labels))
    count = len(data.evaluation)
    results["reference"] = {
        "name": REFERENCE,
        "top1": correct / count,
        "top1_interval": wilson_interval(correct, count),
    }
    results["models"][0]["reference"] = results["reference"]
    plan = [(artifact, engine) for artifact in artifacts for engine in engines_of(artifact, ())]
    device = LocalDevice()
    try:
        with evaluation_files(EvaluationSet.of(data.evaluation)) as files:
            what = Evaluation(
                latency=LATENCY,
                accuracy=AccuracySettings(),
                files=files,
                reference=Predictions(REFERENCE, expected),
            )
            evaluate(device, plan, what, results, on_step)
    finally:
        device.close()
    results["failed_exports"] = [{"variant": recipe.name, "error": str(error)} for recipe, error in failed]
    on_step("write the report")
    write_results(results, folder / "results.json")
    write_text(folder / "report.html", render(results, choose(results)))
    return results
