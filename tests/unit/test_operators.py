"""Operators of model files: what they are, files cut after them, rounds and what is made of them."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_devices import Setup
from dwsep_runtime.engines import EngineSettings, allocate_engine, load_engine
from dwsep_runtime.errors import EngineError, InvalidInput, InvalidModel
from dwsep_runtime.operators.onnx_chain import SHAPE, chain_model
from dwsep_runtime.operators.onnx_operators import Kernel, ONNXOperators
from dwsep_runtime.operators.profile import profile_operators
from dwsep_runtime.operators.rounds import MIN_ROUNDS, interleaved_rounds, median_estimate, on_one_core
from dwsep_runtime.operators.summary import MeasuredOperator, sum_by_kind
from dwsep_runtime.operators.tflite_operators import (
    BUILTIN_OPERATORS,
    SUBGRAPH_INPUTS,
    SUBGRAPH_OUTPUTS,
    TFLiteOperators,
)
from dwsep_runtime.operators.tflite_prefix import (
    first_crashing_operator,
    window_inputs,
    write_empty,
    write_prefix,
    write_window,
)
from dwsep_runtime.operators.tflite_profile import EMPTY, _blocks, _spans
from dwsep_runtime.protobuf import fields, integers
from edge_dwsep.crash import crashing_operator
from edge_dwsep.operator_table import print_operators
from tests.small_models import CLASSES, SIDE, small_onnx, small_tflite

SMALL_MACS = SIDE * SIDE * CLASSES
ENGINES = [
    ("tflite", small_tflite, ".tflite"),
    ("litert", small_tflite, ".tflite"),
    ("onnxruntime", small_onnx, ".onnx"),
]


def run(engine_name: str, path: Path, inputs: list[Any]) -> list[Any]:
    engine, version = load_engine(engine_name, path, EngineSettings(), path.name)
    allocate_engine(engine, engine_name, version, path.name)
    engine.set_inputs(inputs)
    engine.invoke()
    return engine.get_outputs()


def tflite(
    operators: list[tuple[str, list[int], list[int]]], shapes: list[tuple[int, ...]], constants: int = 0
) -> bytes:
    """A float32 .tflite; the first tensor is its input, the last its output, ``constants`` before that hold ones."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version, model.operatorCodes = 3, []
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [0], [len(shapes) - 1]
    for index, shape in enumerate(shapes):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = (
            b"t%d" % index,
            list(shape),
            schema.TensorType.FLOAT32,
            0,
        )
        if len(shapes) - 1 - constants <= index < len(shapes) - 1:
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(np.ones(shape, np.float32).tobytes(), np.uint8)
        graph.tensors.append(tensor)
    for index, (name, inputs, outputs) in enumerate(operators):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = index, inputs, outputs
        graph.operators.append(operator)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


# x -> relu -> (abs, neg); neg + ones; abs * that: a branch that is read late.
BRANCHED = tflite(
    [("RELU", [0], [1]), ("ABS", [1], [2]), ("NEG", [1], [3]), ("MAXIMUM", [3, 5], [4]), ("MINIMUM", [2, 4], [6])],
    [(1, 8)] * 7,
    constants=1,
)


def test_operator_names_are_those_of_the_schema() -> None:
    from ai_edge_litert import schema_py_generated as schema

    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert known == dict(enumerate(BUILTIN_OPERATORS))


def test_the_operators_of_a_file_are_told_in_order() -> None:
    graph = TFLiteOperators(BRANCHED, "m")
    assert [str(operator) for operator in graph.operators] == [
        "operator 0 RELU",
        "operator 1 ABS",
        "operator 2 NEG",
        "operator 3 MAXIMUM",
        "operator 4 MINIMUM",
    ]
    assert {(operator.kind, operator.macs, operator.constant) for operator in graph.operators} == {("other", 0, False)}


