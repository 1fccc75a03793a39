"""Keep what sweeps do and find, so that nothing finished is done again and nothing measured is lost."""

from __future__ import annotations

__all__ = ["Store", "open_store"]

import importlib
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, delete, func, select, update

from edge_dwsep.errors import StoreUnreachable
from edge_dwsep.store.connection import connected, reading, writing
from edge_dwsep.store.location import shown, store_url
from edge_dwsep.store.migrate import prepare
from edge_dwsep.store.queries import (
    count_runs,
    each_record,
    find,
    full_record,
    results_of_run,
    run_columns,
    sweep_columns,
    whole_results,
)
from edge_dwsep.store.records import RunFilter, SweepRecord, now
from edge_dwsep.store.rows import artifact_row, device_row, run_row
from edge_dwsep.store.schema import artifacts, devices, run_steps, runs, steps, sweep_runs, sweeps
from edge_dwsep.sweep.steps import Step, StepOutput

CHUNK = 500
"""Values of one IN; SQLite takes 32,766 at most, and fewer are planned faster."""

RECENT = 2000
"""Steps that expected times are taken from."""

Item = TypeVar("Item")


def open_store(url: str | None = None, *, create: bool = True, busy_seconds: float = 30.0) -> Store:
    """Open a store of results, and bring it to the schema of this version.

    Args:
        url: path of an SQLite file, or a URL of SQLite or PostgreSQL; None for ``$EDGE_DWSEP_STORE``, and without
            that for ``results.sqlite`` in the user's data folder.
        create: whether to make a store where there is none.
        busy_seconds: how long to wait while another program has it locked.

    Raises:
        InvalidStore: the URL is none, or there is no store and none is to be made.
        StoreError: it cannot be opened: see :mod:`edge_dwsep.errors`.
    """
    where = store_url(url)
    place = where.database or "" if where.get_backend_name() == "sqlite" else shown(where)
    if where.get_backend_name() == "sqlite":
        _require_file(Path(place), create=create)
    engine = connected(where, busy_seconds)
    try:
        prepare(engine, place, create=create)
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, shown(where), place, where.render_as_string(hide_password=False))


