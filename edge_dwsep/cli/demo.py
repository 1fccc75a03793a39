"""``edge-dwsep demo``."""

from __future__ import annotations

__all__ = ["demo"]

from pathlib import Path

import click

from edge_dwsep.cli.options import given_command, json_option

STEPS = 39
"""Steps that the demo announces: exports, verifications, and two measurements for each of ten runs."""


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("edge-dwsep-demo"),
    show_default=True,
    help="Folder for artifacts, results.json and report.html.",
)
@json_option
def demo(output: Path, as_json: bool) -> int:
    """Export a trained MobileNet in six variants, measure each with every engine here, and show what came out.

    Takes about a minute; needs no network, no data and no configuration.
    """
    from edge_dwsep.demo import run_demo
    from edge_dwsep.progress import Progress

    with Progress("demo", STEPS) as progress:
        results = run_demo(output, given_command(), progress.step)
    failures = [*results["failed_exports"], *(run for run in results["runs"] if run["status"] != "ok")]
    if as_json:
        import json

        click.echo(json.dumps(results))
    else:
        from edge_dwsep.table import console, print_runs

        print_runs(console(), results["runs"])
        reference = results["reference"]
        click.echo(f"{reference['name']} itself: {100 * reference['top1']:.1f} % of {results['data']['count']} images")
        click.echo(f"report: {output / 'report.html'}   raw samples: {output / 'results.json'}")
    for failure in failures:
        click.echo(f"edge-dwsep: {failure['variant']} failed: {failure['error']}", err=True)
    return 1 if failures else 0
