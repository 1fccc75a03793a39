"""Export a model source with a data set: what the commands export and demo have in common."""

from __future__ import annotations

__all__ = [
    "applied_preprocessing",
    "calibration_origin",
    "export_request",
    "export_source",
    "noise",
    "predictions_of",
    "reference_of",
]

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwsep_export import (
    Artifact,
    Calibration,
    CalibrationImages,
    ExportRequest,
    ModelFacts,
    Recipe,
    Reference,
    export_model,
)
from dwsep_runtime.errors import DwsepError
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.datasets.sources import DataSource
from edge_dwsep.model_source import ModelSource

if TYPE_CHECKING:
    import keras

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
    applied = applied_preprocessing(preprocessing, source.preprocessing, source.facts.input_shape)
    evaluation = data.evaluation
    return ExportRequest(
        model=source.model,
        facts=source.facts,
        preprocessing=applied,
        labels=source.labels,
        reference=reference_of(
            source.model, source.facts, evaluation.name, evaluation.sha256, evaluation.images, applied
        ),
        calibration=CalibrationImages(data.calibration.images, calibration_origin(data)),
    )


def applied_preprocessing(
    given: Preprocessing | None, own: Preprocessing | None, input_shape: tuple[int, ...]
) -> Preprocessing:
    """What is done to pixels: as the user says it, else the model's own, else nothing.

    Args:
        given: by the user.
        own: of the model.
        input_shape: (height, width, channels) of the model.
    """
    return (given or own or Preprocessing()).for_input((1, *input_shape))


def calibration_origin(data: DataSource) -> Calibration:
    """Where the calibration images of a data set come from, as manifests tell it."""
    pool = data.calibration_pool
    return Calibration(
        data=pool.name,
        data_sha256=pool.sha256,
        count=len(data.calibration_indices),
        indices=tuple(int(index) for index in data.calibration_indices),
    )


def reference_of(
    model: keras.Model,
    facts: ModelFacts,
    data: str,
    data_sha256: str,
    images: NDArray[np.uint8],
    preprocessing: Preprocessing,
) -> Reference:
    """What the Keras model makes of some images of a data set, always the same ones.

    Args:
        model: of one image input.
        facts: of it.
        data: name of the data set.
        data_sha256: its hash.
        images: all of the data set: uint8 (count, height, width, channels).
        preprocessing: from pixels to the model's input.

    Raises:
        InvalidData: the images do not fit the model.
    """
    order = np.random.default_rng(VERIFICATION_SEED).permutation(len(images)).astype(np.int64)
    indices = np.sort(order[:VERIFICATION_COUNT])
    chosen = images[indices]
    _require_fit(facts, preprocessing, chosen)
    return Reference.of(model, data, data_sha256, indices, chosen, preprocessing)


def predictions_of(
    model: keras.Model, preprocessing: Preprocessing, images: NDArray[np.uint8], label_offset: int = 0
) -> NDArray[np.int64]:
    """Classes that the Keras model itself predicts, int64 (count,).

    Args:
        model: from float32 (batch, height, width, channels) to float32 (batch, outputs).
        preprocessing: from pixels to its input.
        images: uint8 (count, height, width, channels).
        label_offset: number of outputs before the one of label 0.
    """
    rows = [
        np.asarray(model(preprocessing.apply(images[start : start + BATCH]), training=False)).argmax(axis=1)
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(rows).astype(np.int64) - label_offset


def noise(input_shape: tuple[int, ...], count: int = 64) -> DataSource:
    """Random pixels in place of a data set, for models whose weights are random too."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2 * count, *input_shape), np.uint8)
    labels = np.zeros(2 * count, np.int64)
    pool = LabelledImages("noise", images[count:], labels[count:])
    return DataSource(LabelledImages("noise", images[:count], labels[:count]), pool, np.arange(count, dtype=np.int64))


def _require_fit(facts: ModelFacts, preprocessing: Preprocessing, images: NDArray[np.uint8]) -> None:
    from edge_dwsep.errors import InvalidData

    shape = preprocessing.apply(images[:1]).shape[1:]
    if shape != facts.input_shape:
        raise InvalidData(
            f"images are {shape} after preprocessing, but {facts.name} takes {facts.input_shape}; "
            "give images of that size, or smaller ones of as many channels with --pad"
        )
