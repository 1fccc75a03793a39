"""Engines: their options, loading apart from allocating, batches, and what they refuse."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from dwsep_runtime.engines import (
    ENGINES,
    Engine,
    EngineSettings,
    allocate_engine,
    engine_options,
    engines_for,
    import_engine,
    load_engine,
    require_options,
)
from dwsep_runtime.engines.onnxruntime import ONNXRuntimeEngine
from dwsep_runtime.errors import EngineError, EngineUnavailable, InvalidInput, UnknownName
from tests.small_models import CLASSES, SIDE, small_onnx, small_tflite

FORMATS = {"tflite": ".tflite", "litert": ".tflite", "onnxruntime": ".onnx"}
INTERPRETING = ["tflite", "litert"]
TYPES = schema.TensorType

Change = Callable[[Any, Any], None]


def changed_tflite(change: Change) -> bytes:
    """The small model after a change of its (model, graph)."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(small_tflite(), 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def changed_onnx(change: Change) -> bytes:
    model = onnx.load_from_string(small_onnx())
    change(model, model.graph)
    return bytes(model.SerializeToString())


def input_type(kind: int) -> Change:
    def change(_: Any, graph: Any) -> None:
        graph.tensors[0].type = kind

    return change


def input_signature(*shape: int) -> Change:
    def change(_: Any, graph: Any) -> None:
        graph.tensors[0].shapeSignature = list(shape)

    return change


def custom_operator(model: Any, graph: Any) -> None:
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b"Whirl"
    graph.operators[0].builtinOptionsType, graph.operators[0].builtinOptions = 0, None


def then_reshape(*shape: int) -> Change:
    """Adds a RESHAPE to a fixed shape behind the convolution."""

    def change(model: Any, graph: Any) -> None:
        constant = schema.BufferT()
        constant.data = np.frombuffer(np.array(shape, np.int32).tobytes(), np.uint8)
        model.buffers.append(constant)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
        code.version = 1
        model.operatorCodes.append(code)
        graph.tensors += [tensor(b"shape", (len(shape),), TYPES.INT32, len(model.buffers) - 1)]
        graph.tensors += [tensor(b"z", (1, CLASSES), TYPES.FLOAT32, 0)]
        operator = schema.OperatorT()
        operator.opcodeIndex = 1
        operator.inputs, operator.outputs = [3, 4], [5]
        graph.operators.append(operator)
        graph.outputs = [5]

    return change


def difference(model: Any, graph: Any) -> None:
    """Replaces all by y = second - first of two inputs, which the signature names in the other order."""
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SUB
    graph.tensors = [tensor(name, (1, 2), TYPES.FLOAT32, 0) for name in (b"first", b"second", b"y")]
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [1, 0], [2]
    graph.operators, graph.inputs, graph.outputs = [operator], [0, 1], [2]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serve", 0
    signature.inputs, signature.outputs = [named(b"a", 1), named(b"b", 0)], [named(b"y", 2)]
    model.signatureDefs = [signature]


def tensor(name: bytes, shape: tuple[int, ...], kind: int, buffer: int) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), kind, buffer
    return made


def named(name: bytes, index: int) -> Any:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made


def fixed_batch(_: Any, graph: Any) -> None:
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1


def string_input(_: Any, graph: Any) -> None:
    graph.input.append(helper.make_tensor_value_info("words", TensorProto.STRING, [1]))
    graph.node.append(helper.make_node("Identity", ["words"], ["same"]))
    graph.output.append(helper.make_tensor_value_info("same", TensorProto.STRING, [1]))


def sequence_input(_: Any, graph: Any) -> None:
    graph.input.append(helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, [1]))
    graph.node.append(helper.make_node("SequenceLength", ["list"], ["length"]))
    graph.output.append(helper.make_tensor_value_info("length", TensorProto.INT64, []))


def open_height(_: Any, graph: Any) -> None:
    graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"


def custom_node(model: Any, graph: Any) -> None:
    graph.node[1].domain, graph.node[1].op_type = "com.example", "Whirl"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def written(engine: str, content: bytes) -> Path:
        file = tmp_path / f"m{FORMATS[engine]}"
        file.write_bytes(content)
        return file

    return written


