"""What each scheme promises of dtypes."""

from __future__ import annotations

from typing import Any

import pytest

from dwsep_export import BrokenPromise, Recipe
from dwsep_export.promises import require_promises
from dwsep_export.tflite_graph import GraphFacts, Kernel
from dwsep_runtime.engines.protocol import Tensor

FLOAT_IO = Tensor("io", (1, 4), "float32")


def facts(*kernels: Kernel, activation: str = "float32", io: Tensor = FLOAT_IO) -> GraphFacts:
    return GraphFacts((io,), (io,), {}, kernels, frozenset({activation}))


INT8_CONV = Kernel("CONV_2D", "int8", 2048, per_channel=True)
INT8_DEPTHWISE = Kernel("DEPTHWISE_CONV_2D", "int8", 2048, per_channel=True)
FLOAT_CONV = Kernel("CONV_2D", "float32", 2048, per_channel=False)
FLOAT_DEPTHWISE = Kernel("DEPTHWISE_CONV_2D", "float32", 2048, per_channel=False)
SMALL_FLOAT_CONV = Kernel("CONV_2D", "float32", 72, per_channel=False)
HALF_CONV = Kernel("CONV_2D", "float16", 2048, per_channel=False)

KEPT: list[tuple[str, GraphFacts]] = [
    ("tflite-float32", facts(FLOAT_CONV, FLOAT_DEPTHWISE)),
    ("onnx-float32", facts(Kernel("Conv", "float32", 9, per_channel=False))),
    ("tflite-float16", facts(HALF_CONV)),
    ("tflite-w8-dynamic", facts(INT8_CONV, FLOAT_DEPTHWISE, SMALL_FLOAT_CONV)),
    ("tflite-w8a8", facts(INT8_CONV, INT8_DEPTHWISE, activation="int8")),
    ("onnx-w8a8", facts(Kernel("MatMul", "uint8", 9, per_channel=False), activation="uint8")),
]


@pytest.mark.parametrize(("name", "found"), KEPT, ids=[name for name, _ in KEPT])
def test_a_graph_as_promised_passes(name: str, found: GraphFacts) -> None:
    require_promises(Recipe.parse(name), found)


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("tflite-float32", facts(), "has no convolution or dense layer"),
        ("tflite-float32", facts(HALF_CONV), "kernel of 2048 elements is float16, float32 is promised"),
        ("tflite-float16", facts(FLOAT_CONV), "is float32, float16 is promised"),
        ("tflite-w8-dynamic", facts(FLOAT_CONV), "is float32, int8 is promised"),
        ("tflite-w8-dynamic", facts(INT8_CONV, INT8_DEPTHWISE), "is int8, float32 is promised"),
        ("tflite-w8-dynamic", facts(INT8_CONV, activation="int8"), "activations are int8, float32 is promised"),
        ("tflite-w8a8", facts(INT8_CONV, FLOAT_DEPTHWISE, activation="int8"), "is float32, int8 is promised"),
        ("onnx-w8a8", facts(Kernel("Conv", "int8", 9, per_channel=True)), "is int8, uint8 is promised"),
        ("tflite-w8a8", facts(INT8_CONV), "activations are float32, int8 is promised"),
        (
            "tflite-w8a8",
            facts(Kernel("DEPTHWISE_CONV_2D", "int8", 9, per_channel=False), activation="int8"),
            "has one scale, one a channel is promised",
        ),
        ("tflite-w8a8", facts(INT8_CONV, activation="int8", io=Tensor("x", (1,), "int8", 1.0)), "'x' is int8"),
    ],
)
def test_a_broken_promise_is_an_error(name: str, found: GraphFacts, said: str) -> None:
    with pytest.raises(BrokenPromise, match=said):
        require_promises(Recipe.parse(name), found)


def test_io_is_promised_too() -> None:
    int8: dict[str, Any] = {"activation": "int8", "io": Tensor("x", (1,), "int8", 1.0)}
    require_promises(Recipe.parse("tflite-w8a8", "int8"), facts(INT8_CONV, **int8))
    with pytest.raises(BrokenPromise, match="uint8 is promised"):
        require_promises(Recipe.parse("tflite-w8a8", "uint8"), facts(INT8_CONV, **int8))
