"""``edge-dwsep sweep``."""

from __future__ import annotations

__all__ = ["sweep"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_dwsep.cli.options import given_command, json_option
from edge_dwsep.cli.sweep_options import plan_from_options, sweep_options
from edge_dwsep.words import in_a_line

if TYPE_CHECKING:
    from edge_dwsep.sweep.plan import SweepPlan


@click.command()
@sweep_options
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("edge-dwsep-sweep"),
    show_default=True,
    help="Folder for artifacts, results.json, report.html and report.md.",
)
@click.option(
    "--store",
    metavar="FILE|URL",
    help="SQLite file or postgresql:// URL. [default: $EDGE_DWSEP_STORE, or a file in your data folder]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be run, and for how long, and stop.")
@click.option("--resume", is_flag=True, help="Go on with the sweep in --output, which then needs no plan.")
@click.option("--again", is_flag=True, help="Measure anew, for this folder, what is in the store already.")
@click.option("--no-wait", is_flag=True, help="Fail rather than wait for a device that is in use.")
@click.option("--scheduler", metavar="tcp://HOST:PORT", help="Let the workers of a dask.distributed scheduler do it.")
@click.option("--mlflow", metavar="URI", help="Log to MLflow, too: http://HOST:PORT of a server, or sqlite:///FILE.")
@json_option
def sweep(
    output: Path,
    store: str | None,
    dry_run: bool,
    resume: bool,
    again: bool,
    no_wait: bool,
    scheduler: str | None,
    mlflow: str | None,
    as_json: bool,
    **parameters: Any,
) -> int:
    """Measure every variant of a plan, choose among them, and write a report.

    PLAN_OR_MODEL is a plan (FILE.toml), or architectures, checkpoints or .keras files; each option is a key of a plan.
    What was done before, by whatever sweep, is not done again.
    """
    from edge_dwsep.sweep.carry_out import expansion_of, require_store, sweep_folder
    from edge_dwsep.sweep.show import show_plan

    plan = _plan(parameters, output, resume=resume)
    if resume:
        require_store(output, store)
    expansion = expansion_of(plan)
    if dry_run:
        from edge_dwsep.sweep.estimate import estimate

        show_plan(plan, expansion, estimate(expansion, plan, _history(store)), as_json=as_json)
        return 0
    with sweep_folder(output):
        from edge_dwsep.cli.sweeping import carry_out

        return carry_out(
            plan,
            expansion,
            output,
            store,
            given_command(),
            again=again,
            wait=not no_wait,
            scheduler=scheduler or "",
            mlflow=mlflow or "",
            as_json=as_json,
        )


def _plan(parameters: Mapping[str, Any], output: Path, *, resume: bool) -> SweepPlan:
    """The plan that is given, or that of the sweep to go on with."""
    from edge_dwsep.sweep.carry_out import plan_in

    if parameters["plan_or_model"]:
        plan = plan_from_options(parameters)
        there = plan_in(output) if resume else plan
        if there != plan:
            mend = "leave out the plan and its options, or leave out --resume to begin this one"
            found = "another plan" if there else "no sweep"
            raise click.UsageError(f"--resume: there is {found} in {in_a_line(output)}; {mend}")
        return plan
    if not resume:
        raise click.UsageError("give a plan (FILE.toml) or a model; `edge-dwsep models list` tells those there are")
    given = [name for name, value in parameters.items() if value not in (None, ())]
    if given:
        raise click.UsageError(f"--resume takes the plan in {in_a_line(output)} as it is; leave out its options")
    there = plan_in(output)
    if there is None:
        raise click.UsageError(f"--resume: there is no sweep in {in_a_line(output)}; give its folder by --output")
    return there


def _history(store: str | None) -> dict[tuple[str, str], float]:
    """Seconds that steps took before; nothing where there is no store yet."""
    from edge_dwsep.errors import InvalidStore
    from edge_dwsep.store import open_store

    try:
        with open_store(store, create=False) as found:
            return found.seconds_by_kind()
    except InvalidStore:
        return {}
