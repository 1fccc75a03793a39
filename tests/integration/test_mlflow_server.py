import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.tracking import TrackingError, log_results

pytestmark = pytest.mark.slow

RUN = {
    "id": "a" * 64,
    "device": "local",
    "emulated": False,
    "model": "mobilenet_v1_0.25_32",
    "variant": "tflite-w8a8",
    "format": "tflite",
    "scheme": "w8a8",
    "engine": "litert",
    "engine_version": "2.3.0",
    "threads": 2,
    "batch": 1,
    "engine_options": {"accelerator": "cpu"},
    "file": "mobilenet_v1_0.25_32-w8a8.tflite",
    "file_bytes": 314_000,
    "sha256": "b" * 64,
    "status": "ok",
    "valid": True,
    "error": None,
    "latency": {
        "count": 2048,
        **{f"p{q}_ms": 0.05 + q / 1000 for q in (50, 90, 95, 99)},
        **{f"p{q}_interval_ms": [0.049 + q / 1000, 0.052 + q / 1000] for q in (50, 90, 95)},
        "p99_interval_ms": None,
    },
    "memory": {"peak_bytes": 57_000_000},
    "accuracy": {"top1": 0.92, "top1_interval": [0.91, 0.93], "top5": 0.99, "top5_interval": [0.98, 0.995]},
    "agreement": {"top1": 0.98, "interval": [0.97, 0.99]},
    "cost": None,
    "warnings": ["two speeds", "<b>bold</b>"],
    "launches": [{"round": 0, "started": "2026-11-25T10:00:00Z", "p50_ms": 0.1}],
}
FAILED = {
    **RUN,
    "id": "c" * 64,
    "engine": "tflite",
    "status": "failed",
    "valid": False,
    "error": "no kernel for CONV_2D",
    "latency": None,
    "memory": None,
    "accuracy": None,
    "agreement": None,
    "launches": [],
}
MODEL = {
    "name": "mobilenet_v1_0.25_32",
    "architecture": "mobilenet_v1",
    "alpha": 0.25,
    "input_shape": [32, 32, 1],
    "macs": 845_000,
    "params": 218_000,
}


def results_of(sweep_id, runs):
    return {
        "command": "edge-dwsep sweep 'it''s'; rm -rf /",
        "created": "2026-11-25T10:00:00Z",
        "versions": {"edge-dwsep": "0.1.0", "python": "3.11"},
        "models": [MODEL],
        "data": {"name": "fashion-mnist", "count": 10_000, "sha256": "d" * 64},
        "sweep": {
            "id": sweep_id,
            "name": "widths\nand 'schemes'",
            "plan": {"model": ["mobilenet_v1"], "alpha": [0.25]},
            "excluded": [{"what": "onnx-float16", "reason": "ONNX has none"}],
            "started": "2026-11-25T10:00:00Z",
            "finished": "2026-11-25T10:05:00Z",
        },
        "runs": runs,
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """URL of a real server of MLflow on loopback, with a database of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'own.sqlite'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health", process, folder / "log")
            yield url
        finally:
            end(process)


def wait_for(url, process, log):
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # of our own server
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    pytest.fail(log.read_text())


def end(process):
    """End a server and its workers, which are of its session."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / RUN["file"]).write_bytes(b"a model")
    (tmp_path / "artifacts" / f"{RUN['file']}.manifest.json").write_text("{}")
    (tmp_path / "results.json").write_text("{}")
    (tmp_path / "report.html").write_text("<!doctype html>")
    return tmp_path


def client_of(server):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=server)


def below(client, logged):
    condition = f"tags.mlflow.parentRunId = '{logged.run_id}'"
    runs = client.search_runs([logged.experiment_id], condition)
    return {run.data.params["engine"]: run for run in runs}


