"""Sweeps that are killed, refused, starved of disk and store, or given odd names: nothing is lost, nothing executed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, insert, select

from edge_dwsep.results_file import read_results
from edge_dwsep.store import Store, open_store
from edge_dwsep.store.schema import steps
from tests.device_faults import soon
from tests.postgres_fixtures import PostgresServer, postgres
from tests.small_sweep import MADE, PLAN, SMALL, complete, place, ready, whole_folder
from tests.sweep_place import Place, one_line, sweeping, temporary, told

__all__ = ["place", "postgres", "ready"]

pytestmark = pytest.mark.slow

MOMENTS = (
    *(("build", 2.0), ("in Keras", 1.5), ("export", 0.5), ("verify", 1.0)),
    *[("left)", 1.0)] * 4,
    *[("write the report", 0.2)] * 2,
)
"""What a sweep tells, and the seconds within which it is killed then."""


def test_killed_at_ten_moments_it_does_nothing_twice(tmp_path: Path) -> None:
    place, moments = Place(tmp_path), random.Random(1)  # noqa: S311  # not for secrets
    more = (*PLAN, "--processes", "3")
    known: dict[str, tuple[str, str]] = {}
    for words, longest in MOMENTS:
        begun = (place.folder / "out" / "sweep.json").exists()
        with sweeping(place, *(("--resume", "--output", "out") if begun else more)) as sweep:
            if sweep.until(words):
                time.sleep(moments.random() * longest)
            assert sweep.ended(signal.SIGKILL) in {0, -signal.SIGKILL}, sweep.said
            assert sweep.alone(), sweep.family()
            assert "Traceback" not in sweep.said
        if place.store.exists():
            after = place.steps()
            assert {key: after.get(key) for key in known} == known
            known = after
    done = told(place.run("sweep", "--resume", "--output", "out", "--json"))
    after = place.steps()
    assert {key: after.get(key) for key in known} == known
    complete(place, done, launches=3)


@pytest.mark.parametrize(
    ("words", "number"),
    [("export", signal.SIGHUP), ("round 1 of 3", signal.SIGTERM), ("write the report", signal.SIGINT)],
)
def test_interrupted_it_ends_with_all_its_processes_and_leaves_nothing_half_written(
    place: Place, words: str, number: signal.Signals
) -> None:
    with sweeping(place, *MADE, "--scheme", "float16", "--processes", "3", "--output", "again") as sweep:
        assert sweep.until(words)
        os.killpg(sweep.process.pid, number)  # as a terminal does
        assert sweep.process.wait(20) == 130
        assert sweep.alone(), sweep.family()
    assert sweep.said.count("edge-dwsep: interrupted") == 1
    assert "Traceback" not in sweep.said
    assert list(temporary(place).iterdir()) == []
    whole_folder(place.folder / "again")
    complete(place, told(place.run("sweep", "--resume", "--output", "again", "--json")), "again", runs=3, launches=3)


def test_a_process_that_compiles_is_killed_and_the_other_variants_go_on(place: Place) -> None:
    arguments = (*MADE, "--scheme", "float16", "--processes", "1", "--output", "again")
    with sweeping(place, *arguments) as sweep:
        assert sweep.until("export")
        assert soon(lambda: bool(sweep.lanes()), 20)
        for number in sweep.lanes():
            os.kill(number, signal.SIGKILL)
        assert sweep.process.wait(60) == 5
        assert sweep.alone(), sweep.family()
    (line,) = (line for line in sweep.said.splitlines() if line.startswith("edge-dwsep: "))
    assert "its process ended by SIGKILL; it may have run out of memory" in line
    assert [run["status"] for run in read_results(place.folder / "again" / "results.json")["runs"]] == [
        *("ok", "ok", "failed")
    ]
    complete(place, told(place.run("sweep", "--resume", "--output", "again", "--json")), "again", runs=3, launches=1)


def test_a_process_that_measures_is_killed_and_what_it_was_timing_ends(place: Place) -> None:
    arguments = (*MADE, "--min-seconds", "30", "--processes", "1", "--output", "long")
    with sweeping(place, *arguments) as sweep:
        assert sweep.until("time")
        assert soon(lambda: bool(sweep.timed()), 20)
        (timed,), (lane,) = sweep.timed(), sweep.lanes()
        os.kill(lane, signal.SIGKILL)
        assert soon(lambda: timed not in sweep.family(), 2)
        assert sweep.until("failed")
        assert sweep.ended(signal.SIGTERM) == 130
        assert sweep.alone(), sweep.family()


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of some size at a folder, with what is in it."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a file system")
    moved = folder.with_name(f"{folder.name}-before")
    if folder.exists():
        folder.rename(moved)
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "edge-dwsep-test", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        if moved.exists():
            shutil.copytree(moved, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def size_of(folder: Path) -> int:
    """Kilobytes of the files in a folder, as a file system of pages counts them."""
    return sum(4 * (path.stat().st_size // 4096 + 1) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("where", "room", "said"),
    [
        ("full", 300, "full/artifacts failed: No space left on device"),
        ("full", 390, "full failed: No space left on device; no file is half-written"),
        ("cache", 60, "blobs cannot be written: No space left on device; free space there or set XDG_CACHE_HOME"),
        ("data", 130, "results.sqlite cannot grow: the disk is full; free space there"),
    ],
    ids=["artifacts", "results", "cache", "store"],
)
def test_a_disk_that_fills_up_in_the_middle_costs_nothing_that_was_kept(
    place: Place, where: str, room: int, said: str
) -> None:
    disk = place.folder / where
    arguments = (*MADE, "--scheme", "float16", "--processes", "2", "--output", "full")
    with small_disk(disk, room + size_of(disk)):
        with sweeping(place, *arguments) as sweep:
            assert sweep.process.wait(120) == 1, sweep.said
        lines = [line for line in sweep.said.splitlines() if line.startswith("edge-dwsep: ")]
        assert all(said in line for line in lines), sweep.said
        assert lines
        assert "Traceback" not in sweep.said
        known = place.steps()
        assert not list((place.folder / "cache").rglob(".part-*"))
        whole_folder(place.folder / "full")
        subprocess.run(["mount", "-o", "remount,size=5m", str(disk)], check=True)
        done = told(place.run("sweep", "--resume", "--output", "full", "--json"))
        after = place.steps()
        assert {key: after.get(key) for key in known} == known
        complete(place, done, "full", runs=3)


IMPATIENT = """
import sys
import edge_dwsep.store.store as store
store.open_store.__kwdefaults__["busy_seconds"] = 0.5
if __name__ == "__main__":
    from edge_dwsep.cli import main
    sys.exit(main())
