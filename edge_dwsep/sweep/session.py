"""A sweep at work: its graph, its store and the folder it writes to, and any of its runs measured when asked for."""

from __future__ import annotations

__all__ = ["Means", "Session", "SweepSettings", "Told"]

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_export import Artifact
from dwsep_export.manifest import manifest_path
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.model_file import sha256_of
from edge_dwsep.store import Store
from edge_dwsep.sweep.assemble import assembled, described, failed_record, model_entry
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.coordinate import Coordinator
from edge_dwsep.sweep.errors import LostContent
from edge_dwsep.sweep.expand import Expansion, PlannedRun
from edge_dwsep.sweep.measure_steps import Evaluated, Made, Measuring, RunNames, RunSteps, steps_of_run
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.steps import Executor, Outcome, Step, StepOutput
from edge_dwsep.sweep.tasks import Hooks, RunTask

if TYPE_CHECKING:
    from edge_dwsep.sweep.compile import CompileGraph

PREDICTIONS = "predictions.npy"


@dataclass(frozen=True)
class SweepSettings:
    """How a sweep is carried out.

    Attributes:
        folder: gets ``artifacts``, results and reports.
        wait: whether to wait for a device that is in use.
        again: empty, or a word that has never been used, to measure anew what is in the store.
    """

    folder: Path
    wait: bool = True
    again: str = ""


@dataclass(frozen=True)
class Means:
    """What a sweep is carried out with.

    Attributes:
        store: where outputs and runs are kept.
        blobs: where contents of files are on this host.
        executor: does the steps.
    """

    store: Store
    blobs: BlobFolder
    executor: Executor


@dataclass(frozen=True)
class Told:
    """Who is told what happens.

    Attributes:
        begun: each step that begins.
        ended: how each step ended.
        failed: the record of each run that failed.
    """

    begun: Callable[[Step], None] = lambda step: None
    ended: Callable[[Outcome], None] = lambda outcome: None
    failed: Callable[[Mapping[str, Any]], None] = lambda record: None