Write = Callable[[str, bytes], Path]


def small(engine: str) -> bytes:
    return small_onnx() if engine == "onnxruntime" else small_tflite()


def ready(engine: str, file: Path, **settings: Any) -> Any:
    loaded, version = load_engine(engine, file, EngineSettings(**settings), file.name)
    allocate_engine(loaded, engine, version, file.name)
    return loaded


def computed(engine: Engine, *inputs: Any) -> Any:
    engine.set_inputs(list(inputs))
    engine.invoke()
    return engine.get_outputs()[0]


def images(count: int) -> Any:
    return np.random.default_rng(0).random((count, SIDE, SIDE, 1), np.float32)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"threads": 0}, "threads must be between 1 and 1024, received 0"),
        ({"threads": 1025}, "threads must be between 1 and 1024, received 1025"),
        ({"batch": 0}, "batch must be between 1 and 65536, received 0"),
        ({"batch": 65537}, "batch must be between 1 and 65536, received 65537"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        EngineSettings(**settings)


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        ("tflite", ["xnnpack", "delegate"]),
        ("tflite-runtime", ["xnnpack", "delegate"]),
        ("litert", ["kernels"]),
        ("onnxruntime", ["optimization", "spinning", "arena", "binding"]),
    ],
)
def test_every_engine_names_its_options_and_accepts_their_defaults(engine: str, names: list[str]) -> None:
    options = engine_options(engine)
    assert [option.name for option in options] == names
    require_options(engine, {option.name: option.default for option in options})
    assert EngineSettings().chosen(options) == {option.name: option.default for option in options}


