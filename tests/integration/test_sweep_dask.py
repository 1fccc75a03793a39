"""Sweeps on a real scheduler and real workers of dask.distributed, which are killed in the middle."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dwsep_runtime.arrays import decode_array
from dwsep_runtime.errors import DwsepError
from edge_dwsep.results_file import read_results
from edge_dwsep.store import open_store
from edge_dwsep.sweep import dask_client, dask_executor, dask_members
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.dask_executor import DaskExecutor
from edge_dwsep.sweep.errors import InvalidSweep, NoWorker, SchedulerLost
from edge_dwsep.sweep.measure_steps import device_identity
from edge_dwsep.sweep.same_code import installation
from edge_dwsep.sweep.steps import Outcome, Step, StepKind
from tests.dask_cluster import Cluster
from tests.device_faults import soon
from tests.sweep_place import Place

pytest.importorskip("distributed", reason="needs the extra scale-out")
pytestmark = pytest.mark.slow

SHORT = ("--mode", "rapid", "--min-seconds", "0.2", "--min-samples", "60", "--max-warmup-seconds", "0.3")
MADE = ("mobilenet_v1_0.25_32_fashion_mnist", "--data", "fashion-mnist-sample", "--format", "tflite")
PLAN = (*MADE, "--scheme", "float32,w8a8", "--engine", "litert", "--processes", "2", *SHORT, "--output", "out")
HOLDS = ("--no-nanny", "--resources", "device:local=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with a finished sweep of PLAN by this machine alone."""
    place = Place(tmp_path_factory.mktemp("home"))
    done = place.run("sweep", *PLAN)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), port)
    with contextlib.closing(cluster):
        yield cluster


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """A scheduler and four workers: three that compile, one of them below a nanny, and one that holds this machine."""
    if not running.answers():
        running.scheduler()
    running.worker("compile-1", "--no-nanny")
    running.worker("compile-2", "--no-nanny")
    running.worker("compile-3")
    running.worker("holder", *HOLDS)
    return running


