"""Runs as a table in the terminal."""

from __future__ import annotations

__all__ = ["console", "print_runs"]

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console


WIDE = 160
"""Columns of what is not a terminal: nothing need be wrapped in a file."""


def console() -> Console:
    """Standard output, as wide as the terminal or, where it is none, as wide as a table needs."""
    from rich.console import Console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    return Console(width=width, highlight=False, soft_wrap=False)


def print_runs(screen: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    """Print one row a run; columns that no run has a value for are left out.

    Args:
        screen: where to.
        runs: records as in results.json.
    """
    from rich.table import Table
    from rich.text import Text

    columns: list[tuple[str, Literal["left", "right"], bool, Callable[[Mapping[str, Any]], str]]] = [
        ("variant", "left", True, lambda run: str(run["variant"])),
        ("engine", "left", True, lambda run: str(run["engine"])),
        ("size", "right", True, lambda run: f"{run['file_bytes'] / 1000:,.0f} kB"),
        ("p50 ms [95 %]", "right", False, _p50),
        ("p90 ms", "right", True, lambda run: _milliseconds(run["latency"] and run["latency"]["p90_ms"])),
        ("accuracy [95 %]", "right", False, _accuracy),
        ("agrees with float", "right", False, _agreement),
        ("note", "left", False, _note),
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    rows = [[cell(run) for _, _, _, cell in columns] for run in runs]
    shown = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    for index in shown:
        title, justify, whole, _ = columns[index]
        table.add_column(Text(title), justify=justify, no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(row[index]) for index in shown))
    screen.print(table)


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
