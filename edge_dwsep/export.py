"""Export a model source with a data set: what the commands export and demo have in common."""

from __future__ import annotations

__all__ = ["export_request", "export_source", "noise", "predictions_of"]

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwsep_export import Artifact, Calibration, CalibrationImages, ExportRequest, Recipe, Reference, export_model
from dwsep_runtime.errors import DwsepError
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.datasets.sources import DataSource
from edge_dwsep.model_source import ModelSource

VERIFICATION_COUNT = 256
"""Images that each artifact is compared with Keras on."""

VERIFICATION_SEED = 0
"""Of which images those are."""

BATCH = 128


def export_source(
    source: ModelSource,
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    data: DataSource,
    preprocessing: Preprocessing | None = None,
    on_step: Callable[[str], None] = lambda step: None,
    on_failure: Callable[[Recipe, DwsepError], None] | None = None,
) -> list[Artifact]:
    """Export by recipes, calibrated and verified on a data set.

    Args:
        source: the model.
        recipes: what to make.
        folder: where to.
        data: images; calibration and verification take different ones.
        preprocessing: instead of the source's own.
        on_step: told what is being done.
        on_failure: told of a recipe that failed; without it the first failure is raised.

    Returns:
        The artifacts made.

    Raises:
        DwsepError: see :func:`dwsep_export.export_model`.
    """
    on_step("run the Keras model")
    request = export_request(source, data, preprocessing)
    return export_model(request, recipes, folder, on_step=on_step, on_failure=on_failure)


def export_request(source: ModelSource, data: DataSource, preprocessing: Preprocessing | None = None) -> ExportRequest:
    """What export needs to know of a model source and a data set; see :func:`export_source`."""
    applied = (preprocessing or source.preprocessing or Preprocessing()).for_input((1, *source.facts.input_shape))
    count = min(VERIFICATION_COUNT, len(data.evaluation))
    order = np.random.default_rng(VERIFICATION_SEED).permutation(len(data.evaluation)).astype(np.int64)
    indices = np.sort(order[:count])
    images = data.evaluation.images[indices]
    _require_fit(source, applied, images)
    pool = data.calibration_pool
    origin = Calibration(
        data=pool.name,
        data_sha256=pool.sha256,
        count=len(data.calibration_indices),
        indices=tuple(int(index) for index in data.calibration_indices),
    )
    return ExportRequest(
        model=source.model,
        facts=source.facts,
        preprocessing=applied,
        labels=source.labels,
        reference=Reference.of(source.model, data.evaluation.name, data.evaluation.sha256, indices, images, applied),
        calibration=CalibrationImages(data.calibration.images, origin),
    )


def predictions_of(source: ModelSource, data: LabelledImages) -> NDArray[np.int64]:
    """Classes that the Keras model itself predicts, int64 (count,)."""
    applied = source.preprocessing or Preprocessing()
    rows = [
        np.asarray(source.model(applied.apply(data.images[start : start + BATCH]), training=False)).argmax(axis=1)
        for start in range(0, len(data), BATCH)
    ]
    return np.concatenate(rows).astype(np.int64)


def noise(source: ModelSource, count: int = 64) -> DataSource:
    """Random pixels in place of a data set, for models whose weights are random too."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2 * count, *source.facts.input_shape), np.uint8)
    labels = np.zeros(2 * count, np.int64)
    pool = LabelledImages("noise", images[count:], labels[count:])
    return DataSource(LabelledImages("noise", images[:count], labels[:count]), pool, np.arange(count, dtype=np.int64))


def _require_fit(source: ModelSource, preprocessing: Preprocessing, images: NDArray[np.uint8]) -> None:
    from edge_dwsep.errors import InvalidData

    shape = preprocessing.apply(images[:1]).shape[1:]
    if shape != source.facts.input_shape:
        raise InvalidData(
            f"images are {shape} after preprocessing, but {source.facts.name} takes {source.facts.input_shape}; "
            "give images of that size, or smaller ones of as many channels with --pad"
        )
