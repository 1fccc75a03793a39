"""What the Android-like machine may do to the host that it runs on: nothing, also where it is started by root."""

from __future__ import annotations

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
