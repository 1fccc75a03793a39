"""Sweeps that are killed, refused, starved of disk and store, or given odd names: nothing is lost, nothing executed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import NullPool, create_engine, insert, select

from dwsep_export import open_artifact
from edge_dwsep.results_file import read_results
from edge_dwsep.store import Store, open_store
from edge_dwsep.store.schema import steps
from edge_dwsep.sweep.carry_out import plan_in, taken_up
from edge_dwsep.sweep.errors import InvalidSweep
from edge_dwsep.sweep.plan import SweepPlan
from tests.device_faults import soon
from tests.postgres_fixtures import PostgresServer, postgres
from tests.sweep_place import Place, one_line, sweeping, temporary, told

__all__ = ["postgres"]

pytestmark = pytest.mark.slow

SHORT = ("--mode", "rapid", "--min-seconds", "0.1", "--min-samples", "20", "--max-warmup-seconds", "0.1")
SMALL = ("--alpha", "0.03125", "--resolution", "32", "--format", "tflite", "--engine", "litert", *SHORT)
MADE = ("mobilenet_v1", *SMALL, "--scheme", "float32,w8-dynamic")
PLAN = (*MADE, "--processes", "2", "--output", "out")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with a finished sweep of PLAN; not to be changed."""
    place = Place(tmp_path_factory.mktemp("ready"))
    done = place.run("sweep", *PLAN)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def place(ready: Place, tmp_path: Path) -> Place:
    """A copy of that place."""
    shutil.copytree(ready.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    return Place(tmp_path)


def complete(place: Place, results: dict[str, Any], folder: str = "out", runs: int = 2, launches: int = 2) -> None:
    """Make sure that a sweep's results are all there, in the folder as well."""
    assert [run["status"] for run in results["runs"]] == ["ok"] * runs
    assert all(len(run["launches"]) == launches for run in results["runs"])
    written = read_results(place.folder / folder / "results.json")
    assert [run["id"] for run in written["runs"]] == [run["id"] for run in results["runs"]]
    assert all(run["latency"]["samples_ns"]["shape"][0] == run["latency"]["count"] for run in written["runs"])
    whole_folder(place.folder / folder)


def whole_folder(folder: Path) -> None:
    """Make sure that nothing half-written lies in a sweep's folder."""
    names = sorted(path.name for path in folder.iterdir())
    known = {".edge-dwsep-sweep.lock", "artifacts", "report.html", "report.md", "results.json", "sweep.json"}
    assert set(names) <= known, names
    if (folder / "artifacts").is_dir():
        names = [path.name for path in (folder / "artifacts").iterdir()]
        assert all(name.endswith((".tflite", ".onnx", ".manifest.json")) for name in names), names


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


EVIL = "-rf two\nlines \x1b[31m<img src=x onerror=alert(1)>'\"$(touch owned)`touch owned`;|**b** 模型"


class Tags(HTMLParser):
    """The elements of a page that could do something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found |= {name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}}
        self.found |= {tag} & {"img", "b", "a", "iframe", "object", "link"}


def images(folder: Path) -> Path:
    """A folder of images of two classes with odd names."""
    for at, name in enumerate((EVIL, "<script>alert(1)<")):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (40, 40), (100 * at, 40 * number, 9)).save(folder / name / f"{EVIL} {number}.png")
    return folder


def kept_network(place: Place) -> bytes:
    """The .keras file of the place's network."""
    found = next(path for path in (place.folder / "cache").rglob("*/blobs/*/*") if zipfile.is_zipfile(path))
    return found.read_bytes()


def test_names_are_names_and_nothing_else(place: Place) -> None:
    home = place.folder / EVIL
    home.mkdir()
    models = [home / f"{name}.keras" for name in (EVIL, "y" * 248)]
    for model in models:
        model.write_bytes(kept_network(place))
    data, output = images(home / "data"), Path(EVIL) / "-rf"
    done = place.run(
        *("sweep", "--format", "tflite", "--scheme", "float32", "--engine", "litert", *SHORT, "--scale", "1"),
        *("--name", EVIL, "--data", data.relative_to(place.folder), f"--output={output}"),
        *("--processes", "1", "--", *(model.relative_to(place.folder) for model in models)),
    )
    assert done.returncode == 0, done.stderr
    assert all(one.isprintable() or one == "\n" for one in done.stdout + done.stderr)
    page = (place.folder / output / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not tags.found
    results = read_results(place.folder / output / "results.json")
    assert [run["model"] for run in results["runs"]] == [EVIL, "y" * 180]
    assert [run["accuracy"]["count"] for run in results["runs"]] == [6, 6]
    assert set(results["models"][0]["labels"]) <= {EVIL, "<script>alert(1)<"}
    for text in (page, (place.folder / output / "report.md").read_text(encoding="utf-8"), done.stdout, done.stderr):
        assert "\x1b" not in text
    for run in results["runs"]:
        assert open_artifact(place.folder / output / "artifacts" / run["file"]).sha256 == run["sha256"]
    assert not list(place.folder.rglob("owned*"))
    refused = place.run("sweep", *PLAN[:-2], "--resume", f"--output={output}")
    assert refused.returncode == 2, refused.stderr
    assert all(one.isprintable() or one == "\n" for one in refused.stderr)


def test_a_plan_that_changes_between_a_sweep_and_its_resumption(place: Place) -> None:
    plan = place.folder / "plan.toml"
    text = (
        'model = "mobilenet_v1"\nalpha = 0.03125\nresolution = 32\nformat = "tflite"\nengine = "litert"\n'
        'scheme = ["float32", "w8-dynamic"]\n[measure]\nmode = "rapid"\nmin_seconds = 0.1\nmin_samples = 20\n'
        "max_warmup_seconds = 0.1\nprocesses = 2\n"
    )
    plan.write_text(text, encoding="utf-8")
    first = told(place.run("sweep", plan, "--output", "planned", "--json"))
    assert first["steps_done"] == []
    plan.write_text(text.replace('"float32", ', ""), encoding="utf-8")
    refused = place.run("sweep", plan, "--resume", "--output", "planned")
    one_line(refused, 2, "--resume: there is another plan in planned; leave out the plan and its options")
    resumed = told(place.run("sweep", "--resume", "--output", "planned", "--json"))
    complete(place, resumed, "planned")
    assert resumed["sweep"]["id"] == first["sweep"]["id"]
    anew = told(place.run("sweep", plan, "--output", "planned", "--json"))
    complete(place, anew, "planned", runs=1)
    assert anew["sweep"]["id"] != first["sweep"]["id"]
    assert anew["steps_done"] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema_version": 2, "id": "a", "plan": {}}',
        b'{"schema_version": 1, "id": 7, "plan": {}}',
        b'{"schema_version": 1, "id": "a"}',
        b'{"schema_version": 1, "id": "a", "plan": {"model": ["mobilenet_v1"], "colour": "red"}}',
        b'{"schema_version": 1, "id": "a", "plan": {"model": 3}}',
        b'{"schema_version": 1, "id": "a", "plan": []}',
        b'{"name": "my-package", "version": "1.0.0"}',
        None,
    ],
    ids=lambda content: str(content)[:40],
)
def test_a_state_that_cannot_be_read_is_told_and_left_as_it_is(tmp_path: Path, content: bytes | None) -> None:
    state = tmp_path / "sweep.json"
    state.mkdir() if content is None else state.write_bytes(content)
    for read in (plan_in, lambda folder: taken_up(folder, SweepPlan(("mobilenet_v1",)), "", again=False)):
        with pytest.raises(InvalidSweep, match=r"sweep.json.*remove it"):
            read(tmp_path)
    assert content is None or state.read_bytes() == content


