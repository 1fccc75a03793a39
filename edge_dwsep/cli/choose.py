"""``edge-dwsep results choose``."""

from __future__ import annotations

__all__ = ["choose", "chosen", "constraint_options", "constraints_from"]

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_dwsep.cli.options import json_option

if TYPE_CHECKING:
    from edge_dwsep.choice import Choice, Constraints

Function = TypeVar("Function", bound=Callable[..., Any])

CONSTRAINTS = {
    "max_drop": "Most accuracy to lose against the most accurate float network, such as 1pp.",
    "max_p50": "Longest median latency, such as 20ms.",
    "max_p90": "Longest 90th percentile, such as 20ms.",
    "max_size": "Largest model file, such as 1MB.",
    "max_memory": "Most memory of the process, such as 50MB.",
    "min_top1": "Least accuracy, such as 90%.",
}


def constraint_options(function: Function) -> Function:
    """Adds an option for each constraint, given by its name."""
    for name, told in reversed(CONSTRAINTS.items()):
        function = click.option(f"--{name.replace('_', '-')}", help=told)(function)
    return function


def constraints_from(given: Mapping[str, str | None]) -> Constraints:
    """Constraints from the options of :func:`constraint_options`.

    Raises:
        InvalidInput: a quantity cannot be read.
    """
    from edge_dwsep.choice import Constraints

    return Constraints.from_texts(given, option=lambda name: f"--{name.replace('_', '-')}")


def chosen(results: Mapping[str, Any], pareto: str | None, constraints: Mapping[str, str | None]) -> Choice:
    """The choice that the options ask for, or the plan of the sweep where they do not say."""
    from edge_dwsep.choice import DEFAULT_OBJECTIVES
    from edge_dwsep.choice import choose as choose_among

    asked = ((results.get("sweep") or {}).get("plan") or {}).get("choose") or {}
    planned = {name: asked[name] for name in constraints if isinstance(asked.get(name), str)}
    names = [name.strip() for name in (pareto or "").split(",") if name.strip()]
    limits = constraints_from({**planned, **{name: text for name, text in constraints.items() if text}})
    return choose_among(results, names or asked.get("pareto") or DEFAULT_OBJECTIVES, limits)


@click.command()
@click.argument("source")
@click.option(
    "--pareto",
    help="What to choose by, separated by commas: top1, p50, p90, p99, size, memory, instructions. [default: the "
    "sweep's, else top1,p50,size]",
)
@constraint_options
@click.option("--store", help="Store that has the sweep: a file or a URL. [default: $EDGE_DWSEP_STORE, or the user's]")
@json_option
def choose(source: str, pareto: str | None, store: str | None, as_json: bool, **constraints: str | None) -> int:
    """Tell which variants of SOURCE are worth shipping, and recommend one.

    SOURCE is a results.json, a folder with one, or the id of a sweep of the store, whose plan says what the options
    leave open.

    Figures whose 95 % intervals overlap are not ranked as if they differed. A constraint is met or not met where the
    whole interval says so, and otherwise it cannot be told.
    """
    from edge_dwsep.results_source import results_of

    constraints_from(constraints)  # what cannot be read is told before anything is opened
    results = results_of(source, store)
    choice = chosen(results, pareto, constraints)
    if as_json:
        import json

        click.echo(json.dumps(choice.to_json(), indent=1, allow_nan=False))
        return 0
    from edge_dwsep.choice.table import print_choice
    from edge_dwsep.table import console

    print_choice(console(), results, choice)
    return 0