def test_options_are_told_without_importing_an_engine() -> None:
    code = (
        "import json, sys; from dwsep_runtime.engines import ENGINES, engine_options;"
        "[engine_options(name) for name in ENGINES];"
        "packages = ('ai_edge_litert', 'onnxruntime', 'tflite_runtime', 'tensorflow', 'numpy');"
        "print(json.dumps([name for name in packages if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == []


@pytest.mark.parametrize(
    ("engine", "options", "error", "said"),
    [
        ("tflite", {"xnpack": "on"}, UnknownName, "unknown option of engine tflite 'xnpack': did you mean 'xnnpack'"),
        ("litert", {"xnnpack": "on"}, UnknownName, "known are kernels"),
        ("tflite", {"xnnpack": "yes"}, InvalidInput, "xnnpack of engine tflite must be one of on, off; received 'yes'"),
        ("onnxruntime", {"optimization": "2"}, InvalidInput, "one of disable, basic, extended, all; received '2'"),
        ("tfl", {}, UnknownName, "did you mean 'tflite'"),
    ],
)
def test_options_that_an_engine_has_not_are_refused(
    engine: str, options: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        require_options(engine, options)


def test_a_wrong_option_is_refused_before_the_model_is_loaded(write: Write) -> None:
    with pytest.raises(InvalidInput, match="must be one of"):
        load_engine("litert", write("litert", small_tflite()), EngineSettings(options={"kernels": "fast"}), "m")


def test_engines_that_are_run_only_when_asked_for_are_not_among_those_of_a_model(write: Write) -> None:
    assert engines_for(write("tflite", small_tflite())) == ["tflite", "litert"]
    assert {name: (kind.environment, kind.default) for name, kind in ENGINES.items()} == {
        "tflite": ("litert", True),
        "litert": ("litert", True),
        "onnxruntime": ("onnxruntime", True),
        "tflite-runtime": ("tflite-runtime", False),
    }


@pytest.mark.skipif(importlib.util.find_spec("tflite_runtime") is not None, reason="tflite-runtime is installed")
def test_an_engine_whose_package_is_absent_says_which(write: Write) -> None:
    file = write("tflite", small_tflite())
    with pytest.raises(EngineUnavailable, match="engine tflite-runtime needs tflite-runtime, which is not installed"):
        load_engine("tflite-runtime", file, EngineSettings(), "m")


@pytest.mark.parametrize(
    ("numpy", "modules", "said"),
    [
        ("2.4.6", {}, "compiled against NumPy 1 and crashes with NumPy 2.4.6; run it in an environment of its own"),
        ("1.26.4", {"tensorflow": json}, "cannot load a model in a process that has imported TensorFlow"),
    ],
)
def test_tflite_runtime_is_not_imported_where_it_would_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numpy: str, modules: dict[str, Any], said: str
) -> None:
    (tmp_path / "tflite_runtime").mkdir()
    (tmp_path / "tflite_runtime/__init__.py").write_text("__version__ = '2.14.0'")
    (tmp_path / "tflite_runtime/interpreter.py").write_text("raise SystemExit('crash')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(np, "__version__", numpy)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "tflite_runtime", raising=False)
    with pytest.raises(EngineUnavailable, match=said):
        import_engine("tflite-runtime")
    monkeypatch.delitem(sys.modules, "tflite_runtime", raising=False)


@pytest.mark.parametrize(
    ("engine", "content", "loaded", "allocated"),
    [
        ("tflite", small_tflite, (1, SIDE, SIDE, 1), (1, SIDE, SIDE, 1)),
        ("litert", small_tflite, (1, SIDE, SIDE, 1), (1, SIDE, SIDE, 1)),
        ("tflite", lambda: changed_tflite(input_signature(-1, 4, 4, 1)), (-1, 4, 4, 1), (1, 4, 4, 1)),
        ("litert", lambda: changed_tflite(input_signature(-1, 4, 4, 1)), (-1, 4, 4, 1), (1, 4, 4, 1)),
        ("onnxruntime", small_onnx, (-1, SIDE, SIDE, 1), (1, SIDE, SIDE, 1)),
        ("onnxruntime", lambda: changed_onnx(fixed_batch), (1, SIDE, SIDE, 1), (1, SIDE, SIDE, 1)),
    ],
)
def test_an_open_batch_is_open_until_the_engine_is_allocated(
    write: Write, engine: str, content: Callable[[], bytes], loaded: tuple[int, ...], allocated: tuple[int, ...]
) -> None:
    made, version = load_engine(engine, write(engine, content()), EngineSettings(), "m")
    assert made.inputs[0].shape == loaded
    allocate_engine(made, engine, version, "m")
    assert made.inputs[0].shape == allocated
    assert made.outputs[0].shape[0] == 1
    assert computed(made, images(1)).shape == made.outputs[0].shape
    assert made.arena_bytes() is None


@pytest.mark.parametrize("engine", FORMATS)
def test_a_batch_gives_what_its_images_give_one_by_one(write: Write, engine: str) -> None:
    file = write(engine, small(engine))
    single, four = ready(engine, file), ready(engine, file, batch=4)
    assert four.inputs[0].shape == (4, SIDE, SIDE, 1)
    assert four.outputs[0].shape == (4, *single.outputs[0].shape[1:])
    given = images(4)
    together = computed(four, given)
    assert together.shape == four.outputs[0].shape
    apart = np.concatenate([computed(single, given[index : index + 1]) for index in range(4)])
    assert np.allclose(together, apart, rtol=1e-5, atol=1e-5)
    assert len(np.unique(together)) == 4 * CLASSES


@pytest.mark.parametrize(
    ("engine", "content", "said"),
    [
        ("tflite", lambda: changed_tflite(then_reshape(1, CLASSES)), "this was at batch 4: run it at batch 1"),
        ("litert", lambda: changed_tflite(then_reshape(1, CLASSES)), "this was at batch 4: run it at batch 1"),
        ("tflite", lambda: changed_tflite(then_reshape(1, -1)), r"'z' of \(1, 3\) becomes \(1, 12\)"),
        ("litert", lambda: changed_tflite(then_reshape(1, -1)), r"'z' of \(1, 3\) becomes \(1, 12\)"),
        ("onnxruntime", lambda: changed_onnx(fixed_batch), "its batch fixed at 1, 4 was asked for; export it with"),
    ],
)
def test_a_model_that_cannot_take_a_batch_is_refused_with_what_to_do(
    write: Write, engine: str, content: Callable[[], bytes], said: str
) -> None:
    file = write(engine, content())
    assert computed(ready(engine, file), images(1)).size == CLASSES
    with pytest.raises(EngineError, match=rf"engine {engine} \S+ refused m\.\w+: .*{said}") as caught:
        ready(engine, file, batch=4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", INTERPRETING)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (input_type(TYPES.STRING), "input 'x' has dtype string; only numbers can be fed"),
        (input_type(TYPES.RESOURCE), "input 'x' has dtype resource; only numbers can be fed"),
        (input_type(TYPES.COMPLEX64), "input 'x' has dtype complex64; only numbers can be fed"),
        (input_signature(-1, -1, -1, 1), r"open dimensions \(-1, -1, -1, 1\); export it with all fixed but the batch"),
    ],
)
def test_inputs_that_cannot_be_fed_are_refused(write: Write, engine: str, change: Change, said: str) -> None:
    with pytest.raises(EngineError, match=rf"engine {engine} \S+ refused m\.tflite: .*{said}"):
        load_engine(engine, write(engine, changed_tflite(change)), EngineSettings(), "m.tflite")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (string_input, r"input 'words' has dtype tensor\(string\); only numbers can be fed"),
        (sequence_input, r"input 'list' has dtype seq\(tensor\(float\)\); only numbers can be fed"),
        (open_height, r"open dimensions \(-1, -1, 4, 1\); export it with all fixed but the batch"),
        (custom_node, r"com\.example:Whirl\(-1\) is not a registered function/op"),
    ],
)
def test_an_onnx_file_that_cannot_be_run_is_refused(write: Write, change: Change, said: str) -> None:
    with pytest.raises(EngineError, match=rf"engine onnxruntime \S+ refused m\.onnx: .*{said}") as caught:
        load_engine("onnxruntime", write("onnxruntime", changed_onnx(change)), EngineSettings(), "m.onnx")
    assert "\n" not in str(caught.value)


