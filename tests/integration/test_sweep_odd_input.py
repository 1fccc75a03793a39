"""Sweeps with odd names, plans, states, networks and files: told, recorded or mended, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dwsep_export import open_artifact
from edge_dwsep.results_file import read_results
from edge_dwsep.sweep.carry_out import plan_in, taken_up
from edge_dwsep.sweep.errors import InvalidSweep
from edge_dwsep.sweep.plan import SweepPlan
from tests.device_faults import soon
from tests.small_sweep import MADE, PLAN, SHORT, complete, place, ready, whole_folder
from tests.sweep_place import Place, one_line, sweeping, told

__all__ = ["place", "ready"]

pytestmark = pytest.mark.slow

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
