"""Runs as a table in the terminal."""

from __future__ import annotations

__all__ = ["print_runs"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_runs(console: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    """Print one row a run; columns that no run has a value for are left out.

    Args:
        console: where to.
        runs: records as in results.json.
    """
    from rich.table import Table

    columns = [
        ("variant", "left", lambda run: run["variant"]),
        ("engine", "left", lambda run: run["engine"]),
        ("size", "right", lambda run: f"{run['file_bytes'] / 1000:,.0f} kB"),
        ("p50 ms [95 %]", "right", _p50),
        ("p90 ms", "right", lambda run: _milliseconds(run["latency"] and run["latency"]["p90_ms"])),
        ("accuracy [95 %]", "right", _accuracy),
        ("agrees with float", "right", _agreement),
        ("note", "left", _note),
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    rows = [[cell(run) for _, _, cell in columns] for run in runs]
    shown = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    for index in shown:
        title, justify, _ = columns[index]
        table.add_column(title, justify=justify, no_wrap=title != "note")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    console.print(table, markup=False)


def _milliseconds(value: float | None) -> str:
    """Three significant digits, never in exponent form."""
    if not value:
        return ""
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:.{digits + (value < 0.1)}f}"


def _p50(run: Mapping[str, Any]) -> str:
    latency = run["latency"]
    if not latency:
        return ""
    interval = latency["p50_interval_ms"]
    bounds = f" [{_milliseconds(interval[0])}, {_milliseconds(interval[1])}]" if interval else ""
    return f"{_milliseconds(latency['p50_ms'])}{bounds}"


def _accuracy(run: Mapping[str, Any]) -> str:
    accuracy = run["accuracy"]
    if not accuracy:
        return ""
    low, high = accuracy["top1_interval"]
    return f"{100 * accuracy['top1']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _agreement(run: Mapping[str, Any]) -> str:
    return f"{100 * run['agreement']['top1']:.1f} %" if run["agreement"] else ""


def _note(run: Mapping[str, Any]) -> str:
    return f"failed: {run['error']}" if run["status"] != "ok" else "; ".join(run["warnings"])
