"""Do the steps that compile: each in whatever process, from what it needs and the contents that lie in a folder."""

from __future__ import annotations

__all__ = ["compile_work"]

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_export import Calibration, Format, InvalidRecipe, Io, ModelFacts, Recipe, Scheme
from dwsep_export.output import json_text
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.export import applied_preprocessing, calibration_origin, noise, predictions_of, reference_of
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.compile_data import CALIBRATION, IMAGES, LABELS
from edge_dwsep.sweep.compile_network import keras_model, make_network
from edge_dwsep.sweep.compile_outputs import MANIFEST, MODEL, PREDICTIONS, keep_array, kept_array
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Inputs = Mapping[str, StepOutput]
OUTPUTS = "outputs.npy"


def compile_work(
    step: Step, inputs: Inputs, blobs: BlobFolder, on_step: Callable[[str], None] = lambda said: None
) -> StepOutput:
    """Do one step.

    Args:
        step: of :func:`edge_dwsep.sweep.compile.compile_steps`.
        inputs: outputs of the steps that it needs, by role.
        blobs: where contents are, and where those that come out are put.
        on_step: told how far a training is.

    Raises:
        LostContent: a content that is needed is not in the folder, or damaged.
        OutputNotWritable: the folder cannot be written.
        DwsepError: the step failed.
    """
    if step.kind is StepKind.NETWORK:
        return make_network(step, inputs, blobs, on_step)
    if step.kind is StepKind.DATA:
        return _data(step, blobs)
    if step.kind is StepKind.VERIFY:
        return _verify(inputs, blobs)
    works: dict[StepKind, Callable[[Step, Inputs, BlobFolder], StepOutput]] = {
        StepKind.REFERENCE: _reference,
        StepKind.LOWER: _lower,
        StepKind.CALIBRATE: _calibrate,
        StepKind.CONVERT: _convert,
    }
    if step.kind not in works:
        raise InvalidInput(f"step {step.kind.value} is none of those that compile")
    return works[step.kind](step, inputs, blobs)


def _data(step: Step, blobs: BlobFolder) -> StepOutput:
    """The contents were put into the folder when the step was made."""
    from edge_dwsep.sweep.errors import LostContent

    facts = {key: value for key, value in step.spec.items() if key != "files"}
    files = dict(step.spec["files"])
    for sha256 in files.values():
        if not blobs.has(sha256):
            raise LostContent(sha256)
    return StepOutput(facts, files)


def _reference(step: Step, inputs: Inputs, blobs: BlobFolder) -> StepOutput:
    """Run the Keras model on the images that artifacts are compared on, and on all that have labels."""
    import numpy as np

    from dwsep_runtime.accuracy import require_labels_below
    from dwsep_runtime.arrays import encode_array
    from dwsep_runtime.shares import wilson_interval

    network = inputs["network"]
    facts, applied = _facts(network), _preprocessing(step, network)
    model = keras_model(network, blobs)
    told: dict[str, Any] = {"top1": None, "top1_interval": None}
    files = {}
    if "data" in inputs:
        data = inputs["data"]
        images = kept_array(data.files, IMAGES, blobs)
        made = reference_of(model, facts, data.facts["name"], data.facts["sha256"], images, applied)
        if LABELS in data.files:
            labels = kept_array(data.files, LABELS, blobs)
            if len(model.output_shape) == 2:
                require_labels_below(model.output_shape[1] - int(step.spec["label_offset"]), labels)
            predictions = predictions_of(model, applied, images, int(step.spec["label_offset"]))
            correct = int(np.count_nonzero(predictions == labels))
            told = {
                "top1": correct / len(labels),
                "top1_interval": list(wilson_interval(correct, len(labels))),
                "count": len(labels),
                "correct": encode_array(np.packbits(predictions == labels)),
            }
            files[PREDICTIONS] = keep_array(predictions, blobs)
    else:
        pixels = noise(facts.input_shape).evaluation
        made = reference_of(model, facts, pixels.name, pixels.sha256, pixels.images, applied)
    told.update(
        data=made.data,
        data_sha256=made.data_sha256,
        indices=[int(index) for index in made.indices],
        preprocessing=applied.to_json(),
    )
    files.update({IMAGES: keep_array(made.images, blobs), OUTPUTS: keep_array(made.outputs, blobs)})
    return StepOutput(told, files)


def _lower(step: Step, inputs: Inputs, blobs: BlobFolder) -> StepOutput:
    from dwsep_export.conversion import lower

    return StepOutput({}, {MODEL: blobs.put(lower(keras_model(inputs["network"], blobs), Format(step.spec["format"])))})