class Store:
    """A store of results, for one thread; other processes may have it open, too.

    Every method that writes keeps all or nothing, and what it has kept outlasts a power cut.

    Args:
        engine: of a store of this version's schema.
        url: of the store, without password.
        place: what messages call it.
        secret_url: with the password, for other libraries that use the same database.
    """

    def __init__(self, engine: Engine, url: str, place: str, secret_url: str) -> None:
        self.url = url
        self.place = place
        self.secret_url = secret_url
        self._engine = engine

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the store opens anew when it is used again."""
        self._engine.dispose()

    def outputs(self, keys: Iterable[str]) -> dict[str, StepOutput]:
        """What finished steps put out, by key; those that did not finish, or whose files are lost, are left out."""
        found = {}
        with reading(self._engine, self.place) as connection:
            for some in _chunks(keys):
                chosen = select(steps.c.key, steps.c.facts, steps.c.files).where(steps.c.key.in_(some), ~steps.c.lost)
                for row in connection.execute(chosen):
                    found[row.key] = StepOutput(facts=row.facts, files=row.files)
        return found

    def finished(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys whose steps :meth:`outputs` would give, without the outputs, which may be large."""
        found: set[str] = set()
        with reading(self._engine, self.place) as connection:
            for some in _chunks(keys):
                found.update(connection.scalars(select(steps.c.key).where(steps.c.key.in_(some), ~steps.c.lost)))
        return found

    def save_output(self, step: Step, output: StepOutput, *, seconds: float, worker: str) -> bool:
        """Keep what a step put out; of a step that is there already, the first stays.

        Args:
            step: which.
            output: of it.
            seconds: that it took.
            worker: who did it.

        Returns:
            Whether it was kept; if not, another program was faster.
        """
        values = {
            "key": step.key,
            "kind": step.kind.value,
            "title": step.title,
            "device": step.device,
            "seconds": seconds,
            "worker": worker,
            "created": now(),
            "lost": False,
            "files": dict(output.files),
            "facts": dict(output.facts),
        }
        added = self._insert(steps).values(values)
        changed = {name: added.excluded[name] for name in values if name != "key"}
        added = added.on_conflict_do_update(index_elements=["key"], set_=changed, where=steps.c.lost)
        kept = added.returning(steps.c.key)
        return writing(self._engine, self.place, lambda connection: connection.execute(kept).first() is not None)

    def seconds_by_kind(self) -> dict[tuple[str, str], float]:
        """The median time of recent steps in seconds, by kind and device."""
        recent = select(steps.c.kind, steps.c.device, steps.c.seconds).order_by(steps.c.created.desc()).limit(RECENT)
        times: dict[tuple[str, str], list[float]] = {}
        with reading(self._engine, self.place) as connection:
            for kind, device, seconds in connection.execute(recent):
                times.setdefault((kind, device), []).append(seconds)
        return {of: statistics.median(some) for of, some in times.items()}

    def forget(self, keys: Iterable[str]) -> None:
        """Mark steps whose files were found missing or damaged, to be done again; their facts are kept."""
        lost = list(keys)

        def work(connection: Connection) -> None:
            for some in _chunks(lost):
                connection.execute(update(steps).where(steps.c.key.in_(some)).values(lost=True))

        if lost:
            self._write(work)

    def begin_sweep(self, sweep: SweepRecord) -> None:
        """Keep that a sweep has begun; one that is there goes on, and keeps the time and command of its first start."""
        values = {
            "id": sweep.id,
            "name": sweep.name,
            "command": sweep.command,
            "status": "running",
            "started": sweep.started,
            "finished": None,
            "plan": dict(sweep.plan),
            "versions": dict(sweep.versions),
            "settings": dict(sweep.settings),
            "models": [dict(model) for model in sweep.models],
            "data": None if sweep.data is None else dict(sweep.data),
            "excluded": [dict(one) for one in sweep.excluded],
        }
        self._upsert(sweeps, ["id"], values, kept=("started", "command"))

    def set_sweep(self, sweep_id: str, **columns: Any) -> None:
        """Keep what has become known of a sweep: ``models``, ``data``, ``settings`` and others of its columns."""
        self._write(
            lambda connection: connection.execute(update(sweeps).where(sweeps.c.id == sweep_id).values(columns))
        )

    def finish_sweep(self, sweep_id: str, status: str) -> None:
        """Keep how a sweep ended: "done", "failed" or "interrupted"."""
        self.set_sweep(sweep_id, status=status, finished=now())

    def run(self, key: str, *, samples: bool = False) -> dict[str, Any] | None:
        """The record of a finished run, failed ones included; None if there is none.

        Args:
            key: of the run.
            samples: whether with raw samples and predictions.
        """
        with reading(self._engine, self.place) as connection:
            return full_record(connection, key, samples=samples)

    def save_run(
        self,
        sweep_id: str,
        position: int,
        key: str,
        record: Mapping[str, Any],
        *,
        device: Mapping[str, Any],
        artifact: Mapping[str, Any] | None,
        steps: Sequence[tuple[str, int]],
        reused: bool,
    ) -> None:
        """Keep a run as part of a sweep. A run that is there already is replaced, but never by one that failed.

        Args:
            sweep_id: of a sweep that has begun.
            position: of the run in the sweep.
            key: hash of all that decides the run.
            record: of results.json; its raw samples are not kept here but with the steps.
            device: as in results.json.
            artifact: ``sha256`` and what else is known of the model file; None if there is no file.
            steps: key and round of each step that measured it, kept before by :meth:`save_output`.
            reused: whether it was there before the sweep.
        """
        on, of, row = device_row(device), artifact and artifact_row(artifact), run_row(key, record)
        row.update(device_id=on["id"], artifact_sha256=of["sha256"] if of else None)

        def work(connection: Connection) -> None:
            connection.execute(self._insert(devices).values(on).on_conflict_do_nothing())
            if of:
                connection.execute(self._insert(artifacts).values(of).on_conflict_do_nothing())
            added = self._insert(runs).values(row)
            changed = {name: added.excluded[name] for name in row if name != "key"}
            replaceable = (runs.c.status != "ok") | (added.excluded.status == "ok")
            connection.execute(added.on_conflict_do_update(index_elements=["key"], set_=changed, where=replaceable))
            for step, turn in sorted(steps):
                link = self._insert(run_steps).values(run_key=key, step_key=step, round=turn)
                connection.execute(link.on_conflict_do_nothing())
            self._link(connection, sweep_id, {key: position}, reused=reused)

        self._write(work)

    def reuse_runs(self, sweep_id: str, positions: Mapping[str, int]) -> set[str]:
        """Make runs that are there already part of a sweep; gives the keys of those that are, and did not fail.

        Args:
            sweep_id: of a sweep that has begun.
            positions: of runs in the sweep, by their keys.
        """
        found: set[str] = set()

        def work(connection: Connection) -> None:
            found.clear()
            for some in _chunks(positions):
                there = select(runs.c.key).where(runs.c.key.in_(some), runs.c.status == "ok")
                found.update(connection.execute(there).scalars())
            if found:
                self._link(connection, sweep_id, {key: positions[key] for key in sorted(found)}, reused=True)

        if positions:
            self._write(work)
        return found

    def _link(self, connection: Connection, sweep_id: str, positions: Mapping[str, int], *, reused: bool) -> None:
        """Give runs their positions in a sweep; at each there is one run, and what was there before is no part of it.

        A run that the sweep itself measured does not count as reused when the sweep goes on.
        """
        here = sweep_runs.c.sweep_id == sweep_id
        for key, position in positions.items():
            connection.execute(
                delete(sweep_runs).where(here, sweep_runs.c.position == position, sweep_runs.c.run_key != key)
            )
            link = self._insert(sweep_runs).values(sweep_id=sweep_id, run_key=key, position=position, reused=reused)
            changed = {"position": link.excluded.position}
            if not reused:
                changed["reused"] = link.excluded.reused
            connection.execute(link.on_conflict_do_update(index_elements=["sweep_id", "run_key"], set_=changed))

    def results(
        self, sweep_id: str | None = None, *, samples: bool = False, where: RunFilter | None = None
    ) -> dict[str, Any]:
        """A results dict (:mod:`edge_dwsep.results`): of a sweep in its order, or of all runs, newest first.

        Args:
            sweep_id: of the sweep, or the beginning of it that no other has; None for the runs of every sweep.
            samples: whether with raw samples and predictions; without, records are light.
            where: which of the runs.

        Raises:
            InvalidStore: there is no such sweep, or more than one.
        """
        with reading(self._engine, self.place) as connection:
            return whole_results(
                connection, sweep_id, self.url, self.place, samples=samples, where=where or RunFilter()
            )

    def list_runs(self, where: RunFilter | None = None) -> list[dict[str, Any]]:
        """The columns of runs to search by, newest first; far cheaper than their records."""
        with reading(self._engine, self.place) as connection:
            return run_columns(connection, where or RunFilter())

    def list_sweeps(self, *, limit: int = 0) -> list[dict[str, Any]]:
        """Id, name, status, started, finished, command, plan, and ``runs`` and ``failed`` counted; newest first."""
        with reading(self._engine, self.place) as connection:
            return sweep_columns(connection, limit)

    def records(self, where: RunFilter, *, samples: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        """When each run was kept, and its record; newest first, a hundred in memory at a time.

        Args:
            where: which runs.
            samples: whether with raw samples and predictions.
        """
        with reading(self._engine, self.place) as connection:
            yield from each_record(connection, where, samples=samples)

    def results_of_run(self, key: str, *, samples: bool = False) -> dict[str, Any]:
        """A results dict of one run; besides, when it was kept as ``measured``, and the ids of its ``sweeps``."""
        with reading(self._engine, self.place) as connection:
            return results_of_run(connection, key, samples=samples)

    def count_runs(self, where: RunFilter) -> int:
        """How many runs are as asked for, whatever the limit."""
        with reading(self._engine, self.place) as connection:
            return count_runs(connection, where)

    def count_sweeps(self) -> int:
        """How many sweeps there are."""
        with reading(self._engine, self.place) as connection:
            return connection.scalar(select(func.count()).select_from(sweeps)) or 0

    def values(self, column: str) -> list[Any]:
        """The values that a column of the runs has, such as every ``engine``."""
        with reading(self._engine, self.place) as connection:
            return list(connection.scalars(select(runs.c[column]).distinct().order_by(runs.c[column])))

    def find_sweep(self, prefix: str) -> str:
        """The id of the sweep whose id begins so.

        Raises:
            InvalidStore: there is none, or more than one.
        """
        with reading(self._engine, self.place) as connection:
            return find(connection, prefix, self.place, kinds=("sweep",))[1]

    def find(self, prefix: str) -> tuple[str, str]:
        """("sweep" or "run", whole id) of the one whose id begins so.

        Raises:
            InvalidStore: there is none, or more than one.
        """
        with reading(self._engine, self.place) as connection:
            return find(connection, prefix, self.place)

    @cached_property
    def _insert(self) -> Any:
        """INSERT of this database with its ON CONFLICT; who only reads does without the time of its import."""
        return importlib.import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}").insert

    def _write(self, work: Any) -> None:
        writing(self._engine, self.place, work)

    def _upsert(self, table: Table, index: list[str], values: dict[str, Any], kept: Sequence[str]) -> None:
        added = self._insert(table).values(values)
        changed = {name: added.excluded[name] for name in values if name not in (*index, *kept)}
        self._write(
            lambda connection: connection.execute(added.on_conflict_do_update(index_elements=index, set_=changed))
        )


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while some := list(islice(iterator, CHUNK)):
        yield some


def _require_file(path: Path, *, create: bool) -> None:
    """Make the folder of a store that is to be made.

    Raises:
        InvalidStore: there is no file, and none is to be made.
        StoreUnreachable: the folder cannot be made.
    """
    from edge_dwsep.errors import InvalidStore

    try:
        if path.is_dir():
            raise InvalidStore(f"store {path} is a folder; give the path of a file")
        if path.exists():
            return
        if not create:
            raise InvalidStore(f"there is no store {path}; `edge-dwsep sweep` makes one, or give another --store")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnreachable(f"store {path} cannot be opened: {error.strerror}; give another --store") from error
