"""Export of real models: what is in the files, and that they do what Keras does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_export import (
    BrokenPromise,
    Calibration,
    CalibrationImages,
    ExportRequest,
    InvalidRecipe,
    OutputNotWritable,
    Recipe,
    Reference,
    export_model,
    load_keras_model,
    open_artifact,
)
from dwsep_export.tflite_graph import TFLiteGraph
from dwsep_export.tflite_weights import to_float16, to_w8_dynamic
from dwsep_runtime.engines import EngineSettings, allocate_engine, load_engine
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.timing import random_inputs
from edge_dwsep.cost import model_facts
from tests.conftest import CommandLine, Demo

SHARED_MODELS = Path(__file__).parents[2].parent / "shared" / "models"
SHARED_PHOTOS = SHARED_MODELS.parent / "data" / "imagenet-sample" / "calibration"
SCHEMES = ["float32.tflite", "float16.tflite", "w8-dynamic.tflite", "w8a8.tflite", "float32.onnx", "w8a8.onnx"]


def request_for(model: Any, name: str = "m", images: Any = None) -> ExportRequest:
    """A request with noise for images, unless some are given."""
    preprocessing = Preprocessing(scale=(1 / 127.5,), offset=(-1.0,))
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (16, *model.inputs[0].shape[1:]), np.uint8)
    count = len(images)
    return ExportRequest(
        model=model,
        facts=model_facts(model, name),
        preprocessing=preprocessing,
        labels=(),
        reference=Reference.of(model, "noise", "", np.arange(count), images, preprocessing),
        calibration=CalibrationImages(images, Calibration("noise", "", count, tuple(range(count)))),
    )


@pytest.fixture(scope="module")
def small_network() -> Any:
    """Depthwise, pointwise, grouped and dense layers, with odd sizes and weights of all magnitudes."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((15, 17, 3)),
            layers.ZeroPadding2D(1),
            layers.Conv2D(16, 3, strides=2, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.Conv2D(128, 1),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.GlobalAveragePooling2D(),
            layers.Dense(12, activation="softmax"),
        ],
        name="small_network",
    )


@pytest.mark.parametrize("ending", SCHEMES)
def test_the_manifest_tells_what_was_made(demo: Demo, ending: str) -> None:
    artifact = open_artifact(demo.artifact(ending))
    manifest = artifact.manifest
    assert manifest is not None
    assert manifest.recipe["name"] == f"{ending.split('.')[1]}-{ending.split('.', maxsplit=1)[0]}"
    assert (manifest.model.architecture, manifest.model.alpha) == ("mobilenet_v1", 0.25)
    assert (manifest.model.params, manifest.model.macs) == (220_970, 797_824)
    assert manifest.labels[9] == "Ankle boot"
    assert manifest.file["bytes"] == artifact.file.stat().st_size
    assert manifest.parity.count == 256
    assert manifest.parity.top1_agreement is not None
    assert manifest.parity.top1_agreement > 0.95
    assert 0 <= manifest.parity.mean_abs_error <= manifest.parity.max_abs_error < 0.7
    assert manifest.oldest_runtime["version"] is not None
    assert (manifest.calibration is None) == ("w8a8" not in ending)
    assert manifest.warnings == ()


def test_calibration_and_evaluation_images_are_from_different_splits(demo: Demo) -> None:
    manifest = open_artifact(demo.artifact("w8a8.tflite")).manifest
    assert manifest is not None
    assert manifest.calibration is not None
    assert manifest.calibration.count == len(manifest.calibration.indices) == 200
    assert manifest.calibration.data != manifest.parity.data