"""
"""The command line with a store that waits half a second for others."""


@contextlib.contextmanager
def store_locked(store: Path) -> Iterator[None]:
    """A store that another program writes to."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_store_that_is_locked_for_too_long_ends_the_sweep_and_nothing_is_lost(place: Place) -> None:
    program = place.folder / "impatient.py"
    program.write_text(IMPATIENT, encoding="utf-8")
    arguments = (*MADE, "--processes", "3", "--output", "locked")
    with sweeping(place, *arguments, program=(program,)) as sweep:
        assert sweep.until("round 2 of 3")
        with store_locked(place.store):
            assert sweep.process.wait(60) == 1
        assert sweep.alone(), sweep.family()
    (line,) = (line for line in sweep.said.splitlines() if line.startswith("edge-dwsep: "))
    assert "results.sqlite is locked by another program; wait for it, or end it" in line
    known = place.steps()
    complete(place, told(place.run("sweep", "--resume", "--output", "locked", "--json")), "locked", launches=3)
    assert {key: place.steps().get(key) for key in known} == known


def newer(store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("UPDATE edge_dwsep_version SET version_num = '9999'")


def cut(store: Path) -> None:
    with store.open("r+b") as file:
        file.truncate(store.stat().st_size // 2)


def overwritten(store: Path) -> None:
    store.write_bytes(b"results of mine\n" * 1000)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (newer, "has schema 9999, made by a later version of edge-dwsep"),
        (cut, "is damaged; set the file aside"),
        (overwritten, "is no SQLite database; give another --store"),
    ],
)
def test_a_store_that_cannot_be_used_is_left_as_it_is(place: Place, spoil: Callable[[Path], None], said: str) -> None:
    spoil(place.store)
    before = place.store.read_bytes()
    refused = place.run("sweep", *PLAN)
    one_line(refused, 1, said)
    assert place.store.read_bytes() == before


