"""Bundles made of real packages, run behind the real adbd on a system that has neither Python nor a C library."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from dwsep_devices import bundle as bundles
from dwsep_devices.bundle import build_bundle, bundle_command
from dwsep_devices.errors import HostLacks, TransientDeviceError
from dwsep_devices.transport import quoted
from tests.android_fixtures import DATA, android, android_machine, android_running, text_of
from tests.made_models import onnx_network, tflite_network

__all__ = ["android", "android_machine", "android_running"]

TFLITE = """
import hashlib, sys
import numpy as np
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(given,) = interpreter.get_input_details()
values = np.resize(np.arange(-128, 128, 7), given["shape"]).astype(given["dtype"])
interpreter.set_tensor(given["index"], values)
interpreter.invoke()
for one in interpreter.get_output_details():
    print(one["dtype"].__name__, hashlib.sha256(interpreter.get_tensor(one["index"]).tobytes()).hexdigest())
"""

ONNX = """
import hashlib, sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(given,) = session.get_inputs()
shape = [size if isinstance(size, int) else 1 for size in given.shape]
values = np.resize(np.arange(0, 1, 0.001), shape).astype(np.float32)
for one in session.run(None, {given.name: values}):
    print(one.dtype, hashlib.sha256(one.tobytes()).hexdigest())
"""

TESTED = {
    "litert": (TFLITE, lambda: tflite_network(int8=True), ".tflite"),
    "onnxruntime": (ONNX, onnx_network, ".onnx"),
    "tflite-runtime": (TFLITE, lambda: tflite_network(int8=True), ".tflite"),
}


@pytest.fixture(scope="module")
def x86_64_host() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the Android-like machine is an x86_64 one")


def made(environment: str, machine: str) -> bundles.Bundle:
    try:
        return build_bundle(environment, machine)
    except (HostLacks, TransientDeviceError) as error:
        pytest.skip(str(error))


@pytest.mark.slow
@pytest.mark.parametrize("environment", TESTED)
def test_a_bundle_computes_on_the_device_what_this_host_computes(android, x86_64_host, tmp_path, environment):
    program, network, suffix = TESTED[environment]
    bundle = made(environment, "x86_64")
    model = tmp_path / f"model{suffix}"
    model.write_bytes(network())
    folder = f"{DATA}/{environment}"
    android.send(bundle.path, f"{DATA}/bundle.tar.gz", timeout=60)
    android.send(model, f"{DATA}/{model.name}", timeout=60)
    text_of(
        android, f"mkdir -p {folder} && cd {folder} && tar -xzf ../bundle.tar.gz && rm ../bundle.tar.gz", timeout=60
    )
    command = [*bundle_command(folder, "x86_64"), "-c", program, f"{DATA}/{model.name}"]
    there = text_of(android, " ".join(map(quoted, command)), timeout=60).split("\n")
    told = json.loads(text_of(android, f"cat {folder}/bundle.json"))
    text_of(android, f"rm -r {folder} {DATA}/{model.name}")
    assert told["packages"] == bundle.packages
    assert told["environment"] == environment
    if environment == "tflite-runtime":  # its release is another than this host's: it only has to run
        assert there[0].startswith("int8 ")
        return
    here = subprocess.run(
        [sys.executable, "-c", program, str(model)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
    )
    assert there[0] == here.stdout.strip()


@pytest.mark.slow
def test_a_bundle_made_again_has_the_same_bytes(tmp_path):
    first = made("tflite-runtime", "aarch64")
    content = first.path.read_bytes()
    for record in first.path.parent.glob("tflite-runtime-aarch64-*.json"):
        record.unlink()
    again = build_bundle("tflite-runtime", "aarch64")
    assert again == first
    assert again.path.read_bytes() == content


@pytest.mark.slow
def test_a_bundle_can_be_made_of_this_hosts_own_python(android, x86_64_host, monkeypatch, tmp_path):
    def lacking(*arguments, **options):
        raise HostLacks("local: apt-get is not installed")

    monkeypatch.setattr(bundles, "debian_python", lacking)
    monkeypatch.setattr(bundles, "_recipe", lambda *_: "of-this-host")
    bundle = made("litert", "x86_64")
    assert bundle.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = f"{DATA}/own"
    android.send(bundle.path, f"{DATA}/own.tar.gz", timeout=60)
    bundle.path.unlink()
    (bundle.path.parent / "litert-x86_64-of-this-host.json").unlink()
    text_of(android, f"mkdir {folder} && cd {folder} && tar -xzf ../own.tar.gz && rm ../own.tar.gz", timeout=60)
    program = "import ai_edge_litert.compiled_model, ctypes, numpy, sys; print(sys.version.split()[0])"
    command = [*bundle_command(folder, "x86_64"), "-c", program]
    said = text_of(android, " ".join(map(quoted, command)), timeout=60)
    text_of(android, f"rm -r {folder}")
    assert said.split() == [platform.python_version()]