class Session:
    """The runs of an expanded plan, measured some or all at a time.

    Args:
        sweep_id: of a sweep that has begun in the store.
        plan: of the sweep.
        expansion: of the plan.
        graph: the steps that make the artifacts.
        means: with what.
        settings: how.
        told: who is told what happens.
    """

    def __init__(
        self,
        sweep_id: str,
        plan: SweepPlan,
        expansion: Expansion,
        graph: CompileGraph,
        means: Means,
        settings: SweepSettings,
        told: Told,
    ) -> None:
        self._sweep_id = sweep_id
        self._plan = plan
        self._positions = {run: at for at, run in enumerate(expansion.runs)}
        self._networks = expansion.networks
        self._graph = graph
        self._store, self._blobs, self._executor = means.store, means.blobs, means.executor
        self._settings = settings
        self._told = told
        self._identities = {
            name: means.executor.identity(name) for name in {run.device: None for run in expansion.runs}
        }
        self._tasks: dict[int, PlannedRun] = {}
        self.coordinator: Coordinator | None = None
        self.measured = 0
        """Runs that this session has measured or tried to; the others were in the store."""

    @property
    def sweep_id(self) -> str:
        """Of the sweep in the store."""
        return self._sweep_id

    @property
    def study_name(self) -> str:
        """Of the sweep's search: another one each time that it measures anew."""
        return f"{self._sweep_id} {self._settings.again}".strip()

    def prepared(self, runs: Sequence[PlannedRun]) -> Coordinator:
        """What is known of some runs already, and what is left to be done."""
        tasks = [self._task(run) for run in runs]
        hooks = Hooks(self._known, self._finished, self._told.begun, self._told.ended)
        named = {run.device: run for run in runs if not run.counts}
        reach = {name: {"wait": self._settings.wait} for name in named if name != "local"}
        emulated = frozenset(name for name, identity in self._identities.items() if identity["emulated"])
        coordinator = Coordinator(
            self._graph.steps,
            tasks,
            self._store,
            self._executor,
            self._blobs,
            hooks,
            reach=reach,
            emulated=emulated,
        )
        self.coordinator = coordinator
        coordinator.resolve()
        return coordinator

    def measure(self, coordinator: Coordinator) -> None:
        """Measure the runs of :meth:`prepared`; each is in the store in the end, as failed if it failed.

        Raises:
            StoreError: an output or a run could not be kept.
            OutputNotWritable: the folder cannot be written.
        """
        self.tell_networks(coordinator.outputs)
        coordinator.carry_out()
        self.tell_networks(coordinator.outputs)

    def runs_of(self, tasks: Iterable[RunTask]) -> list[PlannedRun]:
        """The runs of the plan that tasks are about."""
        return [self._tasks[task.position] for task in tasks]

    def tell_networks(self, outputs: Mapping[str, StepOutput]) -> None:
        """Keep what is known of networks and data by now."""
        models = []
        for network in self._networks:
            made = outputs.get(self._graph.network_of(network).key)
            if made is not None:
                models.append(model_entry(made, outputs.get(self._graph.reference_of(network).key)))
        columns: dict[str, Any] = {"models": models} if models else {}
        opened = next((self._graph.data_of(network) for network in self._networks), None)
        data = outputs.get(opened.key) if opened is not None and self._plan.data else None
        if data is not None:
            columns["data"] = {key: data.facts[key] for key in ("name", "count", "sha256")}
        if columns:
            self._store.set_sweep(self._sweep_id, **columns)

    def _task(self, run: PlannedRun) -> RunTask:
        position = self._positions[run]
        self._tasks[position] = run
        return RunTask(
            position,
            run.device,
            self._graph.convert_of(run.variant),
            self._graph.verify_of(run.variant),
            lambda made: self._steps_of(run, made),
            self._evaluated_by(run),
        )

    def _steps_of(self, run: PlannedRun, made: Made) -> RunSteps:
        plan, network = self._plan, run.variant.network
        what = Measuring(
            plan.measure.latency(run.threads),
            label_offset=plan.label_offset,
            profile_ops=plan.measure.profile_ops,
            cost=plan.measure.cost if run.counts else "",
            wait=self._settings.wait,
            again=self._settings.again,
        )
        names = RunNames(network.name, run.variant.recipe.name, run.engine, run.threads)
        evaluated = self._evaluated(run)
        return steps_of_run(names, made, self._identities[run.device], what, evaluated)

    def _evaluated_by(self, run: PlannedRun) -> tuple[Step, ...]:
        """The steps that say what accuracy of a run is counted on; none where it is not measured."""
        network = run.variant.network
        data = self._graph.data_of(network)
        if data is None or not self._plan.measures_accuracy or not network.trained:  # random weights have no accuracy
            return ()
        return data, self._graph.reference_of(network)

    def _evaluated(self, run: PlannedRun) -> Evaluated | None:
        """What accuracy of a run is counted on; None where it is not measured, or there are no labels."""
        steps = self._evaluated_by(run)
        if not steps:
            return None
        opened, ran = (self.coordinator_outputs[step.key] for step in steps)
        if PREDICTIONS not in ran.files:
            return None
        data, reference = steps
        return Evaluated(data.key, str(opened.facts["sha256"]), reference.key, ran.files[PREDICTIONS])

    def _known(self, tasks: Sequence[RunTask]) -> Sequence[RunTask]:
        """Runs that are in the store, and whose files lie in the folder."""
        keys = {task.steps.key: task for task in tasks if task.steps is not None}
        found = self._store.reuse_runs(self._sweep_id, {key: task.position for key, task in keys.items()})
        return [keys[key] for key in found if self._artifact(keys[key]) is not None]

    def _finished(self, task: RunTask, outputs: Mapping[str, StepOutput]) -> None:
        """Keep a run whose steps are all done, or of which one failed."""
        self.measured += 1
        run = self._tasks[task.position]
        network, recipe = run.variant.network, run.variant.recipe
        names = {
            "model": network.name,
            "variant": recipe.name,
            "format": recipe.format.value,
            "scheme": recipe.scheme.value,
        }
        settings = self._plan.measure.latency(run.threads)
        device = described(self._identities[run.device])
        artifact = None if task.made is None else self._artifact(task)
        key = task.steps.key if task.steps else _key_of_failed([*names.values(), *_where(run)])
        error = task.error or ("its file is lost; run the sweep again", LostContent.__name__)
        record = None
        steps: list[tuple[str, int]] = []
        if task.error is None and task.steps is not None and artifact is not None:
            try:
                record, device = assembled(artifact, device, run.engine, settings, task.steps, outputs)
                steps = [(step.key, int(step.spec.get("round", 0))) for step in task.steps.measuring]
            except InvalidInput as failure:
                error = str(failure), type(failure).__name__
        if record is None:
            record = failed_record(artifact, names, device, run.engine, settings, *error)
            record["id"] = key
            self._told.failed(record)
        facts: dict[str, Any] | None = None
        if artifact is not None and task.made is not None:
            facts = {
                "sha256": artifact.sha256,
                "file": artifact.file.name,
                "bytes": artifact.file.stat().st_size,
                "manifest": task.made.manifest,
            }
        self._store.save_run(
            self._sweep_id, task.position, key, record, device=device, artifact=facts, steps=steps, reused=False
        )

    def _artifact(self, task: RunTask) -> Artifact | None:
        """The artifact of a run in the folder, put there if it is not; None where its content is lost."""
        from dwsep_export import open_artifact
        from edge_dwsep.sweep.compile import artifact_from

        if task.made is None:
            return None
        folder = self._settings.folder / "artifacts"
        file = folder / task.made.file_name
        wanted = {file: task.made.sha256, manifest_path(file): task.made.manifest_sha256}
        if all(path.is_file() and sha256_of(path) == sha256 for path, sha256 in wanted.items()):
            return open_artifact(file)
        outputs = self._store.outputs([task.convert.key, task.verify.key])
        try:
            return artifact_from(outputs[task.verify.key], outputs[task.convert.key], self._blobs, folder)
        except (KeyError, LostContent):
            return None

    @property
    def coordinator_outputs(self) -> Mapping[str, StepOutput]:
        """Outputs known by now."""
        return {} if self.coordinator is None else self.coordinator.outputs


def _where(run: PlannedRun) -> tuple[str, str, str]:
    return run.device, run.engine, str(run.threads)


def _key_of_failed(names: Iterable[str]) -> str:
    """Key of a run that has no steps, for its artifact could not be made."""
    return hashlib.sha256(json.dumps(["failed", *names]).encode()).hexdigest()
