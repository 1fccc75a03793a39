"""Records without raw samples, and with them again; rows of tables from records."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwsep_runtime.arrays import decode_array, encode_array
from edge_dwsep.light import QUANTILES, distribution_of, full, light, light_results
from edge_dwsep.store import RunFilter, Store, SweepRecord, open_store
from edge_dwsep.store.export import SAMPLE_COLUMNS, write_csv
from edge_dwsep.store.flat import COLUMNS, flat
from edge_dwsep.store.rows import device_row, run_row
from tests.store_fixtures import accuracy_facts, keep_run, launch_facts, run_record

LAUNCHES = [launch_facts(seed) for seed in range(3)]
ACCURACY = accuracy_facts(1)
RECORD = run_record(LAUNCHES, ACCURACY)


def test_a_light_record_has_no_samples_and_a_distribution() -> None:
    found = light(RECORD)
    text = json.dumps(found)
    assert "zlib" not in text
    assert not {"log"} & set(found)
    assert not {"samples_ns", "stages", "states", "warmups"} & set(found["latency"])
    assert not {"predictions", "confusion", "per_class"} & set(found["accuracy"])
    assert len(found["latency"]["distribution_ms"]) == len(QUANTILES) == 41
    assert found["latency"]["distribution_ms"][20] == pytest.approx(found["latency"]["p50_ms"], rel=1e-4)
    assert found["latency"]["distribution_ms"] == sorted(found["latency"]["distribution_ms"])
    assert found["launches"][0]["state_before"] == {"load_1min": 0.5, "temperature_c": 40.0}
    assert run_record(LAUNCHES, ACCURACY) == RECORD, "the record itself is left as it was"


def test_a_light_record_stays_as_it_is() -> None:
    once = light(RECORD)
    assert light(once) == once
    assert distribution_of(once) == distribution_of(RECORD)
    assert light_results({"runs": [RECORD], "x": 1}) == {"runs": [once], "x": 1}


def test_samples_come_back_from_what_the_runtime_told() -> None:
    launches = light(RECORD)["launches"]
    assert full(light(RECORD), LAUNCHES, ACCURACY["record"]["accuracy"]) == {**RECORD, "launches": launches}
    assert full(light(RECORD), [], {}) == light(RECORD)


@pytest.mark.parametrize("record", [run_record([], None), {}, {"latency": None}, {"latency": {}}])
def test_of_nothing_timed_there_is_no_distribution(record: dict[str, Any]) -> None:
    assert distribution_of(record) is None
    assert full(light(record), [], {}) == {name: value for name, value in record.items() if name != "log"}


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=50))
def test_a_distribution_spans_the_samples(samples: list[int]) -> None:
    found = distribution_of({"latency": {"samples_ns": encode_array(np.array(samples, np.int64))}})
    assert found is not None
    assert found[0] == pytest.approx(min(samples) / 1e6, rel=1e-4)
    assert found[-1] == pytest.approx(max(samples) / 1e6, rel=1e-4)
    assert found == sorted(found)


def test_a_row_has_what_is_searched_by() -> None:
    row = run_row("k", RECORD)
    assert (row["p50_ms"], row["p50_low_ms"]) == (RECORD["latency"]["p50_ms"], RECORD["latency"]["p50_interval_ms"][0])
    assert (row["top1"], row["top1_high"], row["peak_bytes"]) == (0.9, 0.945, 54_000_000)
    assert json.loads(row["record"]) == light(RECORD)
    nothing = run_row("k", run_record([], None, status="failed", valid=False, error="gone", threads=None))
    assert (nothing["p50_ms"], nothing["top1"], nothing["threads"], nothing["error"]) == (None, None, 1, "gone")


def test_a_device_is_known_by_all_that_is_known_of_it() -> None:
    device = {"name": "pi4", "kind": "raspberry-pi-4", "kernel": "6.1"}
    assert device_row(device)["id"] == device_row(dict(reversed(list(device.items()))))["id"]
    assert device_row(device)["id"] != device_row({**device, "kernel": "6.6"})["id"]


def test_a_flat_run_has_every_column() -> None:
    row = flat({**RECORD, "id": "k"}, "2026-11-25T20:00:00.000Z")
    assert list(row) == list(COLUMNS)
    assert (row["samples"], row["images"], row["warnings"], row["p99_ms"]) == (
        900,
        100,
        "loud",
        RECORD["latency"]["p99_ms"],
    )
    assert all(value is None or isinstance(value, COLUMNS[name]) for name, value in row.items())
    assert set(flat(run_record([], None), "now")) == set(COLUMNS)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(str(tmp_path / "s.sqlite")) as opened:
        opened.begin_sweep(SweepRecord(id="s", name="s", command="c", plan={}))
        return opened


def csv_of(store: Store, *, samples: bool = False) -> list[list[str]]:
    import csv

    file = io.StringIO(newline="")
    write_csv(store, RunFilter(), file, samples=samples)
    file.seek(0)
    return list(csv.reader(file))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(name: str, store: Store) -> None:
    keep_run(store, "s", 0, "a", model=name, variant=f"x{name}")
    for samples in (False, True):
        head, row, *_ = csv_of(store, samples=samples)
        assert row[head.index("model")] == f"'{name}"
        assert row[head.index("variant")] == f"x{name}"


def test_text_with_quotes_and_lines_comes_back(store: Store) -> None:
    name = 'a "b", c;\nd'
    keep_run(store, "s", 0, "a", model=name)
    head, row = csv_of(store)
    assert row[head.index("model")] == name


def test_every_sample_is_a_row_of_its_launch(store: Store) -> None:
    _, record = keep_run(store, "s", 0, "a")
    head, *rows = csv_of(store, samples=True)
    assert head == list(SAMPLE_COLUMNS)
    assert [int(row[-1]) for row in rows] == decode_array(record["latency"]["samples_ns"]).tolist()
    assert [(row[-3], row[-2]) for row in (rows[0], rows[299], rows[300], rows[599])] == [
        ("0", "0"),
        ("0", "299"),
        ("1", "0"),
        ("1", "299"),
    ]
