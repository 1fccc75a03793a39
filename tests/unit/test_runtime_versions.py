"""The oldest runtime that can load a file: known answers, unknown parts named, tables true to the real thing."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from dwsep_export import runtime_versions
from dwsep_export.runtime_versions import (
    ONNXRUNTIME_IR_VERSIONS,
    ONNXRUNTIME_OPSETS,
    TFLITE_OPERATOR_RUNTIMES,
    OldestRuntime,
    oldest_onnxruntime,
    oldest_tflite,
    release_key,
)
from dwsep_runtime.errors import InvalidInput

# Operators of files made by TensorFlow 2.21's converter, and the "min_runtime_version" it wrote into each.
CONVERTED = {
    "mobilenet_v1 float32": ("CONV_2D:1 DEPTHWISE_CONV_2D:1 RESHAPE:1 SOFTMAX:1", "1.5.0"),
    "mobilenet_v1 float32, dynamic batch": (
        "CONV_2D:1 DEPTHWISE_CONV_2D:1 PACK:1 RESHAPE:1 SHAPE:1 SOFTMAX:1 STRIDED_SLICE:1",
        "1.11.0",
    ),
    "mobilenet_v1 float16": ("CONV_2D:1 DEPTHWISE_CONV_2D:1 DEQUANTIZE:3 RESHAPE:1 SOFTMAX:1", "1.15.0"),
    "mobilenet_v1 w8-dynamic": ("CONV_2D:5 DEPTHWISE_CONV_2D:6 RESHAPE:1 SOFTMAX:1", "2.4.0"),
    "mobilenet_v1 int8": ("CONV_2D:3 DEPTHWISE_CONV_2D:3 DEQUANTIZE:2 QUANTIZE:1 RESHAPE:1 SOFTMAX:2", "1.14.0"),
    "mobilenet_v2 float32": ("ADD:1 CONV_2D:1 DEPTHWISE_CONV_2D:1 FULLY_CONNECTED:1 MEAN:1 SOFTMAX:1", "1.6.0"),
    "mobilenet_v2 float16": (
        "ADD:1 CONV_2D:1 DEPTHWISE_CONV_2D:1 DEQUANTIZE:3 FULLY_CONNECTED:1 MEAN:1 SOFTMAX:1",
        "1.15.0",
    ),
    "mobilenet_v2 w8-dynamic": ("ADD:1 CONV_2D:5 DEPTHWISE_CONV_2D:6 FULLY_CONNECTED:12 MEAN:1 SOFTMAX:1", "2.17.0"),
    "mobilenet_v2 int8": (
        "ADD:2 CONV_2D:3 DEPTHWISE_CONV_2D:3 DEQUANTIZE:2 FULLY_CONNECTED:4 MEAN:2 QUANTIZE:1 SOFTMAX:2",
        "1.14.0",
    ),
}


def operators(text: str) -> list[tuple[str, int]]:
    return [(name, int(version)) for name, version in (item.split(":") for item in text.split())]


@pytest.mark.parametrize(("found", "release"), CONVERTED.values(), ids=CONVERTED.keys())
def test_a_converted_file_needs_the_release_its_converter_wrote(found: str, release: str) -> None:
    assert oldest_tflite(operators(found)).version == release


@pytest.mark.parametrize(
    ("found", "version", "limited_by"),
    [
        ("", "1.5.0", ()),
        ("CONV_2D:5 DEPTHWISE_CONV_2D:6", "2.4.0", ("CONV_2D v5",)),
        ("ADD:2 CONV_2D:3 ADD:2 ADD:1", "1.14.0", ("ADD v2", "CONV_2D v3")),
        ("FULLY_CONNECTED:9 FULLY_CONNECTED:10", "2.11.0", ("FULLY_CONNECTED v10",)),
        ("BROADCAST_TO:2 TRANSPOSE:4", "2.5.0", ("BROADCAST_TO v2",)),
        ("GELU:1 CONV_2D:7", "2.11.0", ("CONV_2D v7",)),
    ],
)
def test_the_newest_release_needed_is_named_with_the_operators_that_need_it(
    found: str, version: str, limited_by: tuple[str, ...]
) -> None:
    assert oldest_tflite(operators(found)) == OldestRuntime("tflite", version, limited_by, ())


@pytest.mark.parametrize(
    ("found", "unknown"),
    [
        ("CONV_2D:99", ("CONV_2D v99",)),
        ("CONV_2D:1 SVDF:1 STABLEHLO_ADD:1", ("SVDF v1", "STABLEHLO_ADD v1")),
        ("BROADCAST_TO:1", ("BROADCAST_TO v1",)),
        ("SOFTMAX:0", ("SOFTMAX v0",)),
        ("CUSTOM:1 CUSTOM:1", ("CUSTOM v1",)),
    ],
)
def test_an_operator_without_an_entry_is_named_and_no_release_is_guessed(found: str, unknown: tuple[str, ...]) -> None:
    assert oldest_tflite(operators(found)) == OldestRuntime("tflite", None, (), unknown)


@pytest.mark.parametrize(
    ("opset", "ir_version", "version", "limited_by", "unknown"),
    [
        (7, 3, "0.1.4", ("opset 7", "IR version 3"), ()),
        (13, 7, "1.6.0", ("opset 13",), ()),
        (13, 8, "1.9.0", ("IR version 8",), ()),
        (17, 8, "1.12.0", ("opset 17",), ()),
        (17, 10, "1.18.0", ("IR version 10",), ()),
        (21, 10, "1.18.0", ("opset 21", "IR version 10"), ()),
        (22, 9, "1.21.0", ("opset 22",), ()),
        (6, 3, None, (), ("opset 6",)),
        (99, 8, None, (), ("opset 99",)),
        (13, 99, None, (), ("IR version 99",)),
        (0, 0, None, (), ("opset 0", "IR version 0")),
    ],
)
def test_onnxruntime_is_limited_by_the_later_of_opset_and_ir_version(
    opset: int, ir_version: int, version: str | None, limited_by: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    assert oldest_onnxruntime(opset, ir_version) == OldestRuntime("onnxruntime", version, limited_by, unknown)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2.9.0", "2.10.0"), ("1.15.0", "2.3.0"), ("0.5.0", "1.0.0"), ("1.24.1", "1.25"), ("2.4.0rc1", "2.14.0.post1")],
)
def test_releases_are_compared_as_numbers(older: str, newer: str) -> None:
    assert release_key(older) < release_key(newer)


@pytest.mark.parametrize("text", ["", "v2.14.0", "latest", ".1"])
def test_what_is_no_release_is_refused_and_shown(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"not a release number: .*give dotted numbers") as refused:
        release_key(text)
    assert repr(text) in str(refused.value)


def test_a_later_operator_version_never_needs_an_older_release() -> None:
    for (operator, version), release in TFLITE_OPERATOR_RUNTIMES.items():
        earlier = TFLITE_OPERATOR_RUNTIMES.get((operator, version - 1), release)
        assert release_key(earlier) <= release_key(release), f"{operator} v{version}"


def test_every_operator_is_one_of_the_schema() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    assert {operator for operator, _ in TFLITE_OPERATOR_RUNTIMES} <= set(vars(schema.BuiltinOperator))


@pytest.mark.parametrize("opset", [opset for opset in ONNXRUNTIME_OPSETS if opset >= 10])
def test_a_release_that_runs_an_opset_reads_the_ir_version_of_the_same_onnx(opset: int) -> None:
    ir_versions = [row[1] for row in helper.VERSION_TABLE if row[2] == opset]
    if not ir_versions:
        pytest.skip(f"onnx {onnx.__version__} has no opset {opset} yet")
    assert release_key(ONNXRUNTIME_IR_VERSIONS[ir_versions[0]]) <= release_key(ONNXRUNTIME_OPSETS[opset])


@pytest.mark.parametrize(
    ("opset", "ir_version", "release"),
    [(opset, 3, release) for opset, release in ONNXRUNTIME_OPSETS.items()]
    + [(7, ir_version, release) for ir_version, release in ONNXRUNTIME_IR_VERSIONS.items()],
)
def test_the_installed_onnxruntime_loads_what_the_tables_say_it_loads(
    opset: int, ir_version: int, release: str
) -> None:
    expected = release_key(release) <= release_key(onnxruntime.__version__)
    assert loads(opset, ir_version) is expected


def loads(opset: int, ir_version: int) -> bool:
    """Whether the installed onnxruntime accepts a model of one Relu with these versions."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "support" not in str(error):
            raise
        return False
    return True


def test_the_public_names() -> None:
    assert runtime_versions.__all__ == [
        "ONNXRUNTIME_IR_VERSIONS",
        "ONNXRUNTIME_OPSETS",
        "TFLITE_OPERATOR_RUNTIMES",
        "OldestRuntime",
        "oldest_onnxruntime",
        "oldest_tflite",
        "release_key",
    ]
