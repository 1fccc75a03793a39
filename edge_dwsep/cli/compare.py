"""``edge-dwsep compare``."""

from __future__ import annotations

__all__ = ["CANNOT_TELL", "NOT_COMPARED", "REGRESSED", "compare"]

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_dwsep.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_dwsep.gate import Gate

REGRESSED, CANNOT_TELL, NOT_COMPARED = 1, 2, 3


class WrongCall(click.UsageError):
    """A call that click does not understand."""

    exit_code = NOT_COMPARED


class GateCommand(click.Command):
    """A command whose wrong calls do not end with 2, which is a verdict here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; a wrong call is told by click as ever."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise WrongCall(error.format_message(), error.ctx) from error


@contextlib.contextmanager
def _apart_from_verdicts() -> Iterator[None]:
    """Errors that would end with 1, such as those of a store or a reader that is gone, end with 3: 1 is a verdict."""
    from dwsep_runtime.errors import DwsepError, InvalidInput

    try:
        yield
    except InvalidInput:
        raise
    except DwsepError as error:
        raise InvalidInput(str(error)) from error
    except (OSError, SystemExit) as error:  # rich ends the program by itself, with 1, where nobody reads any more
        reason = getattr(error, "strerror", None) or "its reader is gone"
        raise InvalidInput(f"the comparison cannot be printed: {reason}") from error


@click.command(cls=GateCommand)
@click.argument("base")
@click.argument("head")
@click.option(
    "--fail-if",
    "rules",
    multiple=True,
    help="A change that is a regression, such as 'p50>+5%' or 'top1<-0.5pp'; repeatable. Figures: p50, p90, p95, p99, "
    "size, memory, instructions (%); top1, top5, agreement (pp).",
)
@click.option(
    "--allow",
    multiple=True,
    help="What may differ: device, engine, harness, data, settings, or missing runs and figures; with commas or "
    "repeated.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "junit", "json"]),
    default="text",
    show_default=True,
    help="Of what is printed, or written to --output.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write to this file instead of printing.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write Markdown to this file, too.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML to this file, too.")
@json_option
@click.option("--store", help="Store that has the sweeps: a file or a URL. [default: $EDGE_DWSEP_STORE, or the user's]")
def compare(
    base: str,
    head: str,
    rules: tuple[str, ...],
    allow: tuple[str, ...],
    form: str,
    output: Path | None,
    markdown: Path | None,
    junit: Path | None,
    as_json: bool,
    store: str | None,
) -> int:
    """Compare the runs of HEAD with those of BASE; in CI, fail if something regressed.

    BASE and HEAD are each a results.json, a folder with one, or the id of a sweep of the store. Runs are compared that
    are of the same device, network, variant, engine and threads.

    Exit code: 0 if nothing regressed, 1 if something did, 2 if that cannot be told, because the 95 % interval of a
    change holds the limit; 3 if the two were not compared, whatever the reason. Each rule is judged at 95 % by itself.
    """
    from edge_dwsep.gate import Verdict, compare_results, rule_from
    from edge_dwsep.results_source import results_of

    form = "json" if as_json else form
    with _apart_from_verdicts():
        judged_by = list(dict.fromkeys(rule_from(text) for text in rules))
        allowed = [name.strip() for word in allow for name in word.split(",") if name.strip()]
        before, after = (results_of(source, store, samples=True) for source in (base, head))
        gate = compare_results(before, after, judged_by, allowed, (base, head))
        forms = _forms()
        for path, name in ((output, form), (markdown, "markdown"), (junit, "junit")):
            if path is not None:
                from dwsep_export.output import write_text

                write_text(path, forms[name](gate))
        if output is None:
            _print(gate, form, forms)
    return {Verdict.OK: 0, Verdict.REGRESSED: REGRESSED, Verdict.CANNOT_TELL: CANNOT_TELL}[gate.verdict]


def _forms() -> dict[str, Callable[[Gate], str]]:
    import json

    from edge_dwsep.gate.junit import junit_of
    from edge_dwsep.gate.markdown import markdown_of
    from edge_dwsep.gate.text import text_of

    return {
        "text": text_of,
        "markdown": markdown_of,
        "junit": junit_of,
        "json": lambda gate: json.dumps(gate.to_json(), indent=1, allow_nan=False) + "\n",
    }


def _print(gate: Gate, form: str, forms: dict[str, Callable[[Gate], str]]) -> None:
    if form != "text":
        click.echo(forms[form](gate), nl=False)
        return
    from edge_dwsep.gate.text import print_gate
    from edge_dwsep.table import console

    print_gate(console(), gate)
