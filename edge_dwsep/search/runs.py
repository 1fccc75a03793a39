"""A sweep whose runs are searched instead of all measured: one study a device, all of them side by side."""

from __future__ import annotations

__all__ = ["point_of", "search_runs"]

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.search.space import Point, Value
from edge_dwsep.search.study import Objectives, SearchResult, SpaceStudy, StudySettings

if TYPE_CHECKING:
    from edge_dwsep.choice.objectives import Objective
    from edge_dwsep.store import Store
    from edge_dwsep.sweep.expand import Expansion, PlannedRun
    from edge_dwsep.sweep.plan import SweepPlan
    from edge_dwsep.sweep.session import Session


def search_runs(session: Session, plan: SweepPlan, expansion: Expansion, store: Store) -> list[SearchResult]:
    """Measure those runs of a plan that a search asks for, and keep its studies in the sweep's own store.

    The measurements are divided evenly among the devices, whose figures are never compared. A sweep that is gone on
    with measures again what its studies know and its store has lost.

    Args:
        session: of the sweep.
        plan: with a search.
        expansion: of the plan.
        store: of the session.

    Returns:
        One a device, in the order of the plan.

    Raises:
        InvalidInput: nothing that the plan chooses by is measured.
        StoreError: a run or a study could not be kept.
    """
    if plan.search is None:
        raise InvalidInput("the plan has no search; give its trials")
    devices: dict[str, list[PlannedRun]] = {}
    for run in expansion.runs:
        devices.setdefault(run.device, []).append(run)
    chosen_by = objectives_of(plan)
    share = max(1, plan.search.trials // len(devices))
    with contextlib.ExitStack() as open_studies:
        searches = [
            open_studies.enter_context(
                _Search(runs, chosen_by, share, plan.search.seed, f"{session.study_name} {device}", store.secret_url)
            )
            for device, runs in devices.items()
        ]
        known = [run for one in searches for run in one.measured()]
        if known:
            session.measure(session.prepared(known))
        while asked := [(one, number, run) for one in searches for number, run in one.ask()]:
            session.measure(session.prepared([run for _, _, run in asked]))
            records = {_identity(record): record for record in store.results(session.sweep_id)["runs"]}
            for one, number, run in asked:
                one.study.tell(number, values_of(records.get(_identity_of(run)), chosen_by))
        return [one.study.result() for one in searches]


def objectives_of(plan: SweepPlan) -> list[Objective]:
    """What the plan chooses by, as far as it is measured.

    Raises:
        InvalidInput: nothing of it is, or it is not known.
    """
    from edge_dwsep.choice.objectives import DEFAULT_OBJECTIVES, objectives_named

    unmeasured = set() if plan.measures_accuracy else {"top1"}
    unmeasured |= set() if plan.measure.cost else {"instructions"}
    wanted = plan.choose.pareto or DEFAULT_OBJECTIVES
    found = [one for one in objectives_named(wanted) if one.name not in unmeasured]
    if not found:
        raise InvalidInput(
            f"a search by {', '.join(wanted)} needs these measured, and the plan does not: give --data for accuracy, "
            "--cost for instructions, or other objectives by --pareto"
        )
    return found


def values_of(record: Mapping[str, Any] | None, objectives: Sequence[Objective]) -> Objectives | None:
    """The objectives of a run; None if it failed, is not valid, or lacks one."""
    if record is None or record["status"] != "ok" or not record["valid"]:
        return None
    figures = [objective.figure(record) for objective in objectives]
    return None if None in figures else [figure.value for figure in figures if figure is not None]


def point_of(run: PlannedRun) -> Point:
    """A run of one device as a point: its model, alpha, resolution, recipe, engine and threads."""
    network = run.variant.network
    point: dict[str, Value] = {"model": network.model}
    if network.alpha is not None:
        point["alpha"] = network.alpha
    if network.input_shape is not None:
        point["resolution"] = network.input_shape[0]
    return {**point, "recipe": run.variant.recipe.name, "engine": run.engine, "threads": run.threads}


class _Search:
    """The search on one device."""

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        objectives: Sequence[Objective],
        trials: int,
        seed: int,
        name: str,
        storage: str,
    ) -> None:
        points = [dict(point_of(run)) for run in runs]
        # Where models of several kinds are compared, alpha and resolution are not known of all of them.
        everywhere = set.intersection(*(set(point) for point in points))
        points = [{axis: point[axis] for axis in point if axis in everywhere} for point in points]
        self._runs = {_key(point): run for point, run in zip(points, runs, strict=True)}
        directions = ["maximize" if objective.larger_is_better else "minimize" for objective in objectives]
        names = tuple(objective.name for objective in objectives)
        settings = StudySettings(name=name, storage=storage, seed=seed, objectives=names)
        self.study = SpaceStudy(points, trials, directions=directions, settings=settings)

    def __enter__(self) -> _Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.study.close()

    def ask(self) -> list[tuple[int, PlannedRun]]:
        return [(number, self._runs[_key(point)]) for number, point in self.study.ask()]

    def measured(self) -> list[PlannedRun]:
        return [self._runs[_key(one.point)] for one in self.study.result().tried]


def _key(point: Point) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(point.items()))


def _identity(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[key] for key in ("device", "model", "variant", "engine", "threads"))


def _identity_of(run: PlannedRun) -> tuple[Any, ...]:
    return run.device, run.variant.network.name, run.variant.recipe.name, run.engine, run.threads
