"""A chain of cheap nodes as an .onnx file, made to measure what an inference and a profiler cost besides computing."""

from __future__ import annotations

__all__ = ["chain_model"]

from typing import Union

IR_VERSION, OPSET = 7, 13
"""Old enough for every onnxruntime of the last years (1.7 and later)."""

FLOAT = 1

SHAPE = (1, 16, 4, 4)
"""Of every tensor: with four dimensions, since a profiler writes them down, and hardly anything to compute."""

# Field numbers of messages in onnx/onnx.proto.
MODEL_IR_VERSION, MODEL_GRAPH, MODEL_OPSET = 1, 7, 8
OPSET_VERSION = 2
GRAPH_NODE, GRAPH_NAME, GRAPH_INPUT, GRAPH_OUTPUT = 1, 2, 11, 12
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE = 1, 2, 3, 4
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, TENSOR_ELEMENT, TENSOR_SHAPE, SHAPE_DIM, DIM_VALUE = 1, 2, 1, 1, 2, 1, 1


def chain_model(nodes: int, inputs: int) -> bytes:
    """Nodes of type Max over a float32 tensor of ``SHAPE``, each fed by the one before.

    Args:
        nodes: at least 1.
        inputs: of each node, all of them the same tensor; at least 1.
    """
    graph = b""
    for node in range(nodes):
        graph += _field(
            GRAPH_NODE,
            _field(NODE_INPUT, b"t%d" % node) * inputs
            + _field(NODE_OUTPUT, b"t%d" % (node + 1))
            + _field(NODE_NAME, b"node%d" % node)
            + _field(NODE_TYPE, b"Max"),
        )
    graph += _field(GRAPH_NAME, b"chain")
    graph += _field(GRAPH_INPUT, _value(b"t0")) + _field(GRAPH_OUTPUT, _value(b"t%d" % nodes))
    return (
        _field(MODEL_IR_VERSION, IR_VERSION)
        + _field(MODEL_GRAPH, graph)
        + _field(MODEL_OPSET, _field(OPSET_VERSION, OPSET))
    )


def _value(name: bytes) -> bytes:
    """A ValueInfoProto of float32 and ``SHAPE``."""
    shape = b"".join(_field(SHAPE_DIM, _field(DIM_VALUE, size)) for size in SHAPE)
    tensor = _field(TENSOR_ELEMENT, FLOAT) + _field(TENSOR_SHAPE, shape)
    return _field(VALUE_NAME, name) + _field(VALUE_TYPE, _field(TYPE_TENSOR, tensor))


def _field(number: int, value: Union[int, bytes]) -> bytes:
    """A field of a message (format: "Protocol Buffers: Encoding")."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])