@pytest.mark.parametrize(
    ("operator", "shapes", "kind", "macs"),
    [
        ("CONV_2D", [(1, 8, 8, 4), (6, 1, 1, 4), (1, 4, 4, 6)], "pointwise", 6 * 4 * 16),
        ("CONV_2D", [(1, 8, 8, 4), (6, 1, 1, 2), (1, 8, 8, 6)], "standard", 6 * 2 * 64),
        ("CONV_2D", [(2, 8, 8, 4), (6, 3, 3, 4), (2, 8, 8, 6)], "standard", 6 * 9 * 4 * 128),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 3, 3, 8), (1, 8, 8, 8)], "depthwise", 9 * 8 * 64),
        ("FULLY_CONNECTED", [(2, 3, 4), (5, 12), (2, 5)], "dense", 2 * 12 * 5),
        ("BATCH_MATMUL", [(3, 2, 4), (3, 4, 5), (3, 2, 5)], "dense", 3 * 2 * 4 * 5),
        ("SOFTMAX", [(1, 4), (1, 4), (1, 4)], "other", 0),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(1, 4), (1, 4), (1, 4)], "other", None),
    ],
)
def test_kinds_and_macs_of_tflite_operators(
    operator: str, shapes: list[tuple[int, ...]], kind: str, macs: int | None
) -> None:
    (found,) = TFLiteOperators(tflite([(operator, [0, 1], [2])], shapes, constants=1), "m").operators
    assert (found.kind, found.macs) == (kind, macs)


def test_macs_of_a_transposed_convolution_are_counted_at_its_input() -> None:
    shapes = [(1, 4, 4, 2), (4,), (3, 2, 2, 2), (1, 8, 8, 3)]
    (found,) = TFLiteOperators(tflite([("TRANSPOSE_CONV", [1, 2, 0], [3])], shapes, constants=2), "m").operators
    assert (found.kind, found.macs) == ("standard", 3 * 2 * 2 * 2 * 16)


def test_operators_that_read_constants_alone_are_constant() -> None:
    content = tflite([("NEG", [2], [1]), ("MAXIMUM", [0, 1], [3])], [(1, 4)] * 4, constants=1)
    assert [operator.constant for operator in TFLiteOperators(content, "m").operators] == [True, False]


