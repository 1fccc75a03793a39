"""``edge-dwsep report``."""

from __future__ import annotations

__all__ = ["report"]

from pathlib import Path

import click

from edge_dwsep.cli.choose import chosen, constraint_options, constraints_from

PAGE = "report.html"
PRINTED = "-"
MARKDOWN_ENDINGS = frozenset({".md", ".markdown"})


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown"]),
    help="A page that opens offline, or Markdown for a pull request. [default: by the output's ending, else html]",
)
@click.option(
    "--output", help=f"File to write; - prints. [default: {PAGE} in this folder; Markdown is printed]", metavar="FILE"
)
@click.option(
    "--pareto",
    help="What the front is made of, separated by commas: top1, p50, p90, p99, size, memory, instructions. "
    "[default: the sweep's, else top1,p50,size]",
)
@constraint_options
@click.option("--store", help="Store that has the sweeps: a file or a URL. [default: $EDGE_DWSEP_STORE, or the user's]")
def report(
    sources: tuple[str, ...],
    form: str | None,
    output: str | None,
    pareto: str | None,
    store: str | None,
    **constraints: str | None,
) -> int:
    """Write a report of SOURCE: a results.json, a folder with one, or the id of a sweep of the store.

    Several sources come into one report.
    """
    from edge_dwsep.report.together import together
    from edge_dwsep.results_source import results_of

    constraints_from(constraints)
    form = form or ("markdown" if output and Path(output).suffix.lower() in MARKDOWN_ENDINGS else "html")
    place = output or (PAGE if form == "html" else PRINTED)
    results = together([(source, results_of(source, store)) for source in sources])
    choice = chosen(results, pareto, constraints)
    from edge_dwsep.report import markdown, render

    text = markdown(results, choice) if form == "markdown" else render(results, choice)
    if place == PRINTED:
        click.echo(text, nl=False)
        return 0
    from dwsep_export.output import write_text

    write_text(Path(place), text)
    click.echo(f"report: {place}")
    return 0
