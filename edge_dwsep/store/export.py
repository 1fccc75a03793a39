"""Write runs of a store as CSV, Parquet or results.json; one run at a time, for raw samples are large."""

from __future__ import annotations

__all__ = ["FORMATS", "write_csv", "write_json", "write_parquet"]

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dwsep_runtime.errors import DwsepError
from edge_dwsep.store.flat import COLUMNS, flat
from edge_dwsep.store.records import RunFilter
from edge_dwsep.store.store import Store

FORMATS = ("csv", "parquet", "json")
SAMPLE_COLUMNS = ("id", "device", "model", "variant", "engine", "threads", "launch", "sample", "ns")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of text that spreadsheets take for a formula (OWASP, "CSV Injection")."""


def write_csv(store: Store, where: RunFilter, file: IO[str], *, samples: bool) -> int:
    """Write a row a run, or with ``samples`` a row a timed inference; returns the number of runs.

    Text that a spreadsheet would take for a formula gets a ' before it. Lines end as RFC 4180 has it.

    Args:
        store: to read.
        where: which runs.
        file: opened with ``newline=""``.
        samples: whether raw samples instead of figures.
    """
    writer = csv.writer(file)
    writer.writerow(SAMPLE_COLUMNS if samples else COLUMNS)
    count = 0
    for measured, record in store.records(where, samples=samples):
        count += 1
        if samples:
            writer.writerows(_sample_rows(record))
        else:
            row = flat(record, measured)
            writer.writerow([_cell(row[name]) for name in COLUMNS])
    return count


def write_parquet(store: Store, where: RunFilter, path: Path, *, samples: bool) -> int:
    """Write a row a run, with ``samples`` a column ``samples_ns`` of all its inference times; returns their number.

    Raises:
        DwsepError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise DwsepError(
            "Parquet needs the package pyarrow, which is not here: pip install 'edge-dwsep[parquet]'"
        ) from error
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    fields = [pa.field(name, types[kind]) for name, kind in COLUMNS.items()]
    if samples:
        fields.append(pa.field("samples_ns", pa.list_(pa.int64())))
    schema, count = pa.schema(fields), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in _batches(store.records(where, samples=samples), 16 if samples else 1000):
            rows = [_typed(flat(record, measured)) for measured, record in some]
            if samples:
                for row, (_, record) in zip(rows, some, strict=True):
                    row["samples_ns"] = _samples(record)
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(rows)
    return count


def write_json(store: Store, where: RunFilter, file: IO[str], *, samples: bool) -> int:
    """Write a results.json, a line a run; returns the number of runs.

    Args:
        store: to read.
        where: which runs; a sweep alone gives that sweep's results.
        file: text.
        samples: whether with raw samples and predictions.
    """
    results = store.results(where.sweep or None, where=where)
    records = results.pop("runs")
    file.write(f'{json.dumps(results, indent=1, allow_nan=False)[:-2]},\n "runs": [')
    for at, record in enumerate(records):
        whole = {**record, **(store.run(record["id"], samples=True) or {})} if samples else record
        file.write(f"{',' if at else ''}\n  {json.dumps(whole, allow_nan=False)}")
    file.write("\n ]\n}\n")
    return len(records)


def _sample_rows(record: dict[str, Any]) -> Iterator[list[Any]]:
    latency = record.get("latency") or {}
    head = [_cell(record.get(name)) for name in SAMPLE_COLUMNS[:6]]
    times = iter(_samples(record) or ())
    for launch, process in enumerate(latency.get("processes") or ()):
        for sample in range(process["count"]):
            yield [*head, launch, sample, next(times, None)]


def _samples(record: dict[str, Any]) -> list[int] | None:
    encoded = (record.get("latency") or {}).get("samples_ns")
    if not encoded:
        return None
    from dwsep_runtime.arrays import decode_array

    found: list[int] = decode_array(encoded).tolist()
    return found


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as their columns have them; text that is no Unicode written out."""
    typed: dict[str, Any] = {}
    for name, kind in COLUMNS.items():
        value = row[name]
        if value is not None:
            value = kind(value).encode("utf-8", "backslashreplace").decode() if kind is str else kind(value)
        typed[name] = value
    return typed


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    from itertools import islice

    while some := list(islice(items, size)):
        yield some
