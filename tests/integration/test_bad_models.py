"""Models, data and calls that cannot be measured, through the real command line: one clear line each, and its code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CommandLine
from tests.made_models import Stored, constant, node, onnx_model, tflite_model
from tests.small_models import small_onnx, small_tflite

pytestmark = pytest.mark.slow

BRIEF = ("--mode", "rapid", "--min-seconds", "0.01", "--min-samples", "3", "--max-warmup-seconds", "0.01")
SQUARE = (1, 4, 4, 1)
SIDE, FILTERS = 64, 16

NOT_FINITE = "outputs on random input are not all finite numbers (NaN or infinity)"


def variable() -> bytes:
    """(1, 4) to (1, 4), by way of a resource that the input is put in and read from."""
    tensors = {"x": Stored((1, 4)), "r": Stored((), "RESOURCE"), "v": Stored((1, 4)), "y": Stored((1, 4))}
    nodes = [
        node("VAR_HANDLE", "", "r", "VarHandleOptions", container=b"", sharedName=b"v"),
        node("ASSIGN_VARIABLE", "r x", "", "AssignVariableOptions"),
        node("READ_VARIABLE", "r", "v", "ReadVariableOptions"),
        node("ADD", "v x", "y", "AddOptions"),
    ]
    return tflite_model(tensors, nodes, "x", "y")


def one_operator(kind: str, given: Stored, made: Stored, table: str = "", **options: Any) -> bytes:
    return tflite_model({"x": given, "y": made}, [node(kind, "x", "y", table, **options)], "x", "y")


def wide_tflite() -> bytes:
    tensors = {
        "x": Stored((1, SIDE, SIDE, 3)),
        "k": constant(np.ones((FILTERS, 3, 3, 3), np.float32)),
        "b": constant(np.ones(FILTERS, np.float32)),
        "y": Stored((1, SIDE, SIDE, FILTERS)),
    }
    return tflite_model(tensors, [node("CONV_2D", "x k b", "y", "Conv2DOptions", strideW=1, strideH=1)], "x", "y")


def wide_onnx() -> bytes:
    kernel = {"k": np.ones((FILTERS, 3, 3, 3), np.float32)}
    shapes = {"x": ["n", 3, SIDE, SIDE]}, {"y": ["n", FILTERS, SIDE, SIDE]}
    return onnx_model([onnx_node("Conv", "x k", "y", pads=[1] * 4)], *shapes, kernel)


def onnx_node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    from onnx.helper import make_node

    return make_node(kind, inputs.split(), outputs.split(), **attributes)


def onnx_of(kind: str, shape: list[Any], number: int = 1, domain: str = "", inputs: str = "x") -> bytes:
    """One node, whose inputs and output have the same shape and type (number in onnx.TensorProto)."""
    given = dict.fromkeys(inputs.split(), shape)
    domains = [domain] if domain else []
    return onnx_model([onnx_node(kind, inputs, "y", domain=domain)], given, {"y": shape}, None, domains, number)


def classifier(inputs: str, added: np.ndarray[Any, Any] | None = None) -> bytes:
    """(1, 4, 4, 1), once or twice, to (1, 4): the sum of both, or of one and a constant, averaged over columns."""
    tensors = {name: Stored(SQUARE) for name in ("x", "z")}
    if added is not None:
        tensors["z"] = constant(added)
    made = {"s": Stored(SQUARE), "axes": constant(np.array([2, 3], np.int32)), "y": Stored((1, 4))}
    nodes = [node("ADD", "x z", "s", "AddOptions"), node("MEAN", "s axes", "y", "ReducerOptions")]
    return tflite_model({**tensors, **made}, nodes, inputs, "y")


def string_beside() -> bytes:
    tensors = {"x": Stored((1, 4)), "s": Stored((1,), "STRING"), "y": Stored((1, 4))}
    return tflite_model(tensors, [node("ABS", "x", "y")], "x", "y s")


OPEN = Stored((-1, -1, -1, 1))
HUGE = Stored((1, 60000, 60000, 1))

MODELS: Mapping[str, Callable[[], bytes]] = {
    "good.tflite": small_tflite,
    "good.onnx": small_onnx,
    "wide.tflite": wide_tflite,
    "wide.onnx": wide_onnx,
    "open.tflite": lambda: one_operator("RELU", OPEN, OPEN),
    "open.onnx": lambda: onnx_of("Relu", ["n", "height", 4]),
    "batch.tflite": lambda: one_operator("RELU", Stored((-1, 4, 4, 1)), Stored((-1, 4, 4, 1))),
    "two.tflite": lambda: classifier("x z"),
    "two.onnx": lambda: onnx_of("Add", [1, 4, 4, 1], inputs="x z"),
    "string.tflite": lambda: one_operator(
        "RESHAPE", Stored((1,), "STRING"), Stored((1,), "STRING"), "ReshapeOptions", newShape=[1]
    ),
    "string.onnx": lambda: onnx_of("Identity", [1], 8),
    "beside.tflite": string_beside,
    "resource.tflite": lambda: one_operator(
        "READ_VARIABLE", Stored((1,), "RESOURCE"), Stored((1, 4)), "ReadVariableOptions"
    ),
    "variable.tflite": variable,
    "complex.tflite": lambda: one_operator("REAL", Stored((1, 4), "COMPLEX64"), Stored((1, 4))),
    "complex.onnx": lambda: onnx_of("Identity", [1, 4], 14),
    "scalar.tflite": lambda: one_operator("ABS", Stored(()), Stored(())),
    "custom.tflite": lambda: one_operator("Swirl", Stored(SQUARE), Stored(SQUARE)),
    "domain.onnx": lambda: onnx_of("Swirl", [1, 4], domain="com.acme"),
    "escape.onnx": lambda: onnx_of("Swi\x1b[31mrl", [1, 4]),
    "nan.tflite": lambda: classifier("x", np.full(SQUARE, np.nan, np.float32)),
    "nan.onnx": lambda: onnx_of("Log", [1, 4, 4, 1]),
    "huge.tflite": lambda: one_operator("RELU", HUGE, HUGE),
}


@dataclass(frozen=True)
class Ended:
    """A command that was run: its results, what it said on standard error, and its exit code."""

    results: dict[str, Any]
    said: str
    code: int

    def run(self, name: str, engine: str) -> dict[str, Any]:
        (run,) = [run for run in self.results["runs"] if (run["file"], run["engine"]) == (name, engine)]
        return dict(run)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    for name, make in MODELS.items():
        (folder / name).write_bytes(make())
    (folder / "folder.tflite").mkdir()
    (folder / "empty.onnx").write_bytes(b"")
    for name in ("first", "second"):
        (folder / name).mkdir()
        shutil.copy(folder / "wide.tflite", folder / name / "same.tflite")
    rng = np.random.default_rng(0)
    for name, shape in (("fits", (8, 4, 4, 1)), ("large", (8, 5, 4, 1)), ("colour", (8, 4, 4, 3))):
        np.savez(folder / f"{name}.npz", images=rng.integers(0, 256, shape, np.uint8), labels=np.arange(8) % 3)
    np.savez(folder / "flat.npz", images=np.zeros((8, 16), np.uint8), labels=np.zeros(8, np.int64))
    np.savez(folder / "real.npz", images=np.zeros(SQUARE), labels=np.zeros(1, np.int64))
    np.savez(folder / "short.npz", images=np.zeros((8, 4, 4, 1), np.uint8), labels=np.zeros(7, np.int64))
    np.savez(folder / "beyond.npz", images=np.zeros((8, 4, 4, 1), np.uint8), labels=np.full(8, 3))
    return folder


def ended(command_line: CommandLine, *words: object) -> Ended:
    run = command_line(*words, "--json", timeout=240)
    assert "Traceback" not in run.stderr
    results = json.loads(run.stdout)
    failures = [line for line in run.stderr.splitlines() if line.startswith("edge-dwsep:")]
    failed = [item for item in results["runs"] if item["status"] != "ok"]
    assert failures == [f"edge-dwsep: {item['variant']} on {item['engine']} failed: {item['error']}" for item in failed]
    assert all(item["error"].isprintable() and not item["valid"] for item in failed)
    return Ended(results, run.stderr, run.returncode)


@pytest.fixture(scope="module")
def benched(command_line: CommandLine, folder: Path) -> Ended:
    """Every model in one call."""
    return ended(command_line, "bench", *(folder / name for name in MODELS), *BRIEF)


ONLY_NUMBERS = "only numbers can be fed"
NO_OPERATOR = "is not a registered function/op"


@pytest.mark.parametrize(
    ("name", "engine", "said"),
    [
        ("open.tflite", "tflite", "input 'x' has open dimensions (-1, -1, -1, 1); export it with all fixed but the"),
        ("open.tflite", "litert", "input 'x' has open dimensions (-1, -1, -1, 1)"),
        ("open.onnx", "onnxruntime", "input 'x' has open dimensions (-1, -1, 4)"),
        ("string.tflite", "tflite", f"input 'x' has dtype string; {ONLY_NUMBERS}"),
        ("string.tflite", "litert", f"input 'x' has dtype string; {ONLY_NUMBERS}"),
        ("string.onnx", "onnxruntime", f"input 'x' has dtype tensor(string); {ONLY_NUMBERS}"),
        ("beside.tflite", "litert", "'s' is string, of which CompiledModel has no buffers; use engine tflite"),
        ("resource.tflite", "tflite", f"input 'x' has dtype resource; {ONLY_NUMBERS}"),
        ("resource.tflite", "litert", f"input 'x' has dtype resource; {ONLY_NUMBERS}"),
        ("complex.tflite", "tflite", f"input 'x' has dtype complex64; {ONLY_NUMBERS}"),
        ("complex.onnx", "onnxruntime", "tensor(complex64) is not currently registered or supported"),
        ("custom.tflite", "tflite", "unresolved custom op: Swirl"),
        ("custom.tflite", "litert", "unresolved custom op: Swirl"),
        ("domain.onnx", "onnxruntime", f"com.acme:Swirl(-1) {NO_OPERATOR}"),
        ("escape.onnx", "onnxruntime", "Swi?[31mrl"),
        ("huge.tflite", "tflite", "perhaps for want of memory"),
        ("huge.tflite", "litert", "Failed to allocate"),
    ],
)
def test_a_model_that_an_engine_cannot_run_is_refused_with_the_reason(
    benched: Ended, name: str, engine: str, said: str
) -> None:
    run = benched.run(name, engine)
    assert (run["status"], run["error_class"]) == ("failed", "EngineError")
    assert said in run["error"]
    assert f"engine {engine} " in run["error"]
    assert name in run["error"]
    for raw in ("code=3", "ERROR: [", ".cc:", ".h:", "[ONNXRuntimeError]", "Load model from"):
        assert raw not in run["error"]


@pytest.mark.parametrize(
    ("name", "engine", "warns"),
    [
        ("good.tflite", "tflite", False),
        ("good.onnx", "onnxruntime", False),
        ("batch.tflite", "tflite", False),
        ("batch.tflite", "litert", False),
        ("two.tflite", "tflite", False),
        ("two.tflite", "litert", False),
        ("two.onnx", "onnxruntime", False),
        ("beside.tflite", "tflite", False),
        ("variable.tflite", "tflite", False),
        ("variable.tflite", "litert", False),
        ("scalar.tflite", "tflite", False),
        ("scalar.tflite", "litert", False),
        ("nan.tflite", "tflite", True),
        ("nan.tflite", "litert", True),
        ("nan.onnx", "onnxruntime", True),
    ],
)
def test_an_odd_model_is_measured_with_a_warning_where_its_outputs_are_no_numbers(
    benched: Ended, name: str, engine: str, warns: bool
) -> None:
    run = benched.run(name, engine)
    assert (run["status"], run["error"]) == ("ok", None)
    assert run["latency"]["count"] >= 3
    assert (NOT_FINITE in run["warnings"]) == warns


def test_one_failure_makes_the_exit_code_and_stops_no_other_run(benched: Ended) -> None:
    assert benched.code == 1
    assert len(benched.results["runs"]) == sum(2 if name.endswith(".tflite") else 1 for name in MODELS)


@pytest.mark.parametrize(
    ("name", "data", "error_class", "code", "said"),
    [
        ("two.tflite", "fits", "InvalidInput", 3, "models of one input; this one has 2: 'x', 'z'"),
        ("batch.tflite", "fits", "NotAClassifier", 3, "so it has no top-1 accuracy"),
        ("good.tflite", "large", "InvalidInput", 3, "images are (5, 4, 1) after preprocessing"),
        ("good.tflite", "colour", "InvalidInput", 3, "but the model's input is (4, 4, 1)"),
        ("good.tflite", "beyond", "InvalidInput", 3, "the model has 3 classes: labels must be in 0..2"),
        ("nan.tflite", "fits", "EngineError", 1, "outputs for image 0 are not finite numbers; it has no accuracy"),
        ("variable.tflite", "fits", "InvalidInput", 3, "but the model's input is (4,)"),
    ],
)
def test_images_that_do_not_fit_a_model_are_refused(
    command_line: CommandLine, folder: Path, name: str, data: str, error_class: str, code: int, said: str
) -> None:
    engine = "onnxruntime" if name.endswith(".onnx") else "tflite"
    call = ("--data", folder / f"{data}.npz", "--scale", "1", "--engine", engine)
    end = ended(command_line, "accuracy", folder / name, *call)
    run = end.run(name, engine)
    assert end.code == code
    assert (run["status"], run["error_class"], run["accuracy"]) == ("failed", error_class, None)
    assert said in run["error"]


GOOD = ("bench", "BAD/good.tflite", "--engine", "tflite")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("bench", "BAD/folder.tflite"), 3, "BAD/folder.tflite is not a model file: give a .tflite or .onnx file"),
        (("bench", "BAD/empty.onnx"), 3, "model file BAD/empty.onnx is empty; export or copy it again"),
        ((*GOOD, "--threads", "99999"), 2, "99999 is not in the range 1<=x<=1024"),
        ((*GOOD, "--batch", "0"), 2, "0 is not in the range 1<=x<=65536"),
        ((*GOOD, "--memory-limit", "0"), 2, "Invalid value for '--memory-limit'"),
        ((*GOOD, "--precision", "0"), 2, "0.0 is not in the range 0.0001<=x<=1.0"),
        ((*GOOD, "--engine-option", "speed=fast"), 3, "unknown option of tflite 'speed': known are delegate, xnnpack"),
        ((*GOOD, "--engine-option", "xnnpack=maybe"), 3, "must be one of on, off; received 'maybe'"),
        ((*GOOD, "--engine-option", "xnnpack"), 2, "must be NAME=VALUE, such as xnnpack=off; received 'xnnpack'"),
        ((*GOOD, "--pin", "first"), 3, "--pin must be cores separated by commas, such as 2,3; received 'first'"),
        ((*GOOD, "--governor", "../x"), 3, "governor must be a name such as 'performance', received '../x'"),
        ((*GOOD, "--interleave"), 2, "--interleave compares at least two runs; give another file, or another --engine"),
        (
            ("accuracy", "BAD/good.tflite", "--data", "BAD/flat.npz"),
            3,
            "must be uint8 (count, height, width, channels)",
        ),
        (("accuracy", "BAD/good.tflite", "--data", "BAD/real.npz"), 3, "received float64 (1, 4, 4, 1)"),
        (("accuracy", "BAD/good.tflite", "--data", "BAD/short.npz"), 3, "must be integers (8,), one an image"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_call_that_cannot_be_meant_is_refused_before_anything_is_run(
    command_line: CommandLine, folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    run = command_line(*(word.replace("BAD", str(folder)) for word in words), "--json")
    assert run.returncode == code, run.stderr
    assert run.stdout == ""
    assert said.replace("BAD", str(folder)) in run.stderr
    assert "Traceback" not in run.stderr
    assert len([line for line in run.stderr.splitlines() if line.startswith(("edge-dwsep:", "Error:"))]) == 1


AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""Takes from root what lets it read every file (util-linux)."""


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0 and not shutil.which(AS_OTHERS[0]):
        pytest.skip("root reads every file, and setpriv, which takes that from it, is not installed")
    file = tmp_path / "secret.tflite"
    file.write_bytes(small_tflite())
    file.chmod(0)
    command = [*(AS_OTHERS if os.geteuid() == 0 else ()), sys.executable, "-m", "edge_dwsep", "bench", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2, run.stderr
    assert f"'{file}' is not readable" in run.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pin", "99999"), "cannot pin to core 99999: this process may use "),
        (
            ("--engine-option", "delegate=/no/such.so"),
            "delegate /no/such.so cannot be loaded: cannot open shared object",
        ),
    ],
)
def test_what_the_device_lacks_is_an_error_of_the_run(
    command_line: CommandLine, folder: Path, options: tuple[str, ...], said: str
) -> None:
    end = ended(command_line, "bench", folder / "good.tflite", "--engine", "tflite", *BRIEF, *options)
    assert end.code == 3
    assert said in end.run("good.tflite", "tflite")["error"]


