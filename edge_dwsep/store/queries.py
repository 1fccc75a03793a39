"""Ask a store for runs and sweeps."""

from __future__ import annotations

__all__ = [
    "count_runs",
    "each_record",
    "find",
    "full_record",
    "results_of_run",
    "run_columns",
    "sweep_columns",
    "whole_results",
]

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from edge_dwsep.errors import InvalidStore
from edge_dwsep.light import full
from edge_dwsep.store.records import RunFilter
from edge_dwsep.store.schema import devices, run_steps, runs, steps, sweep_runs, sweeps

AT_ONCE = 100
"""Rows that are read together."""

LISTED = tuple(column for column in runs.c if column.name not in {"record", "device_id"})


def run_columns(connection: Connection, where: RunFilter) -> list[dict[str, Any]]:
    """The columns of runs to search by, newest first."""
    query = _newest(select(*LISTED), where)
    return [dict(row) for row in connection.execute(query).mappings()]


def sweep_columns(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """What sweeps were, newest first, each with its number of ``runs`` and of those that ``failed``."""
    failed = func.sum(case((runs.c.status != "ok", 1), else_=0))
    counts = (
        select(sweep_runs.c.sweep_id, func.count().label("runs"), failed.label("failed"))
        .join(runs, runs.c.key == sweep_runs.c.run_key)
        .group_by(sweep_runs.c.sweep_id)
        .subquery()
    )
    shown = (sweeps.c.id, sweeps.c.name, sweeps.c.status, sweeps.c.started, sweeps.c.finished, sweeps.c.command)
    query = (
        select(
            *shown,
            sweeps.c.plan,
            func.coalesce(counts.c.runs, 0).label("runs"),
            func.coalesce(counts.c.failed, 0).label("failed"),
        )
        .outerjoin(counts, counts.c.sweep_id == sweeps.c.id)
        .order_by(sweeps.c.started.desc(), sweeps.c.id)
    )
    if limit:
        query = query.limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def count_runs(connection: Connection, where: RunFilter) -> int:
    """How many runs are as asked for, whatever the limit."""
    chosen = _newest(select(runs.c.key), replace(where, limit=0)).order_by(None).subquery()
    return connection.scalar(select(func.count()).select_from(chosen)) or 0


def find(connection: Connection, prefix: str, place: str, kinds: Sequence[str] = ("sweep", "run")) -> tuple[str, str]:
    """("sweep" or "run", whole id) of the one whose id begins so; an id that is just this comes before all others.

    Raises:
        InvalidStore: there is none, or more than one.
    """
    found: list[tuple[str, str]] = []
    for kind, column in (("sweep", sweeps.c.id), ("run", runs.c.key)):
        if kind in kinds and prefix:
            begins = select(column).where(column.startswith(prefix, autoescape=True)).order_by(column).limit(6)
            found += [(kind, whole) for whole in connection.scalars(begins)]
    whole = [one for one in found if one[1] == prefix]
    if whole or len(found) == 1:
        return (whole or found)[0]
    if not found:
        lists = {"sweep": "`edge-dwsep results list --sweeps`", "run": "`edge-dwsep results list`"}
        raise InvalidStore(
            f"store {place} has no {' or '.join(kinds)} {prefix!r}; {' and '.join(lists[kind] for kind in kinds)} "
            f"tell{'s' if len(kinds) == 1 else ''} the ids"
        )
    some = ", ".join(f"{kind} {one[: len(prefix) + 6]}" for kind, one in found[:5])
    raise InvalidStore(f"{prefix!r} begins more than one id in store {place}: {some}; give more of it")


def full_record(connection: Connection, key: str, *, samples: bool) -> dict[str, Any] | None:
    """A run's record, with raw samples if asked for; None if there is no such run."""
    row = connection.execute(select(runs.c.record).where(runs.c.key == key)).first()
    if row is None:
        return None
    record = {**json.loads(row.record), "id": key}
    return _full(connection, record) if samples else record


def each_record(connection: Connection, where: RunFilter, *, samples: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """When each run was kept, and its record; newest first."""
    query = _newest(select(runs.c.key, runs.c.created, runs.c.record), where)
    for row, record in _each(connection, query):
        yield row.created, _full(connection, record) if samples else record


def results_of_run(connection: Connection, key: str, *, samples: bool) -> dict[str, Any]:
    """A results dict of one run that is there: see :meth:`edge_dwsep.store.Store.results_of_run`."""
    last = (
        select(sweeps.c.id)
        .join(sweep_runs, sweep_runs.c.sweep_id == sweeps.c.id)
        .where(sweep_runs.c.run_key == key)
        .order_by(sweeps.c.started)
    )
    ids = list(connection.scalars(last))
    results = _whole(connection, RunFilter(), runs.c.key == key)
    if samples:
        results["runs"] = [_full(connection, record) for record in results["runs"]]
    measured = connection.scalar(select(runs.c.created).where(runs.c.key == key))
    return {**results, "measured": measured, "sweeps": ids}


def whole_results(
    connection: Connection, sweep_id: str | None, url: str, place: str, *, samples: bool, where: RunFilter
) -> dict[str, Any]:
    """A results dict: see :meth:`edge_dwsep.store.Store.results`."""
    if sweep_id is None:
        results = _whole(connection, where)
        records = results["runs"]
    else:
        _, sweep_id = find(connection, sweep_id, place, kinds=("sweep",))
        sweep = connection.execute(select(sweeps).where(sweeps.c.id == sweep_id)).one()
        query = (
            _filtered(select(runs.c.key, runs.c.device_id, runs.c.record, sweep_runs.c.reused), where)
            .join(sweep_runs, sweep_runs.c.run_key == runs.c.key)
            .where(sweep_runs.c.sweep_id == sweep_id)
            .order_by(sweep_runs.c.position, runs.c.key)
        )
        records, found = [], set()
        for row, record in _each(connection, query.limit(where.limit) if where.limit else query):
            found.add(row.device_id)
            record["reused"] = row.reused
            records.append(record)
        from edge_dwsep.results import new_results

        results = new_results(sweep.command, sweep.settings, _devices(connection, found))
        results.update(
            created=sweep.started,
            versions=sweep.versions,
            models=sweep.models,
            data=sweep.data,
            sweep={
                **{name: getattr(sweep, name) for name in ("id", "name", "plan", "excluded", "started", "finished")},
                "status": sweep.status,
                "store": url,
            },
        )
    results["runs"] = [_full(connection, record) for record in records] if samples else records
    return results


def _whole(connection: Connection, where: RunFilter, *also: ColumnElement[bool]) -> dict[str, Any]:
    """Light results of whichever sweeps, newest first."""
    from edge_dwsep.results import new_results

    query = _newest(select(runs.c.key, runs.c.device_id, runs.c.record), where).where(*also)
    pairs = [(row.device_id, record) for row, record in _each(connection, query)]
    results = new_results("edge-dwsep results", {}, _devices(connection, {device for device, _ in pairs}))
    results["runs"] = [record for _, record in pairs]
    kept = connection.execute(select(sweeps.c.models, sweeps.c.data).order_by(sweeps.c.started)).all()
    names = {record.get("model") for record in results["runs"]}
    models = {model.get("name"): model for row in kept for model in row.models}
    sets = [row.data for row in kept if row.data]
    results["models"] = [model for name, model in models.items() if name in names]
    results["data"] = sets[0] if sets and all(one == sets[0] for one in sets) else None
    return results


def _each(connection: Connection, query: Select[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Rows of runs, each with its record, a hundred rows in memory at a time."""
    for some in connection.execute(query, execution_options={"yield_per": AT_ONCE}).partitions():
        # Read at once, equal keys of a hundred records are one string each: a third of the memory.
        records = json.loads(f"[{','.join(row.record for row in some)}]")
        for row, record in zip(some, records, strict=True):
            record["id"] = row.key
            yield row, record


def _devices(connection: Connection, ids: set[str]) -> list[dict[str, Any]]:
    """What is known of devices; of several of one name, the one seen last."""
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(select(devices.c.id, devices.c.name, devices.c.facts).order_by(devices.c.created)):
        if row.id in ids:
            found[row.name] = row.facts
    return list(found.values())


def _full(connection: Connection, record: Mapping[str, Any]) -> dict[str, Any]:
    query = (
        select(steps.c.kind, steps.c.facts)
        .join(run_steps, run_steps.c.step_key == steps.c.key)
        .where(run_steps.c.run_key == record["id"], steps.c.kind.in_(("launch", "accuracy")))
        .order_by(run_steps.c.round, steps.c.created)
    )
    rows = connection.execute(query).all()
    launches = [row.facts for row in rows if row.kind == "launch"]
    told = [row.facts["record"] for row in rows if row.kind == "accuracy"]
    return full(record, launches, (told[-1].get("accuracy") if told else None) or {})


def _newest(query: Select[Any], where: RunFilter) -> Select[Any]:
    query = _filtered(query, where)
    if where.sweep:
        query = query.join(sweep_runs, sweep_runs.c.run_key == runs.c.key).where(sweep_runs.c.sweep_id == where.sweep)
    query = query.order_by(runs.c.created.desc(), runs.c.key)
    return query.limit(where.limit) if where.limit else query


def _filtered(query: Select[Any], where: RunFilter) -> Select[Any]:
    wanted = (
        (runs.c.model, where.models),
        (runs.c.scheme, where.schemes),
        (runs.c.format, where.formats),
        (runs.c.engine, where.engines),
        (runs.c.device, where.devices),
        (runs.c.threads, where.threads),
    )
    for column, values in wanted:
        if values:
            query = query.where(column.in_(list(values)))
    if where.since:
        query = query.where(runs.c.created >= where.since)
    if where.valid:
        query = query.where(runs.c.valid, runs.c.status == "ok")
    return query
