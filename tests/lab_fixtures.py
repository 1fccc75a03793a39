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
    require_lab()
    machine = lab.lab("pi4")
    was_up = machine.status().up
    try:
        found = machine.up()
    except TransientDeviceError as error:  # its packages could not be fetched
        pytest.skip(str(error))
    yield found
    if not was_up:
        machine.down()
