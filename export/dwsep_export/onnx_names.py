"""Names in an ONNX graph by their place in it, so that the same network always makes the same file."""

from __future__ import annotations

__all__ = ["name_by_place"]

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

NUMBER = re.compile(r"__\d+(?=:\d+$|$)|:\d+$")
"""What tf2onnx adds to names that it makes up, and TensorFlow to those of outputs."""


def name_by_place(model: onnx.ModelProto) -> None:
    """Rename nodes, tensors and constants in place; inputs and outputs of the graph keep their names.

    tf2onnx numbers what it makes up, and picks one of several equal constants, in the order of Python's sets, which
    changes from process to process. Here a node keeps its name without the number, what it puts out is named like it,
    and a constant is named after the first node that takes it, with the place of that input. Constants are put in the
    order of their use.

    Args:
        model: whose nodes are in an order of which nothing but names was left to chance.
    """
    graph = model.graph
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return  # graphs inside of nodes refer to names outside of them
    fixed = {value.name for value in (*graph.input, *graph.output)}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    counts: Counter[str] = Counter(fixed)
    renamed = {name: name for name in fixed}
    renamed[""] = ""  # an optional input that is left out

    def unique(name: str) -> str:
        counts[name] += 1
        taken = counts[name] - 1
        return unique(f"{name}_{taken}") if taken else name

    ordered = []
    for node in graph.node:
        node.name = unique(NUMBER.sub("", node.name) or node.op_type)
        for place, name in enumerate(node.input):
            if name in constants and name not in renamed:
                renamed[name] = unique(f"{node.name}/{place}")
                ordered.append(constants[name])
        for place, name in enumerate(node.output):
            if name not in renamed:
                renamed[name] = unique(f"{node.name}:{place}")
        node.input[:] = [renamed[name] for name in node.input]
        node.output[:] = [renamed[name] for name in node.output]
    _refill(graph.initializer, ordered, renamed)
    shapes = {value.name: value for value in graph.value_info}
    _refill(graph.value_info, [shapes[name] for name in renamed if name in shapes], renamed)
    _number_open_sizes([*graph.input, *graph.output, *graph.value_info])


def _refill(field: Any, chosen: Sequence[Any], renamed: Mapping[str, str]) -> None:
    """Let a field of a graph hold what was chosen of it, in that order and under the new names."""
    copies = [type(item).FromString(item.SerializeToString()) for item in chosen]
    for item in copies:
        item.name = renamed[item.name]
    del field[:]
    field.extend(copies)


def _number_open_sizes(values: Sequence[onnx.ValueInfoProto]) -> None:
    """Name sizes that are left open, such as the batch, in the order in which they occur."""
    numbers: dict[str, str] = {}
    for value in values:
        for size in value.type.tensor_type.shape.dim:
            if size.HasField("dim_param"):
                size.dim_param = numbers.setdefault(size.dim_param, f"size_{len(numbers)}")
