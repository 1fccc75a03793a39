"""The lab machine ``android`` for tests, up once a session, and as a transport."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dwsep_devices.adb import AdbTransport
from dwsep_devices.errors import DeviceError, HostLacks, TransientDeviceError
from dwsep_devices.lab.android import AndroidMachine, Running

DATA = "/data/local/tmp"


@pytest.fixture(scope="session")
def android_machine() -> Iterator[AndroidMachine]:
    """An Android-like machine that is up; its name is that of this process, so that no other is disturbed."""
    machine = AndroidMachine(f"android-test-{os.getpid()}")
    try:
        machine.up()
    except (HostLacks, TransientDeviceError) as error:  # no namespaces, no packages, no network
        pytest.skip(str(error))
    yield machine
    machine.down()


@pytest.fixture
def android_running(android_machine: AndroidMachine) -> Running:
    """The machine, started again if the test before ended it."""
    return android_machine.up()


@pytest.fixture
def android(android_running: Running) -> Iterator[AdbTransport]:
    """A transport to the machine."""
    transport = AdbTransport("phone", android_running.serial, android_running.adb_port)
    yield transport
    transport.close()


def text_of(transport: AdbTransport, script: str, *, stdin: str = "", timeout: float = 30) -> str:
    """Standard output of a script that must end with 0."""
    lines: list[str] = []
    completed = transport.shell(script, stdin=stdin, timeout=timeout, on_line=lines.append)
    assert completed.returncode == 0, (completed, lines)
    return "".join(lines)


def settled(transport: AdbTransport, tries: int = 20) -> None:
    """Wait until a device whose daemon was ended answers again."""
    for _ in range(tries):
        try:
            text_of(transport, "true", timeout=5)
        except TransientDeviceError:
            continue
        return
    raise DeviceError("the device does not come back")


def hostile_files(folder: Path) -> list[Path]:
    """Files whose names are made to break shells and option parsers."""
    names = (
        "-rf",
        "a b",
        "it's",
        'say "x"',
        "two\nlines",
        "$(touch owned)",
        "`id`",
        "semi;colon",
        "Größe-模型",
        "*",
        "a\\b",
    )
    paths = [folder / name for name in names]
    for path in paths:
        path.write_text(path.name)
    return paths
