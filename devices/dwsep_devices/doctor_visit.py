"""A doctor's visit to a device: the connection and what it told, each asked for once."""

from __future__ import annotations

__all__ = ["Check", "Visit"]

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dwsep_devices.errors import DeviceError, TransientDeviceError
from dwsep_devices.inventory import KnownDevice
from dwsep_devices.probe import Facts, probe, probe_here
from dwsep_devices.profile import Profile
from dwsep_devices.registry import ssh_options
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.ssh import SshTransport
from dwsep_devices.transport import Transport

CONNECT_SECONDS = 30.0


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        title: what was looked at.
        state: "ok", "warn", "fail", or "not tried" because another failed.
        found: in words.
        mend: the command that mends it; empty if nothing need be mended.
    """

    title: str
    state: str
    found: str
    mend: str = ""


class Visit:
    """What the checks share.

    Args:
        known: how the device is reached.
        profile: its kind.
        connect: gives what leads to it.
        which: finds a program of this host.
        now: seconds since 1970.
        token: a word that no other visit has.
    """

    def __init__(
        self,
        known: KnownDevice,
        profile: Profile,
        *,
        connect: Callable[[KnownDevice, Profile], Transport],
        which: Callable[[str], str | None],
        now: Callable[[], float],
        token: str,
    ) -> None:
        self.known, self.profile = known, profile
        self.name = known.name
        self.which, self.now, self.token = which, now, token
        self._connect = connect

    @cached_property
    def device(self) -> RemoteDevice:
        """The device; nothing was asked of it yet.

        Raises:
            DeviceError: it is a machine of the lab and not up, or this host lacks a program.
        """
        transport = self._connect(self.known, self.profile)
        if isinstance(transport, SshTransport):
            transport.apart()  # so that what was mended is seen
        return RemoteDevice(transport, self.profile, wait=False)

    @cached_property
    def refusal(self) -> DeviceError | None:
        """Why the device did not answer the first call; None if it did."""
        try:
            completed = self.device.transport.shell("true", timeout=CONNECT_SECONDS)
        except DeviceError as error:
            return error
        if completed.timed_out:
            return TransientDeviceError(f"{self.name}: no answer within {CONNECT_SECONDS:.0f} s")
        return None

    @cached_property
    def facts(self) -> Facts:
        """What the device is."""
        if self.profile.transport == "local":
            return probe_here()
        return probe(self.device.ask, root=self.profile.root, name=self.name)

    def said(self, error: Exception) -> str:
        """What an error says, without the device's name in front."""
        return str(error).removeprefix(f"{self.name}: ").removeprefix("local: ")

    @property
    def client(self) -> str:
        """The beginning of a command for people that runs something on the device."""
        if self.profile.transport == "adb":
            serial = f" -s {shlex.quote(self.known.serial)}" if self.known.serial else ""
            return f"adb{serial} shell"
        return shlex.join(["ssh", *ssh_options(self.known), self.known.host or self.name])

    def there(self, command: str) -> str:
        """A command for people that runs one on the device; a machine of the lab is made anew instead."""
        if self.profile.lab:
            return f"edge-dwsep lab down {self.profile.lab} && edge-dwsep lab up {self.profile.lab}"
        return command if self.profile.transport == "local" else f"{self.client} {shlex.quote(command)}"

    def close(self) -> None:
        """Give back what was taken."""
        if "device" in vars(self):
            self.device.close()
