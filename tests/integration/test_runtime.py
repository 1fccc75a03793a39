"""The runtime in processes of its own: real engines on real files, and what happens when an engine dies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwsep_devices import (
    LocalDevice,
    PermanentDeviceError,
    Setup,
    TransientDeviceError,
    open_device,
    push_blob,
    run_job,
)
from dwsep_runtime.accuracy_scenarios import Accuracy, Predict
from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import EngineCrashed, EngineError, InvalidInput, InvalidModel, ProtocolError, UnknownName
from dwsep_runtime.job import Job
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.protocol import ResultReader
from dwsep_runtime.scenarios import ColdStart, ProfileOperators, SingleStream
from dwsep_runtime.spawn import RUNTIME_ARGUMENTS, RUNTIME_ENVIRONMENT, run_in_process, run_process
from tests.small_models import CLASSES, SIDE, small_onnx, small_tflite

QUICK = SingleStream(min_samples=30, min_seconds=0.05, max_warmup_seconds=0.01)
ENGINES = [
    ("tflite", small_tflite, ".tflite"),
    ("litert", small_tflite, ".tflite"),
    ("onnxruntime", small_onnx, ".onnx"),
]


@pytest.fixture(params=ENGINES, ids=[name for name, _, _ in ENGINES])
def engine_and_model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    engine, content, suffix = request.param
    file = tmp_path / f"small{suffix}"
    file.write_bytes(content())
    return engine, file


JOB = Job("a", "m.tflite", "0" * 64, "tflite", QUICK).to_json()


def job(file: Path, engine: str, scenario: Any = QUICK, **more: Any) -> Job:
    return Job("run-1", str(file), sha256_of(file), engine, scenario, title=file.name, **more)


@pytest.fixture
def crashing_model(tmp_path: Path) -> Path:
    """A valid .tflite that divides the smallest int32 by -1, which x86 processors trap and TFLite does not guard."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)], autograph=False)
    def overflow(x: Any) -> Any:
        zeros = tf.cast(x, tf.int32) * 0
        return tf.cast(tf.math.floormod(zeros + np.int32(-(2**31)), zeros - 1), tf.float32)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([overflow.get_concrete_function()])
    file = tmp_path / "overflow.tflite"
    file.write_bytes(converter.convert())
    return file


def test_single_stream_on_every_engine(engine_and_model: tuple[str, Path]) -> None:
    engine, file = engine_and_model
    phases: list[str] = []
    result = run_in_process(job(file, engine), timeout=60, on_event=lambda event: phases.append(event.get("phase", "")))
    samples = decode_array(result["measured"]["samples_ns"])
    assert len(samples) >= 30
    assert samples.min() > 0
    assert samples.sum() >= 0.02e9
    assert phases[:3] == ["load", "warm-up", "measure"]
    assert result["engine"]["name"] == engine
    assert result["model"]["bytes"] == file.stat().st_size
    assert result["measured"]["clock"]["resolution_ns"] > 0
    assert set(result["state"]) == {"before", "after"}
    assert len(result["harness_sha256"]) == 64


