"""Let a .tflite that was lowered at batch 1 run at other batches, too."""

from __future__ import annotations

__all__ = ["open_batch"]

import numpy as np

from dwsep_export.tflite_graph import TFLiteGraph


def open_batch(content: bytes) -> bytes:
    """Rewrite the constant shapes of RESHAPE operators from (1, ...) to (-1, ...).

    Everything else in a convolutional network takes its batch from its input, so an engine that is asked for another
    batch can resize the input. At batch 1 nothing changes.

    Args:
        content: of a .tflite file with batch 1.

    Returns:
        The content with the shapes rewritten; the same where there is nothing to rewrite.
    """
    graph = TFLiteGraph(content)
    changed = False
    for operator in graph.subgraph.operators:
        if graph.operator_code(operator) != "RESHAPE" or len(operator.inputs) < 2:
            continue
        given, shape = (graph.subgraph.tensors[index] for index in operator.inputs[:2])
        stored = graph.model.buffers[shape.buffer].data
        if shape.type != graph.schema.TensorType.INT32 or stored is None or not len(stored):
            continue
        target = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), np.int32)
        if target[0] != 1 or (target < 1).any() or given.shape[0] != 1:
            continue
        rewritten = target.copy()
        rewritten[0] = -1
        shape.buffer = graph.add_buffer(rewritten)
        if operator.builtinOptions is not None and operator.builtinOptions.newShape is not None:
            operator.builtinOptions.newShape = rewritten.tolist()
        changed = True
    return graph.pack() if changed else content