@pytest.mark.parametrize("ending", ["float32.tflite", "float16.tflite", "w8-dynamic.tflite", "w8a8.tflite"])
def test_tflite_has_one_operator_a_layer_and_an_honest_note_of_its_runtime(demo: Demo, ending: str) -> None:
    artifact = open_artifact(demo.artifact(ending))
    graph = TFLiteGraph(artifact.file.read_bytes())
    operators: dict[str, int] = {}
    for name, count in graph.facts().operators.items():
        operators[name.split()[0]] = operators.get(name.split()[0], 0) + count
    converting = ("QUANTIZE", "DEQUANTIZE")
    assert {name: count for name, count in operators.items() if name not in converting} == {
        "CONV_2D": 15,
        "DEPTHWISE_CONV_2D": 13,
        "RESHAPE": 1,
        "SOFTMAX": 1,
    }
    (note,) = [item.buffer for item in graph.model.metadata if item.name == b"min_runtime_version"]
    noted = bytes(graph.model.buffers[note].data).rstrip(b"\0").decode()
    assert artifact.manifest is not None
    assert noted == artifact.manifest.oldest_runtime["version"]


def test_onnx_has_every_convolution_folded(demo: Demo) -> None:
    import onnx

    from dwsep_export.onnx_float import unfused_nodes
    from dwsep_export.onnx_graph import onnx_facts

    model = onnx.load(demo.artifact("float32.onnx"))
    assert unfused_nodes(model) == []
    operators = onnx_facts(model).operators
    assert operators["Conv"] == 28
    assert not {"Mul", "Add", "Pad", "BatchNormalization"} & set(operators)


def test_an_unfolded_graph_is_recognized() -> None:
    from onnx import TensorProto, helper, numpy_helper

    from dwsep_export.onnx_float import unfused_nodes

    constant = numpy_helper.from_array(np.ones(1, np.float32), "c")
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"], name="pad"),
        helper.make_node("Conv", ["padded", "w"], ["a"], name="conv"),
        helper.make_node("Mul", ["a", "c"], ["b"], name="scale"),
        helper.make_node("Conv", ["b", "w"], ["d"], name="conv2"),
        helper.make_node("Add", ["d", "b"], ["y"], name="residual"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, None)], [value("y", TensorProto.FLOAT, None)], [constant]
    )
    assert unfused_nodes(helper.make_model(graph)) == ["Pad pad", "Mul scale"]


@pytest.mark.parametrize(
    "name", ["tflite-float32", "tflite-float16", "tflite-w8-dynamic", "tflite-w8a8", "onnx-float32", "onnx-w8a8"]
)
def test_a_network_of_ones_own_is_exported(small_network: Any, tmp_path: Path, name: str) -> None:
    (artifact,) = export_model(request_for(small_network), [Recipe.parse(name)], tmp_path)
    assert artifact.manifest is not None
    assert artifact.manifest.parity.max_abs_error < 0.05
    assert not [warning for warning in artifact.manifest.warnings if "folded" in warning]


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_integer_inputs_and_outputs(small_network: Any, tmp_path: Path, io: str) -> None:
    (artifact,) = export_model(request_for(small_network), [Recipe.parse("tflite-w8a8", io)], tmp_path)
    assert artifact.manifest is not None
    tensors = (*artifact.manifest.inputs, *artifact.manifest.outputs)
    assert {tensor.dtype for tensor in tensors} == {io}
    assert all(tensor.scale > 0 for tensor in tensors)
    assert artifact.manifest.parity.max_abs_error < 0.05


def test_a_depthwise_layer_on_one_channel_keeps_its_promise(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.DepthwiseConv2D(3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)]
    grey = keras.Sequential([keras.Input((8, 8, 1)), *layers], name="grey")
    made = export_model(request_for(grey), [Recipe.parse("onnx-w8a8"), Recipe.parse("tflite-w8a8")], tmp_path)
    assert [artifact.variant for artifact in made] == ["onnx-w8a8", "tflite-w8a8"]


@pytest.mark.parametrize(
    ("outputs", "said"), [(1, ()), (5, ("puts all 16 images into one class, so agreement says nothing",))]
)
def test_agreement_is_not_claimed_where_it_says_nothing(tmp_path: Path, outputs: int, said: tuple[str, ...]) -> None:
    import keras

    layers = [keras.layers.Conv2D(3, 3), keras.layers.GlobalAveragePooling2D()]
    last = keras.layers.Dense(outputs, kernel_initializer="zeros", bias_initializer="ones")
    constant = keras.Sequential([keras.Input((8, 8, 1)), *layers, last], name="constant")
    (artifact,) = export_model(request_for(constant), [Recipe.parse("tflite-float32")], tmp_path)
    assert artifact.manifest is not None
    assert artifact.manifest.parity.top1_agreement is None
    assert [warning.partition("model ")[2] for warning in artifact.manifest.warnings] == list(said)