def test_a_governor_is_said_to_be_missing_and_the_run_goes_on(command_line: CommandLine, folder: Path) -> None:
    if Path("/sys/devices/system/cpu/cpu0/cpufreq").exists():
        pytest.skip("this machine has governors")
    end = ended(
        command_line, "bench", folder / "wide.tflite", "--engine", "tflite", *BRIEF, "--governor", "performance"
    )
    run = end.run("wide.tflite", "tflite")
    assert run["status"] == "ok"
    assert run["conditions"] == [
        {"condition": "governor", "asked": "performance", "done": False, "said": "this device has no cpufreq"}
    ]


def test_two_files_of_one_name_are_told_apart(command_line: CommandLine, folder: Path) -> None:
    files = [folder / name / "same.tflite" for name in ("first", "second")]
    end = ended(command_line, "bench", *files, "--engine", "tflite", *BRIEF)
    assert [run["variant"] for run in end.results["runs"]] == [str(file) for file in files]
    assert {run["status"] for run in end.results["runs"]} == {"ok"}


ABSURD, TIGHT = 1, 150
"""MB: less than Python's own libraries take; more than importing an engine takes, less than the batch below needs."""

BATCH = 1024
"""Of inputs of 49 kB and outputs of 262 kB: 318 MB at least."""


