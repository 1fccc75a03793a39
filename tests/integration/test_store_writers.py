"""Several processes write to one store at once, and some are killed: nothing that was kept is lost or there twice."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_dwsep.store import open_store
from tests.postgres_fixtures import postgres
from tests.store_fixtures import store_at

__all__ = ["postgres", "store_at"]

ROOT = Path(__file__).parents[2]


def writer(url: str, sweep: str, count: int, *words: str) -> subprocess.Popen[str]:
    """A process that is ready to write, and does when a line is written to it."""
    command = [sys.executable, "-m", "tests.store_writer", url, sweep, str(count), *words]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def let_go(writers: Sequence[subprocess.Popen[str]]) -> None:
    for one in writers:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.close()


def said(one: subprocess.Popen[str]) -> list[str]:
    """The keys that a process said it kept; waits for its end."""
    assert one.stdout is not None
    with one.stdout:
        lines = one.stdout.read().split("\n")
    one.wait(60)
    return [line for line in lines if len(line) == 64]


def test_processes_that_make_a_store_and_write_at_once_lose_nothing(store_at: str) -> None:
    count = 8
    sweeps = [f"sweep {number}" for number in range(3)]
    writers = [writer(store_at, sweep, count, sweep, "shared") for sweep in sweeps]
    time.sleep(1.0)  # all have imported what they need, so that they begin together
    let_go(writers)
    keys = [said(one) for one in writers]
    assert [one.returncode for one in writers] == [0] * len(sweeps)
    assert [len(some) for some in keys] == [2 * count] * len(sweeps)
    with open_store(store_at) as store:
        listed = [run["key"] for run in store.list_runs()]
        assert len(listed) == len(set(listed)) == (len(sweeps) + 1) * count
        for sweep, some in zip(sweeps, keys, strict=True):
            results = store.results(sweep, samples=True)
            assert [run["id"] for run in results["runs"]] == some
            assert all(run["latency"]["samples_ns"]["shape"] == [600] for run in results["runs"])
        assert {sweep["status"] for sweep in store.list_sweeps()} == {"done"}


def test_a_process_that_is_killed_loses_nothing_that_it_had_kept(store_at: str) -> None:
    kept: list[str] = []
    for attempt in range(3):
        killed = writer(store_at, f"killed {attempt}", 10_000, f"word {attempt}")
        beside = writer(store_at, f"beside {attempt}", 5, f"other {attempt}")
        let_go([killed, beside])
        assert killed.stdout is not None
        kept += [killed.stdout.readline().strip() for _ in range(3)]
        time.sleep(0.013 * attempt)  # in whatever it is doing
        killed.kill()
        kept += said(killed)
        kept += said(beside)
        assert beside.returncode == 0
        with open_store(store_at) as store:
            there = {run["key"] for run in store.list_runs()}
            assert there >= set(kept)
            assert len(there) <= len(kept) + attempt + 1  # one may be kept and not told any more
            for record in (store.run(key, samples=True) or {} for key in kept[-8:]):
                assert record["latency"]["samples_ns"]["shape"] == [600]
                assert record["accuracy"]["confusion"]
            statuses = {sweep["name"]: sweep["status"] for sweep in store.list_sweeps()}
            assert statuses[f"killed {attempt}"] == "running"
            assert statuses[f"beside {attempt}"] == "done"
    if "://" not in store_at:
        with sqlite3.connect(store_at) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        connection.close()


@pytest.mark.parametrize("reader", ["list", "results"])
def test_who_reads_does_not_wait_for_who_writes(store_at: str, reader: str) -> None:
    writing = writer(store_at, "s", 10_000, "a")
    let_go([writing])
    assert writing.stdout is not None
    writing.stdout.readline()
    try:
        with open_store(store_at, create=False, busy_seconds=0.5) as store:
            ask = store.list_runs if reader == "list" else lambda: store.results("s", samples=True)["runs"]
            counts, deadline = [len(ask())], time.monotonic() + 30
            while counts[-1] < counts[0] + 3 and time.monotonic() < deadline:
                counts.append(len(ask()))
            assert counts == sorted(counts)
            assert counts[-1] >= counts[0] + 3
    finally:
        writing.kill()
        said(writing)
