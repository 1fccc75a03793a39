"""Names in an ONNX graph say where things stand, whatever they were called before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dwsep_export.onnx_names import name_by_place


def network(names: dict[str, str], order: tuple[str, ...] = ("k", "low", "high")) -> Any:
    """Convolution, Clip, Clip with the same bounds; each name goes through ``names``."""
    from onnx import TensorProto, helper, numpy_helper

    def call(name: str) -> str:
        return names.get(name, name)

    constants = {
        "k": np.ones((2, 1, 1, 1), np.float32),
        "low": np.asarray(0, np.float32),
        "high": np.asarray(6, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", call("k")], [call("a")], name=call("Conv__1")),
        helper.make_node("Clip", [call("a"), call("low"), call("high")], [call("b")], name="relu/Relu6"),
        helper.make_node("Clip", [call("b"), "", call("high")], ["y"], name="relu/Relu6__9"),
    ]
    size = call("size")
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [size, 2, 4, 4])],
        [numpy_helper.from_array(constants[name], call(name)) for name in order],
        value_info=[
            helper.make_tensor_value_info(call(name), TensorProto.FLOAT, [size, 2, 4, 4]) for name in ("b", "a")
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        ({"a": "Conv__1:0", "low": "relu_min__7", "high": "Relu6_max__123"}, ("high", "k", "low")),
        ({"Conv__1": "Conv__77", "a": "z", "b": "y0", "size": "unk__400"}, ("low", "high", "k")),
        ({"k": "relu/Relu6/1", "low": "Conv/1"}, ("k", "high", "low")),
    ],
)
def test_what_was_named_by_chance_is_named_by_its_place(names: dict[str, str], order: tuple[str, ...]) -> None:
    plain, other = network({}), network(names, order)
    assert plain.SerializeToString() != other.SerializeToString()
    name_by_place(plain)
    name_by_place(other)
    assert plain.SerializeToString() == other.SerializeToString()


def test_names_are_those_of_nodes_and_the_graph_stays_whole() -> None:
    import onnx

    model = network({})
    name_by_place(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.name for node in model.graph.node] == ["Conv", "relu/Relu6", "relu/Relu6_1"]
    assert [tensor.name for tensor in model.graph.initializer] == ["Conv/1", "relu/Relu6/1", "relu/Relu6/2"]
    assert [list(node.input) for node in model.graph.node] == [
        ["x", "Conv/1"],
        ["Conv:0", "relu/Relu6/1", "relu/Relu6/2"],
        ["relu/Relu6:0", "", "relu/Relu6/2"],
    ]
    assert model.graph.node[-1].output[0] == "y"
    assert [value.name for value in model.graph.value_info] == ["Conv:0", "relu/Relu6:0"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "size_0"


def test_a_graph_with_graphs_inside_keeps_its_names() -> None:
    from onnx import TensorProto, helper

    inner = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["inside"])],
        "inner",
        [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, [1])],
    )
    model = network({})
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], name="If__3", then_branch=inner, else_branch=inner))
    before = model.SerializeToString()
    name_by_place(model)
    assert model.SerializeToString() == before