@pytest.mark.parametrize("engine", ["tflite", "litert"])
def test_a_cut_file_computes_what_the_model_does_up_to_there(tmp_path: Path, engine: str) -> None:
    graph = TFLiteOperators(BRANCHED, "m")
    x = np.array([[-3, -2, -1, -0.5, 0.5, 1, 2, 3]], np.float32)
    relu = np.maximum(x, 0)
    neg = -relu
    expected = [[relu], [relu], [relu, neg], [relu, np.maximum(neg, 1)], [np.minimum(relu, 1)]]
    part = tmp_path / "part.tflite"
    for last, outputs in enumerate(expected):
        write_prefix(graph, last, part)
        found = run(engine, part, [x])
        assert len(found) == len(outputs)
        for one, other in zip(found, outputs, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("engine", ["tflite", "litert"])
def test_a_file_without_operators_runs(tmp_path: Path, engine: str) -> None:
    part = tmp_path / "part.tflite"
    write_empty(TFLiteOperators(BRANCHED, "m"), part)
    x = np.arange(8, dtype=np.float32)[None]
    assert [found.shape for found in run(engine, part, [x])] == [(1, 8)]


def test_an_operator_alone_takes_its_own_inputs_and_the_constants_behind_them(tmp_path: Path) -> None:
    content = tflite(
        [("NEG", [4], [1]), ("ABS", [0], [2]), ("MAXIMUM", [2, 1], [3]), ("RELU", [3], [5])], [(1, 4)] * 6, constants=1
    )
    graph = TFLiteOperators(content, "m")
    part = tmp_path / "part.tflite"
    write_window(graph, 2, 2, part)
    (found,) = run("tflite", part, [np.array([[-3, -0.5, 0, 2]], np.float32)])
    np.testing.assert_array_equal(found, [[-1, -0.5, 0, 2]])


@pytest.mark.parametrize("engine", ["tflite", "litert"])
def test_operators_in_the_middle_take_what_comes_from_before_as_inputs(tmp_path: Path, engine: str) -> None:
    graph = TFLiteOperators(BRANCHED, "m")
    part = tmp_path / "part.tflite"
    write_window(graph, 3, 4, part)
    assert window_inputs(graph, 3, 4) == [3, 2]
    negated, absolute = np.linspace(-2, 2, 8, dtype=np.float32)[None], np.full((1, 8), 1.5, np.float32)
    (found,) = run(engine, part, [negated, absolute])
    np.testing.assert_array_equal(found, np.minimum(absolute, np.maximum(negated, 1)))


def test_parts_begin_a_few_operators_before_but_never_with_random_indices() -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    count = 9
    content = tflite([("RELU", [step], [step + 1]) for step in range(count)], [(1, 4)] * (count + 1))
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.subgraphs[0].tensors[3].type = schema.TensorType.INT32
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    graph = TFLiteOperators(bytes(builder.Output()), "m")
    spans = [_spans(graph, graph.operators, position) for position in range(count)]
    assert spans[:2] == [[EMPTY, (0, 0)], [(0, 0), (0, 1)]]
    assert [after[0] for _, after in spans] == [0, 0, 0, 0, 0, 1, 2, 2, 4]
    assert all(before == (start, position - 1) for position, (before, (start, _)) in enumerate(spans[1:], 1))


def test_an_operator_with_macs_is_also_timed_alone() -> None:
    graph = TFLiteOperators(small_tflite(), "m")
    assert _spans(graph, graph.operators, 0) == [EMPTY, (0, 0), (0, 0)]


def test_a_part_has_no_signature_that_could_contradict(tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    model = schema.ModelT.InitFromPackedBuf(BRANCHED, 0)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = b"x", 0
    signature.outputs[0].name, signature.outputs[0].tensorIndex = b"y", 6
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    content = bytes(builder.Output())
    assert list(Interpreter(model_content=content).get_signature_list()) == ["serving_default"]
    part = tmp_path / "part.tflite"
    write_prefix(TFLiteOperators(content, "m"), 0, part)
    assert not Interpreter(model_path=str(part)).get_signature_list()


def test_constants_that_a_part_does_not_read_take_no_space(tmp_path: Path) -> None:
    large = 1 << 18
    content = tflite([("ABS", [0], [1]), ("MAXIMUM", [1, 3], [2]), ("RELU", [2], [4])], [(large,)] * 5, constants=1)
    graph = TFLiteOperators(content, "m")
    first, second = tmp_path / "first.tflite", tmp_path / "second.tflite"
    write_prefix(graph, 0, first)
    write_prefix(graph, 1, second)
    assert first.stat().st_size == second.stat().st_size
    assert first.stat().st_blocks * 512 < 4 * large / 2 < second.stat().st_blocks * 512
    np.testing.assert_array_equal(run("tflite", second, [np.zeros(large, np.float32)])[0], np.ones(large, np.float32))


def test_a_file_of_several_subgraphs_is_refused_in_one_line() -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(small_tflite(), 0)
    model.subgraphs = [model.subgraphs[0]] * 2
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(InvalidInput, match=r"^m\.tflite has 2 subgraphs; operators are told apart in models of one"):
        TFLiteOperators(bytes(builder.Output()), "m.tflite")


@pytest.mark.parametrize(
    ("operator", "said"),
    [
        (("ABS", [0], [7]), "the outputs of operator 0 name tensor 7 of 2"),
        (("ABS", [0], [-1]), "the outputs of operator 0 name tensor -1 of 2"),
        (("ABS", [2], [1]), "the inputs of operator 0 name tensor 2 of 2"),
        (("ABS", [0, -2], [1]), "the inputs of operator 0 name tensor -2 of 2"),
    ],
)
def test_a_file_whose_operators_name_tensors_it_does_not_have_is_refused(operator: Any, said: str) -> None:
    with pytest.raises(InvalidModel, match=f"^m cannot be taken apart into operators: {said}; export it again$"):
        TFLiteOperators(tflite([operator], [(1, 4)] * 2), "m")


@pytest.mark.parametrize(("number", "said"), [(SUBGRAPH_INPUTS, "inputs"), (SUBGRAPH_OUTPUTS, "outputs")])
@pytest.mark.parametrize("tensor", [2, 2**31 - 1, -1])
def test_a_file_whose_ends_are_tensors_it_does_not_have_is_refused(number: int, said: str, tensor: int) -> None:
    content = bytearray(tflite([("ABS", [0], [1])], [(1, 4)] * 2))
    graph = TFLiteOperators(bytes(content), "m")
    struct.pack_into("<i", content, graph.reader.vector(graph.subgraph, number, 4)[0], tensor)
    with pytest.raises(InvalidModel, match=f"its {said} name tensor {tensor} of 2; export it again"):
        TFLiteOperators(bytes(content), "m")


@pytest.mark.parametrize("error", [IndexError("list index out of range"), OSError("no space left"), InvalidModel("m")])
def test_a_search_for_a_crash_that_fails_tells_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(model: Path, crashes: Any) -> None:
        raise error

    monkeypatch.setattr("edge_dwsep.crash.first_crashing_operator", failing)
    artifact: Any = SimpleNamespace(format="tflite", file=Path("m.tflite"))
    device: Any = None
    assert crashing_operator(device, artifact, "tflite", Setup()) is None


@pytest.mark.parametrize("culprit", range(5))
def test_the_operator_that_kills_the_engine_is_found(tmp_path: Path, culprit: int) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(BRANCHED)

    def crashes(part: Path) -> bool:
        return len(TFLiteOperators(part.read_bytes(), "part").operators) > culprit

    found = first_crashing_operator(model, crashes)
    assert found is not None
    assert found.index == culprit


@pytest.mark.parametrize("crashes", [False, True])
def test_no_operator_is_blamed_if_none_or_nothing_at_all_runs(tmp_path: Path, crashes: bool) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(BRANCHED)
    assert first_crashing_operator(model, lambda part: crashes) is None


def test_an_onnx_file_has_no_parts_to_find_a_crash_in(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(small_onnx())
    assert first_crashing_operator(model, lambda part: True) is None


CONV = "net/conv"


def onnx_file(weights: tuple[int, ...], group: int, *, quantized: bool = False, node_type: str = "Conv") -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    values = numpy_helper.from_array(np.ones(weights, np.int8 if quantized else np.float32), "w")
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["wf"], name="dq")] if quantized else []
    nodes += [
        helper.make_node(node_type, ["x", "wf" if quantized else "w"], ["c:0"], name=CONV, group=group),
        helper.make_node("Clip", ["c:0"], ["y:0"], name="net/relu6"),
        helper.make_node("Add", ["y:0", "x"], ["z"], name="net/add"),
    ]
    scale = numpy_helper.from_array(np.ones((), np.float32), "s")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)],
        [values, scale],
    )
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    ("weights", "group", "kind"),
    [
        ((10, 4, 1, 1), 1, "pointwise"),
        ((10, 4, 3, 3), 1, "standard"),
        ((10, 1, 3, 3), 10, "depthwise"),
        ((10, 2, 1, 1), 2, "standard"),
    ],
)
@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize(
    ("name", "output"),
    [
        (CONV, (1, 10, 8, 8)),
        (f"{CONV}_token_12", (1, 8, 8, 10)),
        ("c:0_nchwc", (1, 16, 8, 8)),
        ("y:0_nchwc", (1, 16, 8, 8)),
        ("net/relu6", (1, 10, 8, 8)),
    ],
)
def test_a_kernel_is_traced_back_to_the_convolution_in_the_file(
    weights: tuple[int, ...], group: int, kind: str, quantized: bool, name: str, output: tuple[int, ...]
) -> None:
    operators = ONNXOperators(onnx_file(weights, group, quantized=quantized), "m")
    kernel = Kernel(name, "QLinearConv" if quantized else "Conv", ((1, 4, 8, 8),), output)
    assert operators.kind_and_macs(kernel) == (kind, math.prod(weights) * 64)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (Kernel("new", "Conv", ((1, 4, 8, 8), (6, 4, 1, 1)), (1, 6, 8, 8)), ("pointwise", 6 * 4 * 64)),
        (Kernel("new", "QLinearConv", ((1, 4, 8, 8), ()), (1, 6, 8, 8)), ("other", None)),
        (Kernel("net/add", "Conv", ((1, 4, 8, 8),), (1, 6, 8, 8)), ("other", None)),
        (Kernel("fc", "MatMul", ((2, 5),), (2, 7)), ("dense", 2 * 5 * 7)),
        (Kernel("fc", "QLinearMatMul", ((3, 2, 5), ()), (3, 2, 7)), ("dense", 3 * 2 * 5 * 7)),
        (Kernel("fc", "Gemm", ((5, 2), (5, 7)), (2, 7)), ("dense", 2 * 5 * 7)),
        (Kernel("fc", "MatMul", (), (2, 7)), ("dense", None)),
        (Kernel("s", "Softmax", ((2, 5),), (2, 5)), ("other", 0)),
        (Kernel("l", "LSTM", ((2, 5),), (2, 5)), ("other", None)),
    ],
)
def test_what_a_profile_tells_itself_and_what_nothing_tells(kernel: Kernel, expected: tuple[str, int | None]) -> None:
    assert ONNXOperators(onnx_file((10, 4, 1, 1), 1), "m").kind_and_macs(kernel) == expected


