"""Connections to a store: SQLite so that nothing written is lost, PostgreSQL so that nobody waits for ever."""

from __future__ import annotations

__all__ = ["connected", "reading", "writing"]

import contextlib
import functools
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError

from edge_dwsep.errors import StoreDamaged, StoreError
from edge_dwsep.store.reasons import passing, told

Result = TypeVar("Result")

WRITES = "dwsep_writes"
"""Option of a connection whose transactions will write."""

TRIES = 5
CONNECT_SECONDS = 10


def connected(url: URL, busy_seconds: float) -> Engine:
    """An engine for a store; nothing is opened yet.

    Args:
        url: as :func:`~edge_dwsep.store.location.store_url` gives it.
        busy_seconds: how long to wait for another program's lock.

    Raises:
        StoreError: the driver of PostgreSQL is not installed.
    """
    serializer = functools.partial(json.dumps, allow_nan=False)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        engine = create_engine(
            "sqlite+pysqlite://", creator=lambda: _open(path, busy_seconds), json_serializer=serializer, pool_size=1
        )
        event.listen(engine, "begin", _begin)
        return engine
    defaults = {"connect_timeout": str(CONNECT_SECONDS), "application_name": "edge-dwsep"}
    defaults = {name: value for name, value in defaults.items() if name not in url.query}
    given = url.query.get("options", ())
    options = [*([given] if isinstance(given, str) else given), f"-c lock_timeout={int(1000 * busy_seconds)}"]
    try:
        return create_engine(
            url,
            connect_args={**defaults, "options": " ".join(options)},
            json_serializer=serializer,
            pool_pre_ping=True,
            pool_size=1,
        )
    except ImportError as error:
        raise StoreError(
            "PostgreSQL needs the package psycopg, which is not here: pip install 'edge-dwsep[postgresql]'"
        ) from error


@contextlib.contextmanager
def reading(engine: Engine, place: str) -> Iterator[Connection]:
    """A transaction that sees one state of the store throughout.

    Raises:
        StoreDamaged: a value in it is not what was written.
        StoreError: what the database refused.
    """
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
    except DBAPIError as error:
        raise told(error, place) from error
    except (json.JSONDecodeError, zlib.error) as error:
        raise StoreDamaged(
            f"store {place} holds a value that cannot be read ({error}); set it aside and give another --store"
        ) from error


def writing(engine: Engine, place: str, work: Callable[[Connection], Result]) -> Result:
    """Do ``work`` in a transaction: all of it is kept, or nothing; it may be done more than once before it is kept.

    Raises:
        StoreError: what the database refused.
    """
    for left in reversed(range(TRIES)):
        try:
            with engine.connect() as connection:
                connection.execution_options(**{WRITES: True})
                with connection.begin():
                    return work(connection)
        except IntegrityError:
            raise  # a fault of ours, which no user can mend
        except DBAPIError as error:
            if not (left and passing(error)):
                raise told(error, place) from error
    raise StoreError(f"store {place} lost every one of {TRIES} transactions against other programs; try again")


def _open(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open an SQLite file; one that nobody can write and whose folder takes no files is opened as it lies there."""
    # SQLAlchemy's pool sees to it that two threads never have one connection at once.
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        return _set_up(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        log = path.with_name(f"{path.name}-wal")
        if "unable to open" not in str(error) or not path.is_file() or (log.exists() and log.stat().st_size):
            raise
    # Write-ahead logging wants two files beside this one even of those who only read.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    return _set_up(connection)


def _set_up(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA foreign_keys=ON")
    # With write-ahead logging the default, NORMAL, may lose the last transactions to a power cut.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return connection


def _begin(connection: Connection) -> None:
    """Begin a transaction; one that will write takes its lock at once, for a later one could not be waited for."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
