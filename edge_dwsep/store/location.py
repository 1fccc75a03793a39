"""Where a store of results lies, from what a user gave; passwords stay out of everything that is shown."""

from __future__ import annotations

__all__ = ["VARIABLE", "shown", "store_url"]

import os
import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from dwsep_devices.xdg import xdg_folder
from edge_dwsep.errors import InvalidStore

VARIABLE = "EDGE_DWSEP_STORE"
"""Of the environment: the store where none is given."""

SECRETS = ("password", "sslpassword")
"""Parameters of a PostgreSQL URL that hold a secret."""

PASSWORD = re.compile(r"(://[^:/@]*:)(.*)(@)")


def store_url(given: str | None = None) -> URL:
    """The URL of a store.

    Args:
        given: path of an SQLite file, ``sqlite:///PATH``, or ``postgresql://USER@HOST/DATABASE``; None or empty for the
            one that the environment names, and without that ``results.sqlite`` in the user's data folder.

    Raises:
        InvalidStore: it is none of these.
    """
    text = given or os.environ.get(VARIABLE, "")
    if not text:
        return _file(str(xdg_folder("XDG_DATA_HOME", ".local/share", "results") / "results.sqlite"))
    if "://" not in text:
        return _file(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        safe = PASSWORD.sub(r"\1***\3", text)
        raise InvalidStore(f"store {safe!r} is no URL that can be read; {_ACCEPTED}") from error
    if url.get_backend_name() == "sqlite" and url.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not url.database or url.database == ":memory:" or url.query:
            raise InvalidStore(f"store {text!r} names no file; {_ACCEPTED}")
        return _file(url.database)
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        if "@" in (url.host or ""):
            raise InvalidStore("the store's URL has two @; write an @ of a user or password as %40")
        return url.set(drivername="postgresql+psycopg")
    raise InvalidStore(f"store {shown(url)!r} is of the kind {url.drivername!r}; {_ACCEPTED}")


def shown(url: URL) -> str:
    """A URL to be shown or kept: without the password."""
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return bare.difference_update_query(SECRETS).render_as_string()


_ACCEPTED = "give the path of an SQLite file, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE"


def _file(path: str) -> URL:
    return URL.create("sqlite", database=str(Path(path).expanduser().absolute()))
