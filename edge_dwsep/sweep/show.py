"""A plan before it is carried out: what is made and measured, what is left out, and how long it will take."""

from __future__ import annotations

__all__ = ["print_plan", "show_plan"]

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

from edge_dwsep.sweep.estimate import Estimate
from edge_dwsep.sweep.expand import Expansion, Network, PlannedRun
from edge_dwsep.sweep.pace import in_words
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.steps import StepKind
from edge_dwsep.words import in_a_line

MOST_ROWS = 40
"""Of either table; JSON has them all."""

WIDE = 160

MAKING = {
    StepKind.DATA: "prepare",
    StepKind.NETWORK: "prepare",
    StepKind.REFERENCE: "prepare",
    StepKind.LOWER: "convert",
    StepKind.CALIBRATE: "convert",
    StepKind.CONVERT: "convert",
    StepKind.VERIFY: "verify",
}
"""What people call the steps on this host."""


def show_plan(plan: SweepPlan, expansion: Expansion, expected: Estimate, *, as_json: bool = False) -> None:
    """Print a plan on standard output, as tables or as JSON with every run and whatever is left out."""
    if as_json:
        sys.stdout.write(json.dumps(plan_json(plan, expansion, expected)) + "\n")
    else:
        print_plan(plan, expansion, expected, to=sys.stdout)


def plan_json(plan: SweepPlan, expansion: Expansion, expected: Estimate) -> dict[str, Any]:
    """What :func:`show_plan` prints as JSON."""
    return {
        "plan": plan.to_json(),
        "variants": [{"model": variant.network.name, "variant": variant.recipe.name} for variant in expansion.variants],
        "runs": [
            {
                "model": run.variant.network.name,
                "variant": run.variant.recipe.name,
                "device": run.device,
                "engine": run.engine,
                "threads": run.threads,
            }
            for run in expansion.runs
        ],
        "excluded": [one.to_json() for one in expansion.excluded],
        "expected": {
            "seconds": round(expected.seconds, 1),
            "runs": expected.runs,
            "steps": [
                {"kind": part.kind.value, "device": part.device, "count": part.count, "seconds": round(part.seconds, 1)}
                for part in expected.parts
            ],
        },
    }


def print_plan(plan: SweepPlan, expansion: Expansion, expected: Estimate, *, to: IO[str] | None = None) -> None:
    """Print a plan as tables.

    Args:
        plan: it.
        expansion: its runs.
        expected: what they take.
        to: an open text file; standard error unless given.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    file = sys.stderr if to is None else to
    width = shutil.get_terminal_size().columns if file.isatty() else WIDE
    screen = Console(file=file, width=width, highlight=False)
    by_network: dict[Network, list[PlannedRun]] = {network: [] for network in expansion.networks}
    for run in expansion.runs:
        by_network[run.variant.network].append(run)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("model", "variants", "measured by", "threads", "on"):
        table.add_column(title, overflow="fold")
    table.add_column("runs", justify="right")
    for network, runs in list(by_network.items())[:MOST_ROWS]:
        table.add_row(*map(Text, _row(network, runs)))
    screen.print(table)
    _print_rest(screen, len(by_network), "models")
    if expansion.excluded:
        screen.print(Text("\nleft out", style="bold"))
        for one in expansion.excluded[:MOST_ROWS]:
            screen.print(Text(f"  {in_a_line(one.what)}: {in_a_line(one.reason)}"))
        _print_rest(screen, len(expansion.excluded), "combinations")
    screen.print(Text(f"\n{_summary(plan, expansion, expected)}"))


def _print_rest(screen: Any, count: int, what: str) -> None:
    if count > MOST_ROWS:
        screen.print(f"  and {count - MOST_ROWS} {what} more; --dry-run --json tells all")


def _row(network: Network, runs: Sequence[PlannedRun]) -> Iterator[str]:
    yield in_a_line(network.name)
    yield _listed(run.variant.recipe.name for run in runs)
    yield _listed(run.engine for run in runs)
    yield _listed(str(run.threads) for run in runs)
    yield _listed(run.device for run in runs)
    yield str(len(runs))


def _listed(names: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _summary(plan: SweepPlan, expansion: Expansion, expected: Estimate) -> str:
    """How much there is to do and how long it takes, in one line."""
    variants, runs = len(expansion.variants), len(expansion.runs)
    said = f"{variants} variant{'s' * (variants != 1)}, {runs} run{'s' * (runs != 1)}"
    if expected.runs < runs:
        said += f", of which at most {expected.runs} are measured"
    parts: dict[str, float] = {}
    for part in expected.parts:
        what = f"measure on {part.device}" if part.device else MAKING[part.kind]
        parts[what] = parts.get(what, 0.0) + part.seconds
    told = ", ".join(f"{what} {in_words(seconds)}" for what, seconds in parts.items())
    beside = "; devices are measured side by side" if len(plan.devices) > 1 else ""
    return f"{said}: about {in_words(expected.seconds)} if nothing of it was done before ({told}{beside})"
