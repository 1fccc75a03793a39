"""Accuracy and agreement on this machine's engines, by the command line and from Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_devices import LocalDevice
from dwsep_export import open_artifact
from dwsep_export.manifest import manifest_path
from dwsep_export.output import json_text
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import DwsepError, NotAClassifier, PreprocessingDrift
from dwsep_runtime.golden import Golden, golden_images, golden_shape, prepared_sha256
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.datasets.evaluation import EvaluationSet
from edge_dwsep.evaluate import Evaluation, evaluate
from edge_dwsep.measured_accuracy import AccuracySettings, Predictions, evaluation_files, measure_accuracy
from edge_dwsep.results import new_results
from tests.conftest import CommandLine
from tests.small_models import CLASSES, SIDE, small_onnx, small_tflite

GOLDEN_MANIFEST = Path(__file__).parents[1] / "unit" / "golden_manifest.json"
PIXELS = Preprocessing(scale=(1 / 127.5,), offset=(-1.0,))
PADDED = Preprocessing(resize="pad", height=SIDE, width=SIDE, scale=(1 / 127.5,), offset=(-1.0,))


@pytest.fixture
def device() -> Any:
    device = LocalDevice()
    yield device
    device.close()


def images(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 1), np.uint8)


def dense_onnx(outputs: Mapping[str, int], *, operator: str = "Identity", inputs: int = 6) -> bytes:
    """ONNX of a dense layer an output, each the same in every model that has an output of that length."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []
    for name, size in outputs.items():
        kernel = np.random.default_rng(size).standard_normal((inputs, size), np.float32)
        weights.append(numpy_helper.from_array(kernel, f"{name}_kernel"))
        nodes.append(helper.make_node("MatMul", ["x", f"{name}_kernel"], [f"{name}_product"]))
        nodes.append(helper.make_node(operator, [f"{name}_product"], [name]))
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in outputs.items()],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def exported(folder: Path, preprocessing: Preprocessing, **edited: Any) -> Path:
    """The small network with a manifest as an export writes it, its preprocessing then edited by hand."""
    file = written(folder / "small.tflite", small_tflite())
    shape = golden_shape(preprocessing, (SIDE, SIDE, 1))
    golden = Golden(shape, prepared_sha256(preprocessing.apply(golden_images(shape))))
    values = {
        **json.loads(GOLDEN_MANIFEST.read_text()),
        "file": {"name": file.name, "sha256": sha256_of(file), "bytes": file.stat().st_size},
        "preprocessing": {**preprocessing.to_json(), **edited},
        "golden": golden.to_json(),
    }
    manifest_path(file).write_text(json_text(values))
    return file


@pytest.mark.parametrize("engine", ["tflite", "litert"])
@pytest.mark.parametrize("preprocessing", [PIXELS, PADDED], ids=["whole", "padded"])
def test_golden_images_prepared_as_at_export_are_equal(
    device: LocalDevice, tmp_path: Path, engine: str, preprocessing: Preprocessing
) -> None:
    artifact = open_artifact(exported(tmp_path, preprocessing))
    with evaluation_files(EvaluationSet("d", images(20), np.zeros(20, np.int64))) as files:
        measured = measure_accuracy(device, artifact, engine, files, AccuracySettings(), preprocessing=preprocessing)
    assert measured["golden"] == {"preprocessing": "equal", "max_difference": None}
    assert measured["accuracy"]["top1"] == np.mean(decode_array(measured["accuracy"]["predictions"]) == 0)
    assert measured["accuracy"]["loop_overhead_ns"] > measured["accuracy"]["preprocessing_ns"] > 0


@pytest.mark.parametrize(
    ("preprocessing", "edited"),
    [
        (PIXELS, {"scale": [1 / 128]}),
        (PIXELS, {"offset": [0.0]}),
        (PADDED, {"resize": "none"}),
        (PADDED, {"height": SIDE + 1, "width": SIDE + 1}),
    ],
    ids=["scale", "offset", "no-padding", "more-padding"],
)
def test_a_manifest_edited_by_hand_is_preprocessing_drift(
    device: LocalDevice, tmp_path: Path, preprocessing: Preprocessing, edited: dict[str, Any]
) -> None:
    artifact = open_artifact(exported(tmp_path, preprocessing, **edited))
    assert artifact.manifest is not None
    with (
        evaluation_files(EvaluationSet("d", images(20), np.zeros(20, np.int64))) as files,
        pytest.raises(PreprocessingDrift, match="export"),
    ):
        measure_accuracy(
            device, artifact, "tflite", files, AccuracySettings(), preprocessing=artifact.manifest.preprocessing
        )


