"""What ``edge-dwsep sweep`` does once its plan is known: carry it out, show what came out, and write it."""

from __future__ import annotations

__all__ = ["carry_out"]

import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_dwsep.cli.exit_codes import exit_code_of_runs
from edge_dwsep.notes import each_once
from edge_dwsep.progress import Progress
from edge_dwsep.store import Store, open_store
from edge_dwsep.sweep.answers import answers_seal, choice_of, write_answers
from edge_dwsep.sweep.blobs import BlobFolder, default_blobs
from edge_dwsep.sweep.carry_out import taken_up
from edge_dwsep.sweep.expand import Expansion
from edge_dwsep.sweep.pace import Pace, in_words
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.session import Means, Session, Told
from edge_dwsep.sweep.show import print_plan
from edge_dwsep.sweep.steps import Executor, Outcome, Step
from edge_dwsep.words import escaped, in_a_line

if TYPE_CHECKING:
    from edge_dwsep.choice import Choice


def carry_out(
    plan: SweepPlan,
    expansion: Expansion,
    folder: Path,
    store_url: str | None,
    command: str,
    *,
    again: bool,
    wait: bool,
    scheduler: str,
    mlflow: str,
    as_json: bool,
) -> int:
    """Carry a plan out; returns the exit code for its runs.

    Raises:
        DwsepError: data, a model, the store or the folder cannot be used.
    """
    choice_of({"runs": [], "models": []}, plan)  # what cannot be read is told before hours of measuring
    if mlflow:
        from edge_dwsep.tracking import require_uri

        require_uri(mlflow)
    blobs = default_blobs()
    with open_store(store_url) as store, Progress("sweep", 1) as progress:
        progress.step("look for what is done already")
        sweep = taken_up(folder, plan, store.url, again=again)
        executor = _executor(scheduler, blobs, progress)
        telling = _Telling(store, progress, plan)
        means = Means(store, blobs, executor)
        try:
            with sweep.session(means, command, expansion, telling.told, wait=wait) as session:
                telling.session = session
                sweep.keep()
                _measure(session, plan, expansion, store, telling)
        except KeyboardInterrupt:
            progress.step(f"go on with: edge-dwsep sweep --resume --output {shlex.quote(in_a_line(folder))}")
            raise
        results = store.results(sweep.id)
        choice = choice_of(results, plan)
        if session.measured or not sweep.seal or answers_seal(results, folder) != sweep.seal:
            progress.step("write the report")
            write_answers(results, choice, folder, lambda: store.results(sweep.id, samples=True))
        sweep.keep(answers_seal(results, folder))
    _show(results, choice, folder, telling, as_json=as_json)
    if not as_json:
        _say_what_was_not_done(results, plan, expansion, session.measured)
    if mlflow:
        from edge_dwsep.tracking import log_results

        logged = log_results(results, folder, mlflow)
        click.echo(f"logged to MLflow: experiment {logged.experiment_id}, run {logged.run_id}", err=True)
    return exit_code_of_runs(results["runs"])


def _say_what_was_not_done(results: Mapping[str, Any], plan: SweepPlan, expansion: Expansion, measured: int) -> None:
    """Say which runs were measured before, which not at all, and which models have random weights."""
    there, possible = len(results["runs"]), len(expansion.runs)
    if there > measured:
        before = f"all {there}" if not measured else f"{there - measured} of {there}"
        click.echo(f"{before} runs had been measured before; --again measures anew", err=True)
    if there < possible:
        click.echo(f"{there} of {possible} combinations were tried; others may be better", err=True)
    untrained = [in_a_line(model["name"]) for model in results["models"] if not model["trained"]]
    if untrained and plan.measures_accuracy:
        click.echo(
            f"edge-dwsep: {', '.join(untrained)}: random weights, so accuracy was not measured; "
            "give a checkpoint, a .keras file, or --epochs",
            err=True,
        )


def _measure(session: Session, plan: SweepPlan, expansion: Expansion, store: Store, telling: _Telling) -> None:
    """Measure all runs, or those that a search asks for."""
    if plan.search is None:
        coordinator = session.prepared(expansion.runs)
        if coordinator.left() or coordinator.unmade():
            telling.begins(expansion)
        session.measure(coordinator)
        return
    from edge_dwsep.search import search_runs

    telling.begins(expansion)
    search_runs(session, plan, expansion, store)