def test_the_interpreter_names_a_custom_operator_that_it_has_not(write: Write) -> None:
    file = write("tflite", changed_tflite(custom_operator))
    with pytest.raises(EngineError, match=r"refused m\.tflite: Encountered unresolved custom op: Whirl") as caught:
        ready("tflite", file)
    assert "\n" not in str(caught.value)


def test_a_compiled_model_names_it_as_it_first_runs(write: Write) -> None:
    engine = ready("litert", write("litert", changed_tflite(custom_operator)))
    with pytest.raises(RuntimeError, match="Encountered unresolved custom op: Whirl"):
        computed(engine, images(1))


def test_a_compiled_model_has_no_buffers_of_int64(write: Write) -> None:
    file = write("litert", changed_tflite(input_type(TYPES.INT64)))
    with pytest.raises(EngineError, match="'x' is int64, of which CompiledModel has no buffers; use engine tflite"):
        load_engine("litert", file, EngineSettings(), "m")


@pytest.mark.parametrize("engine", INTERPRETING)
def test_several_inputs_are_fed_in_the_order_of_the_engines_inputs(write: Write, engine: str) -> None:
    made = ready(engine, write(engine, changed_tflite(difference)))
    assert [item.name for item in made.inputs] == ["first", "second"]
    first, second = np.array([[1, 2]], np.float32), np.array([[10, 30]], np.float32)
    assert computed(made, first, second).tolist() == [[9, 28]]


@pytest.mark.parametrize(("options", "delegated"), [({}, True), ({"xnnpack": "on"}, True), ({"xnnpack": "off"}, False)])
def test_xnnpack_can_be_turned_off_in_the_interpreter(write: Write, options: dict[str, str], delegated: bool) -> None:
    engine = ready("tflite", write("tflite", small_tflite()), options=options)
    assert computed(engine, images(1)).shape == (1, 1, 1, CLASSES)
    operators = [item["op_name"] for item in engine._interpreter._get_ops_details()]
    assert ("DELEGATE" in operators) is delegated


