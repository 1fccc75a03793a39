"""Targets for those who have none at hand: emulated Raspberry Pis behind sshd, Android-like roots behind adbd."""

from __future__ import annotations

__all__ = ["LABS", "Lab", "LabConnection", "Status", "connection", "instruction_machine", "lab"]

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.lab.connection import LabConnection
from dwsep_runtime.errors import UnknownName

if TYPE_CHECKING:
    from dwsep_devices.lab.android import AndroidMachine
    from dwsep_devices.lab.pi import Machine, PiMachine


@dataclass(frozen=True)
class Status:
    """Whether a machine is up.

    Attributes:
        name: of the machine.
        title: what it is, in words.
        up: whether it runs.
        pid: of its process; None if it does not run.
        address: where it is reached, in words; empty if it does not run.
    """

    name: str
    title: str
    up: bool
    pid: int | None = None
    address: str = ""


class Lab(ABC):
    """A machine of the lab: one of a name for each user of this host."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title

    @abstractmethod
    def build(self, *, refresh: bool = False, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
        """Make what it starts from, unless it is there; its manifest, with the packages that it is made of.

        Raises:
            HostLacks: a program is missing here, or this host is no Debian or the like.
            DeviceError: it could not be built.
        """

    @abstractmethod
    def up(self, *, cold: bool = False, on_step: Callable[[str], None] = lambda step: None) -> LabConnection:
        """Start it, unless it is up; what it starts from is built if need be.

        Args:
            cold: whether to boot it although there is a snapshot.
            on_step: called with what is done next, in words.

        Raises:
            HostLacks: a program is missing here, or this host is no Debian or the like.
            DeviceError: it could not be built or started.
        """

    @abstractmethod
    def down(self) -> bool:
        """End it and remove what it leaves, also after a crash; whether it was up."""

    @abstractmethod
    def status(self) -> Status:
        """Whether it is up; what a crash left of it is removed."""

    @abstractmethod
    def connection(self) -> LabConnection:
        """How to reach it.

        Raises:
            PermanentDeviceError: it is not up.
        """


class _Board(Lab):
    """An emulated board, reached by ssh."""

    def machine(self) -> PiMachine:
        from dwsep_devices.lab.pi import BOARDS, PiMachine

        return PiMachine(BOARDS[self.name])

    def build(self, *, refresh: bool = False, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
        return self.machine().build(refresh=refresh, on_step=on_step)

    def up(self, *, cold: bool = False, on_step: Callable[[str], None] = lambda step: None) -> LabConnection:
        return self.machine().up(cold=cold, on_step=on_step)

    def down(self) -> bool:
        machine = self.machine()
        machine.sweep_orphans()
        return machine.down()

    def status(self) -> Status:
        machine = self.machine()
        machine.sweep_orphans()
        found = machine.running()
        if found is None:
            return Status(self.name, self.title, up=False)
        return Status(self.name, self.title, up=True, pid=found.guest.pid, address=self.address(found))

    def address(self, found: Machine) -> str:
        return f"ssh 127.0.0.1:{found.guest.ports[22]}"

    def connection(self) -> LabConnection:
        return self.machine().connection()


class _AndroidArm64(_Board):
    """An Android-like root of an emulated board, reached by adb."""

    def machine(self) -> PiMachine:
        from dwsep_devices.lab.android_arm64 import AndroidArm64
        from dwsep_devices.lab.pi import ANDROID

        return AndroidArm64(ANDROID)

    def address(self, found: Machine) -> str:
        return f"adb -P {found.adb_port} -s 127.0.0.1:{found.guest.ports[5555]}"


class _Android(Lab):
    """An Android-like root on this machine, reached by adb."""

    def machine(self) -> AndroidMachine:
        from dwsep_devices.lab.android import AndroidMachine

        return AndroidMachine(self.name)

    def build(self, *, refresh: bool = False, on_step: Callable[[str], None] = lambda step: None) -> dict[str, Any]:
        import json

        folder = self.machine().build(refresh=refresh, on_step=on_step)
        return {"schema_version": 1, "key": folder.name, "packages": json.loads((folder / "packages.json").read_text())}

    def up(self, *, cold: bool = False, on_step: Callable[[str], None] = lambda step: None) -> LabConnection:
        del cold  # it always boots
        running = self.machine().up(on_step=on_step)
        return LabConnection(serial=running.serial, adb_port=running.adb_port)

    def down(self) -> bool:
        return self.machine().down()

    def status(self) -> Status:
        machine = self.machine()
        machine.sweep()
        running = machine.running()
        if running is None:
            return Status(self.name, self.title, up=False)
        address = f"adb -P {running.adb_port} -s {running.serial}"
        return Status(self.name, self.title, up=True, pid=running.pid, address=address)

    def connection(self) -> LabConnection:
        running = self.machine().running()
        if running is None:
            raise PermanentDeviceError(
                f"lab-{self.name}: the lab machine {self.name} is not up; start it with: edge-dwsep lab up {self.name}"
            )
        return LabConnection(serial=running.serial, adb_port=running.adb_port)


LABS: dict[str, Lab] = {
    one.name: one
    for one in (
        _Board("pi4", "an emulated Raspberry Pi 4: QEMU, Cortex-A72"),
        _Board("pi5", "an emulated Raspberry Pi 5: QEMU, Cortex-A76"),
        _Android("android", "the real adbd in an Android-like root (x86_64)"),
        _AndroidArm64("android-arm64", "the real adbd in an Android-like root (arm64): QEMU, Cortex-A76"),
    )
}
"""The machines by name."""


def lab(name: str) -> Lab:
    """A machine by its name.

    Raises:
        UnknownName: none has that name.
    """
    short = name.removeprefix("lab-")  # as the device is called
    if short not in LABS:
        raise UnknownName("lab machine", name, LABS)
    return LABS[short]


def connection(name: str) -> LabConnection:
    """How to reach a machine that is up.

    Raises:
        UnknownName: no machine has that name.
        PermanentDeviceError: it is not up.
    """
    return lab(name).connection()


@contextlib.contextmanager
def instruction_machine(
    name: str,
    *,
    prepared: str = "",
    prepare: Callable[[LabConnection], None] | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Iterator[LabConnection]:
    """A machine of the same CPU whose nanoseconds are instructions, as long as the block lasts.

    Args:
        name: of a machine that is a board, such as "pi4"; it need not be up, and is left alone.
        prepared: names what ``prepare`` brings onto the machine, such as hashes of environments.
        prepare: called with a machine of which a snapshot is then taken, if there is none of that name yet; it must
            leave no connection open. So what is installed once is there at once the next time.
        on_step: called with what is done next, in words.

    Raises:
        UnknownName: no board has that name.
        HostLacks: a program is missing here, or this host is no Debian or the like.
        DeviceError: it could not be built or started.
    """
    from dwsep_devices.lab.pi import BOARDS, PiMachine

    if name not in BOARDS:
        raise UnknownName("board", name, BOARDS)
    with PiMachine(BOARDS[name]).instructions(prepared=prepared, prepare=prepare, on_step=on_step) as made:
        yield made