@pytest.mark.parametrize(
    "ending", ["float32.tflite", "float16.tflite", "w8-dynamic.tflite", "w8a8.tflite", "float32.onnx"]
)
def test_an_artifact_runs_at_another_batch_and_gives_what_its_images_give_one_by_one(demo: Demo, ending: str) -> None:
    file = demo.artifact(ending)
    name = "onnxruntime" if ending.endswith("onnx") else "tflite"
    engines = {}
    for batch in (1, 4):
        engines[batch], version = load_engine(name, file, EngineSettings(batch=batch), file.name)
        allocate_engine(engines[batch], name, version, file.name)
    (images,) = random_inputs(engines[4].inputs, 0)
    outputs = []
    for start, batch in [(0, 4), (0, 1), (1, 1), (2, 1), (3, 1)]:
        engines[batch].set_inputs([images[start : start + batch]])
        engines[batch].invoke()
        outputs.append(np.array(engines[batch].get_outputs()[0]))
    assert outputs[0].shape == (4, 10)
    assert np.allclose(outputs[0], np.concatenate(outputs[1:]), atol=1e-6)


def test_float16_refuses_a_weight_beyond_its_range(demo: Demo) -> None:
    from dwsep_export import ConversionError

    graph = TFLiteGraph(demo.artifact("float32.tflite").read_bytes())
    kernel = graph.subgraph.tensors[graph.subgraph.operators[0].inputs[1]]
    kernel.buffer = graph.add_buffer(np.full(kernel.shape, 7e4, np.float32))
    with pytest.raises(ConversionError, match=r"beyond float16's 65504"):
        to_float16(graph.pack())


def test_w8_dynamic_keeps_each_weight_within_half_a_step(demo: Demo) -> None:
    float_graph = TFLiteGraph(demo.artifact("float32.tflite").read_bytes())
    int8_graph = TFLiteGraph(to_w8_dynamic(demo.artifact("float32.tflite").read_bytes()))
    compared = 0
    for before, after in zip(float_graph.subgraph.operators, int8_graph.subgraph.operators, strict=True):
        if int8_graph.operator_code(after) != "CONV_2D":
            continue
        source = float_graph.subgraph.tensors[before.inputs[1]]
        kernel = int8_graph.subgraph.tensors[after.inputs[1]]
        if int8_graph.dtype(kernel) != "int8":
            continue
        weights = np.asarray(float_graph.model.buffers[source.buffer].data, np.uint8).view(np.float32)
        stored = np.asarray(int8_graph.model.buffers[kernel.buffer].data, np.uint8).view(np.int8)
        scales = np.asarray(kernel.quantization.scale)[:, np.newaxis]
        rows = len(scales)
        assert np.abs(stored.reshape(rows, -1) * scales - weights.reshape(rows, -1)).max() <= scales.max() / 2 * 1.001
        assert np.abs(stored).max() <= 127
        compared += 1
    assert compared == 12


