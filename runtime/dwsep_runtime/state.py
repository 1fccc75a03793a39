"""The state of the device around a measurement: read from Linux where it is told, None where it is not."""

from __future__ import annotations

__all__ = ["device_facts", "device_state", "quick_state", "run_command", "yardstick_ns"]

import contextlib
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

SYSTEM = Path("/")
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
"""Where Raspberry Pi OS tells the firmware's throttle flags."""

THROTTLE_FLAGS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""Bits 0-3 of a Raspberry Pi's flags, "now"; bits 16-19 say the same of the time since it started.

Source: Raspberry Pi documentation, "vcgencmd", get_throttled.
"""
SINCE_BOOT_SHIFT = 16

THERMAL_STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Android's thermal status 0-6; all but the first are throttling (android.os.PowerManager, THERMAL_STATUS_*)."""

ANDROID_TEMPERATURES = frozenset({0, 1, 2, 3, 4, 5, 9})
"""mType of what is a temperature: CPU, GPU, battery, skin, USB port, power amplifier, NPU.

6-8 are a voltage, a current and a share of charge (android.os.Temperature, TYPE_*).
"""

PLAUSIBLE_C = (-40.0, 150.0)
"""Degrees Celsius between which electronics works; drivers give others for sensors that are not there."""

COMMAND_SECONDS = 2.0
"""Seconds after which a command that tells nothing is given up: it stands between the user and the measurement."""

STEAL_FIELD = 7
TICK_FIELDS = 8
"""Fields of the first line of /proc/stat; the two after these, guest time, are contained in them (man 5 proc)."""

YARDSTICK_STEPS = 16_000
"""Takes 1-2 ms on a core of 2-3 GHz, a few times that on a Raspberry Pi: longer than the clock's noise by far."""

Run = Callable[[Sequence[str]], Optional[str]]


def run_command(command: Sequence[str]) -> Optional[str]:
    """What a program prints; None where it is not installed, fails, or takes longer than two seconds.

    Args:
        command: name of a program, looked for on PATH, and its arguments.
    """
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    with process:
        try:
            output, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return None if process.returncode else output.decode(errors="replace")


def device_facts(root: Path = SYSTEM, run: Run = run_command) -> dict[str, Any]:
    """What does not change while the device runs: CPU, cores, memory, system.

    Args:
        root: where proc and sys are found.
        run: gives what a command prints, or None.
    """
    memory = _meminfo(root).get("MemTotal")
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "product": (run(["getprop", "ro.product.model"]) or "").strip() or None,
        "cpu": _cpu_name(root),
        "cores": len(usable),
        "memory_bytes": memory,
        "machine": platform.machine(),
        "os": _os_name(root),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def device_state(root: Path = SYSTEM, run: Run = run_command) -> dict[str, Any]:
    """What may change from one measurement to the next.

    Args:
        root: where proc and sys are found.
        run: gives what a command prints, or None.

    Returns:
        All of :func:`quick_state`, and ``memory_available_bytes``, ``zones_c`` (temperature of each thermal zone by its
        type, the hottest of those that share one), ``governor`` (a list, one a core that tells), ``cpu_ticks`` and
        ``cpu_steal_ticks`` (of all cores since they started; steal is what a hypervisor gave to others) and
        ``involuntary_switches`` (how often this process lost its core to another, since it started). Where the files
        do not tell, ``vcgencmd`` is asked for a Raspberry Pi's throttle flags, ``dumpsys`` for Android's thermal status
        and temperatures. None for what the device does not tell.
    """
    state = quick_state(root)
    zones = _zones(root)
    if state["throttled"] is None:
        answer = re.search(r"throttled=0x([0-9a-fA-F]+)", run(["vcgencmd", "get_throttled"]) or "")
        state.update(_throttling(answer.group(1) if answer else None))
    thermal = run(["dumpsys", "thermalservice"]) or ""
    status = re.search(r"Thermal Status: (\d+)", thermal)
    if state["throttled_now"] is None and status:
        level = min(int(status.group(1)), len(THERMAL_STATUS) - 1)
        state["throttled_now"] = [f"thermal status {THERMAL_STATUS[level]}"] if level else []
    zones = zones or _android_zones(thermal)
    governors = [_read(f"{core}/cpufreq/scaling_governor") for core in _cores(root).values()]
    total, steal = _ticks(root)
    return {
        **state,
        "memory_available_bytes": _meminfo(root).get("MemAvailable"),
        "temperature_c": max(zones.values()) if zones else None,
        "zones_c": zones or None,
        "governor": [value for value in governors if value] or None,
        "cpu_ticks": total,
        "cpu_steal_ticks": steal,
        "involuntary_switches": resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
    }


def quick_state(root: Path = SYSTEM) -> dict[str, Any]:
    """What can be read from files alone, so quickly that it may be asked between inferences.

    Args:
        root: where proc and sys are found.

    Returns:
        ``monotonic_ns`` (when it was read), ``load_1min`` (runnable processes), ``temperature_c`` (hottest thermal
        zone), ``frequency_mhz`` (a list, one a core that tells) and ``frequency_cores`` (the numbers of those cores),
        ``throttled`` (a Raspberry Pi's flags in hexadecimal), ``throttled_now`` and ``throttled_since_boot`` (the same
        in words; empty for none). None for what the device does not tell.
    """
    now = time.monotonic_ns()
    load = _read(f"{root}/proc/loadavg")
    zones = _zones(root)
    frequencies = {
        number: int(value) / 1000
        for number, core in _cores(root).items()
        for value in [_read(f"{core}/cpufreq/scaling_cur_freq")]
        if value and value.isdigit()
    }
    return {
        "monotonic_ns": now,
        "load_1min": float(load.split()[0]) if load else None,
        "temperature_c": max(zones.values()) if zones else None,
        "frequency_mhz": list(frequencies.values()) or None,
        "frequency_cores": list(frequencies) or None,
        **_throttling(_read(f"{root}/{THROTTLED}")),
    }