@pytest.fixture
def one_core_of_openblas(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's library takes memory for each core of the machine."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")


@pytest.mark.usefixtures("one_core_of_openblas")
@pytest.mark.parametrize(
    ("name", "engine", "limit", "options", "code", "said"),
    [
        ("good.tflite", "tflite", ABSURD, (), 5, "tflite needed more memory for good.tflite than its limit of 1 MB"),
        ("good.tflite", "litert", ABSURD, (), 5, "litert needed more memory for good.tflite than its limit of 1 MB"),
        ("good.onnx", "onnxruntime", ABSURD, (), 5, "needed more memory for good.onnx than its limit of 1 MB"),
        ("wide.tflite", "tflite", TIGHT, ("--batch", BATCH), None, "its limit of 150 MB"),
        ("wide.tflite", "litert", TIGHT, ("--batch", BATCH), None, "its limit of 150 MB"),
        ("wide.onnx", "onnxruntime", TIGHT, ("--batch", BATCH), 5, "than its limit of 150 MB; give a higher --memory"),
        (
            *("good.tflite", "tflite", ABSURD, ("--scenario", "cold-start", "--starts", "1"), 5),
            "tflite needed more memory for good.tflite than its limit of 1 MB",
        ),
    ],
)
def test_a_run_that_needs_more_memory_than_its_limit_says_so(
    command_line: CommandLine,
    folder: Path,
    name: str,
    engine: str,
    limit: int,
    options: tuple[object, ...],
    code: int | None,
    said: str,
) -> None:
    brief = () if "--scenario" in options else BRIEF
    call = ("--engine", engine, *brief, "--memory-limit", limit, *options)
    end = ended(command_line, "bench", folder / name, *call)
    run = end.run(name, engine)
    assert run["status"] == "failed"
    assert said in run["error"]
    assert end.code in ((1, 5) if code is None else (code,))
    assert "OpenBLAS" not in run["error"]


@pytest.mark.usefixtures("one_core_of_openblas")
def test_a_run_within_its_memory_limit_says_nothing_of_it(command_line: CommandLine, folder: Path) -> None:
    call = ("--engine", "tflite", *BRIEF, "--memory-limit", "1500", "--batch", BATCH)
    end = ended(command_line, "bench", folder / "wide.tflite", *call)
    run = end.run("wide.tflite", "tflite")
    assert (run["status"], run["conditions"]) == ("ok", [])
    assert not [said for said in run["warnings"] if "memory" in said]


@pytest.mark.usefixtures("one_core_of_openblas")
def test_the_tight_limit_is_one_that_a_batch_of_one_keeps(command_line: CommandLine, folder: Path) -> None:
    call = ("--engine", "tflite", *BRIEF, "--memory-limit", TIGHT)
    assert ended(command_line, "bench", folder / "wide.tflite", *call).run("wide.tflite", "tflite")["status"] == "ok"
