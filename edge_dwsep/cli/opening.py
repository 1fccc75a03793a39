"""The devices that a command names: opened before anything slow is imported, so that a device warms up meanwhile."""

from __future__ import annotations

__all__ = ["opened_alone"]

import contextlib
from collections.abc import Iterator, Sequence

import click

from dwsep_devices import Device, opened
from dwsep_devices.registry import require_known


@contextlib.contextmanager
def opened_alone(
    devices: Sequence[str], *, cost: str = "", environments: Sequence[str] = (), wait: bool
) -> Iterator[Device | None]:
    """Open the device that is named, or none where several are: each of these gets a process, which opens it.

    Raises:
        UsageError: one is named twice.
        DwsepError: it cannot be opened.
    """
    if len(set(devices)) < len(devices):
        raise click.UsageError("--device names one device twice; give each once")
    if len(devices) > 1:
        for name in devices:  # before any of them begins
            require_known(name, cost=cost)
        yield None
        return
    with opened(
        devices[0], cost=cost, environments=environments, wait=wait, on_step=lambda said: click.echo(said, err=True)
    ) as one:
        yield one