def test_all_engines_compute_the_same(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    computed = []
    for engine, content, suffix in ENGINES:
        file = tmp_path / f"small{suffix}"
        file.write_bytes(content())
        out = tmp_path / f"{engine}.npy"
        run_in_process(job(file, engine, Predict(str(tmp_path / "images.npy"), str(out))), timeout=60)
        computed.append(np.load(out).reshape(5, -1))
    assert computed[0].shape == (5, CLASSES)
    for other in computed[1:]:
        assert np.allclose(computed[0], other, rtol=1e-5, atol=1e-3)


def test_accuracy_is_counted_on_the_device_and_progress_is_told(
    engine_and_model: tuple[str, Path], tmp_path: Path
) -> None:
    engine, file = engine_and_model
    images = np.random.default_rng(0).integers(0, 256, (300, SIDE, SIDE, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "zeros.npy", np.zeros(300, np.int64))
    scenario = Accuracy(str(tmp_path / "images.npy"), str(tmp_path / "zeros.npy"))
    first = run_in_process(job(file, engine, scenario), timeout=60)["measured"]
    predictions = decode_array(first["predictions"])
    assert first["top1_correct"] == np.count_nonzero(predictions == 0)
    assert first["top5_correct"] == 300
    np.save(tmp_path / "labels.npy", predictions.astype(np.int64))
    progress: list[dict[str, Any]] = []
    scenario = Accuracy(str(tmp_path / "images.npy"), str(tmp_path / "labels.npy"))
    second = run_in_process(job(file, engine, scenario), timeout=60, on_event=progress.append)["measured"]
    assert second["top1_correct"] == 300
    assert [event["done"] for event in progress if event["event"] == "progress"] == [0, 256, 300]


def test_the_runtime_imports_no_tensorflow_and_disables_telemetry(engine_and_model: tuple[str, Path]) -> None:
    engine, file = engine_and_model
    code = (
        "import json, os, sys; from pathlib import Path; from dwsep_runtime.engines import EngineSettings, load_engine;"
        f"load_engine({engine!r}, Path({str(file)!r}), EngineSettings(), 'm');"
        "ours = ('tensorflow', 'keras', 'click', 'rich', 'onnx', 'edge_dwsep', 'dwsep_export', 'dwsep_devices');"
        "print(json.dumps([[name for name in ours if name in sys.modules], os.environ.get('ORT_DISABLE_TELEMETRY')]))"
    )
    environment = {**os.environ, **RUNTIME_ENVIRONMENT}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(run.stdout) == [[], "1"]


def test_telemetry_is_off_even_if_the_runtime_is_started_by_hand(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = (
        "import os, dwsep_runtime.engines.onnxruntime as engine; engine.version();"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert run.stdout == "1\n"


@pytest.mark.parametrize("engine", ["tflite", "litert"])
def test_an_engine_that_dies_is_reported_with_its_signal(crashing_model: Path, engine: str) -> None:
    with pytest.raises(
        EngineCrashed, match=rf"engine {engine} crashed on overflow\.tflite during \S+: its process ended by SIGFPE"
    ):
        run_in_process(job(crashing_model, engine), timeout=60)


def test_a_crash_does_not_stop_the_runs_after_it(crashing_model: Path, tmp_path: Path, command_line: Any) -> None:
    good = tmp_path / "good.tflite"
    good.write_bytes(small_tflite())
    run = command_line("bench", crashing_model, good, "--min-seconds", "0.05", "--min-samples", "10", "--json")
    assert run.returncode == 5
    runs = json.loads(run.stdout)["runs"]
    assert [(item["variant"], item["status"]) for item in runs] == [
        ("overflow", "failed"),
        ("overflow", "failed"),
        ("good", "ok"),
        ("good", "ok"),
    ]
    assert "SIGFPE" in runs[0]["error"]
    assert re.search(r"; it crashes on operator \d+ FLOOR_MOD$", runs[0]["error"]), runs[0]["error"]
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("engine", "name", "error", "said"),
    [
        ("onnxruntime", "small.tflite", InvalidInput, "engine onnxruntime runs .onnx files, received small.tflite"),
        ("tensorrt", "small.tflite", UnknownName, "unknown engine 'tensorrt'"),
        ("tflite", "cut.tflite", InvalidModel, "is truncated or damaged"),
    ],
)
def test_what_an_engine_cannot_run_is_an_error_of_its_own_class(
    tmp_path: Path, engine: str, name: str, error: type[Exception], said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(small_tflite()[: None if name.startswith("small") else 300])
    with pytest.raises(error, match=said):
        run_in_process(job(file, engine), timeout=60)


def test_a_model_the_engine_refuses_is_an_engine_error(tmp_path: Path) -> None:
    import onnx

    model = onnx.load_from_string(small_onnx())
    model.graph.node[1].op_type = "Convolute"
    file = tmp_path / "odd.onnx"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match=r"engine onnxruntime \S+ refused odd\.onnx: .*Convolute"):
        run_in_process(job(file, "onnxruntime"), timeout=60)


def test_another_content_than_asked_for_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    asked = Job("a", str(file), "0" * 64, "tflite", QUICK, title="small.tflite")
    with pytest.raises(InvalidModel, match=r"small\.tflite on the device is not the file that was asked for"):
        run_in_process(asked, timeout=60)


def test_a_run_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    endless = SingleStream(min_samples=1, min_seconds=600, max_warmup_seconds=0)
    with pytest.raises(EngineCrashed, match=r"did not finish small\.tflite in time"):
        run_in_process(job(file, "tflite", endless), timeout=2)


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "error"),
    [
        (["-"], "not json", 1, "InvalidInput"),
        (["-"], "[1]", 1, "InvalidInput"),
        (["-"], "{}", 1, "InvalidInput"),
        (["/nowhere/job.json"], "", 1, "InvalidInput"),
        (["-"], '{"schema_version": 2, "scenario": "x"}', 1, "InvalidInput"),
        (["-"], json.dumps({**JOB, "model": 5}), 1, "InvalidInput"),
        (["-"], json.dumps({**JOB, "model": "/"}), 1, "InvalidModel"),
        ([], "", 2, None),
    ],
)
def test_a_wrong_call_is_told_in_the_protocol(arguments: list[str], stdin: str, code: int, error: str | None) -> None:
    command = [sys.executable, "-m", "dwsep_runtime", *arguments]
    run = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert run.returncode == code
    if error:
        assert json.loads(run.stdout.splitlines()[-1])["error"] == error


def test_lines_arrive_as_they_are_printed_and_errors_are_kept() -> None:
    lines: list[str] = []
    code = "import sys; print('one'); print('two', flush=True); print('bad', file=sys.stderr); sys.exit(3)"
    completed = run_process([sys.executable, "-c", code], timeout=30, on_line=lines.append)
    assert (completed.returncode, list(completed.errors), completed.timed_out) == (3, ["bad"], False)
    assert lines == ["one\n", "two\n"]


def test_an_exception_in_the_caller_ends_the_process(tmp_path: Path) -> None:
    code = f"import os, time; print(os.getpid(), flush=True); time.sleep(60); open({str(tmp_path / 'x')!r}, 'w')"
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_process([sys.executable, "-c", code], timeout=90, on_line=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_process_that_outlives_its_leader_is_ended_with_it() -> None:
    started = time.monotonic()
    completed = run_process(["sh", "-c", "sleep 30 & exit 0"], timeout=1)
    assert time.monotonic() - started < 15
    assert completed.timed_out


def test_modules_of_the_working_folder_are_not_taken_for_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    for name in ("random", "json", "numpy", "traceback"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    assert run_in_process(job(file, "tflite"), timeout=60)["engine"]["name"] == "tflite"


class TestLocalDevice:
    @pytest.fixture
    def device(self) -> Any:
        device = LocalDevice()
        yield device
        device.close()

    def test_it_runs_a_job_with_files_by_content_hash(
        self, device: LocalDevice, engine_and_model: tuple[str, Path]
    ) -> None:
        engine, file = engine_and_model
        result = run_job(device, file, engine, QUICK, Setup(manifest_sha256="f" * 64), timeout=60)
        assert result["model"]["sha256"] == sha256_of(file)
        assert result["model"]["manifest_sha256"] == "f" * 64
        blobs = [path.name for path in (Path(device.root) / "blobs").iterdir()]
        assert blobs == [f"{sha256_of(file)}{file.suffix}"]

    def test_a_file_is_sent_once(self, device: LocalDevice, tmp_path: Path) -> None:
        file = tmp_path / "a.bin"
        file.write_bytes(b"content")
        remote = push_blob(device, file)
        first = Path(remote).stat().st_mtime_ns
        assert push_blob(device, file) == remote
        assert Path(remote).stat().st_mtime_ns == first
        assert not device.push(file, remote, sha256_of(file))

    def test_a_damaged_blob_is_sent_again(self, device: LocalDevice, tmp_path: Path) -> None:
        file = tmp_path / "a.bin"
        file.write_bytes(b"content")
        remote = push_blob(device, file)
        Path(remote).write_bytes(b"contemt")
        push_blob(device, file)
        assert Path(remote).read_bytes() == b"content"

    def test_a_file_that_changes_while_it_is_sent_gets_no_name(self, device: LocalDevice, tmp_path: Path) -> None:
        file = tmp_path / "a.bin"
        file.write_bytes(b"content")
        remote = f"{device.root}/blobs/x.bin"
        with pytest.raises(TransientDeviceError, match="changed while it was copied"):
            device.push(file, remote, "0" * 64)
        assert list(Path(remote).parent.iterdir()) == []

    def test_pull_brings_a_file_whole(self, device: LocalDevice, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"content")
        device.pull(str(tmp_path / "a"), tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"content"
        with pytest.raises(PermanentDeviceError, match="could not be copied"):
            device.pull(str(tmp_path / "absent"), tmp_path / "c")
        assert not (tmp_path / "c").exists()

    def test_a_command_that_does_not_exist_is_a_permanent_error(self, device: LocalDevice) -> None:
        with pytest.raises(PermanentDeviceError, match="could not be started"):
            device.run(["/no/such/program"], timeout=5)

    def test_close_leaves_nothing_behind(self, device: LocalDevice, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"content")
        remote = push_blob(device, tmp_path / "a")
        root = device.root
        device.close()
        device.close()
        assert not Path(remote).exists()
        assert not Path(root).exists()

    def test_an_unknown_device_is_refused(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'local'"):
            open_device("locl")


def test_a_process_that_prints_nonsense_delivers_no_result(tmp_path: Path) -> None:
    class Babbling(LocalDevice):
        def runtime_command_for(self, environment: str) -> list[str]:  # noqa: ARG002
            code = "import sys; print('{\"event\": \"result\"}'); print('hello'); sys.exit('no reason')"
            return [sys.executable, "-c", code]

    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    device = Babbling()
    try:
        with pytest.raises(
            ProtocolError,
            match=r"did not deliver a complete result; last line: 'hello'; standard error ends: 'no reason'",
        ):
            run_job(device, file, "tflite", QUICK, timeout=30)
    finally:
        device.close()


WITHOUT_TEMPORARY_FOLDER = """
import sys, tempfile
tempfile._candidate_tempdir_list = lambda: ["/nowhere"]
from dwsep_runtime.__main__ import leave, main
leave(main(["-"]))
"""


@pytest.mark.parametrize(
    "scenario",
    [ColdStart((sys.executable, *RUNTIME_ARGUMENTS), 1), ProfileOperators(0.1)],
    ids=lambda scenario: scenario.name,
)
def test_scenarios_that_write_files_need_no_temporary_folder(tmp_path: Path, scenario: Any) -> None:
    file = tmp_path / "small.tflite"
    file.write_bytes(small_tflite())
    reader = ResultReader("run-1")
    run_process(
        [sys.executable, "-c", WITHOUT_TEMPORARY_FOLDER],
        stdin=f"{json.dumps(job(file, 'tflite', scenario).to_json())}\n",
        timeout=60,
        on_line=reader.feed,
    )
    assert reader.result()["measured"]
    assert list(tmp_path.iterdir()) == [file]
