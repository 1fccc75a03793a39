"""What the Android-like machine may do to its host, also where root starts it: nothing; and hosts that forbid it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from dwsep_devices.errors import TransientDeviceError
from dwsep_devices.lab.android import AndroidMachine
from tests.android_fixtures import android, android_machine, android_running, text_of

__all__ = ["android", "android_machine", "android_running"]

SETTINGS = (
    "/proc/sys/kernel/core_pattern /proc/sys/kernel/printk /proc/sysrq-trigger /proc/irq /sys/fs/cgroup "
    "/sys/fs/cgroup/* /sys/kernel/mm/transparent_hugepage/enabled /sys/power/state /sys/module"
)


def test_settings_of_the_hosts_kernel_cannot_be_changed(android):
    assert text_of(android, f"for path in {SETTINGS}; do [ ! -w $path ] || echo $path; done") == ""
    mounts = [line.split() for line in text_of(android, "cat /proc/mounts").splitlines()]
    settings = {
        place: options.split(",")[0] for _, place, _, options, *_ in mounts if place.startswith(("/sys", "/proc/"))
    }
    assert {"/sys", "/proc/sys"} <= set(settings)
    assert set(settings.values()) == {"ro"}


def test_a_process_can_reset_its_own_peak_of_memory(android):
    assert text_of(android, "echo 5 > /proc/self/clear_refs && echo done") == "done\n"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_host_that_allows_no_namespaces_says_what_is_needed(android_machine):
    name = f"{android_machine.name}-refused"
    source = f"from dwsep_devices.lab.android import AndroidMachine\nAndroidMachine({name!r}).up()"
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", source]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "max_user_namespaces" in ended.stderr:
        pytest.skip(ended.stderr)
    said = ended.stderr.splitlines()[-1]
    assert f"HostLacks: lab-{name}: it did not start: namespaces of its own were refused" in said
    assert "it needs user namespaces" in said
    assert not AndroidMachine(name).folder.exists()


def test_a_machine_that_does_not_start_for_another_reason_says_that_alone(android_machine, tmp_path, monkeypatch):
    (tmp_path / "adb").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "adb").chmod(0o755)
    monkeypatch.setenv("ADB", str(tmp_path / "adb"))
    machine = AndroidMachine(f"{android_machine.name}-broken")
    with pytest.raises(TransientDeviceError, match=r"it did not start: its adb server did not start; try again$"):
        machine.up()
    assert not machine.folder.exists()
