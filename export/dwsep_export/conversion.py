"""From lowered float graphs to files, and from files to manifests: what a whole export and single steps of it share."""

from __future__ import annotations

__all__ = ["Converted", "FloatGraphs", "artifact_name", "convert", "lower", "make_tflite", "verified_manifest"]

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dwsep_export.manifest import Calibration, Manifest, ModelFacts, Parity
from dwsep_export.onnx_float import export_to_onnx, unfused_nodes
from dwsep_export.onnx_graph import onnx_facts, opset_of
from dwsep_export.onnx_static import quantize_onnx
from dwsep_export.promises import require_promises
from dwsep_export.quiet import interrupts_deferred
from dwsep_export.recipe import Format, Recipe, Scheme
from dwsep_export.runtime_versions import OldestRuntime, oldest_onnxruntime, oldest_tflite
from dwsep_export.tflite_float import lower_to_tflite
from dwsep_export.tflite_graph import GraphFacts, TFLiteGraph
from dwsep_export.tflite_static import to_w8a8
from dwsep_export.tflite_weights import to_float16, to_w8_dynamic
from dwsep_export.verify import Reference, verify
from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras
    import numpy as np
    import onnx
    from numpy.typing import NDArray

TOOLS = ("edge-dwsep", "tensorflow", "keras", "ai-edge-litert", "onnx", "onnxruntime", "onnxslim", "tf2onnx", "numpy")


class FloatGraphs(Protocol):
    """What recipes make files of; each is asked for only by the recipes that need it."""

    @property
    def tflite(self) -> bytes:
        """Float32 .tflite."""
        ...

    @property
    def calibrated(self) -> bytes:
        """Float32 .tflite with the ranges of activations."""
        ...

    @property
    def onnx(self) -> bytes:
        """Float32 .onnx, folded."""
        ...

    @property
    def calibration_inputs(self) -> NDArray[np.float32]:
        """Calibration images, preprocessed."""
        ...


@dataclass(frozen=True)
class Converted:
    """A model file before it is verified.

    Attributes:
        content: of the file.
        inputs: of its graph.
        outputs: of its graph.
        operators: how many of each.
        oldest_runtime: that can load it.
        warnings: in plain words.
    """

    content: bytes
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: dict[str, int]
    oldest_runtime: OldestRuntime
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All but the content, as JSON values."""
        oldest = asdict(self.oldest_runtime)
        return {
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "outputs": [tensor.to_json() for tensor in self.outputs],
            "operators": self.operators,
            "oldest_runtime": {
                key: list(value) if isinstance(value, tuple) else value for key, value in oldest.items()
            },
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], content: bytes) -> Converted:
        """Put together again what :meth:`to_json` took apart."""
        return cls(
            content,
            tuple(Tensor(**_frozen(tensor)) for tensor in values["inputs"]),
            tuple(Tensor(**_frozen(tensor)) for tensor in values["outputs"]),
            dict(values["operators"]),
            OldestRuntime(**_frozen(values["oldest_runtime"])),
            tuple(values["warnings"]),
        )


def lower(model: keras.Model, format: Format) -> bytes:
    """The float graph of a Keras model in a format.

    Raises:
        ConversionError: a converter cannot lower the model.
    """
    if format is Format.TFLITE:
        return lower_to_tflite(model)
    with interrupts_deferred():
        content: bytes = export_to_onnx(model).SerializeToString()
    return content


def convert(recipe: Recipe, graphs: FloatGraphs) -> Converted:
    """Make a recipe's file, and make sure that it is what the recipe promises.

    Raises:
        ConversionError: a quantizer failed.
        BrokenPromise: a tensor is not of the dtype that is promised.
    """
    if recipe.format is Format.TFLITE:
        content, warnings = make_tflite(graphs, recipe), list[str]()
        facts = TFLiteGraph(content).facts()
        oldest = oldest_tflite(facts.versioned_operators)
    else:
        content, facts, oldest, warnings = _make_onnx(graphs, recipe)
    require_promises(recipe, facts)
    return Converted(content, facts.inputs, facts.outputs, facts.operators, oldest, tuple(warnings))


def make_tflite(graphs: FloatGraphs, recipe: Recipe) -> bytes:
    """Content of the .tflite file that a recipe makes of the lowered graph."""
    if recipe.scheme is Scheme.FLOAT32:
        return graphs.tflite
    if recipe.scheme is Scheme.FLOAT16:
        return to_float16(graphs.tflite)
    if recipe.scheme is Scheme.W8_DYNAMIC:
        return to_w8_dynamic(graphs.tflite)
    return to_w8a8(graphs.calibrated, recipe.io)


def artifact_name(model: str, recipe: Recipe) -> str:
    """Name of a recipe's file, such as ``mobilenet_v1_0.25_32-w8a8.tflite``."""
    return f"{model}-{recipe.name.partition('-')[2]}.{recipe.format.value}"


def verified_manifest(
    file: Path,
    recipe: Recipe,
    converted: Converted,
    reference: Reference,
    *,
    facts: ModelFacts,
    preprocessing: Preprocessing,
    labels: tuple[str, ...],
    calibration: Calibration | None,
) -> Manifest:
    """Compare a file with the Keras model, and write down what it is.

    Args:
        file: under its final name, with ``converted.content`` in it.
        recipe: that it was made by.
        converted: what is known of it.
        reference: what the Keras model makes of images.
        facts: of the network.
        preprocessing: from pixels to its input.
        labels: names of its outputs; empty if unknown.
        calibration: images that ranges were taken from; only what needs calibration notes them.

    Raises:
        BrokenPromise: it differs from the Keras model by more than rounding explains.
        DwsepError: the engine refuses it or dies of it.
    """
    parity, golden, doubts = verify(file, recipe, preprocessing, reference)
    manifest = _manifest(file, recipe, converted, parity, facts, preprocessing)
    return replace(
        manifest,
        labels=labels,
        calibration=calibration if recipe.scheme.needs_calibration else None,
        golden=golden,
        warnings=(*converted.warnings, *doubts),
    )


def _manifest(
    file: Path,
    recipe: Recipe,
    converted: Converted,
    parity: Parity,
    facts: ModelFacts,
    preprocessing: Preprocessing,
) -> Manifest:
    versions = {name: metadata.version(name) for name in TOOLS}
    return Manifest(
        model=facts,
        recipe={
            "name": recipe.name,
            "format": recipe.format.value,
            "scheme": recipe.scheme.value,
            "io": recipe.io.value,
        },
        file={"name": file.name, "sha256": sha256_of(file), "bytes": file.stat().st_size},
        inputs=converted.inputs,
        outputs=converted.outputs,
        preprocessing=preprocessing,
        labels=(),
        operators=converted.operators,
        oldest_runtime=asdict(converted.oldest_runtime),
        calibration=None,
        parity=parity,
        golden=None,
        provenance={"weights_sha256": facts.weights_sha256, **versions},
    )


def _make_onnx(graphs: FloatGraphs, recipe: Recipe) -> tuple[bytes, GraphFacts, OldestRuntime, list[str]]:
    import onnx

    lowered: onnx.ModelProto = onnx.load_from_string(graphs.onnx)
    warnings = [f"{recipe.name}: {node} was not folded into its convolution" for node in unfused_nodes(lowered)]
    model = lowered if recipe.scheme is Scheme.FLOAT32 else quantize_onnx(lowered, graphs.calibration_inputs)
    oldest = oldest_onnxruntime(opset_of(model), model.ir_version)
    return model.SerializeToString(), onnx_facts(model), oldest, warnings


def _frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