def files_of(client, run_id, path=None):
    found: list[str] = []
    for entry in client.list_artifacts(run_id, path):
        found += files_of(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return sorted(found)


def text_of(client, run_id, path):
    address = f"{client.tracking_uri}/get-artifact?{urllib.parse.urlencode({'run_uuid': run_id, 'path': path})}"
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310  # of our own server
        return answer.read()


def test_a_sweep_and_its_runs_are_logged(server, folder, capfd):
    logged = log_results(results_of("first", [RUN, FAILED]), folder, server, "whole sweep")
    assert capfd.readouterr().out == ""
    client = client_of(server)
    assert (logged.new, logged.kept) == (2, 0)
    parent = client.get_run(logged.run_id)
    assert parent.info.run_name == "widths and 'schemes'"
    assert parent.info.status == "FINISHED"
    assert parent.info.end_time - parent.info.start_time == 300_000
    assert parent.data.metrics == {"runs": 2, "failed": 1, "left_out": 1}
    assert files_of(client, logged.run_id) == ["plan.json", "report.html", "results.json"]
    runs = below(client, logged)
    good, bad = runs["litert"], runs["tflite"]
    assert good.info.status == "FINISHED"
    assert {"model": "mobilenet_v1_0.25_32", "alpha": "0.25", "resolution": "32", "threads": "2"}.items() <= (
        good.data.params.items()
    )
    assert good.data.params["engine_option.accelerator"] == "cpu"
    assert good.data.metrics["p50_ms"] == pytest.approx(0.1)
    assert good.data.metrics["p50_ms_low"] == pytest.approx(0.099)
    assert good.data.metrics["top1_high"] == pytest.approx(0.93)
    assert "p99_ms_low" not in good.data.metrics
    assert good.data.metrics["macs"] == 845_000
    assert good.data.tags["warnings"] == "two speeds\n<b>bold</b>"
    assert files_of(client, good.info.run_id) == [
        f"model/{RUN['file']}",
        f"model/{RUN['file']}.manifest.json",
        "run.json",
    ]
    assert json.loads(text_of(client, good.info.run_id, "run.json"))["id"] == RUN["id"]
    assert bad.info.status == "FAILED"
    assert bad.data.tags["error"] == "no kernel for CONV_2D"


def test_what_is_there_is_not_logged_again_and_what_is_new_is_added(server, folder):
    first = log_results(results_of("second", [RUN]), folder, server, "twice")
    again = log_results(results_of("second", [RUN]), folder, server, "twice")
    more = log_results(results_of("second", [{**RUN, "reused": True}, FAILED]), folder, server, "twice")
    other = log_results(results_of("third", [RUN]), folder, server, "twice")
    assert [(one.new, one.kept) for one in (first, again, more, other)] == [(1, 0), (0, 1), (1, 1), (1, 0)]
    assert first.run_id == again.run_id == more.run_id != other.run_id
    client = client_of(server)
    assert len(client.search_runs([first.experiment_id])) == 5
    (good,) = [run for run in below(client, more).values() if run.info.status == "FINISHED"]
    assert len(client.get_metric_history(good.info.run_id, "p50_ms")) == 1


def test_logging_that_broke_off_is_gone_on_with(server, folder):
    from edge_dwsep import tracking

    client = client_of(server)
    logged = log_results(results_of("fourth", [RUN, FAILED]), folder, server, "broken off")
    run = below(client, logged)["litert"]
    client.delete_tag(run.info.run_id, tracking.CONTENT)
    again = log_results(results_of("fourth", [RUN, FAILED]), folder, server, "broken off")
    assert (again.new, again.kept) == (1, 1)
    assert below(client, again)["litert"].info.run_id == run.info.run_id
    assert len(client.search_runs([logged.experiment_id])) == 3


def test_a_deleted_experiment_is_told(server, folder):
    logged = log_results(results_of("fifth", []), folder, server, "to be deleted")
    client_of(server).delete_experiment(logged.experiment_id)
    with pytest.raises(TrackingError, match="'to be deleted' was deleted; restore it"):
        log_results(results_of("fifth", [RUN]), folder, server, "to be deleted")


def test_a_server_that_is_not_there_is_told_in_one_line_without_its_password(folder):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(TrackingError) as told:
            log_results(results_of("sixth", [RUN]), folder, f"http://me:s3cret@127.0.0.1:{port}")
    assert "did not take the results" in str(told.value)
    assert "s3cret" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("uri", ["mlruns", "/tmp/mlruns", "ftp://host", ""])  # noqa: S108  # refused
def test_what_mlflow_does_not_log_to_is_refused(folder, uri):
    with pytest.raises(InvalidInput, match="give http://HOST:PORT of a server"):
        log_results(results_of("seventh", [RUN]), folder, uri)