def test_control_flow_is_refused_in_one_line() -> None:
    with pytest.raises(
        InvalidInput, match=r"^m\.onnx has Loop; operators are told apart in models without control flow$"
    ):
        ONNXOperators(onnx_file((1, 1, 1, 1), 1, node_type="Loop"), "m.onnx")


@pytest.mark.parametrize(("nodes", "inputs"), [(1, 1), (200, 8)])
def test_a_chain_is_a_valid_model_of_so_many_nodes(tmp_path: Path, nodes: int, inputs: int) -> None:
    import onnx

    content = chain_model(nodes, inputs)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(node.op_type, len(node.input)) for node in model.graph.node] == [("Max", inputs)] * nodes
    path = tmp_path / "chain.onnx"
    path.write_bytes(content)
    x = np.full(SHAPE, 7, np.float32)
    np.testing.assert_array_equal(run("onnxruntime", path, [x])[0], x)


@given(st.lists(st.integers(0, 2**63 - 1), max_size=20), st.booleans())
def test_repeated_integers_are_read_packed_and_not(numbers: list[int], packed: bool) -> None:
    def varint(number: int) -> bytes:
        return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])

    items = b"".join(map(varint, numbers))
    message = b"\x0a" + varint(len(items)) + items if packed else b"".join(b"\x08" + varint(one) for one in numbers)
    assert [item for _, value in fields(memoryview(message)) for item in integers(value)] == numbers


