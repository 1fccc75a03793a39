"""Whether a device can have an environment, told by what it is; and which of its Pythons would run it."""

from __future__ import annotations

__all__ = ["OLDEST_PYTHON", "glibc_of", "pythons_for", "refusal", "version_of"]

import re
from typing import TYPE_CHECKING

from dwsep_devices.errors import DeviceFull, DeviceUnsuitable, PermanentDeviceError

if TYPE_CHECKING:
    from dwsep_devices.environments import EnvironmentKind
    from dwsep_devices.probe import Facts, Python

OLDEST_PYTHON = (3, 9)
"""The runtime's own limit."""

MACHINES = ("aarch64", "x86_64")
"""What the engines' packages are released for."""

ABIS_32 = frozenset({"armeabi", "armeabi-v7a", "x86"})
"""What a 32-bit Android calls its kind of programs, whatever its kernel."""

PAGE_OF_X86 = 4096
"""Bytes to which packages for x86_64 are aligned; those for aarch64 are to 65,536, the largest page of Linux there."""


def refusal(kind: EnvironmentKind, facts: Facts) -> PermanentDeviceError | None:
    """Why a device cannot have an environment, without the name of either; None if it can, as far as that is known."""
    reason = _of_machine(facts) or _of_system(kind, facts)
    if reason:
        return DeviceUnsuitable(reason)
    free = facts.free_bytes
    if free is not None and free < kind.device_bytes:
        return DeviceFull(
            f"it needs about {kind.device_bytes / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; make room there"
        )
    return None


def pythons_for(kind: EnvironmentKind, facts: Facts) -> list[Python]:
    """Pythons of a device that may run an environment, the preferred one first."""
    fit = [
        python
        for python in facts.pythons
        if python.bits == 64 and version_of(python) >= OLDEST_PYTHON and glibc_of(python.libc or facts.libc)
    ]
    if kind.pythons:
        fit = [python for python in fit if version_of(python) in kind.pythons]
        fit.sort(key=lambda python: kind.pythons.index(version_of(python)))
    return fit


def version_of(python: Python) -> tuple[int, int]:
    """Major and minor version of a Python."""
    major, minor = python.version.split(".")[:2]
    return int(major), int(minor)


def glibc_of(libc: str) -> tuple[int, int] | None:
    """Version of the GNU C library; None if it is another.

    >>> glibc_of("glibc 2.36"), glibc_of("musl 1.2.4")
    ((2, 36), None)
    """
    found = re.match(r"glibc (\d+)\.(\d+)", libc)
    return (int(found.group(1)), int(found.group(2))) if found else None


def _of_machine(facts: Facts) -> str:
    if facts.bits == 32 or facts.abi in ABIS_32 or facts.machine.startswith(("armv6", "armv7", "i686", "i386")):
        kernel = f" (its kernel is {facts.machine})" if facts.machine in MACHINES else f" ({facts.machine})"
        return (
            f"its programs are 32-bit{kernel}, and engines are released for 64-bit systems alone; install a 64-bit one"
        )
    if facts.machine not in MACHINES:
        return f"engines are released for {' and '.join(MACHINES)}, and it is {facts.machine}"
    if facts.machine == "x86_64" and facts.page_size > PAGE_OF_X86:
        return (
            f"its memory pages have {facts.page_size} bytes, and packages for x86_64 are built for {PAGE_OF_X86}; "
            "use a system with pages of that size, or an arm64 one"
        )
    return ""


def _of_system(kind: EnvironmentKind, facts: Facts) -> str:
    if facts.libc == "bionic":  # Android gets a Python of ours
        return ""
    if facts.libc.startswith("musl"):
        return f"its C library is {facts.libc}, and engines are released for glibc; use a system such as Debian"
    if not facts.pythons:
        return "it has no Python 3; install one (Debian: apt install python3)"
    if not glibc_of(facts.libc) and not any(glibc_of(python.libc) for python in facts.pythons):
        return f"its C library is {facts.libc or 'unknown'}, and engines are released for glibc"
    return _of_python(kind, facts) or _of_glibc(kind, facts)


def _of_python(kind: EnvironmentKind, facts: Facts) -> str:
    if pythons_for(kind, facts):
        return ""
    told = ", ".join(f"{python.version}{' (32-bit)' if python.bits == 32 else ''}" for python in facts.pythons)
    wanted = [f"{major}.{minor}" for major, minor in kind.pythons]
    needed = f"{', '.join(wanted[:-1])} or {wanted[-1]}" if wanted else "3.9 or later"
    return f"it needs Python {needed}, 64-bit; there is {told}"


def _of_glibc(kind: EnvironmentKind, facts: Facts) -> str:
    lowest, found = kind.glibc.get(facts.machine), glibc_of(facts.libc)
    if lowest and found and found < lowest:
        return f"it needs glibc {lowest[0]}.{lowest[1]} or later, and there is {found[0]}.{found[1]}"
    return ""
