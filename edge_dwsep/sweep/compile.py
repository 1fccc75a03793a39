"""The steps that make the artifacts of a sweep: which there are, what decides each, and which waits for which.

Keys are made without TensorFlow. They hold the versions of the packages that make the step's output, so that another
converter makes it anew, and hashes of whatever comes from outside: pixels, .keras files, checkpoints. Such contents lie
in the folder of contents; a step names those that it takes, besides the outputs of the steps before it, in
``spec["files"]``, SHA-256 by name.
"""

from __future__ import annotations

__all__ = ["CompileGraph", "artifact_from", "compile_steps", "compile_work", "evaluation_from"]

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from dwsep_export import Format, Recipe, Scheme
from dwsep_runtime.errors import InvalidInput
from edge_dwsep.checkpoints import checkpoint
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.compile_data import DataSteps
from edge_dwsep.sweep.compile_outputs import artifact_from, evaluation_from
from edge_dwsep.sweep.compile_work import compile_work
from edge_dwsep.sweep.expand import Network, Variant
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.steps import Step, StepKind
from edge_dwsep.words import in_a_line

KERAS = ("tensorflow", "keras")
LOWERING = {Format.TFLITE: (*KERAS, "ai-edge-litert"), Format.ONNX: (*KERAS, "tf2onnx", "onnx", "onnxslim")}
VERIFYING = {Format.TFLITE: ("ai-edge-litert",), Format.ONNX: ("onnxruntime",)}
TITLES = {Format.TFLITE: "TFLite", Format.ONNX: "ONNX"}


@dataclass(frozen=True)
class CompileGraph:
    """The steps of a sweep that run before anything is measured.

    Attributes:
        steps: each once, after those that it needs.
        data: the data set that each network is run on; None where that is noise.
        networks: the step that makes each network.
        references: the step that runs each network in Keras.
        converts: the step that makes each variant's file.
        verifies: the step that makes each variant's manifest.
    """

    steps: tuple[Step, ...]
    data: Mapping[Network, Step | None]
    networks: Mapping[Network, Step]
    references: Mapping[Network, Step]
    converts: Mapping[Variant, Step]
    verifies: Mapping[Variant, Step]

    def data_of(self, network: Network) -> Step | None:
        """The step that opens the images of a network; None where they are noise."""
        return self.data[network]

    def network_of(self, network: Network) -> Step:
        """The step that makes a network."""
        return self.networks[network]

    def reference_of(self, network: Network) -> Step:
        """The step that runs a network in Keras."""
        return self.references[network]

    def convert_of(self, variant: Variant) -> Step:
        """The step that makes a variant's file."""
        return self.converts[variant]

    def verify_of(self, variant: Variant) -> Step:
        """The step that compares a variant with Keras and makes its manifest."""
        return self.verifies[variant]


def compile_steps(
    networks: Sequence[Network], variants: Sequence[Variant], plan: SweepPlan, blobs: BlobFolder
) -> CompileGraph:
    """The steps that make the variants of some networks.

    Args:
        networks: of a sweep, each of another name.
        variants: what to make of them.
        plan: says data, training and the place of labels.
        blobs: gets the pixels of the data and the .keras files, so that steps can run where these do not lie.

    Raises:
        InvalidInput: a .keras file cannot be used, or nothing says what it expects of pixels.
        InvalidData: the data cannot be used.
        DataUnavailable: the data set is not installed and cannot be downloaded.
        OutputNotWritable: the folder of contents cannot be written.
    """
    steps: dict[str, Step] = {}
    sources = DataSteps(plan.data, blobs)
    data: dict[Network, Step | None] = {}
    made: dict[Network, Step] = {}
    references: dict[Network, Step] = {}
    converts: dict[Variant, Step] = {}
    verifies: dict[Variant, Step] = {}

    def add(step: Step) -> Step:
        return steps.setdefault(step.key, step)

    recipes: dict[Network, list[Recipe]] = {network: [] for network in networks}
    for variant in variants:
        recipes[variant.network].append(variant.recipe)
    for network in networks:
        shape = _input_shape(network)
        opened = data[network] = None if not plan.data else add(sources.evaluation(shape))
        training = add(sources.training()) if network.epochs else None
        made[network] = add(_network_step(network, training, blobs))
        chain = _Chain(network, made[network], opened, add)
        references[network] = chain.reference(plan.label_offset)
        for recipe in recipes[network]:
            variant = Variant(network, recipe)
            converts[variant] = chain.convert(recipe)
            verifies[variant] = chain.verify(recipe, converts[variant], references[network])
    return CompileGraph(tuple(steps.values()), data, made, references, converts, verifies)