@pytest.mark.parametrize(("kernels", "delegated"), [("xnnpack", True), ("builtin", False)])
def test_a_compiled_models_kernels_can_be_chosen(write: Write, kernels: str, delegated: bool) -> None:
    file = write("litert", small_tflite())
    engine = ready("litert", file, options={"kernels": kernels})
    assert engine._model.is_fully_accelerated() is delegated
    assert np.allclose(computed(engine, images(1)), computed(ready("tflite", file), images(1)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "level", "spinning", "arena"),
    [
        ({}, "ORT_ENABLE_ALL", "1", True),
        ({"optimization": "disable", "arena": "off"}, "ORT_DISABLE_ALL", "1", False),
        ({"optimization": "basic", "spinning": "off"}, "ORT_ENABLE_BASIC", "0", True),
        ({"optimization": "extended"}, "ORT_ENABLE_EXTENDED", "1", True),
    ],
)
def test_options_reach_the_onnxruntime_session(
    write: Write, options: dict[str, str], level: str, spinning: str, arena: bool
) -> None:
    file = write("onnxruntime", small_onnx())
    engine = ready("onnxruntime", file, options=options)
    reached = engine._session.get_session_options()
    assert reached.graph_optimization_level.name == level
    assert reached.get_session_config_entry("session.intra_op.allow_spinning") == spinning
    assert reached.enable_cpu_mem_arena is arena
    assert np.allclose(computed(engine, images(1)), computed(ready("onnxruntime", file), images(1)), atol=1e-5)


def test_onnxruntime_writes_a_profile_where_it_is_told(write: Write, tmp_path: Path) -> None:
    file = write("onnxruntime", small_onnx())
    engine = ONNXRuntimeEngine(str(file), EngineSettings(), profile_prefix=str(tmp_path / "profile"))
    engine.allocate()
    computed(engine, images(1))
    profile = Path(engine.end_profiling())
    assert profile.parent == tmp_path
    assert {"Conv"} <= {event["args"].get("op_name") for event in json.loads(profile.read_text())}


def test_without_a_profile_none_is_written(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    computed(ready("onnxruntime", write("onnxruntime", small_onnx())), images(1))
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot open shared object file: No such file or directory; give the path of a delegate library"),
        (b"not a library at all" * 10, "invalid ELF header; give the path of a delegate library"),
    ],
)
def test_a_delegate_that_is_no_library_is_refused(
    write: Write, tmp_path: Path, content: bytes | None, said: str
) -> None:
    library = tmp_path / "delegate.so"
    if content is not None:
        library.write_bytes(content)
    settings = EngineSettings(options={"delegate": str(library)})
    with pytest.raises(InvalidInput, match=rf"^delegate {library} cannot be loaded: .*{said}"):
        load_engine("tflite", write("tflite", small_tflite()), settings, "m")


def test_a_library_that_is_no_delegate_is_refused(write: Write) -> None:
    library = ctypes.util.find_library("m")
    assert library is not None
    settings = EngineSettings(options={"delegate": library})
    with pytest.raises(InvalidInput, match=f"^delegate {library} is a library without tflite_plugin_create_delegate"):
        load_engine("tflite", write("tflite", small_tflite()), settings, "m")


# The struct is TfLiteDelegate of common.h (TensorFlow Lite 2.16).
DELEGATE = """
#include <stddef.h>
#include <stdint.h>
int prepared = 0;
static int prepare(void *context, void *delegate) { prepared += 1; return STATUS; }
static struct { void *data; int (*prepare)(void *, void *); void *copies[3]; int64_t flags; void *builder; } delegate;
void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
    delegate.prepare = prepare;
    return &delegate;
}
void tflite_plugin_destroy_delegate(void *made) {}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("status", [0, 1])
def test_a_delegate_library_is_asked_to_prepare(write: Write, tmp_path: Path, status: int) -> None:
    source, library = tmp_path / "delegate.c", tmp_path / f"delegate{status}.so"
    source.write_text(DELEGATE.replace("STATUS", str(status)))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    file = write("tflite", small_tflite())
    options = {"delegate": str(library), "xnnpack": "off"}
    if status:
        with pytest.raises(EngineError, match=r"engine tflite \S+ refused m\.tflite: .*delegate"):
            ready("tflite", file, options=options)
    else:
        expected = computed(ready("tflite", file), images(1))
        assert np.allclose(computed(ready("tflite", file, options=options), images(1)), expected, atol=1e-5)
    assert ctypes.c_int.in_dll(ctypes.CDLL(str(library)), "prepared").value == 1
