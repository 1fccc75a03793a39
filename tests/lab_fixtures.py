"""Emulated boards for tests, as a user of the lab has them; tests are skipped where this host cannot run them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dwsep_devices import debian, lab
from dwsep_devices.errors import HostLacks, TransientDeviceError
from dwsep_devices.lab.image import PROGRAMS


def require_lab() -> None:
    """Skip the test, with the reason, where the boards cannot be built."""
    try:
        debian.require_programs(PROGRAMS, "to run an emulated machine")
    except HostLacks as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def lab_pi4() -> Iterator[lab.LabConnection]:
    """The lab's machine pi4, up; it is taken down at the end unless it was up before."""
    yield from _up("pi4")


@pytest.fixture(scope="session")
def lab_pi5() -> Iterator[lab.LabConnection]:
    """The lab's machine pi5, likewise."""
    yield from _up("pi5")


@pytest.fixture(scope="session")
def lab_android_arm64() -> Iterator[lab.LabConnection]:
    """The lab's machine android-arm64, likewise."""
    yield from _up("android-arm64")


def _up(name: str) -> Iterator[lab.LabConnection]:
    require_lab()
    machine = lab.lab(name)
    was_up = machine.status().up
    try:
        found = machine.up()
    except HostLacks as error:
        pytest.skip(str(error))
    except TransientDeviceError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(str(error))
    yield found
    if not was_up:
        machine.down()
