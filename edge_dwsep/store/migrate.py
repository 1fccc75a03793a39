"""Bring a store's tables to the schema of this version, whoever else does so at the same time."""

from __future__ import annotations

__all__ = ["prepare"]

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from edge_dwsep.errors import InvalidStore, StoreTooNew, StoreUnreachable
from edge_dwsep.store.connection import reading, writing
from edge_dwsep.store.reasons import told
from edge_dwsep.store.schema import HEAD, VERSION_TABLE

VERSIONS = Path(__file__).parent / "versions"
ADVISORY_LOCK = 0x6477736570
"""Of PostgreSQL, held while tables are made or changed: the letters "dwsep"."""


def prepare(engine: Engine, place: str, *, create: bool = True) -> None:
    """Make sure that a store has the tables of this version.

    Args:
        engine: of the store.
        place: the store, without password.
        create: whether to make the tables if there are none.

    Raises:
        InvalidStore: there are none, and none are to be made.
        StoreTooNew: a later version of this program made them.
        StoreError: what the database refused.
    """
    with reading(engine, place) as connection:
        found = _revision(connection)
    if found == HEAD:
        return
    if found is None and not create:
        raise InvalidStore(f"store {place} holds no results; `edge-dwsep sweep` makes one, or give another --store")
    if found is None and engine.dialect.name == "sqlite":
        _use_write_ahead_log(engine, place)
    writing(engine, place, lambda connection: _upgrade(connection, place))


def _revision(connection: Connection) -> str | None:
    """The revision of the tables; None if there are none."""
    known = text(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name"
        if connection.dialect.name == "sqlite"
        else "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = :name"
    )
    if connection.execute(known, {"name": VERSION_TABLE}).first() is None:
        return None
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).first()  # noqa: S608  # a constant
    return None if row is None else str(row[0])


def _upgrade(connection: Connection, place: str) -> None:
    """Apply the revisions that are missing; called in a transaction that has the store to itself."""
    # Alembic takes 0.2 s to import, and is needed once in the life of a schema.
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    found = _revision(connection)
    scripts = ScriptDirectory(str(VERSIONS.parent))
    head = scripts.get_current_head()
    if found == head:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise StoreTooNew(
            f"store {place} has schema {found}, made by a later version of edge-dwsep; this one knows {HEAD} at most: "
            "upgrade edge-dwsep, or give another --store"
        )

    def missing(current: Any, _: MigrationContext) -> Any:
        steps = scripts.iterate_revisions("head", current, implicit_base=True)
        return [MigrationStep.upgrade_from_script(scripts.revision_map, script) for script in reversed(list(steps))]

    context = MigrationContext.configure(
        connection,
        opts={"version_table": VERSION_TABLE, "fn": missing, "script": scripts, "transactional_ddl": True},
    )
    with Operations.context(context):
        context.run_migrations()


def _use_write_ahead_log(engine: Engine, place: str) -> None:
    """Set the file to write-ahead logging, which stays; SQLite does not wait here for others who do the same."""
    deadline = time.monotonic() + 30
    while True:
        connection = engine.raw_connection()
        try:
            (mode,) = connection.cursor().execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise told(DBAPIError("", None, error), place) from error
            time.sleep(0.02)
        else:
            if mode != "wal":
                raise StoreUnreachable(
                    f"store {place} lies where SQLite cannot log ahead (a network folder?); give another --store"
                )
            return
        finally:
            connection.close()