def test_a_store_that_cannot_be_written_is_told(place: Place) -> None:
    with small_disk(place.store.parent, 5000):
        subprocess.run(["mount", "-o", "remount,ro", str(place.store.parent)], check=True)
        one_line(place.run("sweep", *PLAN), 1, "cannot be written; give another --store, or the right to write")


def test_a_database_server_that_stops_in_the_middle_costs_nothing_that_was_kept(
    place: Place, postgres: PostgresServer
) -> None:
    url = served(place, postgres)
    arguments = (*MADE, "--processes", "3", "--output", "served", "--store", url)
    with sweeping(place, *arguments) as sweep:
        assert sweep.until("round 2 of 3")
        postgres.stop()
        try:
            assert sweep.process.wait(60) == 1
        finally:
            postgres.start()
        assert sweep.alone(), sweep.family()
    (line,) = (line for line in sweep.said.splitlines() if line.startswith("edge-dwsep: "))
    assert "store postgresql" in line
    one_line(place.run("sweep", "--resume", "--output", "served"), 3, "is in the store postgresql", "give --store")
    done = told(place.run("sweep", "--resume", "--output", "served", "--store", url, "--json"))
    assert len(done["steps_done"]) <= 4
    complete(place, done, "served", launches=3)


def served(place: Place, server: PostgresServer) -> str:
    """The URL of a database that knows what the place's store knows of compiled steps."""
    url = server.url(server.make_database())
    open_store(url).close()
    with create_engine(f"sqlite:///{place.store}", poolclass=NullPool).connect() as here:
        rows = [dict(row) for row in here.execute(select(steps).where(steps.c.device == "")).mappings()]
    with create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool).begin() as there:
        there.execute(insert(steps), rows)
    return url


def test_a_second_sweep_in_a_folder_is_refused_and_the_first_goes_on(place: Place) -> None:
    arguments = (*MADE, "--processes", "3", "--output", "shared")
    with sweeping(place, *arguments) as sweep:
        assert sweep.until("round 1 of 3")
        for more in (arguments, ("--resume", "--output", "shared")):
            one_line(place.run("sweep", *more), 3, "another sweep is at work in shared; wait for it")
        assert sweep.process.wait(60) == 0, sweep.said
    complete(place, told(place.run("sweep", *arguments, "--json")), "shared", launches=3)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sweeps_at_once_on_one_store_share_what_they_make_and_take_turns_in_measuring(
    place: Place, kind: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres") if kind == "postgresql" else None
    url = served(place, server) if server else str(place.store)
    more = ("--scheme", "float16", "--store", url, "--json")
    plans = {"a": ("--processes", "3"), "b": ("--processes", "3"), "c": ("--processes", "4")}
    started = [
        subprocess.Popen(
            place.command("sweep", "mobilenet_v1", *SMALL, *plan, *more, "--output", name),
            env=place.environment,
            cwd=place.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, plan in plans.items()
    ]
    ended = {name: process.communicate(timeout=200) for name, process in zip(plans, started, strict=True)}
    assert [process.returncode for process in started] == [0, 0, 0], ended
    results = {name: json.loads(output) for name, (output, _) in ended.items()}
    for name in plans:
        complete(place, results[name], name, runs=1, launches=4 if name == "c" else 3)
    assert results["a"]["runs"][0]["id"] == results["b"]["runs"][0]["id"] != results["c"]["runs"][0]["id"]
    with open_store(url) as store:
        times = timed_in(store)
    assert len(times) == 7
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(sorted(times))), times


def timed_in(store: Store) -> list[tuple[str, str]]:
    """When each step that timed something began and ended."""
    with store._engine.connect() as connection:
        chosen = select(steps.c.key).where(steps.c.kind == "launch", steps.c.title.like("%float16%"))
        keys = list(connection.scalars(chosen))
    facts = [one.facts for one in store.outputs(keys).values()]
    return [(one["started"], one["ended"]) for one in facts]
