"""The steps that compile, done: the same files as an export makes, whichever process does which step."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_export import RECIPES, Artifact, Recipe
from dwsep_export.keras_model import keras_input_shape
from dwsep_export.manifest import manifest_path
from dwsep_runtime.errors import DwsepError
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.datasets import fashion_mnist
from edge_dwsep.datasets.sample import CALIBRATION, EVALUATION, load_sample
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.compile import CompileGraph, artifact_from, compile_steps, compile_work, evaluation_from
from edge_dwsep.sweep.expand import Network, Variant
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput
from tests.conftest import Demo

CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
LOADED = Network(CHECKPOINT, CHECKPOINT, "checkpoint", "mobilenet_v1", 0.25, (32, 32, 1), 10)
BUILT = Network("mobilenet_v2_0.35_32", "mobilenet_v2", "architecture", "mobilenet_v2", 0.35, (32, 32, 3), 10, seed=1)
SAMPLE = SweepPlan(models=(CHECKPOINT,), data="fashion-mnist-sample")
NOISE = SweepPlan(models=("mobilenet_v2",))
CALIBRATED = tuple(Recipe.parse(name) for name in ("tflite-w8a8", "onnx-w8a8"))

Outputs = dict[str, StepOutput]
Work = Callable[[Step, Mapping[str, StepOutput], BlobFolder], StepOutput]


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


def done(graph: CompileGraph, blobs: BlobFolder, work: Work = compile_work) -> Outputs:
    """The outputs of all steps of a graph, by key."""
    outputs: Outputs = {}
    for step in graph.steps:
        outputs[step.key] = work(step, {role: outputs[key] for role, key in step.needs.items()}, blobs)
    return outputs


def laid_out(graph: CompileGraph, outputs: Outputs, blobs: BlobFolder, folder: Path) -> list[Artifact]:
    folder.mkdir(exist_ok=True)
    pairs = [(graph.verify_of(variant), graph.convert_of(variant)) for variant in graph.verifies]
    return [artifact_from(outputs[verify.key], outputs[made.key], blobs, folder) for verify, made in pairs]


def variants(network: Network, recipes: tuple[Recipe, ...] = CALIBRATED) -> list[Variant]:
    return [Variant(network, recipe) for recipe in recipes]


def test_a_sweep_makes_the_files_and_manifests_of_an_export_byte_for_byte(
    demo: Demo, blobs: BlobFolder, tmp_path: Path
) -> None:
    graph = compile_steps([LOADED], variants(LOADED, RECIPES), SAMPLE, blobs)
    outputs = done(graph, blobs)
    made = laid_out(graph, outputs, blobs, tmp_path / "artifacts")
    assert [artifact.variant for artifact in made] == [recipe.name for recipe in RECIPES]
    for artifact in made:
        exported = demo.folder / "artifacts" / artifact.file.name
        assert artifact.file.read_bytes() == exported.read_bytes()
        assert manifest_path(artifact.file).read_bytes() == manifest_path(exported).read_bytes()
    _reference_is_evaluated(graph, outputs, blobs, tmp_path / "data")
    _damage_is_mended(graph, outputs, blobs, made[0])


def _reference_is_evaluated(graph: CompileGraph, outputs: Outputs, blobs: BlobFolder, folder: Path) -> None:
    folder.mkdir()
    data = graph.data_of(LOADED)
    assert data is not None
    reference = outputs[graph.reference_of(LOADED).key]
    files, predictions = evaluation_from(outputs[data.key], reference, blobs, folder)
    known = load_sample(EVALUATION)
    assert files.data.sha256 == known.sha256
    assert files.labels is not None
    assert predictions is not None
    assert np.mean(predictions.predictions == np.load(files.labels)) == reference.facts["top1"] > 0.9


def _damage_is_mended(graph: CompileGraph, outputs: Outputs, blobs: BlobFolder, artifact: Artifact) -> None:
    variant = Variant(LOADED, RECIPES[0])
    written = artifact.file.stat().st_mtime_ns
    pair = outputs[graph.verify_of(variant).key], outputs[graph.convert_of(variant).key]
    artifact_from(*pair, blobs, artifact.file.parent)
    assert artifact.file.stat().st_mtime_ns == written
    artifact.file.write_bytes(b"another")
    assert artifact_from(*pair, blobs, artifact.file.parent).sha256 == artifact.sha256


def test_every_process_makes_the_same_from_the_contents_alone(blobs: BlobFolder, tmp_path: Path) -> None:
    graph = compile_steps([BUILT], variants(BUILT), NOISE, blobs)
    here = done(graph, blobs)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as first, ProcessPoolExecutor(1, spawn) as second:
        elsewhere = BlobFolder(tmp_path / "elsewhere")

        def work(step: Step, inputs: Mapping[str, StepOutput], blobs: BlobFolder) -> StepOutput:
            pool = first if step.kind is StepKind.NETWORK else second
            return pool.submit(compile_work, step, inputs, blobs).result()

        there = done(graph, elsewhere, work)
    for step in graph.steps:
        if step.kind in {StepKind.LOWER, StepKind.CALIBRATE, StepKind.CONVERT, StepKind.VERIFY}:
            assert there[step.key] == here[step.key], step.title
    network = graph.network_of(BUILT).key
    assert there[network].facts == here[network].facts
    assert not here[network].facts["trained"]


def test_a_trained_network_is_not_calibrated_on_noise(blobs: BlobFolder, tmp_path: Path) -> None:
    network, graph = small_file(tmp_path / "it's; $(mine)\n<b>.keras", blobs, Recipe.parse("tflite-w8a8"))
    with pytest.raises(DwsepError, match="needs images to calibrate on"):
        done(graph, blobs)
    assert network.name == "it's; $(mine)\n<b>"


def small_file(path: Path, blobs: BlobFolder, *recipes: Recipe) -> tuple[Network, CompileGraph]:
    """A .keras file of the smallest network, and the graph of what is made of it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((9, 7, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(inputs))
    keras.Model(inputs, layers.Dense(4)(x)).save(path)
    network = Network(path.stem, str(path), "file", preprocessing=Preprocessing(scale=(1 / 255,)))
    return network, compile_steps([network], [Variant(network, recipe) for recipe in recipes], NOISE, blobs)


def test_a_keras_file_of_any_name_becomes_an_artifact_of_that_name(blobs: BlobFolder, tmp_path: Path) -> None:
    path = tmp_path / "it's; $(mine)\n<b>.keras"
    network, graph = small_file(path, blobs, Recipe.parse("tflite-float32"))
    assert keras_input_shape(path) == (9, 7, 3)
    path.unlink()
    (artifact,) = laid_out(graph, done(graph, blobs), blobs, tmp_path / "out")
    assert artifact.file.name == f"{network.name}-float32.tflite"
    assert artifact.manifest is not None
    assert artifact.manifest.model.name == network.name
    assert artifact.manifest.preprocessing == network.preprocessing


def test_a_network_that_keras_cannot_rebuild_is_named_as_the_user_knows_it(blobs: BlobFolder, tmp_path: Path) -> None:
    import keras

    class Odd(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        def call(self, inputs: Any) -> Any:
            return inputs[:, 0, 0, :]

    path = tmp_path / "odd one.keras"
    inputs = keras.Input((4, 4, 3))
    keras.Model(inputs, Odd()(inputs)).save(path)
    network = Network("odd one", str(path), "file", preprocessing=Preprocessing())
    graph = compile_steps([network], variants(network), NOISE, blobs)
    with pytest.raises(DwsepError, match=r"^odd one uses the custom layer or function 'Odd'"):
        compile_work(graph.network_of(network), {}, blobs)


def test_a_training_that_was_ended_is_not_begun_anew(
    blobs: BlobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = load_sample(CALIBRATION)
    monkeypatch.setattr(fashion_mnist, "load", lambda split: few)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    network = replace(LOADED, name="trained", model="mobilenet_v1", kind="architecture", epochs=1, seed=3)
    graph = compile_steps([network], variants(network), replace(SAMPLE, epochs=1), blobs)
    step = graph.network_of(network)
    opened = next(one for one in graph.steps if one.key == step.needs["training"])
    inputs = {"training": compile_work(opened, {}, blobs)}
    told: list[str] = []

    def killed(said: str) -> None:
        told.append(said)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_work(step, inputs, blobs, killed)
    output = compile_work(step, inputs, blobs, told.append)
    assert [said.partition(",")[0] for said in told] == ["train trained: epoch 1 of 1"]
    assert output.facts["trained"]
    assert output.facts["labels"] == list(few.class_names)
    assert output.facts["facts"]["name"] == "trained"
