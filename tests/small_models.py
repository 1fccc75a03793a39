"""The smallest real models: one convolution, made without a converter."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

SIDE, CLASSES = 4, 3


@functools.cache
def small_tflite() -> bytes:
    """A float32 .tflite of one convolution: (1, 4, 4, 1) to (1, 1, 1, 3)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1
    model.operatorCodes = [code]
    kernel, bias = _weights()
    constants = [b"", kernel.tobytes(), bias.tobytes()]
    model.buffers = []
    for content in constants:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(content, np.uint8) if content else None
        model.buffers.append(buffer)
    graph = schema.SubGraphT()
    graph.name = b"main"
    shapes = [(1, SIDE, SIDE, 1), (CLASSES, SIDE, SIDE, 1), (CLASSES,), (1, 1, 1, CLASSES)]
    graph.tensors = [
        _tensor(schema, name, shape, buffer) for name, shape, buffer in zip(b"xkby", shapes, (0, 1, 2, 0), strict=True)
    ]
    operator = schema.OperatorT()
    operator.opcodeIndex = 0
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = schema.Conv2DOptionsT()
    operator.builtinOptions.padding = schema.Padding.VALID
    operator.builtinOptions.strideW = operator.builtinOptions.strideH = 1
    operator.builtinOptions.dilationWFactor = operator.builtinOptions.dilationHFactor = 1
    graph.operators = [operator]
    graph.inputs, graph.outputs = [0], [3]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@functools.cache
def small_onnx() -> bytes:
    """The same network in ONNX: (batch, 4, 4, 1) to (batch, 3)."""
    from onnx import TensorProto, helper, numpy_helper

    kernel, bias = _weights()
    nodes = [
        helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "k", "b"], ["map"]),
        helper.make_node("Flatten", ["map"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(kernel.transpose(0, 3, 1, 2), "k"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _weights() -> tuple[np.ndarray[Any, np.dtype[np.float32]], np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((CLASSES, SIDE, SIDE, 1), np.float32), rng.standard_normal(CLASSES, np.float32)


def _tensor(schema: Any, name: int, shape: tuple[int, ...], buffer: int) -> Any:
    tensor = schema.TensorT()
    tensor.name = bytes([name])
    tensor.shape = list(shape)
    tensor.type = schema.TensorType.FLOAT32
    tensor.buffer = buffer
    tensor.quantization = schema.QuantizationParametersT()
    return tensor
