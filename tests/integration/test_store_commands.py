"""``edge-dwsep results list|show|export`` on a store with runs of two sweeps."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dwsep_runtime.arrays import decode_array
from edge_dwsep.cli import main
from edge_dwsep.results_file import read_results
from edge_dwsep.store import SweepRecord, open_store
from edge_dwsep.store.flat import COLUMNS
from tests.conftest import CommandLine
from tests.store_fixtures import DEVICE, keep_run, run_record

HOSTILE = "\x1b[31mred\n<b>$(x)"
LOST = {"status": "failed", "valid": False, "error": "gone\x1b[2J", "error_class": "DeviceLost"}


@dataclass(frozen=True)
class Answer:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A store, and the key of each run in it."""
    path = tmp_path_factory.mktemp("store") / "results.sqlite"
    with open_store(str(path)) as store:
        for name, started in (
            ("20261120-one", "2026-11-20T10:00:00.000Z"),
            ("20261125-two", "2026-11-25T10:00:00.000Z"),
        ):
            store.begin_sweep(
                SweepRecord(
                    id=name,
                    name=name.partition("-")[2],
                    command="edge-dwsep sweep mobilenet_v2",
                    plan={},
                    started=started,
                    models=[{"name": "v2"}],
                    data={"name": "photos"},
                    excluded=[{"what": "onnx float16", "reason": "no such recipe"}],
                )
            )
        keys = {
            "a": keep_run(store, "20261120-one", 0, "a", model="v2")[0],
            "b": keep_run(store, "20261120-one", 1, "b", model="v2", scheme="float32", variant="tflite-float32")[0],
            "c": keep_run(store, "20261125-two", 0, "c", model=HOSTILE, format="onnx", engine="onnxruntime")[0],
        }
        keys["lost"] = "f" * 64
        record = run_record([], None, model="v2", threads=4, **LOST)
        store.save_run("20261125-two", 1, keys["lost"], record, device=DEVICE, artifact=None, steps=[], reused=False)
        store.finish_sweep("20261120-one", "done")
    return path, keys


@pytest.fixture
def ask(kept: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]) -> Ask:
    def called(*arguments: object) -> Answer:
        code = main(["results", *map(str, arguments), "--store", str(kept[0])])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return called


def ids(answer: Answer, keys: dict[str, str]) -> list[str]:
    words = {key: word for word, key in keys.items()}
    return [words[run["key"]] for run in json.loads(answer.out)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["lost", "c", "b", "a"]),
        (["--limit", 2], ["lost", "c"]),
        (["--model", "v2", "--valid"], ["b", "a"]),
        (["--scheme", "float32,w8a8", "--engine", "litert", "--threads", "1"], ["b", "a"]),
        (["--engine", "litert", "--engine", "onnxruntime", "--format", "onnx"], ["c"]),
        (["--threads", "1,4", "--sweep", "20261125"], ["lost", "c"]),
        (["--since", "1h"], ["lost", "c", "b", "a"]),
        (["--since", "2999-01-01"], []),
        (["--device", "local", "--sweep", "20261120-one"], ["b", "a"]),
    ],
)
def test_runs_are_listed_by_what_is_asked(
    options: list[object], expected: list[str], ask: Ask, kept: tuple[Path, dict[str, str]]
) -> None:
    answer = ask("list", "--json", *options)
    assert (answer.code, answer.err) == (0, "")
    assert ids(answer, kept[1]) == expected


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--engine", "onnx"], 3, "did you mean 'onnxruntime'?"),
        (["--scheme", "w8a9"], 3, "did you mean 'w8a8'?"),
        (["--threads", "two"], 3, "--threads must be numbers such as 1,4; received 'two'"),
        (["--threads", "2"], 3, "known are 1, 4"),
        (["--sweep", "2026"], 3, "begins more than one id"),
        (["--sweep", "x"], 3, "has no sweep 'x'; `edge-dwsep results list --sweeps` tells the ids"),
        (["--since", "yesterday"], 2, "neither a date such as 2026-11-25 (UTC) nor an age such as 12h, 7d or 4w"),
        (["--since", "99999999999w"], 2, "neither a date"),
        (["--limit", "-1"], 2, "--limit"),
    ],
)
def test_what_no_run_has_is_told(options: list[object], code: int, said: str, ask: Ask) -> None:
    answer = ask("list", *options)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_the_table_says_what_there_is_and_moves_no_cursor(ask: Ask, kept: tuple[Path, dict[str, str]]) -> None:
    answer = ask("list", "--limit", 3)
    assert "\x1b" not in answer.out
    assert r"'\x1b[31mred" in answer.out
    lines = answer.out.splitlines()
    assert lines[0].split()[:3] == ["id", "measured", "(UTC)"]
    assert lines[1].startswith("ffffffffff")
    assert lines[1].rstrip().endswith("failed")
    assert lines[-1] == "3 of 4; --limit 0 lists all"
    for key in list(kept[1].values())[1:]:
        assert key[:10] in answer.out
    assert "90.0 % [82.5, 94.5]" in answer.out
    assert ask("list", "--since", "2999-01-01").out.startswith("no run in sqlite:///")


def test_sweeps_are_listed_and_shown(ask: Ask) -> None:
    answer = ask("list", "--sweeps")
    first, second = answer.out.splitlines()[1:]
    assert first.split()[:6] == ["20261125-two", "two", "2026-11-25", "10:00", "running", "2"]
    assert second.split()[:6] == ["20261120-one", "one", "2026-11-20", "10:00", "done", "2"]
    assert [sweep["failed"] for sweep in json.loads(ask("list", "--sweeps", "--json").out)] == [1, 0]
    shown = ask("show", "20261125")
    assert "onnx float16: no such recipe" in shown.out
    assert "photos" in shown.out
    assert "not yet, running" in shown.out
    results = json.loads(ask("show", "20261120", "--json").out)
    assert results["sweep"]["status"] == "done"
    assert "samples_ns" not in results["runs"][0]["latency"]


