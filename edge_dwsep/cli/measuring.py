"""What the commands bench and accuracy have in common: open the artifacts, run them, show and write the results."""

from __future__ import annotations

__all__ = ["measure_and_show"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dwsep_devices import Device
from dwsep_export import Artifact, open_artifact
from dwsep_export.output import staging_folder
from edge_dwsep.cli.exit_codes import exit_code_of_runs
from edge_dwsep.cli.options import given_command
from edge_dwsep.evaluate import Evaluation, engines_of, evaluate
from edge_dwsep.measure import require_known_options
from edge_dwsep.notes import each_once
from edge_dwsep.progress import Progress
from edge_dwsep.results import new_results, write_results

if TYPE_CHECKING:
    from rich.console import Console


def measure_and_show(
    command: str,
    files: Sequence[Path],
    devices: Sequence[str],
    device: Device | None,
    engines: Sequence[str],
    what: Evaluation,
    settings: Mapping[str, Any],
    output: Path | None,
    as_json: bool,
    show: Callable[[Console, Mapping[str, Any]], None] | None = None,
    *,
    wait: bool = True,
) -> int:
    """Measure model files and print tables or JSON; returns the exit code for the runs.

    Args:
        command: its name.
        files: what to measure.
        devices: names of where to.
        device: the one that there is, opened; None where there are several, which are opened by processes of theirs.
        engines: wanted; none for all that can.
        what: latency or accuracy.
        settings: for the record.
        output: JSON file to write, if any.
        as_json: print JSON and nothing else.
        show: prints results; the table of runs unless given.
        wait: whether to wait for devices that are in use.

    Raises:
        DwsepError: an artifact, engine or device cannot be used; nothing was measured then.
    """
    plan = _plan([open_artifact(file) for file in files], engines, what)
    results = new_results(given_command(), settings, [] if device is None else [device.description])
    if what.files is not None:
        data = what.files.data
        results["data"] = {"name": data.name, "count": len(data), "sha256": data.sha256}
    if output is not None:
        if output.is_dir():
            raise click.UsageError(f"--output {output} is a folder; give the name of a JSON file")
        with staging_folder(output.parent):
            pass
    steps = len(plan) + isinstance(what.reference, tuple)
    with Progress(command, steps * len(devices)) as progress:
        if device is not None:
            evaluate(device, plan, what, results, progress.step)
        else:
            from edge_dwsep.side_by_side import measure_side_by_side

            measure_side_by_side(devices, plan, what, results, wait_for_lease=wait, on_step=progress.step)
    if output is not None:  # before anything is printed, for the reader may be gone
        write_results(results, output)
    if as_json:
        import json

        click.echo(json.dumps(results))
    else:
        from edge_dwsep.table import console, print_results

        (show or print_results)(console(), results)
    failures = [run for run in results["runs"] if run["status"] != "ok"]
    for failure in each_once(failures):
        where = f" on {failure['device']}" if device is None else ""
        said = f"{failure['variant']} on {failure['engine']}{where} failed: {failure['error']}"
        click.echo(f"edge-dwsep: {said}", err=True)
    return exit_code_of_runs(results["runs"])


def _plan(artifacts: Sequence[Artifact], engines: Sequence[str], what: Evaluation) -> list[tuple[Artifact, str]]:
    """What is run by which engine, or by the user's program in its place."""
    if what.runner is not None:
        from edge_dwsep.native import native_plan

        return native_plan(artifacts)
    plan = [(artifact, engine) for artifact in artifacts for engine in engines_of(artifact, engines)]
    if what.latency is not None:
        require_known_options(what.latency.options, {engine for _, engine in plan})
    if what.session is not None and len(plan) < 2:
        raise click.UsageError("--interleave compares at least two runs; give another file, or another --engine")
    return plan