@pytest.mark.parametrize("name", ["results.json", "report.md", "sweep.json"])
def test_an_answer_that_cannot_be_written_is_told(place: Place, name: str) -> None:
    taken = place.folder / "out" / name
    taken.unlink()
    taken.mkdir()
    (taken / "mine").touch()
    code, said = (3, "cannot be read") if name == "sweep.json" else (1, "is there and no file")
    one_line(place.run("sweep", *PLAN), code, f"out/{name}", said)
    assert (taken / "mine").exists()
    (taken / "mine").unlink()
    taken.rmdir()
    complete(place, told(place.run("sweep", *PLAN, "--json")))


def test_a_network_is_the_one_that_was_planned_and_data_that_does_not_fit_it_is_told_before_measuring(
    place: Place,
) -> None:
    model, content = place.folder / "mine.keras", kept_network(place)
    model.write_bytes(content)
    mine = ("mine.keras", "--scale", "1", "--format", "tflite", "--scheme", "float32", "--engine", "litert", *SHORT)
    with sweeping(place, *mine, "--processes", "1", "--output", "mine") as sweep:
        assert sweep.until("load mine")
        model.unlink()
        assert sweep.process.wait(120) == 0, sweep.said
    complete(place, read_results(place.folder / "mine" / "results.json"), "mine", runs=1, launches=1)
    one_line(place.run("sweep", "--resume", "--output", "mine"), 3, "mine.keras")
    model.write_bytes(b"no network")
    one_line(place.run("sweep", "--resume", "--output", "mine"), 3, "mine.keras")
    model.write_bytes(content)
    known = place.steps()
    (place.folder / "empty").mkdir()
    one_line(place.run("sweep", *mine, "--data", "empty"), 3, "empty holds no images")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    np.savez(place.folder / "many.npz", images=pixels, labels=np.arange(40) + 990)
    one_line(place.run("sweep", *mine, "--data", "many.npz"), 3, "labels run from 995 to 1029", "1000 classes")
    assert {kind for key, (kind, _) in place.steps().items() if key not in known} <= {"data", "lower", "convert"}