def _calibrate(step: Step, inputs: Inputs, blobs: BlobFolder) -> StepOutput:
    from dwsep_export.tflite_static import calibrate

    calibrated = calibrate(blobs.read(inputs["lowered"].files[MODEL]), _calibration_inputs(step, inputs, blobs))
    return StepOutput({}, {MODEL: blobs.put(calibrated)})


def _convert(step: Step, inputs: Inputs, blobs: BlobFolder) -> StepOutput:
    from dwsep_export.conversion import artifact_name, convert

    recipe = _recipe(step.spec["recipe"])
    converted = convert(recipe, _Graphs(step, inputs, blobs))
    facts = {
        "recipe": step.spec["recipe"],
        "file": artifact_name(_facts(inputs["network"]).name, recipe),
        "bytes": len(converted.content),
        "graph": converted.to_json(),
        "calibration": _origin(inputs) if recipe.scheme is Scheme.W8A8 else None,
    }
    return StepOutput(facts, {MODEL: blobs.put(converted.content)})


def _verify(inputs: Inputs, blobs: BlobFolder) -> StepOutput:
    import numpy as np

    from dwsep_export import Reference
    from dwsep_export.conversion import Converted, verified_manifest

    network, made, ran = inputs["network"], inputs["convert"], inputs["reference"]
    content = blobs.read(made.files[MODEL])
    reference = Reference(
        ran.facts["data"],
        ran.facts["data_sha256"],
        np.asarray(ran.facts["indices"], np.int64),
        kept_array(ran.files, IMAGES, blobs),
        kept_array(ran.files, OUTPUTS, blobs),
    )
    origin = made.facts["calibration"]
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-verify-") as folder:
        file = Path(folder) / str(made.facts["file"])
        file.write_bytes(content)
        manifest = verified_manifest(
            file,
            _recipe(made.facts["recipe"]),
            Converted.from_json(made.facts["graph"], content),
            reference,
            facts=_facts(network),
            preprocessing=Preprocessing.from_json(ran.facts["preprocessing"]),
            labels=tuple(network.facts["labels"]),
            calibration=None if origin is None else Calibration(**{**origin, "indices": tuple(origin["indices"])}),
        )
    written = json_text(manifest.to_json()).encode()
    facts = {"file": made.facts["file"], "sha256": manifest.file["sha256"], "warnings": list(manifest.warnings)}
    return StepOutput(facts, {MANIFEST: blobs.put(written)})


class _Graphs:
    """See :class:`dwsep_export.conversion.FloatGraphs`: read from the outputs of the steps before."""

    def __init__(self, step: Step, inputs: Inputs, blobs: BlobFolder) -> None:
        self._step = step
        self._inputs = inputs
        self._blobs = blobs

    @cached_property
    def tflite(self) -> bytes:
        """Float32 .tflite."""
        return self._blobs.read(self._inputs["lowered"].files[MODEL])

    @cached_property
    def calibrated(self) -> bytes:
        """Float32 .tflite with the ranges of activations."""
        return self._blobs.read(self._inputs["calibrated"].files[MODEL])

    @cached_property
    def onnx(self) -> bytes:
        """Float32 .onnx, folded."""
        return self._blobs.read(self._inputs["lowered"].files[MODEL])

    @cached_property
    def calibration_inputs(self) -> NDArray[np.float32]:
        """Calibration images, preprocessed."""
        return _calibration_inputs(self._step, self._inputs, self._blobs)


def _calibration_inputs(step: Step, inputs: Inputs, blobs: BlobFolder) -> NDArray[np.float32]:
    network = inputs["network"]
    if "data" in inputs:
        images = kept_array(inputs["data"].files, CALIBRATION, blobs)
    elif network.facts["trained"]:
        raise InvalidRecipe("w8a8 of a trained network needs images to calibrate on; give data, or leave it out")
    else:
        images = noise(_facts(network).input_shape).calibration.images
    return _preprocessing(step, network).apply(images)


def _origin(inputs: Inputs) -> dict[str, Any]:
    """Where calibration images come from, as JSON values."""
    if "data" in inputs:
        return dict(inputs["data"].facts["calibration"])
    origin = asdict(calibration_origin(noise(_facts(inputs["network"]).input_shape)))
    return {**origin, "indices": list(origin["indices"])}


def _facts(network: StepOutput) -> ModelFacts:
    values = network.facts["facts"]
    return replace(ModelFacts(**values), input_shape=tuple(values["input_shape"]))


def _preprocessing(step: Step, network: StepOutput) -> Preprocessing:
    given, own = (
        None if values is None else Preprocessing.from_json(values)
        for values in (step.spec["preprocessing"], network.facts["preprocessing"])
    )
    return applied_preprocessing(given, own, _facts(network).input_shape)


def _recipe(values: list[str]) -> Recipe:
    format, scheme, io = values
    return Recipe(Format(format), Scheme(scheme), Io(io))