@dataclass
class Sweeping:
    """A sweep under way on a cluster."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def until(self, words: str, times: int = 1) -> None:
        """Wait until it has told something so often."""
        assert soon(lambda: self.said.count(words) >= times or self.process.poll() is not None, 240), self.said
        assert self.process.poll() is None, self.said

    def ended(self, seconds: float = 240) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def sweeping(place: Place, cluster: Cluster, *options: str) -> Iterator[Sweeping]:
    log = place.folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            place.command("sweep", *PLAN, "--scheduler", cluster.address, *options),
            env=place.environment,
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield Sweeping(process, log)
    finally:
        process.kill()
        process.wait()


def results_in(place: Place) -> dict[str, Any]:
    return read_results(place.folder / "out" / "results.json")


def what_does_not_depend_on_time(run: Mapping[str, Any]) -> dict[str, Any]:
    same = {key: run[key] for key in ("model", "variant", "engine", "threads", "status", "sha256", "agreement")}
    accuracy = ("count", "top1", "top1_interval", "top5", "predictions", "confusion", "per_class")
    return {**same, "launches": len(run["launches"]), **{key: run["accuracy"].get(key) for key in accuracy}}


def measured_between(place: Place, without: Collection[str] = ()) -> list[tuple[datetime, datetime]]:
    """When each step began and ended that was measured on this machine, in the order of time."""
    measured = [key for key, (kind, _) in place.steps().items() if kind in {"launch", "accuracy"}]
    keys = [key for key in measured if key not in without]
    with open_store(str(place.store)) as store:
        facts = [output.facts for output in store.outputs(keys).values()]
    return sorted((_time(one["started"]), _time(one["ended"])) for one in facts)


def _time(told: str) -> datetime:
    return datetime.fromisoformat(told.replace("Z", "+00:00"))  # Python 3.10 knows no Z


def require_as_at_home(place: Place, home: Place) -> None:
    """Nothing is lost, nothing differs but times, and nothing was measured twice at once."""
    here, there = results_in(place), results_in(home)
    assert list(map(what_does_not_depend_on_time, here["runs"])) == list(
        map(what_does_not_depend_on_time, there["runs"])
    )
    assert all(len(decode_array(run["accuracy"]["predictions"])) == 2000 for run in here["runs"])
    assert here["models"] == there["models"]
    assert here["data"] == there["data"]
    artifacts = {path.name: path.read_bytes() for path in (place.folder / "out" / "artifacts").iterdir()}
    assert artifacts == {path.name: path.read_bytes() for path in (home.folder / "out" / "artifacts").iterdir()}
    times = measured_between(place)
    assert len(times) % (2 * 2 + 2) == 0
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(times))


@pytest.fixture
def place(home: Place, tmp_path: Path) -> Place:
    """A copy of the place of a finished sweep, to measure again at."""
    shutil.copytree(home.folder, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path)


def test_workers_that_are_killed_cost_nothing_but_time(home: Place, cluster: Cluster, tmp_path: Path) -> None:
    place = Place(tmp_path)
    with sweeping(place, cluster) as sweep:
        sweep.until("sweep: lower ")
        busy = next(name for name in ("compile-1", "compile-2", "compile-3") if cluster.family(name, "sweep.hands"))
        working = set(cluster.family(busy, "sweep.hands"))
        cluster.kill(busy)
        assert soon(lambda: not working & set(cluster.family(busy)), 40), "what it had begun is ended with it"
        sweep.until("round 1 of 2")
        assert soon(lambda: bool(cluster.family("holder", "dwsep_runtime")))
        cluster.kill("holder")
        assert soon(lambda: not cluster.family("holder"), 10), "what was being measured is ended with its worker"
        sweep.until("no worker holds device local")
        cluster.worker("replacement", *HOLDS)
        assert sweep.ended() == 0, sweep.said
        assert "begun again" in sweep.said
    cluster.kill("replacement")
    require_as_at_home(place, home)
    assert place.steps().keys() == home.steps().keys()
    assert [run["id"] for run in results_in(place)["runs"]] == [run["id"] for run in results_in(home)["runs"]]


def test_an_interrupted_sweep_leaves_no_device_busy_and_goes_on(home: Place, cluster: Cluster, place: Place) -> None:
    with sweeping(place, cluster, "--again") as sweep:
        sweep.until("round 2 of 2")
        before = place.steps()
        sweep.process.send_signal(signal.SIGINT)
        assert sweep.ended(60) == 130
        assert not cluster.family("holder", "dwsep_runtime")
        assert not cluster.family("holder", "sweep.hands")
        assert sweep.said.count("edge-dwsep: ") == 1
    assert before.items() <= place.steps().items()
    again = place.run("sweep", "--resume", "--output", "out", "--scheduler", cluster.address)
    assert again.returncode == 0, again.stderr
    assert before.items() <= place.steps().items()
    require_as_at_home(place, home)


def test_what_a_sweep_that_was_killed_had_begun_is_ended_by_the_workers(cluster: Cluster, place: Place) -> None:
    with sweeping(place, cluster, "--again") as sweep:
        sweep.until("round 1 of 2")
        assert soon(lambda: bool(cluster.family("holder", "dwsep_runtime")))
        sweep.process.kill()
        sweep.process.wait()
        assert soon(lambda: not cluster.family("holder", "dwsep_runtime"), 10)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_client, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(dask_executor, "ARRIVAL_SECONDS", 0.3)


@contextlib.contextmanager
def executing(address: str, folder: Path, **options: float) -> Iterator[tuple[DaskExecutor, list[str]]]:
    said: list[str] = []
    executor = DaskExecutor(address, BlobFolder(folder / "blobs"), said.append, **options)
    with contextlib.closing(executor):
        yield executor, said


def outcome_of(executor: DaskExecutor) -> Outcome:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for outcome in executor.wait(1):
            return outcome
    raise TimeoutError


def data_step(executor_folder: Path, content: bytes) -> Step:
    """A step that needs a content, and puts it out."""
    sha256 = BlobFolder(executor_folder / "blobs").put(content)
    return Step(StepKind.DATA, {"name": "some", "files": {"images.npy": sha256}}, title="open some")


@pytest.mark.parametrize(
    ("address", "kind", "said"),
    [
        ("", InvalidSweep, "the address of the scheduler is empty; give --scheduler tcp://HOST:PORT"),
        ("somewhere", InvalidSweep, "'somewhere' is no address of a scheduler: missing port number"),
        ("http://127.0.0.1:80", InvalidSweep, "unknown address scheme 'http'"),
        ("tcp://127.0.0.1:80x", InvalidSweep, "'tcp://127.0.0.1:80x' is no address"),
        ("tls://127.0.0.1:1", InvalidSweep, "TLS"),
        (
            "tcp://127.0.0.1:1",
            SchedulerLost,
            "no scheduler answers at tcp://127.0.0.1:1 (",
        ),
        ("tcp://nowhere.invalid:8786", SchedulerLost, "no scheduler answers at tcp://nowhere.invalid:8786"),
    ],
)
def test_an_address_that_leads_to_no_scheduler_is_told(
    address: str, kind: type[DwsepError], said: str, quick: None, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=re.escape(said)) as told, executing(address, tmp_path):
        pass
    assert "\n" not in str(told.value)


def test_a_server_of_something_else_is_no_scheduler(quick: None, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SchedulerLost, match="nothing within 2 s"), executing(address, tmp_path):
            pass


def test_a_worker_is_no_scheduler(cluster: Cluster, quick: None, tmp_path: Path) -> None:
    with executing(cluster.address, tmp_path) as (executor, _):
        executor.identity("local")
        worker = next(iter(executor._members.by_address))
    with pytest.raises(InvalidSweep, match=f"at {worker} is no scheduler but a worker"), executing(worker, tmp_path):
        pass


def test_a_scheduler_of_another_version_is_told(
    cluster: Cluster, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda package: "2020.1.0")
    said = "runs distributed .*, and this machine has 2020.1.0; install the same on both"
    with pytest.raises(SchedulerLost, match=said), executing(cluster.address, tmp_path):
        pass


def test_a_device_that_no_worker_holds_is_told_with_the_command_that_mends_it(
    cluster: Cluster, quick: None, tmp_path: Path
) -> None:
    mended = f"dask worker {cluster.address} --nthreads 1 --resources 'device:pi4=1'"
    with (
        executing(cluster.address, tmp_path) as (executor, said),
        pytest.raises(NoWorker, match=f"no worker holds device pi4; .*: {mended}"),
    ):
        executor.identity("pi4")
    assert said == ["wait for a worker that holds pi4"]


def test_the_identity_of_a_device_is_what_the_worker_that_holds_it_tells(cluster: Cluster, tmp_path: Path) -> None:
    with executing(cluster.address, tmp_path) as (executor, _):
        assert executor.identity("local") == device_identity("local")


def test_a_worker_that_knows_no_such_device_is_told(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker("mistaken", "--no-nanny", "--resources", "device:no-such-board=1")
    with (
        executing(cluster.address, tmp_path) as (executor, _),
        pytest.raises(InvalidSweep, match=r"holds device:no-such-board=1, but: .*no-such-board"),
    ):
        executor.identity("no-such-board")
    cluster.kill("mistaken")


def test_workers_of_other_code_are_given_nothing(
    cluster: Cluster, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_members, "installation", lambda: {**installation(), "keras": "9.0"})
    with executing(cluster.address, tmp_path, replacement_seconds=0.5) as (executor, said):
        with pytest.raises(
            NoWorker, match=r"no worker holds device local \(the worker at .* would make other files: it has"
        ):
            executor.identity("local")
        executor.submit(data_step(tmp_path, b"pixels"), {})
        with pytest.raises(NoWorker, match=r"has no worker for this sweep .*where this machine has 9\.0.*--resume"):
            outcome_of(executor)
    assert len([line for line in said if "it is given nothing to do" in line]) >= 4


def test_contents_travel_once_and_by_hash(cluster: Cluster, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    step = data_step(tmp_path, content)
    with executing(cluster.address, tmp_path) as (executor, _):
        executor.submit(step, {})
        first = outcome_of(executor)
        assert first.error == ""
        assert first.output is not None
        assert first.output.files == step.spec["files"]
        sent = dict(executor._contents)
        executor.submit(step, {})
        assert outcome_of(executor).error == ""
        assert len(sent) == len(executor._contents) == 1
    kept = [path for path in cluster.folder.glob("*-cache/**/blobs/*/*") if path.read_bytes() == content]
    assert 1 <= len(kept) <= 2


def test_a_content_that_is_lost_here_is_told_as_lost(cluster: Cluster, tmp_path: Path) -> None:
    step = data_step(tmp_path, os.urandom(1000))
    shutil.rmtree(tmp_path / "blobs")
    with executing(cluster.address, tmp_path) as (executor, _):
        executor.submit(step, {})
        outcome = outcome_of(executor)
    assert outcome.output is None
    assert outcome.error_class == "LostContent"


def test_a_device_whose_worker_does_not_come_back_fails_its_steps_alone(cluster: Cluster, tmp_path: Path) -> None:
    with executing(cluster.address, tmp_path, replacement_seconds=1.0) as (executor, _):
        executor.identity("local")
        cluster.kill("holder")
        executor.submit(Step(StepKind.REACH, {"device": "local"}, {}, "reach local", "local"), {})
        outcome = outcome_of(executor)
        assert outcome.error_class == "NoWorker"
        assert outcome.error.startswith("no worker holds device local; start one")
        executor.submit(data_step(tmp_path, b"more pixels"), {})
        assert outcome_of(executor).error == ""


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DwsepError, match=re.escape("pip install 'edge-dwsep[scale-out]'")):
        DaskExecutor("tcp://127.0.0.1:1", BlobFolder(tmp_path))


def test_two_sweeps_at_once_measure_one_after_the_other(home: Place, cluster: Cluster, tmp_path: Path) -> None:
    places = [Place(tmp_path / name) for name in ("one", "two")]
    for place in places:
        shutil.copytree(home.folder, place.folder)
    before = home.steps().keys()
    with sweeping(places[0], cluster, "--again") as one, sweeping(places[1], cluster, "--again") as two:
        assert (one.ended(), two.ended()) == (0, 0), one.said + two.said
    spans = [(span, at) for at, place in enumerate(places) for span in measured_between(place, without=before)]
    assert len(spans) == 2 * (2 * 2 + 2)
    assert all(ended <= begun for ((_, ended), _), ((begun, _), _) in pairwise(sorted(spans)))
    owners = [at for _, at in sorted(spans)]
    assert owners != sorted(owners), "they took turns"
    assert owners != sorted(owners, reverse=True), "they took turns"


def test_a_step_that_workers_do_not_survive_fails_after_some(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_executor, "do", lambda task, given: os._exit(1))
    with executing(cluster.address, tmp_path) as (executor, said):
        executor.identity("local")
        executor.submit(data_step(tmp_path, b"pixels"), {})
        outcome = outcome_of(executor)
    assert outcome.error_class == "EngineCrashed"
    assert outcome.error.startswith("open some: 4 workers went away while they did it, or failed; it may have run out")
    assert len([line for line in said if line.endswith("went away; open some is begun again")]) == 3


def test_a_scheduler_that_dies_is_told_in_a_line_and_the_sweep_goes_on_without_it(
    home: Place, cluster: Cluster, place: Place
) -> None:
    with sweeping(place, cluster, "--again") as sweep:
        sweep.until("round 2 of 2")
        before = place.steps()
        cluster.kill("scheduler")
        assert sweep.ended(60) == 1
        told = [line for line in sweep.said.splitlines() if line.startswith("edge-dwsep: ")]
        assert len(told) == 1
        assert f"the scheduler at {cluster.address} went away" in told[0]
        assert "--resume" in told[0]
        assert "Traceback" not in sweep.said
        assert "distributed" not in sweep.said
    assert soon(lambda: not any(cluster.family(name, "sweep.hands") for name in ("holder", "compile-1")), 20)
    again = place.run("sweep", "--resume", "--output", "out")
    assert again.returncode == 0, again.stderr
    assert before.items() <= place.steps().items()
    require_as_at_home(place, home)