def test_a_variant_whose_engine_crashes_or_hangs_is_recorded_and_the_others_go_on(place: Place) -> None:
    arguments = (*MADE, "--threads", "1,2", "--min-seconds", "1", "--processes", "1", "--output", "ill")
    with sweeping(place, *arguments, "--timeout", "3") as sweep:
        for times, number in ((1, signal.SIGSEGV), (2, signal.SIGSTOP)):
            assert sweep.until("sweep: time", times)
            assert soon(lambda: len(sweep.timed()) == 1, 30)
            os.kill(sweep.timed()[0], number)
            assert sweep.until("failed", times)
        assert sweep.process.wait(60) == 5, sweep.said
        assert sweep.alone(), sweep.family()
    said = [line.partition(" failed: ")[2] for line in sweep.said.splitlines() if line.startswith("edge-dwsep: ")]
    results = read_results(place.folder / "ill" / "results.json")
    assert [run["status"] for run in results["runs"]] == ["failed", "failed", "ok", "ok"]
    assert [run["error"] for run in results["runs"][:2]] == said
    assert "SIGSEGV" in said[0]
    assert "Traceback" not in sweep.said
    complete(place, told(place.run("sweep", "--resume", "--output", "ill", "--json")), "ill", runs=4, launches=1)


ODD = """
import sys
import keras
x = keras.Input((8, 8, 1))
y = keras.ops.arctan(keras.layers.Conv2D(4, 3)(x))
y = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(y))
keras.Model(x, y, name="odd").save(sys.argv[1])
"""
"""A network whose operators ONNX has, and TensorFlow Lite has not."""


def test_a_network_that_one_format_cannot_carry_is_measured_in_the_other(place: Place) -> None:
    made = [sys.executable, "-c", ODD, "odd.keras"]
    subprocess.run(made, env=place.environment, cwd=place.folder, check=True, capture_output=True)
    arguments = ("odd.keras", "--scale", "1", "--scheme", "float32", "--engine", "litert,onnxruntime", *SHORT)
    done = place.run("sweep", *arguments, "--processes", "1", "--output", "odd")
    line = one_line(done, 1, "lower odd to TFLite failed")
    assert len(line) < 400
    runs = read_results(place.folder / "odd" / "results.json")["runs"]
    assert [(run["variant"], run["status"]) for run in runs] == [("tflite-float32", "failed"), ("onnx-float32", "ok")]
    whole_folder(place.folder / "odd")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_artifacts_that_are_gone_or_altered_are_put_back_and_nothing_is_done_again(place: Place) -> None:
    folder = place.folder / "out" / "artifacts"
    before, known = contents(folder), place.steps()
    altered = sorted(folder.iterdir())
    altered[0].write_bytes(b"TFL3 of mine")
    altered[1].write_text("{}", encoding="utf-8")
    altered[2].unlink()
    assert told(place.run("sweep", *PLAN, "--json"))["steps_done"] == []
    assert contents(folder) == before
    shutil.rmtree(folder)
    (place.folder / "out" / "results.json").write_text("{}", encoding="utf-8")
    done = told(place.run("sweep", "--resume", "--output", "out", "--json"))
    assert done["steps_done"] == []
    assert contents(folder) == before
    complete(place, done)
    assert place.steps() == known


@pytest.mark.parametrize("lost", ["a file", "everything"])
def test_a_cache_that_is_lost_or_damaged_is_made_again_and_nothing_is_measured_again(place: Place, lost: str) -> None:
    folder = place.folder / "out" / "artifacts"
    before = contents(folder)
    blobs = place.folder / "cache" / "edge-dwsep" / "sweep" / "blobs"
    if lost == "a file":
        sha256 = hashlib.sha256(before["mobilenet_v1_0.03125_32-w8-dynamic.tflite"]).hexdigest()
        (blobs / sha256[:2] / sha256).unlink()
    else:
        for at, path in enumerate(blobs.glob("*/*")):
            path.write_bytes(b"x" + path.read_bytes()[1:]) if at % 2 else path.unlink()
    shutil.rmtree(folder)
    done = told(place.run("sweep", *PLAN, "--json"))
    made = [step["kind"] for step in done["steps_done"]]
    compiled = ["network", "lower", "reference", "convert", "convert", "verify", "verify"]
    assert sorted(made) == sorted(["convert"] if lost == "a file" else compiled)
    assert contents(folder) == before
    complete(place, done)
