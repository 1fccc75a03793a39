"""Measure the accuracy of artifacts on a device, one process a run."""

from __future__ import annotations

__all__ = [
    "AccuracySettings",
    "EvaluationFiles",
    "Predictions",
    "accuracy_record",
    "evaluation_files",
    "golden_record",
    "measure_accuracy",
]

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_devices import Device, Setup, run_job
from dwsep_export import Artifact
from dwsep_runtime.accuracy_scenarios import Accuracy
from dwsep_runtime.arrays import decode_array, encode_array
from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.golden import LARGE_DIFFERENCE
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.shares import mcnemar, wilson_interval
from edge_dwsep.datasets.evaluation import EvaluationSet
from edge_dwsep.measure import known_options
from edge_dwsep.per_class import confusion_matrix, per_class
from edge_dwsep.results import circumstances

SIGNIFICANT = 0.05
"""Probability below which a difference is taken for shown."""

LOOP = ("loop_overhead_ns", "preprocessing_ns", "counting_ns", "engine_ns")


@dataclass(frozen=True)
class AccuracySettings:
    """How accuracy is measured.

    Attributes:
        threads: of the engine.
        timeout: seconds that a run may take.
        tolerance: difference of outputs that counts as agreeing, as a share of the span of the reference's.
        options: of the engines; each takes those that it knows.
    """

    threads: int = 1
    timeout: float = 3600.0
    tolerance: float = 0.01
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationFiles:
    """A data set, and its inputs and labels as the .npy files that the runtime reads; no labels, no file."""

    data: EvaluationSet
    inputs: Path
    labels: Path | None


@dataclass(frozen=True)
class Predictions:
    """What a model to compare with makes of a data set.

    Attributes:
        name: what the model is called in results.
        predictions: integers (count,), as labels.
        classes: how many it tells apart; None where that is not known.
    """

    name: str
    predictions: NDArray[Any]
    classes: int | None = None


@contextlib.contextmanager
def evaluation_files(data: EvaluationSet) -> Iterator[EvaluationFiles]:
    """Write a data set to a temporary folder, for as long as the ``with`` block lasts."""
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-data-") as folder:
        inputs, labels = Path(folder) / "inputs.npy", Path(folder) / "labels.npy"
        np.save(inputs, data.inputs)
        if data.labels is not None:
            np.save(labels, data.labels)
        yield EvaluationFiles(data, inputs, None if data.labels is None else labels)


def measure_accuracy(
    device: Device,
    artifact: Artifact,
    engine: str,
    files: EvaluationFiles,
    settings: AccuracySettings,
    *,
    preprocessing: Preprocessing,
    label_offset: int = 0,
    reference: Predictions | None = None,
) -> dict[str, Any]:
    """Classify images with an artifact in a fresh process on the device.

    Args:
        device: where to run.
        artifact: what to run.
        engine: by which engine.
        files: images and labels.
        settings: threads and time limit.
        preprocessing: from pixels to the model's input.
        label_offset: number of outputs before the one of label 0.
        reference: a model to compare with, image by image.

    Returns:
        Keys to put into the run's record: ``accuracy``, ``agreement``, ``golden``, ``engine_version``, ``state``,
        ``device``, ``harness_sha256``, and ``doubts`` to be added to its warnings.

    Raises:
        InvalidInput: there are no labels, or the reference tells other classes apart.
        DwsepError: the device or the run failed.
    """
    if files.labels is None:
        raise InvalidInput(f"data set {files.data.name!r} has no labels, so there is no accuracy to count")
    golden = artifact.manifest.golden if artifact.manifest else None
    result = run_job(
        device,
        artifact.file,
        engine,
        Accuracy(str(files.inputs), str(files.labels), preprocessing, label_offset, golden),
        Setup(
            EngineSettings(threads=settings.threads, options=known_options(engine, settings.options)),
            manifest_sha256=artifact.manifest_sha256,
        ),
        timeout=settings.timeout,
    )
    measured = result["measured"]
    names = files.data.class_names or (artifact.manifest.labels if artifact.manifest else ())
    record = accuracy_record(measured, files.data, names)
    agreement = None if reference is None else _agreement(measured, files.data, reference)
    return {"accuracy": record, "agreement": agreement, **golden_record(measured), **circumstances(result)}


def accuracy_record(measured: Mapping[str, Any], data: EvaluationSet, names: tuple[str, ...]) -> dict[str, Any]:
    """The ``accuracy`` of a run's record, from what the runtime measured.

    ``correct`` tells of each image whether it was right, eight to a byte, the first image in the highest bit: runs are
    compared image by image by it, whatever the labels.
    """
    count, classes = measured["count"], measured["classes"]
    labels = np.zeros(0, np.int64) if data.labels is None else data.labels
    predictions = decode_array(measured["predictions"])
    return {
        "count": count,
        "classes": classes,
        "top1": measured["top1_correct"] / count,
        "top1_interval": wilson_interval(measured["top1_correct"], count),
        "top5": measured["top5_correct"] / count,
        "top5_interval": wilson_interval(measured["top5_correct"], count),
        "predictions": measured["predictions"],
        "correct": encode_array(np.packbits(predictions == labels)),
        "confusion": confusion_matrix(labels, predictions, classes).tolist(),
        "per_class": per_class(labels, predictions, classes, names),
        **{name: measured[name] for name in LOOP},
    }


def golden_record(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The keys ``golden`` (None without golden images) and ``doubts`` of a run, from what the runtime measured."""
    golden = measured["golden"]
    if golden is None:
        return {"golden": None}
    difference = golden["max_difference"]
    doubts = []
    if difference is not None and difference > LARGE_DIFFERENCE:
        doubts.append(
            f"outputs for golden images differ by up to {100 * difference:.0f} % of their range from those at export: "
            "the engine here computes otherwise"
        )
    return {"golden": {"preprocessing": golden["preprocessing"], "max_difference": difference}, "doubts": doubts}


def _agreement(measured: Mapping[str, Any], data: EvaluationSet, reference: Predictions) -> dict[str, Any]:
    """How a run's predictions compare with a reference's, image by image.

    ``mcnemar`` holds ``b`` (images that the reference alone has right), ``c`` (that the run alone has right), ``p`` and
    ``verdict``: "worse", "better" or "no difference shown".
    """
    predictions, expected = decode_array(measured["predictions"]), reference.predictions
    count, classes = measured["count"], measured["classes"]
    if len(expected) != count:
        raise InvalidInput(f"reference {reference.name} has {len(expected)} predictions for {count} images")
    if reference.classes is not None and reference.classes != classes:
        raise InvalidInput(
            f"the model has {classes} classes and reference {reference.name} {reference.classes}: "
            "give a reference of the same classes"
        )
    same = int(np.count_nonzero(predictions == expected))
    right, reference_right = predictions == data.labels, expected == data.labels
    b, c = int(np.count_nonzero(reference_right & ~right)), int(np.count_nonzero(right & ~reference_right))
    p = mcnemar(b, c)
    verdict = "no difference shown" if p >= SIGNIFICANT else "worse" if b > c else "better"
    return {
        "reference": reference.name,
        "top1": same / count,
        "interval": wilson_interval(same, count),
        "mcnemar": {"b": b, "c": c, "p": p, "verdict": verdict},
    }
