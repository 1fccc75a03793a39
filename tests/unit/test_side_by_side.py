"""Several devices at once: what a device's process does when it is interrupted, and when nothing can be measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from dwsep_devices import LocalDevice
from dwsep_export import open_artifact
from edge_dwsep.evaluate import Evaluation, evaluate
from edge_dwsep.measure import LatencySettings
from edge_dwsep.results import new_results
from edge_dwsep.side_by_side import measure_side_by_side
from tests.small_models import small_tflite

LIFE = """
import contextlib, sys, time
from edge_dwsep import side_by_side

@contextlib.contextmanager
def opened(name, **options):
    try:
        yield None
    finally:
        print("cleans up", flush=True)
        time.sleep(0.5)
        print("cleaned up", flush=True)

def wait_for_ever(*anything):
    print("begun", flush=True)
    time.sleep(60)

side_by_side.opened, side_by_side.evaluate = opened, wait_for_ever
side_by_side.new_results = lambda *anything: {}

class Pipe:
    def send(self, told): print("told", told)

class Device: description = {}
opened_as = side_by_side.opened

@contextlib.contextmanager
def with_description(name, **options):
    with opened_as(name, **options):
        yield Device()

side_by_side.opened = with_description
side_by_side._measure_on(Pipe(), "board", [], type("What", (), {"cost": ""}), {}, True)
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_interrupted_cleans_up_whatever_signals_follow(first):
    with subprocess.Popen([sys.executable, "-c", LIFE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signal.SIGINT)  # of the terminal, to all; the parent passes it on
        os.kill(process.pid, first)
        assert process.stdout.readline() == "cleans up\n"
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(process.pid, number)
        assert process.stdout.read() == "cleaned up\n"
        assert process.wait(10) == 0


def test_a_device_that_is_not_reached_is_described_and_its_runs_marked(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # where no machine of the lab is up
    model = tmp_path / "model.tflite"
    model.write_bytes(small_tflite())
    plan = [(open_artifact(model), "litert")]
    results = new_results("bench", {}, [])
    measure_side_by_side(["nobody", "lab-pi4"], plan, Evaluation(latency=LatencySettings()), results)
    assert results["devices"] == [
        {"name": "nobody", "kind": "", "emulated": False},
        {"name": "lab-pi4", "kind": "lab-pi4", "emulated": True},
    ]
    assert [(run["device"], run["emulated"], run["status"]) for run in results["runs"]] == [
        ("nobody", False, "failed"),
        ("lab-pi4", True, "failed"),
    ]
    assert results["runs"][0]["error_class"] == "UnknownDevice"


@pytest.mark.parametrize("emulated", [False, True])
def test_the_reference_of_an_emulated_device_is_marked_like_its_other_runs(tmp_path, monkeypatch, emulated):
    model = tmp_path / "model.tflite"
    model.write_bytes(small_tflite())

    def run_reference(device, first, title, what, results, on_step):
        results["runs"].append({"emulated": False, "is_reference": True})

    class Device(LocalDevice):
        name = "board"
        description = {"name": "board", "kind": "board", "emulated": emulated}  # noqa: RUF012

    monkeypatch.setattr("edge_dwsep.evaluate_accuracy.run_reference", run_reference)
    results = new_results("accuracy", {}, [Device.description])
    evaluate(Device(), [], Evaluation(reference=(open_artifact(model), "litert")), results)
    assert results["runs"] == [{"emulated": emulated, "is_reference": True}]
