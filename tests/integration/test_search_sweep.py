"""Searches as part of real sweeps, and their studies beside the sweep's tables, where Optuna's dashboard shows them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from edge_dwsep.search import Point, StudySettings, search
from edge_dwsep.store import open_store
from tests.postgres_fixtures import PASSWORD, PostgresServer, postgres
from tests.sweep_place import Place

__all__ = ["postgres"]

CHECKPOINT = "mobilenet_v1_0.25_32_fashion_mnist"
SHORT = ("--mode", "rapid", "--min-seconds", "0.2", "--min-samples", "60", "--max-warmup-seconds", "0.3")
PLAN = (CHECKPOINT, "--data", "fashion-mnist-sample", "--format", "tflite", "--threads", "1,2", "--processes", "1")
SEARCH = (*PLAN, *SHORT, "--trials", "6", "--pareto", "top1,p50,size", "--output", "searched", "--json")

POINTS: list[Point] = [{"alpha": alpha, "threads": threads} for alpha in (0.25, 0.5, 1.0) for threads in (1, 2, 4)]
DIRECTIONS = ("maximize", "minimize")


def measure(points: Sequence[Point]) -> list[list[float]]:
    return [[float(point["alpha"]) ** 0.1, float(point["alpha"]) ** 2 / float(point["threads"])] for point in points]


def of(run: dict[str, Any]) -> tuple[str, str, int]:
    return run["variant"], run["engine"], run["threads"]


@pytest.mark.slow
def test_a_search_measures_as_many_runs_as_it_may_and_goes_on_after_it_was_killed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = Place(tmp_path_factory.mktemp("searching"))
    process = subprocess.Popen(
        place.command("sweep", *SEARCH),
        env=place.environment,
        cwd=place.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 400
        while not (before := {key for key, (kind, _) in place.steps().items() if kind == "launch"}):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = place.run("sweep", *SEARCH)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len({of(run) for run in told["runs"]}) == len(told["runs"]) == 6
    launches = {key for key, (kind, _) in place.steps().items() if kind == "launch"}
    assert before < launches
    assert len(launches) == 6
    again = place.run("sweep", *SEARCH)
    assert json.loads(again.stdout)["steps_done"] == []
    assert [of(run) for run in json.loads(again.stdout)["runs"]] == [of(run) for run in told["runs"]]
    (name,) = optuna.get_all_study_names(f"sqlite:///{place.store}")
    assert name == f"{told['sweep']['id']} local"
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{place.store}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    assert study.metric_names == ["top1", "p50", "size"]
    of_trials = {(trial.params["recipe"], trial.params["engine"], trial.params["threads"]) for trial in study.trials}
    assert of_trials == {of(run) for run in told["runs"]}


def test_a_study_lies_beside_the_tables_of_a_store(tmp_path: Path) -> None:
    file = tmp_path / "results of mine.sqlite"
    with open_store(str(file)) as store:
        settings = StudySettings(storage=store.secret_url, name="kept")
        search(POINTS, measure, 4, directions=DIRECTIONS, settings=settings)
        assert store.results()["runs"] == []
    with open_store(str(file)) as store:  # its schema is still found to be its own
        assert len(search(POINTS, measure, 6, directions=DIRECTIONS, settings=settings).tried) == 6


def test_a_study_lies_beside_the_tables_of_a_store_on_postgresql(postgres: PostgresServer) -> None:
    with open_store(postgres.url_by_port(postgres.make_database(), "s3cret%2Fw%40rd")) as store:
        settings = StudySettings(storage=store.secret_url, name="kept")
        first = search(POINTS, measure, 5, directions=DIRECTIONS, settings=settings)
        assert search(POINTS, measure, 5, directions=DIRECTIONS, settings=settings) == first
        assert store.results()["runs"] == []
    assert PASSWORD == "s3cret/w@rd"  # noqa: S105  # as written above


def test_two_searches_begin_in_one_new_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite'}"
    code = (
        "import sys; from edge_dwsep.search import StudySettings, search\n"
        "points = [{'a': a, 'b': b} for a in range(3) for b in range(3)]\n"
        "told = search(points, lambda some: [[p['a'], p['b']] for p in some], 3, directions=['minimize', 'maximize'],\n"
        f"    settings=StudySettings(storage={url!r}, name=sys.argv[1]))\n"
        "print(len(told.tried))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    told = [process.communicate(timeout=120) for process in processes]
    assert [out.strip() for out, _ in told] == ["3", "3"], told
    assert sorted(optuna.get_all_study_names(url)) == ["one", "two"]


def test_optunas_dashboard_shows_a_search(tmp_path: Path) -> None:
    file = tmp_path / "results.sqlite"
    with open_store(str(file)) as store:
        settings = StudySettings(storage=store.secret_url, name="<b>'shown'", objectives=("top1", "p50"))
        search(POINTS, measure, 6, directions=DIRECTIONS, settings=settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [program, f"sqlite:///{file}", "--host", "127.0.0.1", "--port", str(port), "--server", "wsgiref"],
            stdout=log,
            stderr=log,
        )
        try:
            studies = asked(port, "/api/studies", process, tmp_path / "log")["study_summaries"]
            assert [study["study_name"] for study in studies] == ["<b>'shown'"]
            whole = asked(port, f"/api/studies/{studies[0]['study_id']}", process, tmp_path / "log")
        finally:
            process.terminate()
            process.wait(20)
    assert [trial["state"] for trial in whole["trials"]] == ["Complete"] * 6
    assert {axis["name"] for axis in whole["union_search_space"]} == {"alpha", "threads"}
    assert whole["objective_names"] == ["top1", "p50"]


def asked(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """What the dashboard answers, as soon as it does."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                told: dict[str, Any] = json.load(answer)
                return told
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(log.read_text())
