"""Which convolution of an .onnx file a kernel of onnxruntime computes, and how many MACs it takes.

onnxruntime rewrites the graph before it runs it: kernels have other types, layouts and padded channels, and for
quantized ones the profile does not tell the shape of the weights. But kernels keep the name of the node, or of the
tensor, that they stem from. So weights come from the file, and positions from the profile.
"""

from __future__ import annotations

__all__ = ["Kernel", "ONNXOperators"]

import math
import re
import struct
from dataclasses import dataclass, field
from typing import Optional

from dwsep_runtime.errors import InvalidInput, InvalidModel
from dwsep_runtime.protobuf import fields, integers

# Field numbers of messages in onnx/onnx.proto.
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE, NODE_ATTRIBUTE = 1, 2, 3, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INTEGER = 1, 3
TENSOR_DIMS, TENSOR_NAME = 1, 8

CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Types of convolutions and which of their inputs is the kernel."""

PRODUCTS = frozenset(
    [
        "MatMul",
        "Gemm",
        "FusedMatMul",
        "FusedGemm",
        "QLinearMatMul",
        "QGemm",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
    ]
)
"""Types that multiply their first input, of rows by inner dimension, with a matrix."""

UNCOUNTED = frozenset(
    [
        "Attention",
        "ConvTranspose",
        "DeformConv",
        "Einsum",
        "GroupQueryAttention",
        "GRU",
        "LSTM",
        "MatMulNBits",
        "MultiHeadAttention",
        "QAttention",
        "QLinearConvTranspose",
        "RNN",
    ]
)
"""Types that multiply and accumulate in ways not counted here: their MACs are unknown, not 0."""

CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})

FUSED_BEHIND = frozenset(
    [
        "BatchNormalization",
        "Clip",
        "DequantizeLinear",
        "Elu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Mul",
        "QuantizeLinear",
        "Relu",
        "Sigmoid",
        "Tanh",
    ]
)
"""Types that onnxruntime computes together with the convolution that they follow."""

MOST_FUSED = 6

ADDED_TO_NAMES = re.compile(r"^fused |(_nchwc|_token_\d+|_quant|_nhwc)+$")
"""What rewriting adds to the names that it keeps."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that ran, as a profile tells it.

    Attributes:
        name: of the node in the rewritten graph.
        type: of it.
        inputs: shapes of inputs, as far as they are told.
        output: shape of the first output.
    """

    name: str
    type: str
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]


@dataclass
class _Node:
    type: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, int] = field(default_factory=dict)


class ONNXOperators:
    """The nodes of an .onnx file.

    Args:
        content: of a file that :func:`dwsep_runtime.model_file.model_format` found whole.
        title: what messages call the model.

    Raises:
        InvalidInput: the model has control flow, of which a profile counts what is inside twice.
        InvalidModel: the file is damaged.
    """

    def __init__(self, content: bytes, title: str) -> None:
        nodes: list[_Node] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        try:
            graphs = [value for number, value in fields(memoryview(content)) if number == MODEL_GRAPH]
            for number, value in fields(_message(graphs[-1])):
                if number == GRAPH_NODE:
                    nodes.append(_node(_message(value)))
                elif number == GRAPH_INITIALIZER:
                    name, shape = _initializer(_message(value))
                    self._shapes[name] = shape
        except (IndexError, struct.error) as error:
            raise InvalidModel(f"{title} cannot be taken apart into operators: {error}; export it again") from error
        found = sorted({node.type for node in nodes} & CONTROL_FLOW)
        if found:
            raise InvalidInput(
                f"{title} has {', '.join(found)}; operators are told apart in models without control flow"
            )
        self._named = {node.name: node for node in nodes if node.name}
        self._producers = {tensor: node for node in nodes for tensor in node.outputs}
        self.count = len(nodes)

    def kind_and_macs(self, kernel: Kernel) -> tuple[str, Optional[int]]:
        """Kind of a kernel (see :data:`dwsep_runtime.operators.summary.KINDS`) and its MACs, None where unknown.

        MACs are those of the file: padding of channels, which onnxruntime adds for its layouts, is not counted. A
        convolution that cannot be traced back to the file, or is not told in the profile, is of kind "other".
        """
        if kernel.type in PRODUCTS:
            return "dense", _product_macs(kernel)
        if kernel.type not in CONVOLUTIONS:
            return "other", None if kernel.type in UNCOUNTED else 0
        weights, group = self._convolution(kernel)
        if len(weights) < 3:
            return "other", None
        positions = _positions(kernel, weights[0])
        macs = None if positions is None else math.prod(weights) * positions
        if group > 1 and weights[1] == 1:
            return "depthwise", macs
        return "pointwise" if group == 1 and set(weights[2:]) == {1} else "standard", macs

    def _convolution(self, kernel: Kernel) -> tuple[tuple[int, ...], int]:
        """Shape of a convolution's kernel (outputs, inputs of a group, height, width) and its number of groups."""
        node = self._source(ADDED_TO_NAMES.sub("", kernel.name))
        if node is not None:
            place = CONVOLUTIONS[node.type]
            return self._shape(node.inputs[place] if place < len(node.inputs) else ""), node.attributes.get("group", 1)
        told = kernel.inputs[1] if len(kernel.inputs) > 1 else ()
        if kernel.type == "NhwcFusedConv" or len(told) < 3:
            return (), 1
        return told, max(1, kernel.inputs[0][1] // told[1])

    def _source(self, name: str) -> Optional[_Node]:
        """The convolution that a name speaks of: its own, its output's, or that of what is fused behind it."""
        node = self._named.get(name) or self._producers.get(name)
        for _ in range(MOST_FUSED):
            if node is None or node.type in CONVOLUTIONS:
                return node
            node = self._producers.get(node.inputs[0]) if node.type in FUSED_BEHIND and node.inputs else None
        return None

    def _shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of an initializer, also behind a DequantizeLinear; empty if it is neither."""
        if tensor in self._shapes:
            return self._shapes[tensor]
        node = self._producers.get(tensor)
        if node is not None and node.type == "DequantizeLinear":
            return self._shapes.get(node.inputs[0], ())
        return ()


def _positions(kernel: Kernel, channels: int) -> Optional[int]:
    """Places that a convolution's kernel is applied at, whichever axis of the output holds the channels."""
    output = kernel.output
    if kernel.name.endswith("_nchwc"):
        channels = output[1]
    elif channels not in output[1:]:
        return None
    return math.prod(output) // max(1, channels)


def _product_macs(kernel: Kernel) -> Optional[int]:
    if not kernel.inputs or not kernel.inputs[0] or not kernel.output:
        return None
    inner = kernel.inputs[0][-1]
    if "Gemm" in kernel.type:  # may have its first input transposed
        inner = math.prod(kernel.inputs[0]) // max(1, kernel.output[0])
    return math.prod(kernel.output) * inner


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, value in fields(message):
        if number == NODE_INPUT:
            node.inputs.append(_text(value))
        elif number == NODE_OUTPUT:
            node.outputs.append(_text(value))
        elif number == NODE_NAME:
            node.name = _text(value)
        elif number == NODE_TYPE:
            node.type = _text(value)
        elif number == NODE_ATTRIBUTE:
            attribute = dict(fields(_message(value)))
            integer = attribute.get(ATTRIBUTE_INTEGER)
            if isinstance(integer, int):
                node.attributes[_text(attribute.get(ATTRIBUTE_NAME, memoryview(b"")))] = integer
    return node


def _initializer(message: memoryview) -> tuple[str, tuple[int, ...]]:
    name = ""
    shape: list[int] = []
    for number, value in fields(message):
        if number == TENSOR_DIMS:
            shape.extend(integers(value))
        elif number == TENSOR_NAME:
            name = _text(value)
    return name, tuple(shape)


def _message(value: object) -> memoryview:
    if not isinstance(value, memoryview):
        raise struct.error("a number where a message should be")
    return value


def _text(value: object) -> str:
    return bytes(_message(value)).decode("utf-8", "replace")