def test_drift_is_one_line_of_the_command(command_line: CommandLine, tmp_path: Path) -> None:
    file = exported(tmp_path, PIXELS, scale=[0.5])
    np.savez(tmp_path / "d.npz", images=images(8), labels=np.zeros(8, np.int64))
    run = command_line("accuracy", file, "--data", tmp_path / "d.npz", "--engine", "tflite", "--json")
    assert run.returncode == 1
    assert "golden images are prepared otherwise here than at export" in run.stderr.splitlines()[-1]
    assert json.loads(run.stdout)["runs"][0]["status"] == "failed"


def test_artifacts_are_compared_with_a_reference_artifact(command_line: CommandLine, tmp_path: Path) -> None:
    tflite, onnx = written(tmp_path / "a.tflite", small_tflite()), written(tmp_path / "b.onnx", small_onnx())
    np.savez(tmp_path / "d.npz", images=images(60), labels=np.arange(60) % CLASSES)
    arguments = ["accuracy", tflite, onnx, "--data", tmp_path / "d.npz", "--reference", onnx, "--scale", "1"]
    run = command_line(*arguments, "--per-class", "--confusion", "--output", tmp_path / "r.json")
    assert run.returncode == 0, run.stderr
    lines = [" ".join(line.split()) for line in run.stdout.splitlines()]
    assert lines[0].endswith("agrees with reference against reference")
    assert [line.split()[1] for line in lines[1:4]] == ["onnxruntime", "tflite", "litert"]
    assert lines[1].endswith("reference")
    assert lines[2].endswith("100.0 % no difference shown (p = 1)")
    assert lines.count("class images correct recall [95 %] precision") == 3
    assert lines.count("true \\ predicted 0 1 2") == 3
    results = json.loads((tmp_path / "r.json").read_text())
    reference, *others = results["runs"]
    assert reference["is_reference"]
    assert results["reference"]["name"] == "b on onnxruntime"
    assert results["reference"]["top1"] == reference["accuracy"]["top1"]
    assert [item["agreement"]["mcnemar"] for item in others] == [
        {"b": 0, "c": 0, "p": 1.0, "verdict": "no difference shown"}
    ] * 2
    assert sum(row["count"] for row in reference["accuracy"]["per_class"]) == reference["accuracy"]["count"] == 30


def test_models_of_several_outputs_are_compared_by_number_whatever_their_order(
    command_line: CommandLine, tmp_path: Path
) -> None:
    reference = written(tmp_path / "reference.onnx", dense_onnx({"boxes": 4, "score": 1, "more": 4}))
    swapped = written(tmp_path / "swapped.onnx", dense_onnx({"more": 4, "score": 1, "boxes": 4}))
    saturated = written(tmp_path / "saturated.onnx", dense_onnx({"a": 1, "b": 4, "c": 4}, operator="Tanh"))
    np.savez(tmp_path / "d.npz", inputs=np.random.default_rng(0).standard_normal((300, 6)))
    arguments = ["accuracy", swapped, saturated, "--data", tmp_path / "d.npz", "--reference", reference]
    run = command_line(*arguments, "--json")
    assert run.returncode == 0, run.stderr
    first, same, other = json.loads(run.stdout)["runs"]
    assert (first["is_reference"], first["accuracy"], first["agreement"]) == (True, None, None)
    compared = same["numeric_agreement"]
    assert (compared["count"], compared["tolerance"], compared["reference"]) == (300, 0.01, "reference on onnxruntime")
    assert [(item["name"], item["own_name"], item["matched_by"]) for item in compared["outputs"]] == [
        ("boxes", "boxes", "name"),
        ("score", "score", "shape"),
        ("more", "more", "name"),
    ]
    assert [(item["max_abs"], item["within"]) for item in compared["outputs"]] == [(0.0, 1.0)] * 3
    assert same["warnings"] == []
    assert other["warnings"] == ["outputs of one shape were matched by their order: boxes with b, more with c"]
    assert all(0.5 < item["cosine"] < 1 for item in other["numeric_agreement"]["outputs"])


def test_images_without_labels_are_compared_across_formats(command_line: CommandLine, tmp_path: Path) -> None:
    tflite, onnx = written(tmp_path / "a.tflite", small_tflite()), written(tmp_path / "b.onnx", small_onnx())
    np.savez(tmp_path / "d.npz", images=images(40))
    run = command_line("accuracy", tflite, "--data", tmp_path / "d.npz", "--reference", onnx, "--scale", "0.01")
    assert run.returncode == 0, run.stderr
    lines = [" ".join(line.split()) for line in run.stdout.splitlines()]
    assert lines[-3].startswith("a tflite y ")
    assert lines[-3].endswith("1.000000 100.0 %")
    assert lines[-1] == "reference: b on onnxruntime"


