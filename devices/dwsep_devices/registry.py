"""A device by its name, whatever leads to it."""

from __future__ import annotations

__all__ = ["open_device", "opened", "opened_for_instructions", "require_known"]

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from dwsep_devices.device import Device
from dwsep_devices.local import LocalDevice
from dwsep_runtime.errors import InvalidInput

if TYPE_CHECKING:
    from dwsep_devices.inventory import KnownDevice
    from dwsep_devices.lab.connection import LabConnection
    from dwsep_devices.profile import Profile
    from dwsep_devices.transport import Transport


def open_device(name: str, *, wait: bool = True, on_step: Callable[[str], None] = lambda step: None) -> Device:
    """Open a device; the caller closes it.

    Args:
        name: as the user calls it.
        wait: whether to wait while another measurement has the device.
        on_step: told who has it, and what is done that takes time, in words.

    Raises:
        UnknownDevice: no device has that name.
        InvalidInput: what is kept of it is not accepted.
        DeviceError: it cannot be reached.
    """
    if name == "local":  # most runs are on this machine, and need nothing of the rest
        return LocalDevice()
    from dwsep_devices.inventory import load_device, profile_of
    from dwsep_devices.remote import RemoteDevice

    known = load_device(name)
    profile = profile_of(known)
    return RemoteDevice(transport_to(known, profile), profile, wait=wait, on_step=on_step)


def require_known(name: str, *, cost: str = "") -> Profile:
    """Make sure that there is a device of a name, without reaching it; its profile.

    Args:
        name: as the user calls it.
        cost: "instructions" if it is to count them.

    Raises:
        UnknownDevice: no device has that name.
        InvalidInput: what is kept of it is not accepted, or it cannot count.
    """
    from dwsep_devices.inventory import load_device, profile_of

    profile = profile_of(load_device(name))
    if cost:
        from dwsep_devices.lab.pi import BOARDS

        if profile.lab not in BOARDS:
            known = " or ".join(f"lab-{board}" for board in BOARDS)
            raise InvalidInput(f"{name}: instructions are counted by the emulated boards alone; give --device {known}")
    return profile


@contextlib.contextmanager
def opened(
    name: str,
    *,
    cost: str = "",
    environments: Sequence[str] = (),
    wait: bool = True,
    on_step: Callable[[str], None] = lambda step: None,
) -> Iterator[Device]:
    """A device for as long as the block lasts.

    Args:
        name: as the user calls it.
        cost: "instructions" for a machine that counts them; empty for the device itself.
        environments: that such a machine is to have from the start, because making one there takes long.
        wait: whether to wait while another measurement has the device.
        on_step: told who has it, or what is done to have it.

    Raises:
        DwsepError: as :func:`open_device` and :func:`opened_for_instructions`.
    """
    if cost:
        with opened_for_instructions(name, environments, on_step=on_step) as counting:
            yield counting
        return
    with contextlib.closing(open_device(name, wait=wait, on_step=on_step)) as device:
        yield device


@contextlib.contextmanager
def opened_for_instructions(
    name: str, environments: Sequence[str], *, on_step: Callable[[str], None] = lambda step: None
) -> Iterator[Device]:
    """A machine like an emulated board, whose nanoseconds are instructions, for as long as the block lasts.

    Args:
        name: of a device that is a board of the lab; it need not be up, and is left alone.
        environments: that it has from the start; they are made in it once, and kept.
        on_step: told what is done next, in words.

    Raises:
        UnknownDevice: no device has that name.
        InvalidInput: it is no emulated board.
        DeviceError: the machine could not be built or started.
    """
    from dwsep_devices.lab import instruction_machine
    from dwsep_devices.provision import pointer_name
    from dwsep_devices.remote import RemoteDevice
    from dwsep_devices.ssh import SshTransport
    from dwsep_runtime.harness import harness_sha256

    profile = require_known(name, cost="instructions")

    @contextlib.contextmanager
    def reached(connection: LabConnection) -> Iterator[RemoteDevice]:
        transport = SshTransport(name, connection.host, connection.ssh_options)
        with contextlib.closing(RemoteDevice(transport, profile, on_step=on_step)) as device:
            try:
                yield device
            finally:
                device.close()
                transport.disconnect()  # which would outlive the machine

    def prepare(connection: LabConnection) -> None:
        with reached(connection) as device:
            for environment in environments:
                device.runtime_command_for(environment)

    wanted = [pointer_name(environment, android=False) for environment in environments]
    prepared = " ".join(sorted([*wanted, harness_sha256()]))
    with (
        instruction_machine(profile.lab, prepared=prepared, prepare=prepare, on_step=on_step) as connection,
        reached(connection) as device,
    ):
        yield device


def transport_to(known: KnownDevice, profile: Profile) -> Transport:
    """What leads to a device that is not this machine.

    Raises:
        DeviceError: it is a machine of the lab and not up, or this host lacks a program.
    """
    host, serial, options, server_port = known.host, known.serial, ssh_options(known), None
    if profile.lab:
        from dwsep_devices import lab

        connection = lab.connection(profile.lab)
        host, serial, server_port = connection.host, connection.serial, connection.adb_port
        options = connection.ssh_options
    if profile.transport == "adb":
        from dwsep_devices.adb import AdbTransport

        return AdbTransport(known.name, serial, server_port)
    from dwsep_devices.ssh import SshTransport

    return SshTransport(known.name, host, options)


def ssh_options(known: KnownDevice) -> tuple[str, ...]:
    """Arguments of the ssh client that lead to a device of the user's."""
    port = ("-o", f"Port={known.port}") if known.port else ()  # sftp takes -p for something else
    identity = ("-i", known.identity) if known.identity else ()
    return (*known.options, *port, *identity)
