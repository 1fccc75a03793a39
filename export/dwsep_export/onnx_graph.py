"""Tell what is in an ONNX graph."""

from __future__ import annotations

__all__ = ["onnx_facts", "opset_of"]

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from dwsep_export.tflite_graph import GraphFacts, Kernel
from dwsep_runtime.engines.protocol import Tensor

if TYPE_CHECKING:
    import onnx

KERNEL_OPERATORS = ("Conv", "Gemm", "MatMul")


def onnx_facts(model: onnx.ModelProto) -> GraphFacts:
    """What is in a graph; in QDQ form a kernel or activation has the dtype that is dequantized for it."""
    from onnx import helper

    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}

    def stored(name: str) -> tuple[str, str, bool]:
        """Name behind a DequantizeLinear, its dtype, and whether its scales are one for each of the first axis."""
        node = producers.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            tensor = initializers.get(name)
            return name, "float32" if tensor is None else _dtype(helper, tensor.data_type), False
        zero_point, source = initializers[node.input[2]], initializers.get(node.input[0])
        scales = int(np.prod(initializers[node.input[1]].dims))
        per_channel = source is not None and scales == source.dims[0]
        return node.input[0], _dtype(helper, zero_point.data_type), per_channel

    kernels, activations = [], set()
    for node in model.graph.node:
        if node.op_type not in KERNEL_OPERATORS:
            continue
        name, dtype, per_channel = stored(node.input[1])
        if name in initializers:
            elements = int(np.prod(initializers[name].dims))
            kernels.append(Kernel(_operator(node, initializers[name]), dtype, elements, per_channel))
            activations.add(stored(node.input[0])[1])
    return GraphFacts(
        inputs=tuple(_tensor(helper, value) for value in model.graph.input),
        outputs=tuple(_tensor(helper, value) for value in model.graph.output),
        operators=dict(Counter(node.op_type for node in model.graph.node)),
        kernels=tuple(kernels),
        activation_dtypes=frozenset(activations),
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operator set that a model needs."""
    return next(int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx"))


def _operator(node: onnx.NodeProto, kernel: onnx.TensorProto) -> str:
    """The node's operator, a depthwise convolution told from others (one input channel a group)."""
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    return "DepthwiseConv" if node.op_type == "Conv" and groups > 1 and kernel.dims[1] == 1 else node.op_type


def _dtype(helper: object, number: int) -> str:
    return str(np.dtype(helper.tensor_dtype_to_np_dtype(number)).name)  # type: ignore[attr-defined]


def _tensor(helper: object, value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim)
    return Tensor(value.name, shape, _dtype(helper, kind.elem_type))
