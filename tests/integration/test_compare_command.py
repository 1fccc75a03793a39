"""``edge-dwsep compare`` and ``edge-dwsep results choose`` as a user and CI call them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from edge_dwsep.store import SweepRecord, open_store
from tests.conftest import CommandLine, Demo
from tests.store_fixtures import keep_run
from tests.weighed_runs import results, run, timed

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes runs as a results.json of a name."""

    def write(name: str, *runs: dict[str, Any]) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(results(*runs)))
        return path

    return write


@pytest.mark.parametrize(
    ("after", "code", "verdict"),
    [(2.0, 0, "ok"), (2.1, 2, "cannot tell"), (2.4, 1, "regressed")],
)
def test_the_exit_code_is_the_verdict(
    command_line: CommandLine, written: Written, after: float, code: int, verdict: str
) -> None:
    base = written("base", run("w8a8", latency=timed(1, 2.0)))
    head = written("head", run("w8a8", latency=timed(2, after)))
    called = command_line("compare", base, head, "--fail-if", "p50>+5%", "--fail-if", "size>+2%")
    assert (called.returncode, called.stderr) == (code, "")
    assert called.stdout.splitlines()[-1].startswith(f"{verdict}: ")


def test_every_form_is_written_in_one_call(command_line: CommandLine, written: Written, tmp_path: Path) -> None:
    base, head = (written(name, run("w8a8", p50, size=size)) for name, p50, size in (("a", 2, 100), ("b", 3, 200)))
    files = {form: tmp_path / f"out.{form}" for form in ("markdown", "junit")}
    options = [word for form, file in files.items() for word in (f"--{form}", file)]
    called = command_line("compare", base, head, "--fail-if", "size>+2%", *options)
    assert called.returncode == 1
    assert "w8a8 on litert" in called.stdout
    assert "| **regressed** |" in files["markdown"].read_text()
    assert ET.parse(files["junit"]).getroot().get("failures") == "1"  # noqa: S314  # our own document
    told = json.loads(command_line("compare", base, head, "--fail-if", "size>+2%", "--json").stdout)
    assert (told["verdict"], told["runs"][0]["verdicts"][0]["rule"]) == ("regressed", "size>+2%")
    for form, begins in (("markdown", "###"), ("junit", "<?xml"), ("json", "{"), ("text", "  figure")):
        printed = command_line("compare", base, head, "--format", form)
        assert (printed.returncode, printed.stdout.startswith(begins)) == (0, True)
        output = tmp_path / "given"
        silent = command_line("compare", base, head, "--format", form, "--output", output)
        assert (silent.stdout, output.read_text().startswith(begins)) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-if", "p50>5%"], "write p50>+5% or p50>-5%"),
        (["--allow", "everything"], "unknown allowance 'everything'"),
        (["--markdown", "/proc/here/out.md"], "cannot be written"),
        (["--format", "yaml"], "'yaml' is not one of"),
        (["--fail"], "No such option '--fail'"),
    ],
)
def test_whatever_is_wrong_ends_with_a_code_that_is_no_verdict(
    command_line: CommandLine, written: Written, arguments: list[str], said: str
) -> None:
    called = command_line("compare", written("a", run("a")), written("b", run("a")), *arguments)
    assert called.returncode == 3
    assert said in called.stderr.splitlines()[-1]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_comparison_that_nobody_reads_ends_with_no_verdict(written: Written, form: str) -> None:
    base, head = written("base", run("a")), written("head", run("a"))
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "edge_dwsep", "compare", str(base), str(head), "--fail-if", "size>+2%"]
    called = subprocess.run(
        [*command, "--format", form], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert called.returncode == 3
    assert called.stderr.startswith("edge-dwsep: the comparison cannot be printed: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "are not JSON"),
        ("[]", "holds no results"),
        ('{"schema_version": 99}', "upgrade edge-dwsep"),
        ('{"schema_version": 4, "runs": [{}], "devices": [], "models": []}', "run 1 has no 'device'"),
        ('{"schema_version": 4, "runs": [], "devices": [], "models": [{}]}', "one of the models has no name"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_results_is_refused(
    command_line: CommandLine, written: Written, tmp_path: Path, content: str | None, said: str
) -> None:
    wrong = tmp_path / "wrong\n$(touch x).json"
    if content is not None:
        wrong.write_text(content)
    called = command_line("compare", written("a", run("a")), wrong, cwd=tmp_path)
    assert called.returncode == 3
    assert said in called.stderr
    assert not (tmp_path / "x").exists()


def test_another_engine_version_is_refused_until_it_is_allowed(command_line: CommandLine, written: Written) -> None:
    base, head = written("a", run("a")), written("b", run("a", engine_version="3.0.0"))
    refused = command_line("compare", base, head)
    assert refused.returncode == 3
    assert "litert was version 2.3.0 and is 3.0.0" in refused.stderr
    assert "--allow engine" in refused.stderr
    allowed = command_line("compare", base, head, "--allow", "engine,missing")
    assert allowed.returncode == 0
    assert "differs, as allowed" in allowed.stdout


def test_sweeps_of_the_store_are_compared_on_their_raw_samples(command_line: CommandLine, tmp_path: Path) -> None:
    place = tmp_path / "results.sqlite"
    with open_store(str(place)) as store:
        for sweep in ("aaaa1111", "bbbb2222"):
            store.begin_sweep(SweepRecord(sweep, "a sweep", "edge-dwsep sweep", {}))
            keep_run(store, sweep, 0, "same")
            store.finish_sweep(sweep, "done")
    called = command_line("compare", "aaaa", "bbbb", "--store", place, "--format", "json", "--fail-if", "p90>+50%")
    assert called.returncode == 0, called.stderr
    (p50,) = [one for one in json.loads(called.stdout)["runs"][0]["changes"] if one["metric"] == "p50"]
    assert p50["change"] == 0
    assert p50["p"] == 1.0
    missing = command_line("compare", "aaaa", "cccc", "--store", place)
    assert (missing.returncode, "cccc" in missing.stderr) == (3, True)
    (tmp_path / "broken.sqlite").write_text("no database")
    assert command_line("compare", "aaaa", "bbbb", "--store", tmp_path / "broken.sqlite").returncode == 3
    assert command_line("results", "choose", "bbbb", "--store", place).stdout.rstrip().endswith("compare it with")


def test_what_was_measured_here_twice_does_not_regress_and_a_larger_file_does(
    command_line: CommandLine, demo: Demo, tmp_path: Path
) -> None:
    for name, source in (("base", "w8a8.tflite"), ("head", "w8a8.tflite"), ("larger", "float32.tflite")):
        (tmp_path / name).mkdir()
        shutil.copy(demo.artifact(source), tmp_path / name / "net.tflite")
        measured = command_line(
            *("bench", tmp_path / name / "net.tflite", "--engine", "litert", "--processes", 3, "--min-seconds", 0.3),
            *("--output", tmp_path / name / "results.json"),
        )
        assert measured.returncode in {0, 8}, measured.stderr
    same = command_line(
        "compare", tmp_path / "base", tmp_path / "head", "--fail-if", "size>0%", "--fail-if", "p50>+900%"
    )
    assert same.returncode in {0, 2}  # 2 where this machine is so busy that the run is not valid
    larger = command_line("compare", tmp_path / "base", tmp_path / "larger", "--fail-if", "size>+2%")
    assert larger.returncode == 1


def test_the_choice_of_the_demo_is_told_in_one_sentence(command_line: CommandLine, demo: Demo) -> None:
    told = command_line("results", "choose", demo.folder, "--max-drop", "5pp", "--max-size", "1MB")
    assert told.returncode == 0, told.stderr
    assert "on the front" in told.stdout
    choice = json.loads(command_line("results", "choose", demo.folder, "--json", "--pareto", "size").stdout)
    assert choice["objectives"] == ["size"]
    assert choice["devices"][0]["recommended"] in choice["devices"][0]["front"]
    wrong = command_line("results", "choose", demo.folder, "--max-drop", "1%")
    assert wrong.returncode == 3
    assert "--max-drop '1%' cannot be read; give a number and a unit, such as 1pp" in wrong.stderr
