"""Measure the accuracy of artifacts on a device, one process a run."""

from __future__ import annotations

__all__ = ["AccuracySettings", "EvaluationFiles", "evaluation_files", "measure_accuracy"]

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_devices import Device, Setup, run_job
from dwsep_export import Artifact
from dwsep_runtime.accuracy_scenarios import Accuracy
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.shares import wilson_interval
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.results import circumstances


@dataclass(frozen=True)
class AccuracySettings:
    """How accuracy is measured: threads of the engine, and seconds that a run may take."""

    threads: int = 1
    timeout: float = 3600.0


@dataclass(frozen=True)
class EvaluationFiles:
    """A data set, and its images and labels as the .npy files that the runtime reads."""

    data: LabelledImages
    images: Path
    labels: Path


@contextlib.contextmanager
def evaluation_files(data: LabelledImages) -> Iterator[EvaluationFiles]:
    """Write a data set's images and labels to a temporary folder, for as long as the ``with`` block lasts."""
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-data-") as folder:
        files = EvaluationFiles(data, Path(folder) / "images.npy", Path(folder) / "labels.npy")
        np.save(files.images, data.images)
        np.save(files.labels, data.labels)
        yield files


def measure_accuracy(
    device: Device,
    artifact: Artifact,
    engine: str,
    files: EvaluationFiles,
    settings: AccuracySettings,
    *,
    preprocessing: Preprocessing,
    label_offset: int = 0,
    reference: tuple[str, NDArray[np.int64]] | None = None,
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
        reference: name and predictions, int64 (count,), of a model to compare with, image by image.

    Returns:
        Keys to put into the run's record: ``accuracy``, ``agreement``, ``engine_version``, ``state``, ``device``,
        ``harness_sha256``.

    Raises:
        DwsepError: the device or the run failed.
    """
    result = run_job(
        device,
        artifact.file,
        engine,
        Accuracy(str(files.images), str(files.labels), preprocessing, label_offset),
        Setup(EngineSettings(threads=settings.threads), manifest_sha256=artifact.manifest_sha256),
        timeout=settings.timeout,
    )
    measured = result["measured"]
    count = measured["count"]
    predictions = decode_array(measured["predictions"])
    accuracy = {
        "count": count,
        "top1": measured["top1_correct"] / count,
        "top1_interval": wilson_interval(measured["top1_correct"], count),
        "top5": measured["top5_correct"] / count,
        "top5_interval": wilson_interval(measured["top5_correct"], count),
        "predictions": measured["predictions"],
        "confusion": decode_array(measured["confusion"]).tolist(),
    }
    agreement = None
    if reference is not None:
        name, expected = reference
        same = int(np.count_nonzero(predictions == expected))
        agreement = {"reference": name, "top1": same / count, "interval": wilson_interval(same, count)}
    return {"accuracy": accuracy, "agreement": agreement, **circumstances(result)}
