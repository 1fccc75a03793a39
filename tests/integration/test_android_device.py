"""The whole road to an Android device: probed, given an environment, measured, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dwsep_devices import run_job
from dwsep_devices.adb import AdbTransport
from dwsep_devices.benchmark_runner import run_benchmark_model
from dwsep_devices.errors import DeviceFull, DeviceUnsuitable, HostLacks, TransientDeviceError
from dwsep_devices.lab.android import AndroidMachine
from dwsep_devices.profile import load_profile
from dwsep_devices.provision import provision
from dwsep_devices.remote import RemoteDevice
from dwsep_runtime.scenarios import SingleStream
from tests.android_fixtures import DATA, android, android_machine, android_running
from tests.small_models import small_onnx, small_tflite
from tests.unit.test_benchmark_runner import GPU

__all__ = ["android", "android_machine", "android_running"]

QUICK = SingleStream(min_samples=30, min_seconds=0.05)


@pytest.fixture
def phone(android: AdbTransport) -> Iterator[RemoteDevice]:
    device = RemoteDevice(android, load_profile("lab-android"))
    yield device
    device.close()


@pytest.fixture
def new_phone(android: AdbTransport) -> Iterator[RemoteDevice]:
    """The same machine, with a folder of ours that nothing was brought to yet."""
    device = RemoteDevice(android, replace(load_profile("lab-android"), root=f"{DATA}/new"))
    yield device
    device.ask(f"rm -rf {DATA}/new")
    device.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "engine", "model", "suffix"),
    [("litert", "litert", small_tflite, ".tflite"), ("onnxruntime", "onnxruntime", small_onnx, ".onnx"),
     ("tflite-runtime", "tflite", small_tflite, ".tflite")],
)  # fmt: skip
def test_a_model_is_measured_in_an_environment_that_was_brought_there(
    phone, tmp_path, environment, engine, model, suffix
):
    try:
        made = provision(phone, environment)
    except (HostLacks, TransientDeviceError) as error:  # of packages that cannot be fetched here
        pytest.skip(str(error))
    assert made.engines
    steps: list[str] = []
    assert provision(phone, environment, steps.append) == made
    assert steps == []
    if environment == "tflite-runtime":
        return  # its engine is litert's here too
    file = tmp_path / f"model{suffix}"
    file.write_bytes(model())
    result = run_job(phone, file, engine, QUICK, timeout=120)
    assert result["measured"]["samples_ns"]["shape"][0] >= 30
    assert result["engine"]["version"] == made.engines[engine]


def test_a_phone_with_32_bit_programs_is_refused_with_the_reason(new_phone, android_machine: AndroidMachine):
    before = android_machine.properties.read_text()
    android_machine.properties.write_text(before.replace("abi=x86_64", "abi=armeabi-v7a"))
    try:
        with pytest.raises(DeviceUnsuitable, match=r"phone: .*armeabi-v7a|phone: .*32-bit"):
            provision(new_phone, "litert")
    finally:
        android_machine.properties.write_text(before)


def test_an_emulator_with_16_kib_pages_is_refused_with_the_reason(new_phone, android_machine: AndroidMachine):
    before = android_machine.properties.read_text()
    android_machine.properties.write_text(f"{before}edge_dwsep.page_size=16384\n")
    try:
        with pytest.raises(DeviceUnsuitable, match="its memory pages have 16384 bytes"):
            provision(new_phone, "litert")
    finally:
        android_machine.properties.write_text(before)


@pytest.mark.slow
def test_a_device_with_too_little_space_says_how_much_is_needed(android_machine: AndroidMachine):
    machine = AndroidMachine(f"{android_machine.name}-tiny")
    running = machine.up(data_bytes=50 << 20)
    device = RemoteDevice(AdbTransport("tiny", running.serial, running.adb_port), load_profile("lab-android"))
    try:
        with pytest.raises(DeviceFull, match=r"^tiny: environment litert .*MB"):
            provision(device, "litert")
        assert "bundle.json" not in device.ask(f"ls -R {DATA}")
    finally:
        device.close()
        machine.down()


def test_a_native_tool_is_brought_there_and_run(phone, tmp_path: Path):
    tool, model = tmp_path / "benchmark_model", tmp_path / "-a model.tflite"
    tool.write_text(f"#!/system/bin/sh\n[ -f \"${{1#--graph=}}\" ] || exit 3\ncat <<'end'\n{GPU}end\n")
    model.write_bytes(small_tflite())
    told = run_benchmark_model(phone, tool, model, threads=1, timeout=30, arguments=["--use_gpu=true"])
    assert told["mean_us"] == 74481.6
    assert told["delegated"] is True


def test_a_tool_built_for_another_machine_is_refused(phone, tmp_path: Path):
    tool, model = tmp_path / "benchmark_model", tmp_path / "model.tflite"
    tool.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(200))
    model.write_bytes(small_tflite())
    with pytest.raises(DeviceUnsuitable, match=r"phone: benchmark_model does not run there"):
        run_benchmark_model(phone, tool, model, threads=1, timeout=30)
