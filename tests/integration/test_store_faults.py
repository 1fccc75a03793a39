"""Stores that are damaged, locked, full, read-only or out of reach: one clear line, and nothing lost."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge_dwsep.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreReadOnly,
    StoreUnreachable,
)
from edge_dwsep.store import SweepRecord, open_store
from edge_dwsep.sweep.steps import StepOutput
from tests.conftest import CommandLine
from tests.postgres_fixtures import PASSWORD, PostgresServer, postgres
from tests.store_fixtures import keep_run, launch_step, store_at

__all__ = ["postgres", "store_at"]

ROOT = Path(__file__).parents[2]


def filled(url: str, count: int = 4) -> list[str]:
    """Keep some runs; gives their keys."""
    with open_store(url) as store:
        store.begin_sweep(SweepRecord(id="s", name="s", command="edge-dwsep sweep", plan={}))
        return [keep_run(store, "s", at, f"run {at}")[0] for at in range(count)]


def write_something(url: str, busy_seconds: float = 0.3) -> None:
    with open_store(url, busy_seconds=busy_seconds) as store:
        store.save_output(launch_step("more"), StepOutput({}), seconds=1.0, worker="w")


def damaged(content: bytes, how: str) -> bytes:
    generator = random.Random(7)  # noqa: S311  # the same damage every time
    if how == "noise":
        return generator.randbytes(9000)
    if how == "text":
        return b'{"schema_version": 4}\n' * 50
    if how == "cut":
        return content[: len(content) // 3]
    if how == "header":
        return content[:20] + generator.randbytes(60) + content[80:]
    middle = bytearray(content)
    for at in range(4096, len(middle), 4096):
        middle[at : at + 64] = generator.randbytes(64)
    return bytes(middle)


@pytest.mark.parametrize(
    ("column", "value"), [("dwsep_runs.record", "{"), ("dwsep_steps.facts", b"{"), ("dwsep_sweeps.plan", "{")]
)
def test_a_damaged_value_is_told_in_one_line(column: str, value: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    filled(str(path))
    table, name = column.split(".")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {name} = ?", (value,))  # noqa: S608  # ours
    with open_store(str(path)) as store, pytest.raises(StoreDamaged, match="holds a value that cannot be read"):
        store.results("s", samples=True)


@pytest.mark.parametrize("how", ["noise", "text", "cut", "header", "pages"])
def test_a_damaged_file_is_told_in_one_line(how: str, tmp_path: Path, command_line: CommandLine) -> None:
    path = tmp_path / "results.sqlite"
    filled(str(path))
    path.write_bytes(damaged(path.read_bytes(), how))
    before = path.read_bytes()
    ended = command_line("results", "list", "--store", path)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert f"store {path} is " in ended.stderr
    with pytest.raises(StoreDamaged):
        write_something(str(path))
    assert path.read_bytes() == before


def test_what_is_no_store_is_refused(tmp_path: Path, command_line: CommandLine) -> None:
    ended = command_line("results", "list", "--store", tmp_path)
    assert (ended.returncode, ended.stderr) == (
        3,
        f"edge-dwsep: store {tmp_path} is a folder; give the path of a file\n",
    )
    ended = command_line("results", "list", "--store", tmp_path / "none.sqlite")
    assert ended.returncode == 3
    assert "there is no store" in ended.stderr
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE runs (x)")
    connection.close()
    ended = command_line("results", "list", "--store", foreign)
    assert ended.returncode == 3
    assert "holds no results" in ended.stderr
    assert filled(str(foreign))  # another program's tables do not matter
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnreachable, match="cannot be opened"):
        write_something(str(tmp_path / "file" / "results.sqlite"))
    (tmp_path / "empty.sqlite").touch()
    write_something(str(tmp_path / "empty.sqlite"))


def test_a_locked_store_is_waited_for_and_then_told(store_at: str) -> None:
    filled(store_at, 1)
    if "://" in store_at:
        import psycopg

        with psycopg.connect(store_at) as other:
            other.execute("LOCK TABLE dwsep_steps")
            with pytest.raises(StoreBusy, match="is locked by another program"):
                write_something(store_at)
    else:
        other_file = sqlite3.connect(store_at, isolation_level=None)
        other_file.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy, match="is locked by another program"):
            write_something(store_at)
        with open_store(store_at, create=False, busy_seconds=0.1) as store:
            assert len(store.list_runs()) == 1
        other_file.close()
    write_something(store_at)


IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def in_namespace(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a shell script where it may mount."""
    ended = subprocess.run(
        [*IN_NAMESPACE, script, sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(f"no mounts in a user namespace here: {ended.stderr.strip()}")
    return ended


WRITE = """
import sys
from dwsep_runtime.errors import DwsepError
from tests.integration.test_store_faults import write_something
try:
    write_something(sys.argv[1])
except DwsepError as error:
    print(type(error).__name__, error)
"""

KILLED = """
import os, signal, sys
from tests.integration.test_store_faults import SweepRecord, open_store, write_something
with open_store(sys.argv[1]) as store:
    store.list_runs()
    write_something(sys.argv[1])
    os.kill(os.getpid(), signal.SIGKILL)
"""

READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift
"$0" -m edge_dwsep results list --json --store "$1" && "$0" -c "$2" "$1"
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_a_store_on_a_read_only_disk_is_listed_and_not_written(state: str, tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    filled(str(path), 2)
    if state == "killed":
        # As it lies after its writer was killed: with the log that was not yet brought into the file.
        subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
        assert path.with_name("results.sqlite-wal").stat().st_size > 0
    ended = in_namespace(READ_ONLY, tmp_path, path, WRITE)
    assert ended.stdout.count('"key"') == 2, ended.stderr
    said = ended.stdout.splitlines()[-1]
    assert said.startswith(f"StoreReadOnly store {path} cannot be written")


FULL = """
mount -t tmpfs -o size=2m tmpfs "$1" && shift
"$0" -c "$2" "$1"; df "$1" >&2; "$0" -m edge_dwsep results list --json --limit 0 --store "$1"
"""

FILL = """
import sys
from dwsep_runtime.errors import DwsepError
from tests.integration.test_store_faults import SweepRecord, open_store, write_something
from tests.store_fixtures import keep_run
with open_store(sys.argv[1]) as store:
    store.begin_sweep(SweepRecord(id="s", name="s", command="edge-dwsep sweep", plan={}))
    try:
        for at in range(1000):
            print(keep_run(store, "s", at, f"run {at}")[0])
    except DwsepError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_full_disk_is_told_and_nothing_kept_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    ended = in_namespace(FULL, tmp_path, path, FILL)
    lines = ended.stdout.splitlines()
    kept = [line for line in lines if len(line) == 64]
    assert len(kept) > 10, ended.stderr
    assert lines[len(kept)].startswith(f"StoreFull store {path} cannot grow: the disk is full"), ended.stderr
    assert lines[-1].count('"key"') == len(kept)
    assert all(key in lines[-1] for key in kept)


def test_a_wrong_password_is_told_and_not_shown(postgres: PostgresServer, command_line: CommandLine) -> None:
    database = postgres.make_database()
    wrong = "wr0ng-secret"
    for more in ((), ("--debug",)):
        ended = command_line("results", "list", *more, "--store", postgres.url_by_port(database, wrong))
        assert ended.returncode == 1
        assert wrong not in ended.stdout + ended.stderr
        assert "refuses the user or password" in ended.stderr
        assert f"postgresql+psycopg://keeper@127.0.0.1:{postgres.port}/{database}" in ended.stderr
    right = postgres.url_by_port(database, PASSWORD.replace("/", "%2F").replace("@", "%40"))
    with open_store(right) as store:
        assert PASSWORD not in store.url
        assert PASSWORD not in repr(store._engine)
        store.begin_sweep(SweepRecord(id="s", name="s", command="c", plan={}))
        assert store.results("s")["sweep"]["store"] == store.url


def test_a_server_that_is_not_there_is_told(postgres: PostgresServer, tmp_path: Path) -> None:
    wrong = {
        f"postgresql://keeper@/x?host={tmp_path}": "cannot be reached; is its server running",
        "postgresql://keeper@127.0.0.1:1/x": "cannot be reached; is its server running",
        "postgresql://keeper@nowhere.invalid/x": "cannot be reached",
        postgres.url("absent"): "has no such database; make it with createdb",
        postgres.url("postgres", user="nobody"): "refuses the user or password",
    }
    for url, said in wrong.items():
        with pytest.raises(StoreUnreachable, match=said) as caught:
            open_store(url)
        assert "\n" not in str(caught.value)


def test_a_user_without_rights_is_told(postgres: PostgresServer) -> None:
    database = postgres.make_database()
    postgres.ask("DROP ROLE IF EXISTS guest", database)
    postgres.ask("CREATE ROLE guest LOGIN", database)
    guest = postgres.url(database, user="guest")
    with pytest.raises(StoreReadOnly, match="gives this user no right"):
        open_store(guest)
    keys = filled(postgres.url(database), 1)
    postgres.ask("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest", database)
    with open_store(guest) as store:
        assert [run["key"] for run in store.list_runs()] == keys
        with pytest.raises(StoreReadOnly, match="gives this user no right"):
            store.finish_sweep("s", "done")


def test_a_server_that_comes_back_is_used_again(postgres: PostgresServer) -> None:
    url = postgres.url(postgres.make_database())
    filled(url, 1)
    with open_store(url) as store:
        assert len(store.list_runs()) == 1
        postgres.stop()
        with pytest.raises(StoreUnreachable, match="cannot be reached"):
            store.list_runs()
        postgres.start()
        assert len(store.list_runs()) == 1
        postgres.stop()  # between two transactions, as when a server is upgraded
        postgres.start()
        store.save_output(launch_step("more"), StepOutput({}), seconds=1.0, worker="w")


def test_a_driver_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'edge-dwsep\[postgresql\]'"):
        open_store("postgresql://a@b/c")


def test_a_store_of_another_kind_is_refused(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_DWSEP_STORE", "mysql://root:secret@host/db")
    ended = command_line("results", "list")
    assert ended.returncode == 3
    assert "is of the kind 'mysql'; give the path of an SQLite file" in ended.stderr
    assert "secret" not in ended.stderr
