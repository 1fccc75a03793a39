"""Device state, read from a made-up /proc and /sys."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from dwsep_runtime import state
from dwsep_runtime.state import device_facts, device_state, quick_state, run_command, yardstick_ns


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


RASPBERRY_PI = {
    "proc/loadavg": "0.42 0.30 0.20 1/150 1234\n",
    "proc/meminfo": "MemTotal:        3884444 kB\nMemAvailable:    3400000 kB\nHugePages_Total:       0\n",
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": "processor : 0\nmodel name : ARMv7\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "proc/stat": "cpu  100 20 30 400 50 6 7 8 90 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n",
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "51000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq": "600000\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "700000\n",
}


DUMPSYS = """IsStatusOverride: false
Thermal Status: 3
Cached temperatures:
\tTemperature{mValue=71.5, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=45.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=31.25, mType=3, mName=SKIN, mStatus=0}
\tTemperature{mValue=-99.9, mType=5, mName=PA, mStatus=0}
\tTemperature{mValue=98.0, mType=8, mName=soc, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=TYPE_CPU}
"""


def answers(**texts: str) -> state.Run:
    def run(command: Sequence[str]) -> str | None:
        return texts.get(command[0])

    return run


SILENT = answers()


def test_what_a_device_tells_is_read(tmp_path: Path) -> None:
    write(tmp_path, RASPBERRY_PI)
    told = device_state(tmp_path, SILENT)
    assert told.pop("monotonic_ns") <= time.monotonic_ns()
    assert told.pop("involuntary_switches") >= 0
    assert told == {
        "load_1min": 0.42,
        "memory_available_bytes": 3_400_000 * 1024,
        "temperature_c": 51.0,
        "zones_c": {"cpu-thermal": 48.312, "thermal_zone1": 51.0},
        "frequency_mhz": [1500.0, 700.0, 600.0],
        "frequency_cores": [0, 2, 10],
        "governor": ["ondemand", "ondemand"],
        "throttled": "50005",
        "throttled_now": ["under-voltage", "throttled"],
        "throttled_since_boot": ["under-voltage", "throttled"],
        "cpu_ticks": 621,
        "cpu_steal_ticks": 8,
    }
    facts = device_facts(tmp_path, SILENT)
    assert facts["product"] is None
    assert facts["cpu"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["memory_bytes"] == 3_884_444 * 1024
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"


def test_what_a_device_does_not_tell_is_none(tmp_path: Path) -> None:
    told = device_state(tmp_path, SILENT)
    assert {name for name, value in told.items() if value is not None} == {"monotonic_ns", "involuntary_switches"}
    facts = device_facts(tmp_path, SILENT)
    assert facts["product"] is None
    assert facts["cpu"] is None
    assert facts["memory_bytes"] is None
    assert facts["cores"] >= 1


def test_a_quick_look_agrees_with_the_whole_state(tmp_path: Path) -> None:
    write(tmp_path, RASPBERRY_PI)
    quick, whole = quick_state(tmp_path), device_state(tmp_path, SILENT)
    assert quick.pop("monotonic_ns") <= whole["monotonic_ns"]
    assert quick == {name: whole[name] for name in quick}
    assert {"temperature_c", "frequency_mhz", "throttled_now", "load_1min"} <= set(quick)


def test_a_quick_look_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert quick_state(tmp_path)["throttled"] is None


@pytest.mark.parametrize("reading", ["N/A", "", "-273000", "200000"])
def test_a_sensor_that_is_not_there_is_left_out(tmp_path: Path, reading: str) -> None:
    write(
        tmp_path,
        {"sys/class/thermal/thermal_zone0/temp": reading, "sys/class/thermal/thermal_zone1/temp": "40000\n"},
    )
    told = device_state(tmp_path, SILENT)
    assert told["temperature_c"] == 40.0
    assert told["zones_c"] == {"thermal_zone1": 40.0}


def test_zones_of_one_type_are_their_hottest(tmp_path: Path) -> None:
    for number, celsius in enumerate([41, 47, 44]):
        folder = f"sys/class/thermal/thermal_zone{number}"
        write(tmp_path, {f"{folder}/temp": f"{celsius}000\n", f"{folder}/type": "cpu\n"})
    assert device_state(tmp_path, SILENT)["zones_c"] == {"cpu": 47.0}


@pytest.mark.parametrize(
    ("answer", "flags", "now", "since"),
    [
        ("throttled=0x0\n", "0", [], []),
        ("throttled=0x50005\n", "50005", ["under-voltage", "throttled"], ["under-voltage", "throttled"]),
        ("throttled=0xa0000\n", "a0000", [], ["frequency capped", "soft temperature limit"]),
        ("throttled=0x8\n", "8", ["soft temperature limit"], []),
        ("VCHI initialization failed\n", None, None, None),
    ],
)
def test_throttle_flags_are_asked_of_vcgencmd_and_put_in_words(
    tmp_path: Path, answer: str, flags: str | None, now: list[str] | None, since: list[str] | None
) -> None:
    told = device_state(tmp_path, answers(vcgencmd=answer))
    assert (told["throttled"], told["throttled_now"], told["throttled_since_boot"]) == (flags, now, since)


def test_the_firmware_s_file_goes_before_vcgencmd(tmp_path: Path) -> None:
    write(tmp_path, {state.THROTTLED: "2\n"})
    assert device_state(tmp_path, answers(vcgencmd="throttled=0x1\n"))["throttled_now"] == ["frequency capped"]


def test_android_tells_its_thermal_status_and_temperatures(tmp_path: Path) -> None:
    told = device_state(tmp_path, answers(dumpsys=DUMPSYS))
    assert told["throttled_now"] == ["thermal status severe"]
    assert told["throttled_since_boot"] is None
    assert told["zones_c"] == {"CPU0": 45.5, "SKIN": 31.25}
    assert told["temperature_c"] == 45.5
    assert device_state(tmp_path, answers(dumpsys="Thermal Status: 0\n"))["throttled_now"] == []
    assert device_facts(tmp_path, answers(getprop="Pixel 7\n"))["product"] == "Pixel 7"


@pytest.mark.parametrize("stat", ["", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8 9 10\n", "cpu a b c d e f g h i j\n"])
def test_counters_in_an_unknown_form_are_none(tmp_path: Path, stat: str) -> None:
    write(tmp_path, {"proc/stat": stat})
    told = device_state(tmp_path, SILENT)
    assert told["cpu_ticks"] is told["cpu_steal_ticks"] is None


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["echo", "throttled=0x0"], "throttled=0x0\n"),
        (["false"], None),
        (["no-such-program-anywhere"], None),
        (["sh", "-c", "sleep 60 & wait"], None),
    ],
)
def test_a_command_that_tells_nothing_is_none(
    command: list[str], printed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "COMMAND_SECONDS", 0.3)
    begin = time.monotonic()
    assert run_command(command) == printed
    assert time.monotonic() - begin < 30


def test_the_yardstick_is_the_median_of_its_readings_after_the_first() -> None:
    lengths = [900, 30, 10, 50, 20, 40]
    readings = itertools.chain.from_iterable((0, length) for length in lengths)
    assert yardstick_ns(5, lambda: next(readings)) == 30


def test_the_yardstick_takes_a_measurable_time() -> None:
    assert yardstick_ns(3) > 100_000