class SteppingClock:
    """A clock that advances only when a part runs."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def part(self, *nanoseconds: int) -> Any:
        calls = iter(range(10**9))
        return lambda: setattr(self, "now", self.now + nanoseconds[next(calls) % len(nanoseconds)])


def test_rounds_tell_the_shortest_time_of_each_part() -> None:
    clock = SteppingClock()
    rounds = interleaved_rounds([clock.part(1000, 1300, 1700), clock.part(2000)], 1e-3, clock=clock)
    assert len(rounds.times) >= MIN_ROUNDS
    assert set(map(tuple, rounds.times)) == {(1000.0, 2000.0)}
    assert rounds.column(1) == [2000.0] * len(rounds.times)


def test_six_rounds_are_made_however_slow() -> None:
    clock = SteppingClock()
    rounds = interleaved_rounds([clock.part(10**12)], 1e-3, clock=clock)
    assert len(rounds.times) == 6


def test_rounds_end_with_the_calls_that_are_allowed_and_tell_which_were_timed() -> None:
    clock = SteppingClock()
    count = 0

    def part() -> None:
        nonlocal count
        count += 1
        clock.now += 1000

    rounds = interleaved_rounds([part], 10.0, most_calls=500, clock=clock)
    assert 400 < count <= 500
    assert rounds.calls[0][0] == 6  # 5 calls to find out how long it takes, and one that is not timed
    assert rounds.calls[-1][-1] == count - 1
    assert all(len(timed) == len(rounds.calls[0]) for timed in rounds.calls)
    assert sum(len(timed) for timed in rounds.calls) == count - 5 - 2 * len(rounds.calls)


@pytest.mark.parametrize(
    ("count", "interval"),
    [(5, None), (6, (0, 5)), (8, (0, 7)), (9, (1, 7)), (20, (5, 14)), (200, (85, 114)), (1000, (468, 531))],
)
def test_the_interval_of_a_median_is_that_of_the_sign_test(count: int, interval: tuple[int, int] | None) -> None:
    found = median_estimate([float(value) for value in reversed(range(count))])
    assert found.value == (count - 1) / 2
    assert found.interval == interval


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        interval = median_estimate(list(rng.exponential(1.0, 12))).interval
        assert interval is not None
        hits += interval[0] <= math.log(2) <= interval[1]
    assert 0.94 < hits / 2000 < 0.98


@pytest.mark.parametrize(
    ("times", "distinguishable"),
    [([1.0] * 6, True), ([-1.0] * 6, True), ([-1.0, *[1.0] * 5], False), ([1.0] * 5, False)],
)
def test_a_time_whose_interval_holds_0_is_not_distinguishable(times: list[float], distinguishable: bool) -> None:
    assert median_estimate(times).distinguishable is distinguishable


def measured(kind: str, times: list[float], macs: int | None = 0, resolution: float = 0.0) -> MeasuredOperator:
    return MeasuredOperator(0, "n", "T", kind, macs, times, resolution)


def test_kinds_are_summed_round_by_round() -> None:
    sums = sum_by_kind(
        [
            measured("dense", [1, 9, 2, 9, 3, 9], 5),
            MeasuredOperator(0, "n", "T", "depthwise", 7, [10.0] * 6, alone=8.0),
            measured("dense", [9, 1, 8, 1, 7, 1], 6),
            measured("other", [1.0] * 6, None),
        ]
    )
    assert list(sums) == ["depthwise", "dense", "other"]
    assert sums["dense"] == {"operators": 2, "ns": 10.0, "interval_ns": [10.0, 10.0], "macs": 11, "alone_ns": None}
    assert (sums["other"]["macs"], sums["other"]["alone_ns"]) == (None, None)
    assert (sums["depthwise"]["macs"], sums["depthwise"]["alone_ns"]) == (7, 8.0)


def test_what_a_clock_cuts_off_widens_intervals() -> None:
    one = measured("dense", [10.0] * 6, resolution=3.0)
    assert one.to_json()["interval_ns"] == [7.0, 13.0]
    low, high = sum_by_kind([one] * 100)["dense"]["interval_ns"]
    assert (low, high) == pytest.approx((1000 - 1.96 * 10 * 3 / math.sqrt(3), 1000 + 1.96 * 10 * 3 / math.sqrt(3)))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(0, 100))
def test_blocks_hold_every_position_once_and_cost_no_more_than_they_may(costs: list[int], most: int) -> None:
    blocks = _blocks(costs, most)
    assert [position for block in blocks for position in block] == list(range(len(costs)))
    assert all(len(block) == 1 or sum(costs[position] for position in block) <= most for block in blocks)


def test_one_core_is_kept_and_given_back() -> None:
    import os

    before = os.sched_getaffinity(0)
    with on_one_core(wanted=True):
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before
    with on_one_core(wanted=False):
        assert os.sched_getaffinity(0) == before


@pytest.fixture(params=ENGINES, ids=[name for name, _, _ in ENGINES])
def engine_and_model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    engine, content, suffix = request.param
    file = tmp_path / f"small{suffix}"
    file.write_bytes(content())
    return engine, file


def test_a_profile_tells_every_operator_and_adds_up(engine_and_model: tuple[str, Path]) -> None:
    engine, model = engine_and_model
    profile = profile_operators(model, engine, EngineSettings(), model.name, seconds=0.05)
    operators = profile["operators"]
    assert profile["method"] == ("onnxruntime-profiler" if engine == "onnxruntime" else "prefix")
    assert [operator["macs"] for operator in operators if "Conv" in operator["type"].title()] == [SMALL_MACS]
    assert profile["sum_ns"] == sum(operator["ns"] for operator in operators)
    assert sum(sums["operators"] for sums in profile["by_kind"].values()) == len(operators)
    assert profile["by_kind"]["standard"]["macs"] == SMALL_MACS
    assert profile["rounds"] >= MIN_ROUNDS
    low, high = profile["whole_interval_ns"]
    assert 0 < low <= profile["whole_ns"] <= high
    assert profile["distortion"]["sum_to_whole"] == pytest.approx(
        (profile["sum_ns"] + profile["fixed_ns"]) / profile["whole_ns"]
    )


def test_a_profile_leaves_nothing_behind(
    engine_and_model: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, model = engine_and_model
    folder, working = tmp_path_factory.mktemp("tmp"), tmp_path_factory.mktemp("working")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.chdir(working)
    before = sorted(model.parent.iterdir())
    profile_operators(model, engine, EngineSettings(), model.name, seconds=0.01)
    assert [*folder.iterdir(), *working.iterdir()] == []
    assert sorted(model.parent.iterdir()) == before


def test_macs_are_those_of_the_batch(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(small_tflite())
    profile = profile_operators(model, "tflite", EngineSettings(batch=4), "m", seconds=0.01)
    assert profile["operators"][0]["macs"] == 4 * SMALL_MACS


@pytest.mark.parametrize("seconds", [0, -1, 3601, math.nan])
def test_a_time_out_of_range_is_refused(engine_and_model: tuple[str, Path], seconds: float) -> None:
    engine, model = engine_and_model
    with pytest.raises(InvalidInput, match="seconds must be above 0 and at most 3600"):
        profile_operators(model, engine, EngineSettings(), "m", seconds=seconds)


def test_a_model_the_engine_refuses_is_an_engine_error(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(tflite([("CONV_2D", [0, 1], [2])], [(1, 4, 4, 2), (1, 1, 1, 3), (1, 4, 4, 1)], constants=1))
    with pytest.raises(EngineError, match=r"^engine tflite .* refused m: "):
        profile_operators(model, "tflite", EngineSettings(), "m", seconds=0.01)


PROFILE: dict[str, Any] = {
    "method": "prefix",
    "whole_ns": 100_000.0,
    "whole_interval_ns": [99_000.0, 101_000.0],
    "sum_ns": 97_000.0,
    "fixed_ns": 1_000.0,
    "distortion": {"sum_to_whole": 0.98, "alone_to_parts": 0.9},
    "rounds": 12,
    "operators": [
        {
            "index": index,
            "name": name,
            "type": operator_type,
            "kind": kind,
            "macs": macs,
            "ns": ns,
            "interval_ns": [ns - 3000.0, ns + 3000.0],
            "distinguishable": ns > 3000,
            "alone_ns": alone,
        }
        for index, name, operator_type, kind, macs, ns, alone in [
            (0, "net/dw/Relu6;net/dw/depthwise", "DEPTHWISE_CONV_2D", "depthwise", 200_000, 20_000.0, 18_000.0),
            (1, "net/pw/Relu6", "CONV_2D", "pointwise", 3_000_000, 75_000.0, 70_000.0),
            (2, "Identity", "LSTM", "other", None, 2_000.0, None),
        ]
    ],
    "by_kind": {
        "depthwise": {"operators": 1, "ns": 20_000.0, "interval_ns": [17_000.0, 23_000.0], "macs": 200_000},
        "pointwise": {"operators": 1, "ns": 75_000.0, "interval_ns": [72_000.0, 78_000.0], "macs": 3_000_000},
        "other": {"operators": 1, "ns": 2_000.0, "interval_ns": [-1_000.0, 5_000.0], "macs": None},
    },
}
PREFIX_LINES = """\
Operators of m.tflite
operator    type               kind            time us [95 %]   share  MMACs  GMACs/s  alone us
0 dw/Relu6  DEPTHWISE_CONV_2D  depthwise    20.0 [17.0, 23.0]  20.0 %  0.200     10.0      18.0
1 pw/Relu6  CONV_2D            pointwise    75.0 [72.0, 78.0]  75.0 %  3.000     40.0      70.0
2 Identity  LSTM               other      (2.0 [-1.0, 5.0])   2.0 %      ?

