"""From a Keras model and recipes to verified artifacts: lower once, quantize many times."""

from __future__ import annotations

__all__ = ["CalibrationImages", "ExportRequest", "export_model"]

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from dwsep_export.artifact import Artifact, open_artifact
from dwsep_export.errors import InvalidRecipe
from dwsep_export.keras_model import require_exportable
from dwsep_export.manifest import Calibration, Manifest, ModelFacts, Parity, manifest_path
from dwsep_export.onnx_float import export_to_onnx, unfused_nodes
from dwsep_export.onnx_graph import onnx_facts, opset_of
from dwsep_export.onnx_static import quantize_onnx
from dwsep_export.output import json_text, staging_folder
from dwsep_export.promises import require_promises
from dwsep_export.quiet import interrupts_deferred
from dwsep_export.recipe import Format, Recipe, Scheme
from dwsep_export.runtime_versions import OldestRuntime, oldest_onnxruntime, oldest_tflite
from dwsep_export.tflite_float import lower_to_tflite
from dwsep_export.tflite_graph import GraphFacts, TFLiteGraph
from dwsep_export.tflite_static import calibrate, to_w8a8
from dwsep_export.tflite_weights import to_float16, to_w8_dynamic
from dwsep_export.verify import Reference, verify
from dwsep_runtime.errors import DwsepError
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras
    import numpy as np
    import onnx
    from numpy.typing import NDArray

TOOLS = ("edge-dwsep", "tensorflow", "keras", "ai-edge-litert", "onnx", "onnxruntime", "onnxslim", "tf2onnx", "numpy")


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
                made = _make(request, lowering, recipe, staging)
                on_step(f"verify {recipe.name}")
                artifacts.append(_finish(request, recipe, *made, folder))
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
        return lower_to_tflite(self._request.model)

    @cached_property
    def calibrated(self) -> bytes:
        """Float32 .tflite with the ranges of activations."""
        graph = self.tflite
        self._on_step("calibrate")
        return calibrate(graph, self.calibration_inputs)

    @cached_property
    def onnx(self) -> onnx.ModelProto:
        """Float32 ONNX, folded."""
        with interrupts_deferred():
            self._on_step("lower to ONNX")
            return export_to_onnx(self._request.model)

    @cached_property
    def calibration_inputs(self) -> NDArray[np.float32]:
        """Calibration images, preprocessed."""
        calibration = self._request.calibration
        if calibration is None:
            raise InvalidRecipe("calibration images are needed")
        return self._request.preprocessing.apply(calibration.images)


def _make(
    request: ExportRequest, lowering: Lowering, recipe: Recipe, staging: Path
) -> tuple[Path, GraphFacts, OldestRuntime, list[str]]:
    """The file in the staging folder, what is in it, what can load it, and warnings."""
    file = staging / f"{request.facts.name}-{recipe.name.partition('-')[2]}.{recipe.format.value}"
    if recipe.format is Format.TFLITE:
        content = make_tflite(lowering, recipe)
        facts = TFLiteGraph(content).facts()
        oldest, warnings = oldest_tflite(facts.versioned_operators), []
    else:
        model = (
            lowering.onnx
            if recipe.scheme is Scheme.FLOAT32
            else quantize_onnx(lowering.onnx, lowering.calibration_inputs)
        )
        content = model.SerializeToString()
        facts = onnx_facts(model)
        oldest = oldest_onnxruntime(opset_of(model), model.ir_version)
        warnings = [
            f"{recipe.name}: {node} was not folded into its convolution" for node in unfused_nodes(lowering.onnx)
        ]
    require_promises(recipe, facts)
    file.write_bytes(content)
    return file, facts, oldest, warnings


def make_tflite(lowering: Lowering, recipe: Recipe) -> bytes:
    """Content of the .tflite file that a recipe makes of the lowered graph."""
    if recipe.scheme is Scheme.FLOAT32:
        return lowering.tflite
    if recipe.scheme is Scheme.FLOAT16:
        return to_float16(lowering.tflite)
    if recipe.scheme is Scheme.W8_DYNAMIC:
        return to_w8_dynamic(lowering.tflite)
    return to_w8a8(lowering.calibrated, recipe.io)


def _finish(
    request: ExportRequest,
    recipe: Recipe,
    file: Path,
    facts: GraphFacts,
    oldest: OldestRuntime,
    warnings: list[str],
    folder: Path,
) -> Artifact:
    """Verify a staged file, write its manifest, and give both their final names."""
    parity, golden, doubts = verify(file, recipe, request.preprocessing, request.reference)
    manifest = replace(
        _manifest(request, recipe, file, facts, oldest, parity), golden=golden, warnings=(*warnings, *doubts)
    )
    staged_manifest = manifest_path(file)
    staged_manifest.write_text(json_text(manifest.to_json()), encoding="utf-8")
    final = folder / file.name
    # An old manifest must never stand beside a new file, nor the other way round.
    manifest_path(final).unlink(missing_ok=True)
    file.replace(final)
    staged_manifest.replace(manifest_path(final))
    return open_artifact(final)


def _manifest(
    request: ExportRequest,
    recipe: Recipe,
    file: Path,
    facts: GraphFacts,
    oldest: OldestRuntime,
    parity: Parity,
) -> Manifest:
    versions = {name: metadata.version(name) for name in TOOLS}
    return Manifest(
        model=request.facts,
        recipe={
            "name": recipe.name,
            "format": recipe.format.value,
            "scheme": recipe.scheme.value,
            "io": recipe.io.value,
        },
        file={"name": file.name, "sha256": sha256_of(file), "bytes": file.stat().st_size},
        inputs=facts.inputs,
        outputs=facts.outputs,
        preprocessing=request.preprocessing,
        labels=request.labels,
        operators=facts.operators,
        oldest_runtime=asdict(oldest),
        calibration=request.calibration.origin if recipe.scheme.needs_calibration and request.calibration else None,
        parity=parity,
        golden=None,
        provenance={"weights_sha256": request.facts.weights_sha256, **versions},
    )
