"""What a device is told to install, which of its Pythons gets it, and what is made of the installer's answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dwsep_devices import install
from dwsep_devices.errors import (
    DeviceError,
    DeviceFull,
    DeviceUnsuitable,
    HostLacks,
    PermanentDeviceError,
    TransientDeviceError,
)
from dwsep_devices.pip import pip_failure
from dwsep_devices.probe import Facts, Python
from dwsep_devices.wheels import NoWheel, Wheel

BOARD: Any = SimpleNamespace(name="board", root="/srv/board")
FACTS = Facts(
    machine="aarch64",
    bits=64,
    libc="glibc 2.36",
    pythons=tuple(
        Python(version, f"/usr/bin/python{version}", 64, venv=True, libc="glibc 2.36")
        for version in ("3.14.1", "3.12.4")
    ),
)


def test_the_first_python_with_packages_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(
        requirements: object, *, python: tuple[int, int], machine: str, glibc: tuple[int, int], on_fetch: object
    ) -> list[Wheel]:
        if python > (3, 13):
            raise NoWheel(f"none for {python}")
        return [Wheel("numpy", f"1 {machine} {glibc}", Path("n.whl"), "00")]

    monkeypatch.setattr(install, "fetch", fetch)
    python, wheels = install._wheels(BOARD, "litert", FACTS)
    assert python.version == "3.12.4"
    assert wheels[0].version == "1 aarch64 (2, 36)"


@pytest.mark.parametrize(
    ("raised", "error", "said"),
    [
        (NoWheel("there is no wheel"), DeviceUnsuitable, "board: environment litert cannot be made: there is no wheel"),
        (TransientDeviceError("no net"), TransientDeviceError, "board: environment litert could not be made: no net"),
        (HostLacks("no pip"), HostLacks, "board: environment litert could not be made: no pip"),
    ],
)
def test_what_cannot_be_fetched_names_the_device(
    monkeypatch: pytest.MonkeyPatch, raised: DeviceError, error: type[DeviceError], said: str
) -> None:
    def fetch(*arguments: object, **named: object) -> list[Wheel]:
        raise raised

    monkeypatch.setattr(install, "fetch", fetch)
    with pytest.raises(error) as caught:
        install._wheels(BOARD, "litert", FACTS)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("said", "error", "expected"),
    [
        ("", TransientDeviceError, "its installation broke off; the device may lack memory"),
        ("Killed\n", TransientDeviceError, "its installation broke off"),
        ("edge-dwsep=nonsense\n", PermanentDeviceError, "the device answered 'nonsense'"),
        ("edge-dwsep=[1]\n", PermanentDeviceError, "the device answered '[1]'"),
        (
            'edge-dwsep={"refused": "full", "reason": "No space left on device: /x"}',
            DeviceFull,
            "the device is full (No",
        ),
        (
            'edge-dwsep={"refused": "import", "reason": "ends by SIGILL"}',
            DeviceUnsuitable,
            "does not run there: ends by",
        ),
        ('edge-dwsep={"refused": "wheel", "reason": "a is not"}', PermanentDeviceError, "could not be made: a is not"),
        ('edge-dwsep={"refused": "system", "reason": "denied"}', PermanentDeviceError, "could not be made: denied"),
    ],
)
def test_the_installers_answer_is_one_line(said: str, error: type[DeviceError], expected: str) -> None:
    with pytest.raises(error) as caught:
        install._require_made(BOARD, "litert", said)
    assert type(caught.value) is error
    assert str(caught.value).startswith("board: environment litert ")
    assert expected in str(caught.value)


def test_a_greeting_before_the_answer_is_passed_over() -> None:
    install._require_made(BOARD, "litert", 'Welcome!\nedge-dwsep={"hash": "a1"}\n')


@pytest.mark.parametrize(
    ("lines", "unreachable", "absent"),
    [
        (["ERROR: No matching distribution found for tiny==7.0"], False, True),
        (["ERROR: Package 'tiny' requires a different Python: 3.11.0 not in '>=3.12'"], False, True),
        (
            ["Could not fetch URL u: connection error: refused - skipping", "ERROR: No matching distribution"],
            True,
            False,
        ),
        (["Could not fetch URL u: 404 Client Error - skipping", "ERROR: No matching distribution found"], False, True),
        (["WARNING: Retrying after connection broken by 'X'", "ERROR: No matching distribution found"], True, False),
        (["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"], False, False),
        ([], False, False),
    ],
)
def test_pip_failures_are_told_apart(lines: list[str], unreachable: bool, absent: bool) -> None:
    failure = pip_failure(lines)
    assert (failure.is_unreachable, failure.is_absent) == (unreachable, absent)
    assert failure.reason
