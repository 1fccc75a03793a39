"""Sweeps on a board by ssh, a real sshd, that is offline, goes away in the middle and comes back."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from edge_dwsep.results_file import read_results
from tests.device_faults import job_processes, soon
from tests.integration.test_ssh import opened
from tests.ssh_fixtures import ALIAS, SshHost, ssh_host
from tests.sweep_place import Place, one_line, sweeping, temporary, told

__all__ = ["ssh_host"]

pytestmark = pytest.mark.slow

SHORT = ("--mode", "rapid", "--min-seconds", "0.1", "--min-samples", "20", "--max-warmup-seconds", "0.1")
SMALL = ("mobilenet_v1", "--alpha", "0.03125", "--resolution", "32", "--format", "tflite", "--engine", "litert", *SHORT)
PLAN = (*SMALL, "--scheme", "float32,w8-dynamic", "--processes", "3")


def add_board(place: Place, name: str, host: SshHost, port: int = 0) -> None:
    """Let a user know the board by a name; by another port, nobody answers."""
    folder = place.folder / "config" / "edge-dwsep"
    (folder / "devices").mkdir(parents=True, exist_ok=True)
    (folder / "profiles").mkdir(exist_ok=True)
    places = f'root = "{host.profile.root}"\nlease = "{host.profile.lease}"\n'
    (folder / "profiles" / "test-board.toml").write_text(f'base = "generic-linux"\n{places}')
    options = json.dumps(list(host.options))
    where = f'host = "{ALIAS}"\noptions = {options}\n' + (f"port = {port}\n" if port else "")
    (folder / "devices" / f"{name}.toml").write_text(f'kind = "test-board"\n{where}')


@pytest.fixture(scope="module")
def ready(ssh_host: SshHost, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where the artifacts are made, and the board has what it needs."""
    place = Place(tmp_path_factory.mktemp("boards"))
    add_board(place, "board", ssh_host)
    add_board(place, "gone", ssh_host, port=1)
    done = told(place.run("sweep", *PLAN, "--device", "board", "--output", "out", "--json"))
    assert [run["device"] for run in done["runs"]] == ["board", "board"]
    return place


@pytest.fixture
def place(ready: Place, tmp_path: Path) -> Place:
    """A copy of that place."""
    shutil.copytree(ready.folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    return Place(tmp_path)


def statuses(results: dict[str, Any]) -> list[tuple[str, str]]:
    return [(run["device"], run["status"]) for run in results["runs"]]


def test_nothing_is_made_for_a_device_that_is_offline(ssh_host: SshHost, tmp_path: Path) -> None:
    place = Place(tmp_path)
    add_board(place, "gone", ssh_host, port=1)
    done = place.run("sweep", *PLAN, "--device", "gone", "--output", "out")
    one_line(done, 7, "gone: ssh to board: ssh: connect to host 127.0.0.1 port 1: Connection refused (tried 4 times)")
    assert place.steps() == {}
    assert statuses(read_results(tmp_path / "out" / "results.json")) == [("gone", "failed")] * 2
    assert "Connection refused" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_beside_a_device_that_is_offline_this_machine_is_measured(place: Place) -> None:
    done = place.run("sweep", *PLAN, "--device", "gone,local", "--output", "both")
    one_line(done, 7, "gone: ssh to board: ssh: connect to host 127.0.0.1 port 1: Connection refused (tried 4 times)")
    results = read_results(place.folder / "both" / "results.json")
    assert sorted(statuses(results)) == [("gone", "failed")] * 2 + [("local", "ok")] * 2


def launches(place: Place, device: str) -> int:
    """Finished rounds on a device, both runs' first ones before any second one."""
    with contextlib.closing(sqlite3.connect(f"file:{place.store}?mode=ro", uri=True)) as connection:
        chosen = "select count(*) from dwsep_steps where kind = 'launch' and device = ?"
        return int(connection.execute(chosen, (device,)).fetchone()[0])


def test_a_device_that_goes_away_in_the_middle_and_comes_back(place: Place, ssh_host: SshHost) -> None:
    arguments = (*PLAN, "--device", "board,local", "--again", "--output", "both")
    before = launches(place, "board")
    with sweeping(place, *arguments) as sweep:
        assert soon(lambda: launches(place, "board") >= before + 2, 60), sweep.said
        ssh_host.stop()
        try:
            assert sweep.process.wait(120) == 7, sweep.said
        finally:
            ssh_host.start()
        assert sweep.alone(), sweep.family()
    assert "Traceback" not in sweep.said
    results = read_results(place.folder / "both" / "results.json")
    assert sorted(statuses(results)) == [("board", "failed")] * 2 + [("local", "ok")] * 2
    known = place.steps()
    done = told(place.run("sweep", "--resume", "--output", "both", "--json"))
    assert {key: place.steps().get(key) for key in known} == known
    assert {step["kind"] for step in done["steps_done"]} == {"reach", "push", "launch"}
    assert not [step["title"] for step in done["steps_done"] if "round 1 of 3" in step["title"]]
    assert sorted(statuses(done)) == [("board", "ok")] * 2 + [("local", "ok")] * 2
    assert all(len(run["launches"]) == 3 for run in done["runs"])


def test_interrupted_it_leaves_nothing_of_its_work_on_the_device(place: Place, ssh_host: SshHost) -> None:
    arguments = (*PLAN, "--device", "board", "--min-seconds", "20", "--output", "long")
    with opened(ssh_host) as device:
        with sweeping(place, *arguments) as sweep:
            assert sweep.until("sweep: time")
            assert soon(lambda: bool(job_processes(device)), 20)
            assert sweep.ended(signal.SIGTERM) == 130
            assert sweep.alone(), sweep.family()
        assert job_processes(device) == []
    assert list(temporary(place).iterdir()) == []
    assert not (Path(ssh_host.profile.lease) / "lease").exists()