def yardstick_ns(repeats: int = 5, clock: Callable[[], int] = time.thread_time_ns) -> int:
    """Median nanoseconds of a fixed piece of arithmetic: how fast this core is right now.

    The steps are whole numbers of one size added and multiplied, in registers and the first cache, so that their time
    depends on the core's clock alone; it is this thread's time, so that other processes do not count. Taken before and
    after a run, in one process, it tells a change of clock also where cpufreq does not. Take the first one after
    warm-up: a governor lets an idle core be slow. It compares nothing but one process with itself.

    Args:
        repeats: readings of which the median is taken; one more is made before them and not counted.
        clock: nanoseconds.
    """
    times = []
    for _ in range(repeats + 1):
        begin = clock()
        value = 1
        for _ in range(YARDSTICK_STEPS):
            value = (value * 5167 + 12_345) & 0xFFFF
        times.append(clock() - begin)
    return sorted(times[1:])[repeats // 2]


def _throttling(flags: Optional[str]) -> dict[str, Any]:
    """A Raspberry Pi's flags, hexadecimal, as they are and in words."""
    try:
        bits = int(flags or "", 16)
    except ValueError:
        return {"throttled": flags or None, "throttled_now": None, "throttled_since_boot": None}
    now, since = (
        [words for bit, words in enumerate(THROTTLE_FLAGS) if bits >> (bit + shift) & 1]
        for shift in (0, SINCE_BOOT_SHIFT)
    )
    return {"throttled": flags, "throttled_now": now, "throttled_since_boot": since}


def _cores(root: Path) -> dict[int, str]:
    """Folder of each core, by its number."""
    folder = f"{root}/sys/devices/system/cpu"
    numbers = sorted(int(name[3:]) for name in _names(folder) if name.startswith("cpu") and name[3:].isdigit())
    return {number: f"{folder}/cpu{number}" for number in numbers}


def _zones(root: Path) -> dict[str, float]:
    """Degrees Celsius of each thermal zone by its type, or its folder's name where it has none."""
    folder = f"{root}/sys/class/thermal"
    readings = []
    for name in sorted(name for name in _names(folder) if name.startswith("thermal_zone")):
        value = _read(f"{folder}/{name}/temp")
        if value and value.lstrip("-").isdigit():
            readings.append((_read(f"{folder}/{name}/type") or name, int(value) / 1000))
    return _hottest(readings)


def _android_zones(thermal: str) -> dict[str, float]:
    """Degrees Celsius by sensor from ``dumpsys thermalservice``: those read now, not those kept from earlier."""
    _, _, current = thermal.partition("Current temperatures from HAL:")
    readings = []
    for line in current.partition("Current cooling devices")[0].splitlines():
        found = re.search(r"Temperature\{mValue=(-?[\d.]+), mType=(-?\d+), mName=([^,]+),", line)
        if found and int(found.group(2)) in ANDROID_TEMPERATURES:
            readings.append((found.group(3), float(found.group(1))))
    return _hottest(readings)


def _hottest(readings: list[tuple[str, float]]) -> dict[str, float]:
    zones: dict[str, float] = {}
    for name, celsius in readings:
        if PLAUSIBLE_C[0] <= celsius <= PLAUSIBLE_C[1]:
            zones[name] = max(celsius, zones.get(name, celsius))
    return zones


def _ticks(root: Path) -> tuple[Optional[int], Optional[int]]:
    """Clock ticks of all cores, and those of them that were stolen, from the first line of /proc/stat."""
    name, *fields = ((_read(f"{root}/proc/stat") or "").partition("\n")[0]).split() or [""]
    if name != "cpu" or len(fields) < TICK_FIELDS or not all(field.isdigit() for field in fields):
        return None, None
    return sum(int(field) for field in fields[:TICK_FIELDS]), int(fields[STEAL_FIELD])


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  # pathlib takes twice as long
    except OSError:
        return []


def _read(path: str) -> Optional[str]:
    """A whole file as text, in a third of the time that ``open`` takes."""
    chunks = []
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while chunk := os.read(file, 65536):
                chunks.append(chunk)
        finally:
            os.close(file)
    except OSError:
        return None
    return b"".join(chunks).decode(errors="replace").strip("\0\n ")


def _meminfo(root: Path) -> dict[str, int]:
    """Sizes from /proc/meminfo, in bytes."""
    sizes = {}
    for line in (_read(f"{root}/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            sizes[name] = int(number[0]) * 1024
    return sizes


def _cpu_name(root: Path) -> Optional[str]:
    model = _read(f"{root}/proc/device-tree/model")
    if model:
        return model
    for line in (_read(f"{root}/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware", "Model"):
            return value.strip()
    return None


def _os_name(root: Path) -> str:
    for line in (_read(f"{root}/etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip('"')
    return platform.system()
