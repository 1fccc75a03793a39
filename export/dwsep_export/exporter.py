"""From a Keras model and recipes to verified artifacts: lower once, quantize many times."""

from __future__ import annotations

__all__ = ["CalibrationImages", "ExportRequest", "Lowering", "export_model"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dwsep_export.artifact import Artifact, place_artifact
from dwsep_export.conversion import Converted, artifact_name, convert, lower, verified_manifest
from dwsep_export.errors import InvalidRecipe
from dwsep_export.keras_model import require_exportable
from dwsep_export.manifest import Calibration, ModelFacts, manifest_path
from dwsep_export.output import json_text, staging_folder
from dwsep_export.recipe import Format, Recipe
from dwsep_export.tflite_static import calibrate
from dwsep_export.verify import Reference
from dwsep_runtime.errors import DwsepError
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CalibrationImages:
    """Images to take activation ranges from: uint8 (count, height, width, channels), and where they come from."""

    images: NDArray[np.uint8]
    origin: Calibration


@dataclass(frozen=True)
class ExportRequest:
    """Everything that the artifacts of one model have in common.

    Attributes:
        model: float32 (batch, height, width, channels) to float32 (batch, outputs).
        facts: what the manifest says of it.
        preprocessing: from pixels to its input; applied by whoever runs the artifact.
        labels: names of its outputs; empty if unknown.
        reference: images to verify on, with the model's outputs.
        calibration: needed by w8a8.
    """

    model: keras.Model
    facts: ModelFacts
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    reference: Reference
    calibration: CalibrationImages | None = None


def export_model(
    request: ExportRequest,
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    on_step: Callable[[str], None] = lambda step: None,
    on_failure: Callable[[Recipe, DwsepError], None] | None = None,
) -> list[Artifact]:
    """Make and verify one artifact a recipe.

    Each file gets its final name only after it has been verified, with its manifest beside it.

    Args:
        request: the model and what belongs to it.
        recipes: what to make.
        folder: where to put the files ``NAME-SCHEME.FORMAT`` and their manifests.
        on_step: told what is being done, for progress.
        on_failure: told of a recipe that failed, the others go on; without it the first failure is raised.

    Returns:
        The artifacts made, in the order of the recipes.

    Raises:
        UnsupportedModel: the model cannot be exported at all.
        InvalidRecipe: a recipe needs calibration images and there are none.
        OutputNotWritable: the folder cannot be written.
        DwsepError: a recipe failed and ``on_failure`` is not given.
    """
    require_exportable(request.model)
    for recipe in recipes:
        if recipe.scheme.needs_calibration and request.calibration is None:
            raise InvalidRecipe(f"{recipe.name} needs calibration images; give a data set, or leave the recipe out")
    artifacts = []
    with staging_folder(folder) as staging:
        lowering = Lowering(request, on_step)
        for recipe in recipes:
            try:
                on_step(f"export {recipe.name}")
                converted = convert(recipe, lowering)
                on_step(f"verify {recipe.name}")
                artifacts.append(_finish(request, recipe, converted, staging, folder))
            except DwsepError as error:
                if on_failure is None:
                    raise
                on_failure(recipe, error)
    return artifacts


class Lowering:
    """The float graphs of a model, each made when a recipe first asks for it and kept for the others."""

    def __init__(self, request: ExportRequest, on_step: Callable[[str], None]) -> None:
        self._request = request
        self._on_step = on_step

    @cached_property
    def tflite(self) -> bytes:
        """Float32 .tflite."""
        self._on_step("lower to TFLite")
        return lower(self._request.model, Format.TFLITE)

    @cached_property
    def calibrated(self) -> bytes:
        """Float32 .tflite with the ranges of activations."""
        graph = self.tflite
        self._on_step("calibrate")
        return calibrate(graph, self.calibration_inputs)

    @cached_property
    def onnx(self) -> bytes:
        """Float32 .onnx, folded."""
        self._on_step("lower to ONNX")
        return lower(self._request.model, Format.ONNX)

    @cached_property
    def calibration_inputs(self) -> NDArray[np.float32]:
        """Calibration images, preprocessed."""
        calibration = self._request.calibration
        if calibration is None:
            raise InvalidRecipe("calibration images are needed")
        return self._request.preprocessing.apply(calibration.images)


def _finish(request: ExportRequest, recipe: Recipe, converted: Converted, staging: Path, folder: Path) -> Artifact:
    """Write and verify a file in the staging folder, write its manifest, and give both their final names."""
    file = staging / artifact_name(request.facts.name, recipe)
    file.write_bytes(converted.content)
    manifest = verified_manifest(
        file,
        recipe,
        converted,
        request.reference,
        facts=request.facts,
        preprocessing=request.preprocessing,
        labels=request.labels,
        calibration=request.calibration.origin if request.calibration else None,
    )
    staged_manifest = manifest_path(file)
    staged_manifest.write_text(json_text(manifest.to_json()), encoding="utf-8")
    return place_artifact(file, staged_manifest, folder / file.name)