class _Chain:
    """Steps of one network, from its Keras model to its verified files."""

    def __init__(self, network: Network, made: Step, data: Step | None, add: Any) -> None:
        self._name = in_a_line(network.name)
        self._made = made
        self._pixels = {"network": made.key, **({} if data is None else {"data": data.key})}
        given = network.preprocessing
        self._preprocessing = {"preprocessing": None if given is None else given.to_json()}
        self._asides = {"affinity": made.key}
        self._add = add

    def reference(self, label_offset: int) -> Step:
        """Run the network in Keras."""
        spec = {**self._preprocessing, "label_offset": label_offset, "versions": _versions(*KERAS)}
        return self._step(StepKind.REFERENCE, spec, self._pixels, f"run {self._name} in Keras")

    def convert(self, recipe: Recipe) -> Step:
        """Make a recipe's file, and whatever it is made from."""
        lowered = self._lowered(recipe.format)
        spec: dict[str, Any] = {"recipe": [recipe.format.value, recipe.scheme.value, recipe.io.value]}
        needs = {"network": self._made.key, "lowered": lowered.key}
        versions: tuple[str, ...] = ("ai-edge-litert",) if recipe.format is Format.TFLITE else ("onnx",)
        if recipe.scheme is Scheme.W8A8:
            # The data is told again, for the manifest names the images that ranges were taken from.
            needs.update(self._pixels)
            spec.update(self._preprocessing)
            if recipe.format is Format.TFLITE:
                needs["calibrated"] = self._calibrated(lowered).key
                versions += ("tensorflow",)
            else:
                versions += ("onnxruntime",)
        spec["versions"] = _versions(*versions)
        return self._step(StepKind.CONVERT, spec, needs, f"export {self._name} {recipe.name}")

    def verify(self, recipe: Recipe, converted: Step, reference: Step) -> Step:
        """Compare a recipe's file with what Keras made of the images, and write its manifest."""
        spec = {"versions": _versions(*VERIFYING[recipe.format])}
        needs = {"network": self._made.key, "convert": converted.key, "reference": reference.key}
        return self._step(StepKind.VERIFY, spec, needs, f"verify {self._name} {recipe.name}")

    def _lowered(self, format: Format) -> Step:
        spec = {"format": format.value, "versions": _versions(*LOWERING[format])}
        needs = {"network": self._made.key}
        return self._step(StepKind.LOWER, spec, needs, f"lower {self._name} to {TITLES[format]}")

    def _calibrated(self, lowered: Step) -> Step:
        spec = {**self._preprocessing, "versions": _versions("tensorflow")}
        needs = {**self._pixels, "lowered": lowered.key}
        return self._step(StepKind.CALIBRATE, spec, needs, f"calibrate {self._name}")

    def _step(self, kind: StepKind, spec: Mapping[str, Any], needs: Mapping[str, str], title: str) -> Step:
        step: Step = self._add(Step(kind, spec, needs, title, asides=self._asides))
        return step


def _network_step(network: Network, training: Step | None, blobs: BlobFolder) -> Step:
    """The step that builds, trains or loads a network."""
    spec: dict[str, Any] = {"name": network.name, "model": network.kind, "versions": _versions(*KERAS)}
    needs: dict[str, str] = {}
    name = in_a_line(network.name)
    title = f"load {name}"
    if network.kind == "checkpoint":
        found = checkpoint(network.model)
        spec.update(checkpoint=network.model, card=found.card)
    elif network.kind == "file":
        spec["files"] = {"model.keras": _kept(network, blobs)}
    else:
        spec.update(
            architecture=network.architecture,
            alpha=network.alpha,
            input_shape=list(network.input_shape or ()),
            classes=network.classes,
            seed=network.seed,
        )
        title = f"build {name}"
    if training is not None:
        from edge_dwsep.training import TrainingPlan

        plan = TrainingPlan(network.architecture, float(network.alpha or 1.0), network.epochs, seed=network.seed)
        spec["training"] = asdict(plan)
        needs["training"] = training.key
        title = f"train {name}"
    step = Step(StepKind.NETWORK, spec, needs, title)
    return Step(StepKind.NETWORK, spec, needs, title, asides={"affinity": step.key})


def _kept(network: Network, blobs: BlobFolder) -> str:
    """SHA-256 of a .keras file, whose content is kept."""
    from dwsep_export.keras_model import require_keras_file

    path = Path(network.model)
    require_keras_file(path)
    if network.preprocessing is None:
        raise InvalidInput(
            f"say what {in_a_line(path)} expects of 0-255 pixels with scale and offset; "
            "scale 1 if it takes them as they are"
        )
    return blobs.put_file(path)


def _input_shape(network: Network) -> tuple[int, int, int] | None:
    if network.kind != "file":
        return network.input_shape
    from dwsep_export.keras_model import keras_input_shape

    return keras_input_shape(Path(network.model))


@functools.cache
def _version(package: str) -> str:
    return metadata.version(package)


def _versions(*packages: str) -> dict[str, str]:
    return {package: _version(package) for package in packages}