def test_a_run_is_shown_by_the_beginning_of_its_id(ask: Ask, kept: tuple[Path, dict[str, str]]) -> None:
    key = kept[1]["b"]
    answer = ask("show", key[:8])
    assert answer.code == 0
    for said in (key, "20261120-one", "tflite-float32", "litert 2.3.0", "launches", " 41 ", " 42 "):
        assert said in answer.out
    (run,) = json.loads(ask("show", key, "--json", "--samples").out)["runs"]
    assert decode_array(run["latency"]["samples_ns"]).shape == (600,)
    assert "DeviceLost" in ask("show", "fff", "--json").out
    failed = ask("show", "fff")
    assert failed.code == 0
    assert ask("show", "nothing").code == 3


def test_csv_has_a_row_a_run(ask: Ask, tmp_path: Path) -> None:
    answer = ask("export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(answer.out, newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["status"] for row in rows] == ["failed", "ok", "ok", "ok"]
    assert rows[1]["model"] == HOSTILE
    path = tmp_path / "runs.csv"
    answer = ask("export", "--format", "csv", "--samples", "--model-format", "onnx", "--output", path)
    assert (answer.out, answer.err) == ("", f"1 run in {path}\n")
    with path.open(newline="") as file:
        assert len(list(csv.reader(file))) == 601
    assert [item.name for item in tmp_path.iterdir()] == ["runs.csv"]


@pytest.mark.parametrize("samples", [False, True])
def test_json_is_a_results_file(samples: bool, ask: Ask, tmp_path: Path, kept: tuple[Path, dict[str, str]]) -> None:
    path = tmp_path / "results.json"
    more = ["--samples"] if samples else []
    assert ask("export", "--format", "json", "--output", path, "--sweep", "20261120", *more).code == 0
    results = read_results(path)
    assert results["sweep"]["id"] == "20261120-one"
    with open_store(str(kept[0])) as store:
        assert results == json.loads(json.dumps(store.results("20261120-one", samples=samples)))
        assert ask("export", "--format", "json", "--output", path, *more).code == 0
        everything = read_results(path)
        expected = store.results(samples=samples)
        assert everything["runs"] == json.loads(json.dumps(expected["runs"]))
    assert everything["sweep"] is None
    assert ask("export", "--format", "json", "--output", path, "--since", "2999-01-01").code == 0
    assert read_results(path)["runs"] == []


def test_parquet_is_typed(ask: Ask, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "runs.parquet"
    assert ask("export", "--format", "parquet", "--output", path).code == 0
    table = parquet.read_table(path)
    assert table.column_names == list(COLUMNS)
    assert str(table.schema.field("p50_ms").type) == "double"
    assert str(table.schema.field("valid").type) == "bool"
    assert table.column("status").to_pylist() == ["failed", "ok", "ok", "ok"]
    assert ask("export", "--format", "parquet", "--samples", "--output", path).code == 0
    assert [one and len(one) for one in parquet.read_table(path).column("samples_ns").to_pylist()] == [
        None,
        600,
        600,
        600,
    ]
    assert ask("export", "--format", "parquet", "--output", path, "--since", "2999-01-01").code == 0
    assert parquet.read_table(path).num_rows == 0


def test_wrong_exports_are_told_and_leave_what_was_there(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask("export", "--format", "parquet").code == 2
    path = tmp_path / "runs.parquet"
    path.write_text("before")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = ask("export", "--format", "parquet", "--output", path)
    assert answer.code == 1
    assert "pip install 'edge-dwsep[parquet]'" in answer.err
    assert path.read_text() == "before"
    answer = ask("export", "--format", "csv", "--output", path / "below")
    assert answer.code == 1
    assert answer.err.startswith("edge-dwsep: output folder ")


def test_what_is_no_file_is_not_replaced_and_a_link_is_followed(ask: Ask, tmp_path: Path) -> None:
    device, link = tmp_path / "device", tmp_path / "link"
    os.mkfifo(device)
    link.symlink_to(tmp_path / "file")
    assert "is there and no file" in ask("export", "--format", "csv", "--output", device).err
    assert device.is_fifo()
    assert ask("export", "--format", "csv", "--output", link).code == 0
    assert link.is_symlink()
    assert (tmp_path / "file").read_text().startswith("id,")


def test_names_that_are_no_unicode_are_exported_with_escapes(
    tmp_path: Path, ask: Ask, kept: tuple[Path, dict[str, str]]
) -> None:
    with open_store(str(kept[0])) as store:
        record = run_record([], None, model="caf\udce9", **LOST)
        store.save_run("20261125-two", 2, "e" * 64, record, device=DEVICE, artifact=None, steps=[], reused=False)
    assert ask("export", "--format", "csv", "--output", tmp_path / "out.csv").code == 0
    assert "caf\\udce9" in (tmp_path / "out.csv").read_text()


def test_a_listing_imports_nothing_heavy(kept: tuple[Path, dict[str, str]]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "edge_dwsep", "results", "list", "--store", str(kept[0])]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.splitlines()}
    assert "sqlalchemy" in loaded
    assert not loaded & {"tensorflow", "keras", "numpy", "alembic", "psycopg", "pyarrow", "optuna"}


def test_help_tells_the_commands(command_line: CommandLine) -> None:
    ended = command_line("results", "--help")
    assert ended.returncode == 0
    for name in ("list", "show", "export", "choose"):
        assert f"\n  {name} " in ended.stdout
