"""What the commands bench and accuracy have in common: open the artifacts, run them, show and write the results."""

from __future__ import annotations

__all__ = ["input_size", "measure_and_show"]

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from dwsep_devices import open_device
from dwsep_export import open_artifact
from dwsep_runtime.engines import load_engine
from dwsep_runtime.errors import InvalidInput
from edge_dwsep.evaluate import Evaluation, engines_of, evaluate
from edge_dwsep.measure import AccuracySettings, LatencySettings
from edge_dwsep.progress import Progress
from edge_dwsep.results import new_results, write_results


def measure_and_show(
    command: str,
    files: Sequence[Path],
    device_name: str,
    engines: Sequence[str],
    what: Evaluation,
    settings: LatencySettings | AccuracySettings,
    output: Path | None,
    as_json: bool,
) -> int:
    """Measure model files and print a table or JSON; returns 1 if a run failed, else 0.

    Raises:
        DwsepError: an artifact, engine or device cannot be used; nothing was measured then.
    """
    artifacts = [open_artifact(file) for file in files]
    plan = [(artifact, engine) for artifact in artifacts for engine in engines_of(artifact, engines)]
    results = new_results(f"edge-dwsep {command} {' '.join(map(str, files))}", asdict(settings), device_name)
    if what.files is not None:
        data = what.files.data
        results["data"] = {"name": data.name, "count": len(data), "sha256": data.sha256}
    device = open_device(device_name)
    try:
        with Progress(command, len(plan)) as progress:
            evaluate(device, plan, what, results, progress.step)
    finally:
        device.close()
    if output is not None:
        write_results(results, output)
    if as_json:
        import json

        click.echo(json.dumps(results))
    else:
        from edge_dwsep.table import console, print_runs

        print_runs(console(), results["runs"])
    failures = [run for run in results["runs"] if run["status"] != "ok"]
    for failure in failures:
        click.echo(f"edge-dwsep: {failure['variant']} on {failure['engine']} failed: {failure['error']}", err=True)
    return 1 if failures else 0


def input_size(file: Path) -> tuple[int, int]:
    """Height and width of a model file's image input.

    Raises:
        DwsepError: no engine can load the file.
        InvalidInput: its input is no image.
    """
    engine, _ = load_engine(engines_of(open_artifact(file), ())[0], file, 1, file.name)
    shape = engine.inputs[0].shape
    if len(shape) != 4:
        raise InvalidInput(f"{file.name} takes {shape}; images can be padded for (1, height, width, channels) alone")
    return shape[1], shape[2]
