"""What is known of devices before they are reached: enough to leave out what they cannot do."""

from __future__ import annotations

__all__ = ["Target", "target_of"]

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """A device to measure on.

    Attributes:
        name: what the user calls it.
        title: what it is, such as "Raspberry Pi 4".
        emulated: whether its times are those of an emulation.
        cores: how many it has; 0 if that is not known.
        counts: whether instructions can be counted on it.
        lacks: environments of packages that it cannot have, each with the reason.
    """

    name: str
    title: str = ""
    emulated: bool = False
    cores: int = 0
    counts: bool = False
    lacks: Mapping[str, str] = field(default_factory=dict)


def target_of(name: str) -> Target:
    """What is known of a device by its name; it is not contacted.

    Raises:
        UnknownDevice: there is none of that name.
        InvalidInput: what is kept of it is not accepted.
    """
    from dwsep_devices.inventory import load_device, profile_of

    if name == "local":
        from dwsep_devices.environments import ENVIRONMENTS, lacking_here

        lacks = {environment: reason for environment in ENVIRONMENTS if (reason := lacking_here(environment))}
        return Target("local", "this machine", cores=os.cpu_count() or 0, lacks=lacks)
    from dwsep_devices.lab.pi import BOARDS

    profile = profile_of(load_device(name))
    return Target(name, profile.title, profile.emulated, profile.cores, profile.lab in BOARDS)
