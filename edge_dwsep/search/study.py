"""Measure a few points of a space, chosen so that the best of them are as good as the best of all."""

from __future__ import annotations

__all__ = ["BATCH", "Objectives", "SearchResult", "SpaceStudy", "StudySettings", "Tried", "search"]

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwsep_runtime.errors import DwsepError, InvalidInput
from edge_dwsep.errors import StoreError
from edge_dwsep.search.space import Point, Space

if TYPE_CHECKING:
    import optuna

BATCH = 4
"""Points measured between two proposals."""

DIRECTIONS = ("minimize", "maximize")
AXES = "axes"
"""Of a study's own attributes: the values on each axis."""

LOCKED_SECONDS = 30.0
TRIES = 5
MADE_AT_ONCE = ("already exists", "UNIQUE constraint", "unique constraint")
"""What databases say where two make the same table or its first row."""

Objectives = Sequence[float]
"""What was measured at a point, in the order of the directions."""


@dataclass(frozen=True)
class StudySettings:
    """How a space is searched, and where the study is kept.

    Attributes:
        name: of the study.
        storage: URL of the database that keeps it, as SQLAlchemy takes it; None to keep it in memory.
        seed: of random choices.
        batch: points measured between two proposals; the first ones, which fill the space, are measured together.
        objectives: their names, for people; empty for none.
        sampler: makes another sampler of Optuna's than :class:`~edge_dwsep.search.sampler.FrontSampler`; it must
            propose points of the space, none twice.
    """

    name: str = "search"
    storage: str | None = None
    seed: int = 0
    batch: int = BATCH
    objectives: tuple[str, ...] = ()
    sampler: Callable[[Space], optuna.samplers.BaseSampler] | None = None


@dataclass(frozen=True)
class Tried:
    """A point that was measured.

    Attributes:
        point: which.
        values: of the objectives; None if it failed.
        number: of its trial in the study.
    """

    point: Point
    values: tuple[float, ...] | None
    number: int


@dataclass(frozen=True)
class SearchResult:
    """How a search went.

    Attributes:
        study: its name in the storage.
        directions: "minimize" or "maximize" for each objective.
        tried: all points measured, in that order, those of earlier processes included.
        front: of ``tried`` those that no other dominates by the measured values; which of them can be told apart is
            for :mod:`edge_dwsep.choice` to say.
        points: how many there were to choose among.
    """

    study: str
    directions: tuple[str, ...]
    tried: tuple[Tried, ...]
    front: tuple[Tried, ...]
    points: int


class SpaceStudy:
    """A study of Optuna over the points of a space, gone on with if the storage has it; a context manager.

    Points that were being measured when an earlier process ended are asked for first, and again under their number.

    Args:
        points: the space; each a value on every axis.
        trials: points to measure in all; at most those that there are.
        directions: "minimize" or "maximize" for each objective.
        settings: see :class:`StudySettings`.

    Raises:
        InvalidInput: a setting is out of its range, or the study in the storage has other axes, values or directions.
        StoreError: the storage cannot be used.
        DwsepError: Optuna is not installed.
    """

    def __init__(
        self, points: Sequence[Point], trials: int, *, directions: Sequence[str], settings: StudySettings
    ) -> None:
        self.space = Space.of(points)
        _require(trials, directions, settings.batch)
        _require_optuna()
        self._settings = settings
        self._most = min(trials, len(self.space.points))
        self._begun = False
        self._storage: optuna.storages.RDBStorage | None = None
        try:
            with self._at_work():
                from edge_dwsep.search.sampler import FrontSampler, first_count

                self._first = first_count(self.space, trials)
                sampler = settings.sampler or (lambda space: FrontSampler(space, settings.seed, self._first))
                self._storage = _storage(settings.storage) if settings.storage else None
                self._study = _study(self._storage, settings, directions, self.space, sampler(self.space))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SpaceStudy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the storage."""
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()

    def ask(self) -> list[tuple[int, Point]]:
        """Points to measure next, each with the number of its trial; none when as many as wanted were measured."""
        with self._at_work():
            from edge_dwsep.search.sampler import distributions_of

            asked = [] if self._begun else _left_running(self._study, self.space)
            self._begun = True
            trials = self._study.get_trials(deepcopy=False)
            taken = sum(self.space.index(trial.params) is not None for trial in trials)
            room = self._first - taken if taken < self._first else self._settings.batch - len(asked)
            for _ in range(min(room, self._most - taken)):
                trial = self._study.ask(distributions_of(self.space))
                asked.append((trial.number, dict(trial.params)))
        return asked

    def tell(self, number: int, values: Objectives | None) -> None:
        """What was measured in a trial; None if it failed, which counts as a trial and is not tried again."""
        from optuna.trial import TrialState

        with self._at_work():
            if values is None:
                self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
            else:
                self._study.tell(number, [float(value) for value in values], skip_if_finished=True)

    def result(self) -> SearchResult:
        """How the search went so far."""
        with self._at_work():
            tried = []
            for trial in self._study.get_trials(deepcopy=False):
                index = self.space.index(trial.params)
                if index is not None and trial.state.is_finished():
                    values = None if trial.values is None else tuple(trial.values)
                    tried.append(Tried(self.space.points[index], values, trial.number))
            best = {trial.number for trial in self._study.best_trials}
            directions = tuple(direction.name.lower() for direction in self._study.directions)
        front = tuple(one for one in tried if one.number in best)
        return SearchResult(self._settings.name, directions, tuple(tried), front, len(self.space.points))

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Optuna tells of every trial on standard error, which is the sweep's to do; what fails is told in one line."""
        import optuna
        from sqlalchemy.exc import DBAPIError

        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        except (optuna.exceptions.StorageInternalError, DBAPIError) as error:
            from edge_dwsep.store.location import shown, store_url
            from edge_dwsep.store.reasons import told

            place = shown(store_url(self._settings.storage))
            cause = error if isinstance(error, DBAPIError) else error.__cause__
            if not isinstance(cause, DBAPIError):
                raise StoreError(f"store {place} does not keep the search's study: {cause or error}") from error
            raise told(cause, place) from error
        finally:
            optuna.logging.set_verbosity(before)