kind       operators     time us [95 %]   share  MMACs  GMACs/s
depthwise  1          20.0 [17.0, 23.0]  20.0 %  0.200     10.0
pointwise  1          75.0 [72.0, 78.0]  75.0 %  3.000     40.0
other      1          (2.0 [-1.0, 5.0])   2.0 %      ?

whole 100.0 us [99.0, 101.0], operators 97.0 us, 1.0 us without any operator: together 98.0 % of the whole
an operator's time is what a part of the model takes longer for ending after it and not before; \
as models of their own, convolutions and dense layers take 90.0 % of that
in parentheses: not to be told from 0
"""


def printed(profile: dict[str, Any]) -> str:
    from rich.console import Console

    screen = Console(width=160, file=io.StringIO(), highlight=False)
    print_operators(screen, "m.tflite", profile)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_a_profile_is_printed_as_one_table_its_sums_and_what_they_are_worth() -> None:
    assert printed(PROFILE).split() == PREFIX_LINES.split()


def test_the_profilers_own_distortion_is_told_in_words() -> None:
    distortion = {"sum_to_whole": 1.05, "kernels_to_whole": 1.5, "profiled_to_whole": 2.0}
    text = printed({**PROFILE, "method": "onnxruntime-profiler", "distortion": distortion})
    assert "together 105.0 % of the whole\n" in text
    assert "with the profiler an inference takes 200.0 % of the time without" in text
    assert "its events add up to 150.0 % of the whole before" in text
