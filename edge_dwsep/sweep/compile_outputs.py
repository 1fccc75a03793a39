"""What those who measure take from the steps that compile: an artifact, and the data to evaluate it on, as files."""

from __future__ import annotations

__all__ = ["artifact_from", "evaluation_from", "keep_array", "kept_array"]

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dwsep_export import Artifact, open_artifact
from dwsep_export.artifact import place_artifact
from dwsep_export.manifest import manifest_path
from dwsep_runtime.model_file import sha256_of
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.compile_data import IMAGES, LABELS
from edge_dwsep.sweep.steps import StepOutput

if TYPE_CHECKING:
    from edge_dwsep.measured_accuracy import EvaluationFiles, Predictions

MANIFEST, MODEL, PREDICTIONS = "manifest.json", "model", "predictions.npy"
KERAS_FLOAT = "keras float32"


def artifact_from(verify: StepOutput, convert: StepOutput, blobs: BlobFolder, folder: Path) -> Artifact:
    """Lay an artifact out in a folder, unless it lies there already.

    Args:
        verify: what the step put out that made its manifest.
        convert: what the step put out that made its file.
        blobs: where the contents are.
        folder: where to; it must exist.

    Raises:
        LostContent: a content is not there, or damaged.
        OutputNotWritable: the folder cannot be written.
    """
    final = folder / str(verify.facts["file"])
    wanted = {final: convert.files[MODEL], manifest_path(final): verify.files[MANIFEST]}
    if all(path.is_file() and sha256_of(path) == sha256 for path, sha256 in wanted.items()):
        return open_artifact(final)
    from dwsep_export.output import staging_folder

    with staging_folder(folder) as staging:
        model = staging / final.name
        blobs.copy(convert.files[MODEL], model)
        blobs.copy(verify.files[MANIFEST], manifest_path(model))
        return place_artifact(model, manifest_path(model), final)


def evaluation_from(
    data: StepOutput, reference: StepOutput, blobs: BlobFolder, folder: Path
) -> tuple[EvaluationFiles, Predictions | None]:
    """Lay a data set out in a folder, and tell what the Keras model makes of it.

    Args:
        data: what the step put out that opened the data set.
        reference: what the step put out that ran the Keras model.
        blobs: where the contents are.
        folder: where to; it must exist.

    Returns:
        The files, and the predictions; None for those of a data set without labels.

    Raises:
        LostContent: a content is not there, or damaged.
    """
    from edge_dwsep.datasets.evaluation import EvaluationSet
    from edge_dwsep.measured_accuracy import EvaluationFiles, Predictions

    images, labels = folder / IMAGES, folder / LABELS
    blobs.copy(data.files[IMAGES], images)
    known = None
    if LABELS in data.files:
        blobs.copy(data.files[LABELS], labels)
        known = np.load(labels)
    # Mapped, not read: every device has a process that evaluates.
    evaluated = EvaluationSet(
        str(data.facts["name"]), np.load(images, mmap_mode="r"), known, tuple(data.facts["class_names"])
    )
    files = EvaluationFiles(evaluated, images, None if known is None else labels)
    if PREDICTIONS not in reference.files:
        return files, None
    return files, Predictions(KERAS_FLOAT, kept_array(reference.files, PREDICTIONS, blobs))


def keep_array(array: NDArray[Any], blobs: BlobFolder) -> str:
    """Keep an array as a .npy file; gives its SHA-256."""
    content = io.BytesIO()
    np.save(content, array)
    return blobs.put(content.getvalue())


def kept_array(files: Mapping[str, str], name: str, blobs: BlobFolder) -> NDArray[Any]:
    """An array that was kept under a name.

    Raises:
        LostContent: it is not there, or damaged.
    """
    array: NDArray[Any] = np.load(io.BytesIO(blobs.read(files[name])))
    return array
