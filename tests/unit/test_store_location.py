"""Where a store lies, from what a user gave, and what of it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_dwsep.errors import InvalidStore
from edge_dwsep.store.location import shown, store_url

PG = "postgresql+psycopg"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("/a/b.sqlite", "sqlite:////a/b.sqlite"),
        ("/a b/'c'?d#e%20", "sqlite:////a b/%27c%27%3Fd%23e%2520"),
        ("sqlite:////a/b.sqlite", "sqlite:////a/b.sqlite"),
        ("sqlite+pysqlite:////a/b.sqlite", "sqlite:////a/b.sqlite"),
        ("postgresql://u@h/d", f"{PG}://u@h/d"),
        ("postgres://u@h:5433/d", f"{PG}://u@h:5433/d"),
        ("postgresql+psycopg://u:secret@h/d", f"{PG}://u@h/d"),
        ("postgresql://u:sec%40ret%2F@h/d", f"{PG}://u@h/d"),
        ("postgresql://u@h/d?password=secret&sslmode=require", f"{PG}://u@h/d?sslmode=require"),
        ("postgresql:///d?host=/run", f"{PG}:///d?host=%2Frun"),
    ],
)
def test_what_is_given_is_found_and_shown_without_password(given: str, url: str) -> None:
    assert shown(store_url(given)) == url
    assert shown(store_url(url)) == url


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://u:secret@h/d", "of the kind 'mysql'"),
        ("postgresql+asyncpg://u:secret@h/d", "of the kind 'postgresql\\+asyncpg'"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////a?mode=ro", "names no file"),
        ("postgresql://u:secret@secret@h/d", "write an @ of a user or password as %40"),
        ("postgresql://u:secret@h:port/d", "no URL that can be read"),
        ("://u:secret@h", "no URL that can be read"),
        ("http://example.invalid", "of the kind 'http'"),
    ],
)
def test_what_is_no_store_is_refused_without_its_password(given: str, said: str) -> None:
    with pytest.raises(InvalidStore, match=said) as caught:
        store_url(given)
    assert "secret" not in str(caught.value)


def test_without_any_the_environment_and_then_the_data_folder_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGE_DWSEP_STORE", str(tmp_path / "a"))
    assert store_url().database == str(tmp_path / "a")
    assert store_url(str(tmp_path / "b")).database == str(tmp_path / "b")
    monkeypatch.delenv("EDGE_DWSEP_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store_url().database == str(tmp_path / "edge-dwsep" / "results.sqlite")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_url("").database == str(tmp_path / ".local/share/edge-dwsep/results.sqlite")
    assert store_url("~/c").database == str(tmp_path / "c")
    monkeypatch.chdir(tmp_path)
    assert store_url("d.sqlite").database == str(tmp_path / "d.sqlite")
