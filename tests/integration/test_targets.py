"""The whole road on every kind of target: probe, provision, push, bench and accuracy in both formats, remove."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dwsep_devices import Device, LocalDevice
from dwsep_devices.adb import AdbTransport
from dwsep_devices.profile import load_profile
from dwsep_devices.provision import provision
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.ssh import SshTransport
from dwsep_export import open_artifact
from edge_dwsep.datasets.evaluation import open_evaluation
from edge_dwsep.evaluate import Evaluation, evaluate
from edge_dwsep.measure import LatencySettings
from edge_dwsep.measured_accuracy import AccuracySettings, EvaluationFiles, evaluation_files
from edge_dwsep.measured_agreement import keep_outputs
from edge_dwsep.results import new_results
from tests.android_fixtures import android_machine, android_running
from tests.conftest import Demo
from tests.lab_fixtures import lab_pi4
from tests.ssh_fixtures import ALIAS, ssh_host

__all__ = ["android_machine", "android_running", "lab_pi4", "ssh_host"]

pytestmark = pytest.mark.slow

TARGETS = {"board": "x86_64", "lab-pi4": "aarch64", "lab-android": "x86_64"}


ONE_STEP_APART = ("lab-pi4", "litert")
"""TensorFlow Lite's kernels for Arm round some of the last layer's values otherwise than those for x86."""

STEP = 1 / 256
"""Of the quantized probabilities."""


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Iterator[RemoteDevice]:
    if request.param == "board":
        host = request.getfixturevalue("ssh_host")
        device = RemoteDevice(SshTransport("board", ALIAS, host.options), host.profile)
    elif request.param == "lab-pi4":
        connection = request.getfixturevalue("lab_pi4")
        profile = replace(load_profile("lab-pi4"), root="~/.edge-dwsep-targets")
        device = RemoteDevice(SshTransport("lab-pi4", connection.host, connection.ssh_options), profile)
    else:
        running = request.getfixturevalue("android_running")
        profile = replace(load_profile("lab-android"), root="/data/local/tmp/edge-dwsep-targets")
        device = RemoteDevice(AdbTransport("lab-android", running.serial, running.adb_port), profile)
    with contextlib.closing(device):
        yield device


@pytest.fixture(scope="session")
def data() -> Iterator[EvaluationFiles]:
    with evaluation_files(open_evaluation("fashion-mnist-sample")) as files:
        yield files


def measured(device: Device, file: Path, engine: str, what: Evaluation) -> dict[str, Any]:
    results = new_results("test", {}, [device.description])
    evaluate(device, [(open_artifact(file), engine)], what, results)
    (run,) = results["runs"]
    assert run["status"] == "ok", run["error"]
    return {**run, "on": results["devices"][0]}


def outputs(device: Device, file: Path, engine: str, data: EvaluationFiles, to: Path) -> NDArray[Any]:
    """All outputs of a model for the data set, as the device computed them."""
    artifact = open_artifact(file)
    assert artifact.manifest is not None
    preprocessing = artifact.manifest.preprocessing
    _, kept = keep_outputs(
        device, artifact, engine, data, AccuracySettings(), preprocessing=preprocessing, title="test"
    )
    (one,) = kept.kept
    device.pull(one.path, to)
    found: NDArray[Any] = np.load(to)
    assert len(found) == len(data.data)
    return found


def test_from_probe_to_remove(target: RemoteDevice, demo: Demo, data: EvaluationFiles, tmp_path: Path) -> None:
    facts = target.facts()
    assert facts.machine == TARGETS[target.name]
    assert facts.bits == 64
    assert (facts.libc == "bionic") == (target.name == "lab-android")
    latency = LatencySettings(min_samples=20, min_seconds=0.1, processes=1, max_warmup_seconds=0.2)
    for ending, engine in (("w8a8.tflite", "litert"), ("w8a8.onnx", "onnxruntime")):
        environment = provision(target, engine)
        assert engine in environment.engines
        file = demo.artifact(ending)
        run = measured(target, file, engine, Evaluation(latency=latency))
        assert run["latency"]["count"] >= 20
        assert run["environment"]["hash"] == environment.environment_hash
        assert run["on"]["emulated"] == (target.name != "board")
        assert run["on"]["machine"] == TARGETS[target.name]
        what = Evaluation(accuracy=AccuracySettings(), files=data)
        there = measured(target, file, engine, what)["accuracy"]
        with contextlib.closing(LocalDevice()) as local:
            here = measured(local, file, engine, what)["accuracy"]
            ours = outputs(local, file, engine, data, tmp_path / "here")
        its = outputs(target, file, engine, data, tmp_path / "there")
        if (target.name, engine) == ONE_STEP_APART:
            assert np.max(np.abs(ours - its)) <= STEP
            assert np.mean(ours != its) < 0.01
        else:
            assert np.array_equal(ours, its)
        assert (there["top1"], there["predictions"]) == (here["top1"], here["predictions"])
    root = target.root
    target.wipe()
    assert target.ask(f"[ -e {root} ] || echo gone") == "gone\n"
    assert target.ask(f"[ -e {target.profile.lease} ] || echo gone") == "gone\n"