def _executor(scheduler: str, blobs: BlobFolder, progress: Progress) -> Executor:
    """What does the steps: processes of this host, or the workers of a scheduler."""
    if scheduler:
        from edge_dwsep.sweep.dask_executor import DaskExecutor

        return DaskExecutor(scheduler, blobs, progress.step)
    from edge_dwsep.sweep.lanes import LaneExecutor

    return LaneExecutor(blobs, progress.step)


REST = 50
"""Times as long as it took to look at what is left, it is not looked at again: thousands of runs are not looked through
at every step, beside what is being measured."""


class _Telling:
    """Tells people how a sweep goes: each step as it begins, the time that is left, runs that failed."""

    def __init__(self, store: Store, progress: Progress, plan: SweepPlan) -> None:
        from edge_dwsep.sweep.estimate import COMPILING_AT_ONCE, seconds_of

        self.session: Session | None = None
        self._plan = plan
        self._history = store.seconds_by_kind()
        self.failures: list[Mapping[str, Any]] = []
        self.steps: list[Outcome] = []
        self._progress = progress
        self._pace = Pace(self._history, lambda step: seconds_of(step.kind, step.device, plan), COMPILING_AT_ONCE)
        self._done = 0
        self._time_left = ""
        self._look_again = 0.0

    @property
    def told(self) -> Told:
        """What a session tells."""
        return Told(self._begun, self._ended, self._failed)

    def begins(self, expansion: Expansion) -> None:
        """Show the plan before anything is done."""
        from edge_dwsep.sweep.estimate import estimate

        self._progress.show(
            lambda file: print_plan(self._plan, expansion, estimate(expansion, self._plan, self._history), to=file)
        )

    def _begun(self, step: Step) -> None:
        began = time.monotonic()
        if began >= self._look_again:
            left = self._left()
            self._progress.total(self._done + len(left) + 1)
            self._time_left = in_words(self._pace.left(left))
            looked = time.monotonic()
            self._look_again = looked + REST * (looked - began)
        self._progress.step(f"{step.title} (about {self._time_left} left)")

    def _ended(self, outcome: Outcome) -> None:
        self._done += 1
        self.steps.append(outcome)
        self._pace.ended(outcome)

    def _failed(self, record: Mapping[str, Any]) -> None:
        self.failures.append(record)
        self._progress.step(f"{_called(record)} failed")

    def _left(self) -> list[Step]:
        from edge_dwsep.sweep.estimate import expected_steps

        coordinator = self.session.coordinator if self.session else None
        if self.session is None or coordinator is None:
            return []
        unmade = self.session.runs_of(coordinator.unmade())
        return [*coordinator.left(), *expected_steps(unmade, self._plan, compiling=False)]


def _called(record: Mapping[str, Any]) -> str:
    """What a run is called in a line."""
    return f"{in_a_line(record['model'])} {record['variant']} on {record['engine']}, {record['device']}"


def _show(results: Mapping[str, Any], choice: Choice, folder: Path, telling: _Telling, *, as_json: bool) -> None:
    """Print the table, the recommendation and where everything lies; or the results as JSON."""
    if as_json:
        done = [{"kind": one.step.kind.value, "title": one.step.title, "seconds": one.seconds} for one in telling.steps]
        click.echo(json.dumps({**results, "choice": choice.to_json(), "steps_done": done}))
    else:
        from edge_dwsep.table import console, print_results

        print_results(console(), results)
        click.echo()
        for device in choice.devices:
            if device.recommendation:
                click.echo(f"ship on {device.device}: {device.recommendation}")
            for note in device.notes:
                click.echo(f"{device.device}: {note}")
        click.echo(f"report: {in_a_line(folder / 'report.html')}   artifacts: {in_a_line(folder / 'artifacts')}")
    for record in each_once(telling.failures):
        click.echo(f"edge-dwsep: {_called(record)} failed: {escaped(record['error'])}", err=True)
