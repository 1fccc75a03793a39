"""TFLite schemes that change weights alone: float16 and w8-dynamic.

Both edit the lowered float graph. w8-dynamic leaves depthwise kernels in float32: they hold few bytes, the CPU
delegate has no dynamically quantized depthwise kernel (such layers fall back to ones several times slower), and they
are the layers that lose most by quantization.
"""

from __future__ import annotations

__all__ = ["to_float16", "to_w8_dynamic"]

import numpy as np

from dwsep_export.errors import ConversionError
from dwsep_export.runtime_versions import oldest_tflite
from dwsep_export.tflite_graph import KERNEL_OPERATORS, TFLiteGraph, constant_array

MIN_ELEMENTS = 1024
"""Smaller kernels stay float32, as in TensorFlow's converter: quantizing their inputs costs more than it saves."""

HYBRID_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12}
"""Versions for float activations with per-channel int8 kernels (tensorflow/lite/tools/versioning/op_version.cc).

An operator with the float version 1 and an int8 kernel loads in old runtimes and gives wrong outputs there."""

HYBRID_GROUPED_CONV_VERSION = 6
"""The same for a convolution whose kernel sees only a part of the input channels."""

DEQUANTIZE_FLOAT16_VERSION = 3
"""Version of DEQUANTIZE that takes float16 (the same source)."""

MIN_RUNTIME, MIN_RUNTIME_LENGTH = b"min_runtime_version", 16
"""Name and size of the metadata in which TensorFlow's converter notes the oldest runtime."""


def to_float16(lowered: bytes) -> bytes:
    """Store kernels and biases as float16, each followed by a DEQUANTIZE that engines fold when they load the file.

    Args:
        lowered: a float32 .tflite.

    Returns:
        Content of the float16 .tflite; inputs, outputs and computation stay float32.

    Raises:
        ConversionError: a weight is too large for float16.
    """
    graph = TFLiteGraph(lowered)
    schema = graph.schema
    dequantize = graph.code_index("DEQUANTIZE", DEQUANTIZE_FLOAT16_VERSION)
    added = []
    halved: set[int] = set()
    for operator in graph.subgraph.operators:
        if graph.operator_code(operator) not in KERNEL_OPERATORS:
            continue
        inputs = list(operator.inputs)
        for position in range(1, len(inputs)):
            index = int(inputs[position])
            if index < 0:
                continue
            if index not in halved:
                source = graph.subgraph.tensors[index]
                values = constant_array(graph, source)
                if values is None:
                    continue
                limit = float(np.finfo(np.float16).max)
                if not np.abs(values).max(initial=0.0) <= limit:
                    raise ConversionError(f"a weight of {source.name.decode()!r} is beyond float16's {limit}")
                half = schema.TensorT()
                half.name = source.name + b"_float16"
                half.shape = source.shape
                half.type = schema.TensorType.FLOAT16
                half.buffer = graph.add_buffer(values.astype(np.float16))
                half.quantization = schema.QuantizationParametersT()
                graph.subgraph.tensors.append(half)
                step = schema.OperatorT()
                step.opcodeIndex = dequantize
                step.inputs = [len(graph.subgraph.tensors) - 1]
                step.outputs = [index]
                step.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
                step.builtinOptions = schema.DequantizeOptionsT()
                added.append(step)
                source.buffer = 0
                halved.add(index)
    graph.subgraph.operators = added + list(graph.subgraph.operators)
    return _finish(graph)


def to_w8_dynamic(lowered: bytes) -> bytes:
    """Quantize pointwise, full and dense kernels to int8, symmetric and per output channel.

    Weights lie in [-127, 127] with zero point 0 (TensorFlow Lite 8-bit quantization specification).

    Args:
        lowered: a float32 .tflite.

    Returns:
        Content of the .tflite; inputs, outputs, biases and depthwise kernels stay float32.
    """
    graph = TFLiteGraph(lowered)
    schema = graph.schema
    done: set[int] = set()
    for operator in graph.subgraph.operators:
        name = graph.operator_code(operator)
        if name not in HYBRID_VERSIONS:
            continue
        index = int(operator.inputs[1])
        kernel = graph.subgraph.tensors[index]
        if index not in done:
            values = constant_array(graph, kernel)
            if values is None or values.size < MIN_ELEMENTS:
                continue
            rows = values.reshape(values.shape[0], -1)
            scales = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny * 127) / np.float32(127)
            quantized = np.clip(np.rint(rows / scales[:, np.newaxis]), -127, 127).astype(np.int8)
            kernel.buffer = graph.add_buffer(quantized)
            kernel.type = schema.TensorType.INT8
            kernel.quantization = schema.QuantizationParametersT()
            kernel.quantization.scale = scales.astype(np.float32)
            kernel.quantization.zeroPoint = np.zeros(len(scales), np.int64)
            kernel.quantization.quantizedDimension = 0
            done.add(index)
        version = HYBRID_VERSIONS[name]
        if name == "CONV_2D" and kernel.shape[3] != graph.subgraph.tensors[operator.inputs[0]].shape[3]:
            version = HYBRID_GROUPED_CONV_VERSION
        operator.opcodeIndex = graph.code_index(name, version)
        if name == "FULLY_CONNECTED":
            operator.builtinOptions.asymmetricQuantizeInputs = True
    return _finish(graph)


def _finish(graph: TFLiteGraph) -> bytes:
    """Empty the buffers that nothing refers to any more, and renew the file's note of the oldest runtime it needs."""
    used = {tensor.buffer for subgraph in graph.model.subgraphs for tensor in subgraph.tensors}
    noted = {item.name: item.buffer for item in graph.model.metadata or []}
    for index, buffer in enumerate(graph.model.buffers):
        if index not in used and index not in noted.values():
            buffer.data = None
    oldest = oldest_tflite(graph.facts().versioned_operators).version
    if MIN_RUNTIME in noted and oldest is not None:
        note = oldest.encode().ljust(MIN_RUNTIME_LENGTH, b"\0")
        graph.model.buffers[noted[MIN_RUNTIME]].data = np.frombuffer(note, np.uint8)
    return graph.pack()