def test_labelled_data_and_a_reference_that_is_no_classifier_are_compared_by_number(
    device: LocalDevice, tmp_path: Path
) -> None:
    artifact = open_artifact(written(tmp_path / "r.onnx", dense_onnx({"y": 1})))
    with evaluation_files(EvaluationSet("d", np.ones((9, 6), np.float32), np.zeros(9, np.int64))) as files:
        what = Evaluation(accuracy=AccuracySettings(), files=files, reference=(artifact, "onnxruntime"))
        results = new_results("test", {}, [device.description])
        evaluate(device, [(artifact, "onnxruntime")], what, results)
        with pytest.raises(NotAClassifier, match="give --reference FILE"):
            measure_accuracy(device, artifact, "onnxruntime", files, AccuracySettings(), preprocessing=Preprocessing())
    (only,) = results["runs"]  # the reference is not run twice
    assert only["is_reference"]


def test_classes_of_inputs_that_are_no_images_are_counted(device: LocalDevice, tmp_path: Path) -> None:
    artifact = open_artifact(written(tmp_path / "r.onnx", dense_onnx({"y": 5})))
    inputs = np.random.default_rng(0).standard_normal((50, 6), np.float32)
    kernel = np.random.default_rng(5).standard_normal((6, 5), np.float32)
    labels = (inputs @ kernel).argmax(axis=1)
    with evaluation_files(EvaluationSet("d", inputs, labels)) as files:
        measured = measure_accuracy(
            device,
            artifact,
            "onnxruntime",
            files,
            AccuracySettings(),
            preprocessing=Preprocessing(),
            reference=Predictions("labels", labels, 5),
        )
    assert (measured["accuracy"]["top1"], measured["agreement"]["top1"]) == (1.0, 1.0)


def failing(folder: Path, name: str) -> Sequence[Any]:
    """Arguments of a call that must fail in one line."""
    small = written(folder / "small.onnx", small_onnx())
    np.savez(folder / "labelled.npz", images=images(8), labels=np.zeros(8, np.int64))
    np.savez(folder / "bare.npz", images=images(8))
    np.savez(folder / "floats.npz", inputs=np.ones((8, 6)))
    np.savez(folder / "floats-labelled.npz", inputs=np.ones((8, 6)), labels=np.zeros(8, np.int64))
    five = written(folder / "five.onnx", dense_onnx({"y": 5}))
    two = written(folder / "two.onnx", dense_onnx({"y": 5, "z": 2}))
    nan = written(folder / "nan.onnx", dense_onnx({"y": 5}, operator="Log"))
    return {
        "no labels": (small, "--scale", "1", "--data", folder / "bare.npz"),
        "reference fails": (small, "--scale", "1", "--data", folder / "bare.npz", "--reference", five),
        "reference not finite": (five, "--data", folder / "floats.npz", "--reference", nan),
        "not finite": (nan, "--data", folder / "floats.npz", "--reference", five),
        "not finite classes": (nan, "--data", folder / "floats-labelled.npz"),
        "other classes": (
            *(written(folder / "three.onnx", dense_onnx({"y": 3})), "--data", folder / "floats-labelled.npz"),
            *("--reference", five),
        ),
        "other outputs": (two, "--data", folder / "floats.npz", "--reference", five),
        "no classifier": (two, "--data", folder / "floats-labelled.npz"),
        "shape": (small, "--scale", "1", "--data", folder / "floats-labelled.npz"),
    }[name]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("no labels", 3, "data set 'bare' has no labels, so there is no accuracy to count"),
        ("reference fails", 3, "the reference, five on onnxruntime, failed: images are (4, 4, 1) after preprocessing"),
        ("reference not finite", 1, "values of output 'y' for image 0 are not finite numbers; nothing can"),
        ("not finite", 1, "values of output 'y' for image 0 are not finite numbers; they agree with nothing"),
        ("not finite classes", 1, "outputs for image 0 are not finite numbers; it has no accuracy"),
        ("other classes", 3, "the model has 3 classes and reference five on onnxruntime 5"),
        ("other outputs", 3, "outputs cannot be matched: the model's are y 5, z 2, the reference's y 5"),
        ("no classifier", 3, "outputs (5, 2) are not one vector of classes"),
        ("shape", 3, "inputs are (6,), but the model's input is (4, 4, 1)"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    command_line: CommandLine, tmp_path: Path, name: str, code: int, said: str
) -> None:
    run = command_line("accuracy", *failing(tmp_path, name))
    assert run.returncode == code
    assert said in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_a_reference_that_fails_ends_the_evaluation(device: LocalDevice, tmp_path: Path) -> None:
    artifact = open_artifact(written(tmp_path / "two.onnx", dense_onnx({"y": 5})))
    with evaluation_files(EvaluationSet("d", np.ones((9, 7), np.float32))) as files:
        what = Evaluation(accuracy=AccuracySettings(), files=files, reference=(artifact, "onnxruntime"))
        results = new_results("test", {}, [device.description])
        with pytest.raises(DwsepError, match=r"the reference, two on onnxruntime, failed: inputs are \(7,\)"):
            evaluate(device, [(artifact, "onnxruntime")], what, results)
    assert results["runs"] == []
