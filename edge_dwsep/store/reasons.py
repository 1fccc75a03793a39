"""What a database's driver raises, told in one line that says what to do."""

from __future__ import annotations

__all__ = ["passing", "told"]

import sqlite3

from sqlalchemy.exc import DBAPIError

from edge_dwsep.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
)

Reason = tuple[type[StoreError], str]

SQLITE: dict[str, Reason] = {
    "locked": (StoreBusy, "is locked by another program; wait for it, or end it"),
    "readonly": (StoreReadOnly, "cannot be written; give another --store, or the right to write"),
    "is full": (StoreFull, "cannot grow: the disk is full; free space there"),
    "I/O error": (StoreError, "cannot be read or written: the disk reports an error"),
    "not a database": (StoreDamaged, "is no SQLite database; give another --store"),
    "malformed": (
        StoreDamaged,
        "is damaged; set the file aside (sqlite3's command .recover may save most of it) and give another --store",
    ),
    "unable to open": (StoreUnreachable, "cannot be opened; give another --store, or the right to open it"),
    "denied": (StoreUnreachable, "may not be opened; give another --store, or the right to open it"),
}
"""By words of SQLite's messages, which are the same everywhere; Python 3.10 does not tell the codes."""

POSTGRESQL: dict[str, Reason] = {
    "08": (StoreUnreachable, "cannot be reached; is its server running?"),
    "28": (StoreUnreachable, "refuses the user or password; check both, or use ~/.pgpass"),
    "3D": (StoreUnreachable, "has no such database; make it with createdb"),
    "42501": (StoreReadOnly, "gives this user no right to do that; have it granted"),
    "25006": (StoreReadOnly, "takes no writes: it is a read-only server or session; give another --store"),
    "53100": (StoreFull, "cannot grow: its disk is full; free space there"),
    "53300": (StoreBusy, "has too many connections; wait, or end some"),
    "55P03": (StoreBusy, "is locked by another program; wait for it, or end it"),
    "57P": (StoreUnreachable, "is being shut down or started; wait for it"),
    "XX001": (StoreDamaged, "is damaged; restore it from a backup"),
    "XX002": (StoreDamaged, "is damaged; restore it from a backup"),
}
"""By the beginning of SQLSTATE (PostgreSQL 15 documentation, appendix A); the longest counts."""

PASSING = ("40001", "40P01")
"""A transaction that lost against another one, and will do when it is begun again."""


def told(error: DBAPIError, place: str) -> StoreError:
    """An error to be shown.

    Args:
        error: as SQLAlchemy raised it.
        place: the store, without password.
    """
    said = " ".join(str(error.orig).split())[:200]
    if isinstance(error.orig, sqlite3.Error):
        unknown = (StoreError, "does not do what is asked")
        kind, text = next((reason for words, reason in SQLITE.items() if words in said), unknown)
        return kind(f"store {place} {text} ({said})")
    state = getattr(error.orig, "sqlstate", None) or _state_of(said)
    kind, text = next(
        (POSTGRESQL[state[:length]] for length in (5, 3, 2) if state[:length] in POSTGRESQL),
        (StoreError, "does not do what is asked"),
    )
    return kind(f"store {place} {text} ({said})")


CONNECTING = {
    "authentication": "28",
    "password": "28",
    "pg_hba.conf": "28",
    "role": "28",
    "database": "3D",
    "too many": "53300",
}
"""Words of messages about connections, for which the driver tells no SQLSTATE."""


def _state_of(said: str) -> str:
    """SQLSTATE, or its beginning, by a message about a connection; 08 where there is none."""
    fatal = said.partition("FATAL:")[2]
    return next((state for words, state in CONNECTING.items() if words in fatal), "08")


def passing(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is begun again."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in PASSING
