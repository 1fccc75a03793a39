"""``edge-dwsep lab up|status|down|build``."""

from __future__ import annotations

__all__ = ["lab"]

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dwsep_runtime.errors import DwsepError
from edge_dwsep.cli.lazy import LazyGroup
from edge_dwsep.cli.options import json_option

if TYPE_CHECKING:
    from dwsep_devices.lab import LabConnection


@click.group(
    cls=LazyGroup,
    commands_at={
        "up": ("edge_dwsep.cli.lab:up", "Start a machine; what it is made of is fetched and built once."),
        "status": ("edge_dwsep.cli.lab:status", "Which machines run."),
        "down": ("edge_dwsep.cli.lab:down", "End machines; nothing of them is left."),
        "build": ("edge_dwsep.cli.lab:build", "Fetch and build what a machine is made of."),
    },
)
def lab() -> None:
    """Emulated targets: a Raspberry Pi behind sshd, an Android-like system behind adbd.

    Figures of them are marked emulated and never ranked against a board's. They run on Linux, made of packages of
    Debian; on Debian, Ubuntu and the like.
    """


@click.command()
@click.argument("name")
@click.option("--cold", is_flag=True, help="Boot it, although there is a snapshot to start from.")
@json_option
def up(name: str, cold: bool, as_json: bool) -> None:
    """Start the machine NAME: pi4, pi5, android or android-arm64."""
    from dwsep_devices import lab as machines

    begun = time.monotonic()
    connection = machines.lab(name).up(cold=cold, on_step=_teller(name))
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps({"name": name, "seconds": round(seconds, 3), **_of(connection)}))
        return
    click.echo(f"{name} is up ({seconds:.1f} s)")
    click.echo(f"  measure on it: edge-dwsep bench MODEL --device lab-{name}")
    if name in {"pi4", "pi5"}:
        click.echo(f"  count on it:   edge-dwsep bench MODEL --device lab-{name} --cost instructions")
    click.echo(f"  look into it:  {_command(connection)}")
    click.echo(f"  end it:        edge-dwsep lab down {name}")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show which machines run; what a crash left of one is removed."""
    from dwsep_devices.lab import LABS

    found = [machine.status() for machine in LABS.values()]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found]))
        return
    width = max(len(one.name) for one in found)
    for one in found:
        state = f"up    {one.address} (process {one.pid})" if one.up else f"down  {one.title}"
        click.echo(f"{one.name:{width}}  {state}")


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All that run.")
@json_option
def down(name: str | None, every: bool, as_json: bool) -> None:
    """End the machine NAME, or all."""
    from dwsep_devices import lab as machines

    if (name is not None) == every:
        raise click.UsageError("give the name of a machine, or --all")
    chosen = list(machines.LABS.values()) if every else [machines.lab(name or "")]
    ended, failures = list[str](), list[DwsepError]()
    for machine in chosen:
        try:
            ended += [machine.name] if machine.down() else []
        except DwsepError as error:  # the others are ended all the same
            failures.append(error)
    if as_json:
        click.echo(json.dumps({"ended": ended}))
    elif ended:
        click.echo(f"{', '.join(ended)} ended")
    elif not failures:
        click.echo("nothing was up" if every else f"{name} was not up")
    if failures:
        raise failures[0]


@click.command()
@click.argument("name")
@click.option("--refresh", is_flag=True, help="Look for newer packages than those that are here.")
@json_option
def build(name: str, refresh: bool, as_json: bool) -> None:
    """Fetch and build what the machine NAME is made of; its packages are told with versions and hashes."""
    from dwsep_devices import lab as machines

    begun = time.monotonic()
    manifest = machines.lab(name).build(refresh=refresh, on_step=_teller(name))
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps({"name": name, "seconds": round(seconds, 3), **manifest}))
    else:
        click.echo(f"{name} is built of {len(manifest['packages'])} packages ({seconds:.1f} s)")


def _teller(name: str) -> Callable[[str], None]:
    """Says on standard error what is done next, so that standard output stays the answer's."""
    begun = time.monotonic()

    def tell(step: str) -> None:
        click.echo(f"{name}: {time.monotonic() - begun:4.1f} s  {step}", err=True)

    return tell


def _of(connection: LabConnection) -> dict[str, Any]:
    return {**asdict(connection), "command": _command(connection)}


def _command(connection: LabConnection) -> str:
    """The command that opens a shell on a machine."""
    if connection.ssh_options:
        return shlex.join(["ssh", *connection.ssh_options, connection.host])
    from dwsep_devices.adb import find_adb

    return shlex.join([find_adb(), "-P", str(connection.adb_port), "-s", connection.serial, "shell"])
