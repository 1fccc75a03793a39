"""Parts of a .tflite file as files of their own: its first operators, some in the middle, or one alone.

A part is the same file with three vectors changed. The vector of operators is shortened in place: its items are
offsets forward, and an item moved towards the front still points forward. The vectors of inputs and outputs are written
anew behind the end, where a forward offset can reach them. Signatures are emptied, since they would contradict. So no
package is needed that writes flatbuffers, and all kernels, scales and options stay what they were.
"""

from __future__ import annotations

__all__ = [
    "constant_bytes",
    "first_crashing_operator",
    "window_inputs",
    "write_empty",
    "write_prefix",
    "write_window",
]

import struct
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable, Optional

from dwsep_runtime.model_file import model_format
from dwsep_runtime.operators.tflite_operators import (
    BUFFER_DATA,
    MODEL_BUFFERS,
    SUBGRAPH_INPUTS,
    SUBGRAPH_OPERATORS,
    SUBGRAPH_OUTPUTS,
    TFLiteOperator,
    TFLiteOperators,
)

HOLE_BYTES = 1 << 16
"""Constants of this size or more that a part does not use are left out as holes of the file (they read as zeros)."""


def write_prefix(graph: TFLiteOperators, last: int, path: Path) -> None:
    """Write the model cut after one of its operators.

    Its outputs are what its operators compute and none of them reads: the last one's outputs, and those of side
    branches that are read only later, so that no engine may leave an operator out as useless.

    Args:
        graph: the whole model.
        last: index of the last operator that is kept.
        path: the file to write.
    """
    kept = graph.operators[: last + 1]
    _write_part(graph, kept, graph.inputs, _unread(kept), path)


def write_empty(graph: TFLiteOperators, path: Path) -> None:
    """Write the model without operators: its inputs are its outputs, which the engine may leave unwritten."""
    _write_part(graph, [], graph.inputs, graph.inputs, path)


def write_window(graph: TFLiteOperators, first: int, last: int, path: Path) -> None:
    """Write consecutive operators as a model, with the constant ones (such as float16 DEQUANTIZE) that they read from.

    Args:
        graph: the whole model.
        first: index of the first operator that is kept; 0 makes it :func:`write_prefix`.
        last: index of the last.
        path: the file to write.
    """
    if first == 0:
        write_prefix(graph, last, path)
        return
    kept = _with_constants(graph, first, last)
    _write_part(graph, kept, window_inputs(graph, first, last), _unread(kept), path)


def window_inputs(graph: TFLiteOperators, first: int, last: int) -> list[int]:
    """What consecutive operators read and neither they nor constants make: indices of tensors, in order."""
    kept = _with_constants(graph, first, last)
    made = {tensor for operator in kept for tensor in operator.outputs}
    read = dict.fromkeys(tensor for operator in kept for tensor in operator.inputs if tensor >= 0)
    return [tensor for tensor in read if tensor not in made and not graph.tensors[tensor].constant]


def first_crashing_operator(model: Path, crashes: Callable[[Path], bool]) -> Optional[TFLiteOperator]:
    """Find by bisection the first operator with which a model kills its engine.

    Args:
        model: a .tflite file whose run died.
        crashes: runs one file in a process of its own and says whether it died, too.

    Returns:
        The operator; None if even the whole does not crash when written anew, if it crashes without any operator, or
        if the file is no .tflite, of which alone parts can be made.

    Raises:
        InvalidModel: the file is no whole model.
        InvalidInput: it has several subgraphs.
    """
    if model_format(model) != "tflite":
        return None
    graph = TFLiteOperators(model.read_bytes(), model.name)
    with tempfile.TemporaryDirectory(prefix="dwsep-") as folder:
        part = Path(folder) / "part.tflite"

        def dies(count: int) -> bool:
            if count:
                write_prefix(graph, count - 1, part)
            else:
                write_empty(graph, part)
            return crashes(part)

        alive, dead = 0, len(graph.operators)
        if not dead or not dies(dead) or dies(0):
            return None
        while dead - alive > 1:
            middle = (alive + dead) // 2
            if dies(middle):
                dead = middle
            else:
                alive = middle
    return graph.operators[dead - 1]


