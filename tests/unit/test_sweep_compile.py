"""The graph that compiles a sweep: which steps there are, in which order, and what makes a step another one."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_export import Recipe
from dwsep_runtime.errors import InvalidInput, InvalidModel
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.checkpoints import checkpoint
from edge_dwsep.datasets import fashion_mnist
from edge_dwsep.datasets.labelled import LabelledImages
from edge_dwsep.sweep import compile as compiling
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.compile import CompileGraph, compile_steps, compile_work
from edge_dwsep.sweep.errors import LostContent
from edge_dwsep.sweep.expand import Network, Variant
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput

CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
BUILT = Network("v1", "mobilenet_v1", "architecture", "mobilenet_v1", 0.25, (32, 32, 1), 10, seed=1)
LOADED = Network(CHECKPOINT, CHECKPOINT, "checkpoint", "mobilenet_v1", 0.25, (32, 32, 1), 10)
NOISE = SweepPlan(models=("mobilenet_v1",))
RECIPES = tuple(
    Recipe.parse(name)
    for name in (
        *("tflite-float32", "tflite-float16", "tflite-w8-dynamic", "tflite-w8a8", "onnx-float32", "onnx-w8a8"),
    )
)
SAMPLE = replace(NOISE, data="fashion-mnist-sample")


@pytest.fixture
def blobs(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


def graph_of(
    blobs: BlobFolder,
    *networks: Network,
    plan: SweepPlan = NOISE,
    recipes: tuple[Recipe, ...] = RECIPES,
) -> CompileGraph:
    return compile_steps(networks, [Variant(one, recipe) for one in networks for recipe in recipes], plan, blobs)


def kinds(graph: CompileGraph) -> dict[str, int]:
    return dict(Counter(step.kind.value for step in graph.steps))


def test_a_network_is_made_run_and_lowered_once_for_all_its_variants(blobs: BlobFolder) -> None:
    assert kinds(graph_of(blobs, BUILT)) == {
        "network": 1,
        "reference": 1,
        "lower": 2,
        "calibrate": 1,
        "convert": 6,
        "verify": 6,
    }


def test_variants_that_differ_in_io_share_their_calibration(blobs: BlobFolder) -> None:
    recipes = tuple(Recipe.parse("tflite-w8a8", io) for io in ("float32", "int8", "uint8"))
    made = kinds(graph_of(blobs, BUILT, recipes=recipes))
    assert (made["lower"], made["calibrate"], made["convert"]) == (1, 1, 3)


def test_networks_of_one_data_set_share_the_step_that_opens_it(blobs: BlobFolder) -> None:
    other = replace(BUILT, name="v1 wider", alpha=0.5)
    graph = graph_of(blobs, BUILT, other, plan=SAMPLE)
    assert kinds(graph)["data"] == 1
    assert graph.data_of(BUILT) == graph.data_of(other) is not None


def photos(folder: Path, names: tuple[str, ...]) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    return folder


def test_photos_are_opened_once_for_each_resolution(
    blobs: BlobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = photos(tmp_path / "my photos", tuple(f"{kind}/{at}.png" for kind in ("cat", "dog") for at in range(4)))
    sizes = {"small": (32, 32, 3), "large": (48, 48, 3), "small, too": (32, 32, 3)}
    networks = [replace(BUILT, name=name, alpha=0.25, input_shape=size) for name, size in sizes.items()]
    networks[2] = replace(networks[2], seed=2)
    plan = replace(NOISE, data=str(folder))
    graph = graph_of(blobs, *networks, plan=plan, recipes=RECIPES[:1])
    small, large, same = (graph.data_of(network) for network in networks)
    assert small is not None
    assert large is not None
    assert small == same != large
    assert np.load(blobs.path(large.spec["files"]["images.npy"])).shape[1:] == (48, 48, 3)
    assert large.spec["class_names"] == ["cat", "dog"]


def test_photos_without_classes_have_no_labels(
    blobs: BlobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = photos(tmp_path / "flat", tuple(f"photo {name}.png" for name in "abcd"))
    step = graph_of(blobs, BUILT, plan=replace(NOISE, data=str(folder))).data_of(BUILT)
    assert step is not None
    assert set(step.spec["files"]) == {"images.npy", "calibration.npy"}


def test_without_data_no_step_opens_any(blobs: BlobFolder) -> None:
    graph = graph_of(blobs, BUILT)
    assert graph.data_of(BUILT) is None
    assert "data" not in kinds(graph)


@pytest.mark.parametrize("plan", [NOISE, SAMPLE], ids=["noise", "data"])
def test_each_step_comes_once_and_after_those_that_it_needs(blobs: BlobFolder, plan: SweepPlan) -> None:
    graph = graph_of(blobs, BUILT, LOADED, plan=plan)
    seen: set[str] = set()
    for step in graph.steps:
        assert set(step.needs.values()) <= seen
        assert step.key not in seen
        seen.add(step.key)
    for network in (BUILT, LOADED):
        assert graph.network_of(network).kind is StepKind.NETWORK
        assert graph.reference_of(network).needs["network"] == graph.network_of(network).key
        for recipe in RECIPES:
            verify = graph.verify_of(Variant(network, recipe))
            assert verify.needs["convert"] == graph.convert_of(Variant(network, recipe)).key


def changed_kinds(before: CompileGraph, after: CompileGraph) -> set[str]:
    known = {step.key for step in before.steps}
    return {step.kind.value for step in after.steps if step.key not in known}


AFTER_NETWORK = {"network", "reference", "lower", "calibrate", "convert", "verify"}
PIXELS = {"reference", "calibrate", "convert", "verify"}


@pytest.mark.parametrize(
    ("network", "plan", "changed"),
    [
        (BUILT, SAMPLE, set()),
        (replace(BUILT, seed=2), SAMPLE, AFTER_NETWORK),
        (replace(BUILT, alpha=0.5), SAMPLE, AFTER_NETWORK),
        (replace(BUILT, input_shape=(40, 40, 1)), SAMPLE, AFTER_NETWORK),
        (replace(BUILT, classes=11), SAMPLE, AFTER_NETWORK),
        (replace(BUILT, preprocessing=Preprocessing(resize="pad")), SAMPLE, PIXELS),
        (BUILT, NOISE, PIXELS),
        (BUILT, replace(SAMPLE, label_offset=1), {"reference", "verify"}),
        (BUILT, replace(SAMPLE, name="another", threads=(4,)), set()),
    ],
)
def test_what_is_made_again_when_something_changes(
    blobs: BlobFolder, network: Network, plan: SweepPlan, changed: set[str]
) -> None:
    assert changed_kinds(graph_of(blobs, BUILT, plan=SAMPLE), graph_of(blobs, network, plan=plan)) == changed


@pytest.mark.parametrize(
    ("recipe", "changed"),
    [
        (Recipe.parse("tflite-w8a8", "int8"), {"convert", "verify"}),
        (Recipe.parse("tflite-float16"), set()),
    ],
)
def test_one_recipe_more_adds_its_own_steps_alone(blobs: BlobFolder, recipe: Recipe, changed: set[str]) -> None:
    more = graph_of(blobs, BUILT, recipes=(*RECIPES, recipe))
    assert changed_kinds(graph_of(blobs, BUILT), more) == changed


@pytest.mark.parametrize(
    ("package", "changed"),
    [
        ("tensorflow", AFTER_NETWORK),
        ("tf2onnx", {"lower", "convert", "verify"}),
        ("onnxruntime", {"convert", "verify"}),
        ("onnxslim", {"lower", "convert", "verify"}),
        ("ai-edge-litert", {"lower", "calibrate", "convert", "verify"}),
        ("click", set()),
    ],
)
def test_another_version_of_a_converter_makes_its_files_again(
    blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch, package: str, changed: set[str]
) -> None:
    before = graph_of(blobs, BUILT)
    installed = compiling._version
    monkeypatch.setattr(compiling, "_version", lambda name: "0.0" if name == package else installed(name))
    assert changed_kinds(before, graph_of(blobs, BUILT)) == changed


def test_steps_are_found_without_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.unit.test_sweep_compile import *;"
        f"graph_of(BlobFolder(Path({str(tmp_path)!r})), BUILT, LOADED, plan=SAMPLE);"
        "sys.exit(bool({'tensorflow', 'keras', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def keras_file(path: Path) -> Path:
    """A copy of the checkpoint, which is a .keras file like another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(checkpoint(CHECKPOINT).file.read_bytes())
    return path


