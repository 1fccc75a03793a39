"""Models put together operator by operator, without a converter: networks of many operators, and odd ones."""

from __future__ import annotations

__all__ = ["Node", "Stored", "constant", "node", "onnx_model", "onnx_network", "tflite_model", "tflite_network"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE, CHANNELS, CLASSES = 8, 4, 3

ACTIVATION_SCALE, KERNEL_SCALE = 0.05, 0.01
SOFTMAX_SCALE, SOFTMAX_ZERO_POINT = 1 / 256, -128
"""What SOFTMAX requires of an int8 output (TensorFlow Lite 8-bit quantization specification)."""


@dataclass(frozen=True)
class Stored:
    """A tensor of a .tflite file.

    Attributes:
        shape: with -1 for an open dimension.
        type: name in schema.fbs.
        data: of a constant.
        scale: of quantization; 0.0 for none.
        zero_point: of quantization.
    """

    shape: tuple[int, ...]
    type: str = "FLOAT32"
    data: NDArray[Any] | None = None
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class Node:
    """An operator of a .tflite file, built-in or, by a name that schema.fbs does not know, custom."""

    kind: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def node(kind: str, inputs: str, outputs: str, table: str = "", **options: Any) -> Node:
    """An operator: names of its tensors separated by spaces, the table of its options and what stands in it."""
    return Node(kind, inputs.split(), outputs.split(), table, options)


def constant(array: NDArray[Any], scale: float = 0.0) -> Stored:
    """A constant of a .tflite file, typed as the array is."""
    return Stored(array.shape, array.dtype.name.upper(), array, scale)


def tflite_model(tensors: Mapping[str, Stored], nodes: Sequence[Node], inputs: str, outputs: str) -> bytes:
    """A .tflite file of one graph; names of inputs and outputs are separated by spaces."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    index = {name: number for number, name in enumerate(tensors)}
    graph.tensors = [_tensor(schema, model.buffers, name, stored) for name, stored in tensors.items()]
    kinds = sorted({one.kind for one in nodes})
    model.operatorCodes = [_operator_code(schema, kind) for kind in kinds]
    graph.operators = [_operator(schema, kinds, index, one) for one in nodes]
    graph.inputs, graph.outputs = [index[name] for name in inputs.split()], [index[name] for name in outputs.split()]
    graph.name = b"main"
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(schema: Any, buffers: list[Any], name: str, stored: Stored) -> Any:
    tensor = schema.TensorT()
    tensor.name = name.encode()
    tensor.shape = [max(size, 1) for size in stored.shape]
    if -1 in stored.shape:
        tensor.shapeSignature = list(stored.shape)
    tensor.type = getattr(schema.TensorType, stored.type)
    tensor.quantization = schema.QuantizationParametersT()
    if stored.scale:
        tensor.quantization.scale, tensor.quantization.zeroPoint = [stored.scale], [stored.zero_point]
    if stored.data is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(stored.data.tobytes(), np.uint8)
        tensor.buffer = len(buffers)
        buffers.append(buffer)
    return tensor


def _operator_code(schema: Any, kind: str) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind, schema.BuiltinOperator.CUSTOM)
    code.deprecatedBuiltinCode = min(code.builtinCode, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    code.version = 1
    if code.builtinCode == schema.BuiltinOperator.CUSTOM:
        code.customCode = kind.encode()
    return code


def _operator(schema: Any, kinds: Sequence[str], index: Mapping[str, int], one: Node) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = kinds.index(one.kind)
    operator.inputs, operator.outputs = [index[name] for name in one.inputs], [index[name] for name in one.outputs]
    if one.table:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, one.table)
        operator.builtinOptions = getattr(schema, f"{one.table}T")()
        for name, value in one.options.items():
            setattr(operator.builtinOptions, name, value)
    return operator


def tflite_network(*, int8: bool) -> bytes:
    """A residual separable network of eleven operators: (1, 8, 8, 3) to (1, 3), float32 or int8 throughout."""
    rng = np.random.default_rng(1)
    number, scale = ("INT8", ACTIVATION_SCALE) if int8 else ("FLOAT32", 0.0)

    def kernel(*shape: int) -> Stored:
        real = rng.standard_normal(shape).astype(np.float32) / 4
        if not int8:
            return constant(real)
        return constant(np.clip(np.rint(real / KERNEL_SCALE), -127, 127).astype(np.int8), KERNEL_SCALE)

    def bias(count: int) -> Stored:
        real = rng.standard_normal(count).astype(np.float32) / 4
        if not int8:
            return constant(real)
        step = ACTIVATION_SCALE * KERNEL_SCALE
        return constant(np.rint(real / step).astype(np.int32), step)

    def map_of(*shape: int) -> Stored:
        return Stored((1, *shape), number, None, scale)

    half = SIDE // 2
    tensors = {
        "image": map_of(SIDE, SIDE, 3),
        "stem": map_of(half, half, CHANNELS),
        "depthwise": map_of(half, half, CHANNELS),
        "pointwise": map_of(half, half, CHANNELS),
        "sum": map_of(half, half, CHANNELS),
        "padded": map_of(half + 2, half + 2, CHANNELS),
        "pooled": map_of(half // 2 + 1, half // 2 + 1, CHANNELS),
        "highest": map_of(half // 2, half // 2, CHANNELS),
        "mean": map_of(CHANNELS),
        "logits": map_of(CLASSES),
        "flat": map_of(CLASSES),
        "shares": Stored((1, CLASSES), number, None, *((SOFTMAX_SCALE, SOFTMAX_ZERO_POINT) if int8 else (0.0, 0))),
        "stem_kernel": kernel(CHANNELS, 3, 3, 3),
        "stem_bias": bias(CHANNELS),
        "depthwise_kernel": kernel(1, 3, 3, CHANNELS),
        "depthwise_bias": bias(CHANNELS),
        "pointwise_kernel": kernel(CHANNELS, 1, 1, CHANNELS),
        "pointwise_bias": bias(CHANNELS),
        "dense_kernel": kernel(CLASSES, CHANNELS),
        "dense_bias": bias(CLASSES),
        "frame": constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)),
        "axes": constant(np.array([1, 2], np.int32)),
        "row": constant(np.array([1, CLASSES], np.int32)),
    }
    stride2, stride1 = {"strideW": 2, "strideH": 2}, {"strideW": 1, "strideH": 1}
    window = {"filterWidth": 2, "filterHeight": 2, "padding": 1}
    relu6 = {"fusedActivationFunction": 3}
    nodes = [
        node("CONV_2D", "image stem_kernel stem_bias", "stem", "Conv2DOptions", **stride2, **relu6),
        node(
            "DEPTHWISE_CONV_2D",
            "stem depthwise_kernel depthwise_bias",
            "depthwise",
            "DepthwiseConv2DOptions",
            **stride1,
            depthMultiplier=1,
        ),
        node("CONV_2D", "depthwise pointwise_kernel pointwise_bias", "pointwise", "Conv2DOptions", **stride1),
        node("ADD", "stem pointwise", "sum", "AddOptions"),
        node("PAD", "sum frame", "padded", "PadOptions"),
        node("AVERAGE_POOL_2D", "padded", "pooled", "Pool2DOptions", **stride2, **window),
        node("MAX_POOL_2D", "pooled", "highest", "Pool2DOptions", **stride1, **window),
        node("MEAN", "highest axes", "mean", "ReducerOptions"),
        node("FULLY_CONNECTED", "mean dense_kernel dense_bias", "logits", "FullyConnectedOptions"),
        node("RESHAPE", "logits row", "flat", "ReshapeOptions", newShape=[1, CLASSES]),
        node("SOFTMAX", "flat", "shares", "SoftmaxOptions", beta=1.0),
    ]
    return tflite_model(tensors, nodes, "image", "shares")


def onnx_model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any]],
    constants: Mapping[str, NDArray[Any]] | None = None,
    domains: Sequence[str] = (),
    number: int = 1,
) -> bytes:
    """An .onnx file of ``onnx.helper.make_node`` nodes; ``number`` is the type of inputs and outputs (1: float)."""
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info(name, number, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, number, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())


def onnx_network() -> bytes:
    """A residual separable network of fourteen nodes, two of them quantizing: (batch, 3, 8, 8) to (batch, 3)."""
    from onnx.helper import make_node

    rng = np.random.default_rng(2)

    def weights(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape, np.float32) / np.float32(4)

    ones = np.ones(CHANNELS, np.float32)
    constants: dict[str, NDArray[Any]] = {
        "stem_kernel": weights(CHANNELS, 3, 3, 3),
        "depthwise_kernel": weights(CHANNELS, 1, 3, 3),
        "pointwise_kernel": weights(CHANNELS, CHANNELS, 1, 1),
        "dense_kernel": weights(CHANNELS, CLASSES),
        "dense_bias": weights(CLASSES),
        "factor": ones,
        "summand": weights(CHANNELS),
        "variance": ones * 2,
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
        "scale": np.array(ACTIVATION_SCALE, np.float32),
        "zero_point": np.array(3, np.int8),
        "frame": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
    }
    nodes = [
        make_node("Conv", ["image", "stem_kernel"], ["stem"], strides=[2, 2], pads=[1, 1, 1, 1]),
        make_node("BatchNormalization", ["stem", "factor", "summand", "summand", "variance"], ["normal"]),
        make_node("Clip", ["normal", "low", "high"], ["clipped"]),
        make_node("QuantizeLinear", ["clipped", "scale", "zero_point"], ["stored"]),
        make_node("DequantizeLinear", ["stored", "scale", "zero_point"], ["real"]),
        make_node("Conv", ["real", "depthwise_kernel"], ["depthwise"], group=CHANNELS, pads=[1, 1, 1, 1]),
        make_node("Conv", ["depthwise", "pointwise_kernel"], ["pointwise"]),
        make_node("Add", ["real", "pointwise"], ["sum"]),
        make_node("Pad", ["sum", "frame"], ["padded"]),
        make_node("AveragePool", ["padded"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        make_node("GlobalAveragePool", ["pooled"], ["mean"]),
        make_node("Flatten", ["mean"], ["flat"]),
        make_node("Gemm", ["flat", "dense_kernel", "dense_bias"], ["logits"]),
        make_node("Softmax", ["logits"], ["shares"]),
    ]
    return onnx_model(nodes, {"image": ["batch", 3, SIDE, SIDE]}, {"shares": ["batch", CLASSES]}, constants)