def search(
    points: Sequence[Point],
    measure: Callable[[Sequence[Point]], Sequence[Objectives | None]],
    trials: int,
    *,
    directions: Sequence[str],
    settings: StudySettings | None = None,
) -> SearchResult:
    """Measure some points of a space in search of its Pareto front.

    A study of that name in the storage is gone on with: what it has measured is not measured again. An error that
    ``measure`` raises ends the search so that it can be gone on with.

    Args:
        points: the space; each a value on every axis.
        measure: measures points, and gives for each the objectives, or None if it failed.
        trials: points to measure in all; at most those that there are.
        directions: "minimize" or "maximize" for each objective.
        settings: of the study.

    Raises:
        InvalidInput: a setting is out of its range, or the study in the storage has other axes, values or directions.
        StoreError: the storage cannot be used.
        DwsepError: Optuna is not installed.
    """
    with SpaceStudy(points, trials, directions=directions, settings=settings or StudySettings()) as study:
        while asked := study.ask():
            told = measure([point for _, point in asked])
            if len(told) != len(asked):
                raise InvalidInput(f"measuring {len(asked)} points gave {len(told)} answers; give one for each")
            for (number, _), values in zip(asked, told, strict=True):
                study.tell(number, values)
        return study.result()


def _require(trials: int, directions: Sequence[str], batch: int) -> None:
    for name, value in (("trials", trials), ("batch", batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInput(f"{name} must be a whole number of at least 1, received {value!r}")
    if not directions or any(direction not in DIRECTIONS for direction in directions):
        raise InvalidInput(f"directions must be minimize or maximize, one an objective, received {list(directions)}")


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401  # whether it is here
    except ImportError as error:
        raise DwsepError("search needs Optuna; install it: pip install 'edge-dwsep[search]'") from error


def _study(
    storage: optuna.storages.RDBStorage | None,
    settings: StudySettings,
    directions: Sequence[str],
    space: Space,
    sampler: optuna.samplers.BaseSampler,
) -> optuna.Study:
    """The study, made or gone on with."""
    import optuna

    study = optuna.create_study(
        storage=storage or optuna.storages.InMemoryStorage(),
        sampler=sampler,
        study_name=settings.name,
        directions=[optuna.study.StudyDirection[direction.upper()] for direction in directions],
        load_if_exists=True,
    )
    axes = {axis.name: list(axis.values) for axis in space.axes}
    known = study.user_attrs.get(AXES)
    if known is None:
        study.set_user_attr(AXES, axes)
        if settings.objectives:
            # Optuna calls it experimental and warns; without it the dashboard numbers the objectives.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(settings.objectives))
    found = [direction.name.lower() for direction in study.directions]
    if known not in (None, axes) or found != list(directions):
        raise InvalidInput(
            f"study {settings.name!r} in the store searches other axes, values or directions: "
            f"{known} by {found}, now {axes} by {list(directions)}; give the search another name"
        )
    return study


def _storage(url: str) -> optuna.storages.RDBStorage:
    """Optuna's tables in a database, made if they are not there."""
    import optuna
    from sqlalchemy.exc import DBAPIError

    waiting = {"connect_args": {"timeout": LOCKED_SECONDS}} if url.startswith("sqlite") else {}
    for left in reversed(range(TRIES)):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=waiting)
        except (DBAPIError, optuna.exceptions.StorageInternalError) as error:
            # Another process makes them at this very moment.
            if not left or not any(words in str(error.__cause__ or error) for words in MADE_AT_ONCE):
                raise
    raise StoreError("Optuna's tables are being made by another program for too long; try again")


def _left_running(study: optuna.Study, space: Space) -> list[tuple[int, Point]]:
    """Trials of a process that ended before it told them; those without a point are ended."""
    from optuna.trial import TrialState

    left: list[tuple[int, Point]] = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        index = space.index(trial.params)
        if index is None:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            left.append((trial.number, space.points[index]))
    return left