def of_file(path: Path, name: str = "mine") -> Network:
    return Network(name, str(path), "file", preprocessing=Preprocessing(scale=(1 / 255,)))


def test_a_keras_file_is_known_by_its_content(blobs: BlobFolder, tmp_path: Path) -> None:
    first, second = keras_file(tmp_path / "a" / "x.keras"), keras_file(tmp_path / "b; rm -rf" / "it's <b>.keras")
    graphs = [graph_of(blobs, of_file(path)) for path in (first, second)]
    assert changed_kinds(*graphs) == set()
    (sha256,) = graphs[0].network_of(of_file(first)).spec["files"].values()
    assert blobs.read(sha256) == first.read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_keras_file_that_is_none_is_refused_by_its_path(blobs: BlobFolder, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.keras"
    path.write_bytes(content)
    with pytest.raises(InvalidModel, match=r"mine\.keras"):
        graph_of(blobs, of_file(path))


def test_a_keras_file_needs_to_be_told_what_it_takes(blobs: BlobFolder, tmp_path: Path) -> None:
    silent = replace(of_file(keras_file(tmp_path / "mine.keras")), preprocessing=None)
    with pytest.raises(InvalidInput, match="scale"):
        graph_of(blobs, silent)


def test_training_waits_for_its_images(blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    few = LabelledImages("few", rng.integers(0, 256, (4, 28, 28, 1), np.uint8), np.arange(4))
    monkeypatch.setattr(fashion_mnist, "load", lambda split: few)
    trained = replace(BUILT, epochs=2)
    graph = graph_of(blobs, trained, plan=replace(SAMPLE, epochs=2))
    network = graph.network_of(trained)
    opened = next(step for step in graph.steps if step.key == network.needs["training"])
    assert (opened.kind, opened.spec["sha256"]) == (StepKind.DATA, few.sha256)
    assert network.spec["training"]["epochs"] == 2
    longer = replace(BUILT, epochs=3)
    assert graph_of(blobs, longer, plan=SAMPLE).network_of(longer).key != network.key


def test_data_is_put_out_as_it_was_put_in(blobs: BlobFolder) -> None:
    graph = graph_of(blobs, BUILT, plan=SAMPLE)
    step = graph.data_of(BUILT)
    assert step is not None
    output = compile_work(step, {}, blobs)
    assert output.facts["name"] == "fashion-mnist-test-2000"
    assert output.facts["calibration"]["count"] == 200
    assert set(output.files) == {"images.npy", "labels.npy", "calibration.npy"}


def test_data_that_was_lost_is_told_as_lost(blobs: BlobFolder) -> None:
    step = graph_of(blobs, BUILT, plan=SAMPLE).data_of(BUILT)
    assert step is not None
    blobs.path(step.spec["files"]["labels.npy"]).write_bytes(b"damaged")
    with pytest.raises(LostContent):
        compile_work(step, {}, blobs)


def test_a_step_that_measures_is_none_of_these(blobs: BlobFolder) -> None:
    outputs: dict[str, Any] = {"convert": StepOutput({})}
    with pytest.raises(InvalidInput, match="launch"):
        compile_work(Step(StepKind.LAUNCH, {}), outputs, blobs)