def test_an_artifact_that_differs_from_keras_is_refused_and_not_written(small_network: Any, tmp_path: Path) -> None:
    honest = request_for(small_network)
    wrong = Reference("noise", "", honest.reference.indices, honest.reference.images, honest.reference.outputs[:, ::-1])
    request = ExportRequest(honest.model, honest.facts, honest.preprocessing, (), wrong, honest.calibration)
    with pytest.raises(BrokenPromise, match="outputs differ from the Keras model's"):
        export_model(request, [Recipe.parse("tflite-float32")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_failing_recipe_does_not_stop_the_others(
    small_network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dwsep_export import ConversionError, conversion

    def refuse(lowered: bytes) -> bytes:
        raise ConversionError("no float16 today")

    monkeypatch.setattr(conversion, "to_float16", refuse)
    failed = []
    recipes = [Recipe.parse("tflite-float16"), Recipe.parse("tflite-float32")]
    made = export_model(
        request_for(small_network),
        recipes,
        tmp_path,
        on_failure=lambda recipe, error: failed.append((recipe.name, str(error))),
    )
    assert [artifact.variant for artifact in made] == ["tflite-float32"]
    assert failed == [("tflite-float16", "no float16 today")]


def test_the_float_graph_is_lowered_once(small_network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dwsep_export import conversion
    from dwsep_export.tflite_float import lower_to_tflite

    lowered = []

    def counting(model: Any) -> bytes:
        lowered.append(model)
        return lower_to_tflite(model)

    monkeypatch.setattr(conversion, "lower_to_tflite", counting)
    recipes = [Recipe.parse(f"tflite-{scheme}") for scheme in ("float32", "float16", "w8-dynamic", "w8a8")]
    assert len(export_model(request_for(small_network), recipes, tmp_path)) == 4
    assert len(lowered) == 1


def test_w8a8_without_calibration_images_is_refused_before_anything_is_done(small_network: Any, tmp_path: Path) -> None:
    whole = request_for(small_network)
    request = ExportRequest(whole.model, whole.facts, whole.preprocessing, (), whole.reference)
    with pytest.raises(InvalidRecipe, match="needs calibration images"):
        export_model(request, [Recipe.parse("tflite-float32"), Recipe.parse("onnx-w8a8")], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_in_place_of_the_output_folder_is_refused(small_network: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputNotWritable, match="cannot be written"):
        export_model(request_for(small_network), [Recipe.parse("tflite-float32")], tmp_path / "taken")


def test_a_keras_file_is_exported_from_the_command_line(
    small_network: Any, tmp_path: Path, command_line: CommandLine
) -> None:
    small_network.save(tmp_path / "mine.keras")
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "photos.npz", images=rng.integers(0, 256, (20, 15, 17, 3), np.uint8), labels=np.zeros(20, np.int64)
    )
    out = tmp_path / "out"
    run = command_line(
        *("export", tmp_path / "mine.keras", "--recipe", "tflite-w8a8", "--recipe", "onnx-float32"),
        *("--data", tmp_path / "photos.npz", "--scale", "0.00784", "--offset", "-1", "--output", out, "--json"),
    )
    assert run.returncode == 0, run.stderr
    printed = json.loads(run.stdout)
    assert [Path(item["file"]["name"]).name for item in printed] == ["mine-w8a8.tflite", "mine-float32.onnx"]
    assert printed[0]["preprocessing"]["offset"] == [-1.0]
    assert sorted(path.name for path in out.iterdir()) == [
        "mine-float32.onnx",
        "mine-float32.onnx.manifest.json",
        "mine-w8a8.tflite",
        "mine-w8a8.tflite.manifest.json",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_MODELS.exists(), reason="the ImageNet networks are not beside this checkout")
@pytest.mark.parametrize("name", ["mobilenet_v1_1.0", "mobilenet_v2_1.0", "efficientnet_lite0"])
def test_published_imagenet_networks_are_exported_whole(name: str, tmp_path: Path) -> None:
    (file,) = SHARED_MODELS.glob(f"{name}*.keras")
    recipes = [Recipe.parse(text) for text in ("tflite-float32", "tflite-float16", "tflite-w8-dynamic", "onnx-float32")]
    import tensorflow as tf

    photos = sorted(SHARED_PHOTOS.glob("*.jpg"))[::12]
    images = np.stack([tf.io.decode_jpeg(photo.read_bytes()).numpy() for photo in photos])
    made = export_model(request_for(load_keras_model(file), name, images), recipes, tmp_path)
    assert len(made) == 4
    for artifact in made:
        assert artifact.manifest is not None
        # On nine photos a quantized network may well differ in one or two.
        assert not [warning for warning in artifact.manifest.warnings if "w8-dynamic agrees" not in warning]