def constant_bytes(graph: TFLiteOperators, first: int, last: int) -> int:
    """Bytes of the constants that consecutive operators read."""
    read = {tensor for operator in graph.operators[first : last + 1] for tensor in operator.inputs if tensor >= 0}
    buffers = graph.reader.tables(graph.model, MODEL_BUFFERS)
    return sum(
        graph.reader.vector(buffers[buffer], BUFFER_DATA, 1)[1]
        for buffer in {graph.tensors[tensor].buffer for tensor in read}
    )


def _with_constants(graph: TFLiteOperators, first: int, last: int) -> list[TFLiteOperator]:
    """Consecutive operators and, before them, the constant ones that they read from."""
    kept = graph.operators[first : last + 1]
    needed = {tensor for operator in kept for tensor in operator.inputs}
    for earlier in reversed(graph.operators[:first]):
        if earlier.constant and needed.intersection(earlier.outputs):
            kept.insert(0, earlier)
            needed.update(earlier.inputs)
    return kept


def _unread(operators: Sequence[TFLiteOperator]) -> list[int]:
    """What operators compute from the model's inputs and none of them reads; constants if there is nothing else."""
    read = {tensor for operator in operators for tensor in operator.inputs}
    for wanted in (False, True):
        computed = (tensor for operator in operators if operator.constant is wanted for tensor in operator.outputs)
        found = [tensor for tensor in computed if tensor not in read]
        if found:
            return found
    return []


def _write_part(
    graph: TFLiteOperators,
    operators: Sequence[TFLiteOperator],
    inputs: Sequence[int],
    outputs: Sequence[int],
    path: Path,
) -> None:
    reader = graph.reader
    content = memoryview(reader.content)
    patches: list[tuple[int, bytes]] = []
    start, _ = reader.vector(graph.subgraph, SUBGRAPH_OPERATORS, 4)
    patches.append((start - 4, struct.pack("<I", len(operators))))
    for place, operator in enumerate(operators):
        table = reader.offset(start + 4 * operator.index)
        position = start + 4 * place
        patches.append((position, struct.pack("<I", table - position)))
    end = -len(content) % 4 + len(content)
    for number, tensors in ((SUBGRAPH_INPUTS, inputs), (SUBGRAPH_OUTPUTS, outputs)):
        field = reader.field(graph.subgraph, number)
        patches.append((field, struct.pack("<I", end - field)))
        vector = struct.pack(f"<I{len(tensors)}i", len(tensors), *tensors)
        patches.append((end, vector))
        end += len(vector)
    signatures, _ = graph.signatures
    if signatures:
        patches.append((signatures - 4, struct.pack("<I", 0)))
    with path.open("wb") as file:
        for first, behind in _outside(_unused(graph, operators, inputs, outputs), len(content)):
            file.seek(first)
            file.write(content[first:behind])
        for position, changed in patches:
            file.seek(position)
            file.write(changed)


def _unused(
    graph: TFLiteOperators, operators: Sequence[TFLiteOperator], inputs: Sequence[int], outputs: Sequence[int]
) -> list[tuple[int, int]]:
    """Where large constants lie that only operators left out read: (first byte, byte behind) of each, in order."""
    used = {*inputs, *outputs}
    for operator in operators:
        used.update(operator.inputs, operator.outputs)
    buffers = graph.reader.tables(graph.model, MODEL_BUFFERS)
    kept = {graph.tensors[tensor].buffer for tensor in used if tensor >= 0}
    found = []
    for buffer in {tensor.buffer for tensor in graph.tensors} - kept:
        start, count = graph.reader.vector(buffers[buffer], BUFFER_DATA, 1)
        if count >= HOLE_BYTES:
            found.append((start, start + count))
    return sorted(found)


def _outside(holes: Iterable[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """What is left of 0..size without the holes."""
    position, left = 0, []
    for first, behind in holes:
        if first > position:
            left.append((position, first))
        position = max(position, behind)
    left.append((position, size))
    return left
