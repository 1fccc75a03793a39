"""Jobs, arrays in JSON, tensors and the lines of a run."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dwsep_runtime.accuracy_scenarios import Accuracy, Agreement, KeptOutput, Predict
from dwsep_runtime.arrays import decode_array, encode_array
from dwsep_runtime.conditions import Conditions
from dwsep_runtime.engines.protocol import EngineSettings, Tensor
from dwsep_runtime.errors import EngineUnavailable, InvalidInput, OutputTooLong, ProtocolError, UnknownName
from dwsep_runtime.golden import Golden
from dwsep_runtime.job import Job
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.protocol import LOG_LINES, MOST_NOISE, ResultReader, error_event
from dwsep_runtime.run import _have_temporary_folder
from dwsep_runtime.scenarios import (
    ColdStart,
    FirstInference,
    Interleaved,
    Offline,
    ProfileOperators,
    SingleStream,
    Sustained,
    Turns,
)

FAST = EngineSettings(threads=4, batch=2, options={"xnnpack": "off"})
TAKING_TURNS = {"job": Job("t", "m.tflite", "0" * 64, "tflite", Turns()).to_json(), "command": ["python3"]}
GOLDEN = Golden((2, 3, 1), "3" * 64, ((0.5, 1.0), (2.0, -1.0)), "tflite 2.3.0")
KEPT = (KeptOutput("y", (4, 4, 2), "y.npy", 0.0, 1.0), KeptOutput("z", (), "z.npy", -2.0, 3))
JOBS = [
    Job("a", "m.tflite", "0" * 64, "tflite", SingleStream(5, 1.0, 0.5, 0.02, 90.0), settings=FAST),
    Job("b", "m.onnx", "1" * 64, "onnxruntime", Accuracy("i.npy", "l.npy", Preprocessing(scale=(0.5,)), 1)),
    Job("c", "m.onnx", "1" * 64, "onnxruntime", Predict("i.npy", "o.npy"), manifest_sha256="2" * 64, title="m"),
    Job("d", "m.onnx", "1" * 64, "onnxruntime", Offline(), conditions=Conditions(pin=(0,), governor="performance")),
    Job("e", "m.onnx", "1" * 64, "onnxruntime", Sustained(60.0, 1.0), memory_limit_bytes=10**9),
    Job("f", "m.onnx", "1" * 64, "onnxruntime", ColdStart(("python3", "-B"), 3)),
    Job("g", "m.tflite", "1" * 64, "tflite", Interleaved((TAKING_TURNS, TAKING_TURNS), 3)),
    Job("h", "m.onnx", "1" * 64, "onnxruntime", Accuracy("i.npy", "l.npy", golden=GOLDEN)),
    Job("i", "m.onnx", "1" * 64, "onnxruntime", Agreement("i.npy", KEPT, tolerance=0.1, golden=GOLDEN)),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.scenario.name)
def test_a_job_survives_json(job: Job) -> None:
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"schema_version": 1}, InvalidInput, "schema_version 1; this runtime reads 2"),
        ({"scenario": {"name": "offlin"}}, UnknownName, "unknown scenario 'offlin': did you mean 'offline'"),
        ({"scenario": {"name": "single-stream", "min_sample": 3}}, UnknownName, "did you mean 'min_samples'"),
        ({"scenario": {"name": "single-stream", "min_samples": 0}}, InvalidInput, "min_samples must be a whole number"),
        ({"scenario": {"name": "single-stream", "min_samples": -5}}, InvalidInput, "received -5"),
        ({"scenario": {"name": "single-stream", "min_samples": 2.5}}, InvalidInput, "received 2.5"),
        ({"scenario": {"name": "single-stream", "min_samples": True}}, InvalidInput, "received True"),
        ({"scenario": {"name": "single-stream", "min_seconds": "6"}}, InvalidInput, "received '6'"),
        ({"scenario": {"name": "single-stream", "min_seconds": float("nan")}}, InvalidInput, "received nan"),
        ({"scenario": {"name": "single-stream", "precision": 0}}, InvalidInput, "precision must be between"),
        ({"scenario": {"name": "offline", "max_warmup_seconds": 1e9}}, InvalidInput, "between 0 and 86400 s"),
        ({"scenario": {"name": "sustained", "seconds": 1, "window_seconds": 1}}, InvalidInput, "at most a quarter"),
        ({"scenario": {"name": "cold-start", "command": ["x"], "starts": 0}}, InvalidInput, "starts must be"),
        ({"scenario": {"name": "interleaved", "contenders": [1]}}, InvalidInput, "contenders must be"),
        ({"scenario": {"name": "accuracy"}}, InvalidInput, "missing 2 required"),
        ({"scenario": [1]}, InvalidInput, "job key 'scenario' must be an object"),
        ({"setting": {}}, UnknownName, "unknown job key 'setting': did you mean 'settings'"),
        ({"settings": {"threads": 0}}, InvalidInput, "threads must be between 1 and 1024, received 0"),
        ({"settings": {"threads": 10**6}}, InvalidInput, "threads must be between 1 and 1024, received 1000000"),
        ({"settings": {"batch": 0}}, InvalidInput, "batch must be between 1 and 65536, received 0"),
        ({"settings": {"thread": 2}}, UnknownName, "did you mean 'threads'"),
        ({"conditions": {"pins": [1]}}, UnknownName, "did you mean 'pin'"),
        ({"memory_limit_bytes": 0}, InvalidInput, "memory_limit_bytes must be"),
        ({"id": None}, InvalidInput, "job key 'id' must be a string, received None"),
        ({"model": 7}, InvalidInput, "job key 'model' must be a string, received 7"),
        ({"sha256": ["0"]}, InvalidInput, r"job key 'sha256' must be a string, received \['0'\]"),
        ({"engine": {}}, InvalidInput, "job key 'engine' must be a string, received {}"),
        ({"manifest_sha256": 0}, InvalidInput, "job key 'manifest_sha256' must be a string, received 0"),
        ({"title": 1.5}, InvalidInput, "job key 'title' must be a string, received 1.5"),
        ({"scenario": {"name": "cold-start", "command": "python3"}}, InvalidInput, "command must be a list of a progr"),
        ({"scenario": {"name": "cold-start", "command": [1]}}, InvalidInput, r"command must be .*, received \[1\]"),
        ({"scenario": {"name": "cold-start", "command": 7}}, InvalidInput, "command must be .*, received 7"),
    ],
)
def test_a_wrong_job_is_refused(change: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Job.from_json({**JOBS[0].to_json(), **change})


SEEDED = [SingleStream(), Offline(), Sustained(), FirstInference(), ColdStart(("x",)), Turns(), ProfileOperators()]


@pytest.mark.parametrize("scenario", SEEDED, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("seed", [-1, 0.5, 1.0, True, "3", None, 2**63])
def test_a_seed_that_is_no_whole_number_is_refused(scenario: Any, seed: Any) -> None:
    assert replace(scenario, seed=2**63 - 1).seed == 2**63 - 1
    with pytest.raises(InvalidInput, match=f"seed must be a whole number between 0 and {2**63 - 1}, received {seed!r}"):
        replace(scenario, seed=seed)


@given(
    arrays.arrays(
        st.sampled_from([np.int64, np.int32, np.float32]),
        arrays.array_shapes(min_side=0),
        elements=st.integers(-99, 99),
    )
)
def test_arrays_survive_json(array: np.ndarray[Any, Any]) -> None:
    decoded = decode_array(json.loads(json.dumps(encode_array(array))))
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array)


@pytest.mark.parametrize(
    "change", [{"encoding": "hex"}, {"data": "###"}, {"shape": [4]}, {"dtype": "nonsense"}, {"data": "AAAA"}]
)
def test_a_damaged_array_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_array({**encode_array(np.arange(3)), **change})


@pytest.mark.parametrize(
    ("tensor", "real", "stored"),
    [
        (Tensor("t", (3,), "int8", 0.5, 10), [0.0, 1.0, -100.0], [10, 12, -128]),
        (Tensor("t", (3,), "uint8", 1 / 128, 128), [0.0, 0.5, 5.0], [128, 192, 255]),
        (Tensor("t", (3,), "float32"), [0.0, 0.5, -5.0], [0.0, 0.5, -5.0]),
    ],
)
def test_quantization_rounds_and_clips(tensor: Tensor, real: list[float], stored: list[float]) -> None:
    quantized = tensor.quantize(np.array(real, np.float32))
    assert quantized.dtype == tensor.dtype
    assert quantized.tolist() == stored


def test_dequantization_undoes_quantization_within_half_a_step() -> None:
    tensor = Tensor("t", (1,), "int8", 0.02, -3)
    real = np.linspace(-2.4, 2.4, 101, dtype=np.float32)
    assert np.abs(tensor.dequantize(tensor.quantize(real)) - real).max() <= 0.01 + 1e-6


def lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) for event in events]


RESULT = {"event": "result", "job": "a", "value": 7}
END = {"event": "end", "job": "a"}


def read(*given: str) -> ResultReader:
    reader = ResultReader("a")
    for line in given:
        reader.feed(line)
    return reader


def test_a_complete_run_delivers_its_result_and_keeps_other_lines_as_log() -> None:
    reader = read("Loading delegate...", *lines(RESULT, END))
    assert reader.result()["value"] == 7
    assert list(reader.log) == ["Loading delegate..."]


def test_the_last_lines_of_a_log_are_kept_and_one_without_end_is_given_up() -> None:
    reader = read(*(f"line {number}\n" for number in range(MOST_NOISE)))
    assert list(reader.log) == [f"line {number}" for number in range(MOST_NOISE - LOG_LINES, MOST_NOISE)]
    with pytest.raises(OutputTooLong, match="100,000 lines that are no part of its result, the last of them 'more'"):
        reader.feed("more\n")


@pytest.mark.parametrize(
    "odd",
    ["[" * 100_000, '{"job": "a", "event": []}', '{"job": "a", "event": {}}', '{"job": ["a"], "event": "end"}'],
    ids=["nested", "list", "object", "list of jobs"],
)
def test_lines_that_look_like_events_are_kept_as_log(odd: str) -> None:
    reader = read(odd, *lines(RESULT, END))
    assert reader.result()["value"] == 7
    assert list(reader.log) == [odd]


@pytest.mark.parametrize(
    "given",
    [
        [],
        lines(RESULT),
        lines(END),
        lines({**RESULT, "job": "other"}, END),
        [json.dumps(RESULT)[:-4], *lines(END)],
        ["[1, 2]", "null", "7", *lines(END)],
    ],
    ids=["nothing", "no end", "no result", "another run's", "cut short", "not events"],
)
def test_anything_less_is_no_result(given: list[str]) -> None:
    with pytest.raises(ProtocolError, match="did not deliver a complete result"):
        read(*given).result()


def test_an_error_of_the_run_is_raised_as_its_own_class() -> None:
    with pytest.raises(EngineUnavailable, match="no such package"):
        read(*lines(error_event("a", EngineUnavailable("no such package")))).result()


def test_an_error_of_an_unknown_class_is_still_an_error() -> None:
    from dwsep_runtime.errors import EngineError

    with pytest.raises(EngineError, match="odd"):
        read(*lines({"event": "error", "job": "a", "error": "difflib", "message": "odd"})).result()


def test_unknown_names_keep_their_message_when_raised_again() -> None:
    original = UnknownName("engine", "lite", ["litert", "tflite"])
    with pytest.raises(UnknownName, match=str(original)[:30]):
        read(*lines(error_event("a", original))).result()


@pytest.mark.parametrize("has_one", [True, False])
def test_a_device_without_a_temporary_folder_takes_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_one: bool
) -> None:
    (tmp_path / "own").mkdir()
    candidates = [str(tmp_path / "none"), *([str(tmp_path / "own")] if has_one else [])]
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: candidates)
    monkeypatch.setattr(tempfile, "tempdir", None)
    _have_temporary_folder(tmp_path / "m.tflite")
    with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == (tmp_path / "own" if has_one else tmp_path)
