"""Export a Keras model to a float32 ONNX graph with everything around convolutions folded into them."""

from __future__ import annotations

__all__ = ["export_to_onnx", "unfused_nodes"]

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from dwsep_export.errors import ConversionError
from dwsep_export.onnx_names import name_by_place
from dwsep_export.quiet import quiet

if TYPE_CHECKING:
    import keras
    import onnx

OPSET = 17
"""LayerNormalization and the int8 QuantizeLinear forms are in; onnxruntime 1.12 and later load it."""

FOLDABLE = frozenset({"Mul", "Add", "Sub", "Div", "BatchNormalization"})


def export_to_onnx(model: keras.Model) -> onnx.ModelProto:
    """Export with Keras (tf2onnx), then fold and simplify with onnxslim.

    Args:
        model: float32 (batch, height, width, channels) to float32 (batch, outputs).

    Returns:
        ONNX model of the same inputs and outputs, batch left open.

    Raises:
        ConversionError: the model cannot be exported.
    """
    import keras
    import onnx
    import onnxslim

    shape = tuple(model.inputs[0].shape[1:])
    try:
        with quiet(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            # Keras exports only models that have been called, which one loaded from a file has not.
            model(keras.ops.zeros((1, *shape)), training=False)
            signature = [keras.InputSpec(shape=(None, *shape), dtype="float32", name="input")]
            model.export(path, format="onnx", input_signature=signature, opset_version=OPSET, verbose=False)
            slim: onnx.ModelProto = onnxslim.slim(onnx.load(path))
    except Exception as error:  # tf2onnx and onnxslim raise what they please
        raise ConversionError(
            f"{model.name!r} cannot be exported to ONNX: {' '.join(str(error).split())[:300]}"
        ) from error
    name_by_place(slim)
    return slim


def unfused_nodes(model: onnx.ModelProto) -> list[str]:
    """Nodes around convolutions that could have been folded into them.

    That is a Pad of zeros before a convolution, and a batch normalization or an arithmetic with a constant that is
    the only consumer of a convolution's output. A sum of two computed tensors (a residual) is not foldable.

    Returns:
        For each such node its operator and name; empty for a well-folded graph.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}
    constants |= {name for name, node in producers.items() if node.op_type == "Constant"}
    uses = Counter(name for node in model.graph.node for name in node.input)
    found = []
    for node in model.graph.node:
        sources = [producers.get(name) for name in node.input]
        after_convolution = any(
            source is not None and source.op_type == "Conv" and uses[name] == 1
            for name, source in zip(node.input, sources, strict=True)
        )
        with_constant = any(name in constants for name in node.input)
        if node.op_type in FOLDABLE and after_convolution and with_constant:
            found.append(f"{node.op_type} {node.name}")
        if node.op_type == "Conv" and sources[0] is not None and sources[0].op_type == "Pad":
            found.append(f"Pad {sources[0].name}")
    return found
