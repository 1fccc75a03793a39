"""Device state, read from a made-up /proc and /sys."""

from __future__ import annotations

from pathlib import Path

from dwsep_runtime.state import device_facts, device_state


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
    "sys/class/thermal/thermal_zone0/temp": "48312\n",
    "sys/class/thermal/thermal_zone1/temp": "51000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq": "600000\n",
    "sys/devices/system/cpu/cpu10/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq": "700000\n",
}


def test_what_a_device_tells_is_read(tmp_path: Path) -> None:
    write(tmp_path, RASPBERRY_PI)
    assert device_state(tmp_path) == {
        "load_1min": 0.42,
        "memory_available_bytes": 3_400_000 * 1024,
        "temperature_c": 51.0,
        "frequency_mhz": [1500.0, 700.0, 600.0],
        "governor": ["ondemand", "ondemand"],
        "throttled": "50005",
    }
    facts = device_facts(tmp_path)
    assert facts["cpu"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["memory_bytes"] == 3_884_444 * 1024
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"


def test_what_a_device_does_not_tell_is_none(tmp_path: Path) -> None:
    assert set(device_state(tmp_path).values()) == {None}
    facts = device_facts(tmp_path)
    assert facts["cpu"] is None
    assert facts["memory_bytes"] is None
    assert facts["cores"] >= 1


def test_an_unreadable_sensor_is_left_out(tmp_path: Path) -> None:
    write(
        tmp_path, {"sys/class/thermal/thermal_zone0/temp": "N/A\n", "sys/class/thermal/thermal_zone1/temp": "40000\n"}
    )
    assert device_state(tmp_path)["temperature_c"] == 40.0
