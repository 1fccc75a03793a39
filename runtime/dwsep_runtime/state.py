"""The state of the device around a measurement: read from Linux where it is told, None where it is not."""

from __future__ import annotations

__all__ = ["device_facts", "device_state"]

import os
import platform
from pathlib import Path
from typing import Any, Optional

SYSTEM = Path("/")
THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
"""Where Raspberry Pi OS tells the firmware's throttle flags."""


def device_facts(root: Path = SYSTEM) -> dict[str, Any]:
    """What does not change while the device runs: CPU, cores, memory, system.

    Args:
        root: where proc and sys are found.
    """
    memory = _meminfo(root).get("MemTotal")
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "cpu": _cpu_name(root),
        "cores": len(usable),
        "memory_bytes": memory,
        "machine": platform.machine(),
        "os": _os_name(root),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def device_state(root: Path = SYSTEM) -> dict[str, Any]:
    """What may change from one measurement to the next.

    Args:
        root: where proc and sys are found.

    Returns:
        ``load_1min`` (runnable processes), ``memory_available_bytes``, ``temperature_c`` (hottest thermal zone),
        ``frequency_mhz`` and ``governor`` (a list, one a core that tells), ``throttled`` (a Raspberry Pi's flags in
        hexadecimal, as ``vcgencmd get_throttled`` explains them); None for what the device does not tell.
    """
    load = _read(root / "proc/loadavg")
    zones = [_read(zone / "temp") for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*"))]
    temperatures = [int(zone) / 1000 for zone in zones if zone and zone.lstrip("-").isdigit()]
    cores = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"), key=lambda core: int(core.name[3:]))
    frequencies = [_read(core / "cpufreq/scaling_cur_freq") for core in cores]
    governors = [_read(core / "cpufreq/scaling_governor") for core in cores]
    return {
        "load_1min": float(load.split()[0]) if load else None,
        "memory_available_bytes": _meminfo(root).get("MemAvailable"),
        "temperature_c": max(temperatures) if temperatures else None,
        "frequency_mhz": _present([int(value) / 1000 for value in frequencies if value and value.isdigit()]),
        "governor": _present([value for value in governors if value]),
        "throttled": _read(root / THROTTLED) or None,
    }


def _present(values: list[Any]) -> Optional[list[Any]]:
    return values or None


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None


def _meminfo(root: Path) -> dict[str, int]:
    """Sizes from /proc/meminfo, in bytes."""
    sizes = {}
    for line in (_read(root / "proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            sizes[name] = int(number[0]) * 1024
    return sizes


def _cpu_name(root: Path) -> Optional[str]:
    model = _read(root / "proc/device-tree/model")
    if model:
        return model
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Hardware", "Model"):
            return value.strip()
    return None


def _os_name(root: Path) -> str:
    for line in (_read(root / "etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip('"')
    return platform.system()
