"""Runs as a table in the terminal."""

from __future__ import annotations

__all__ = [
    "console",
    "milliseconds",
    "print_comparisons",
    "print_results",
    "print_runs",
    "print_sustained",
    "run_title",
    "shown_devices",
]

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from dwsep_runtime.cold_start import STAGES
from edge_dwsep.notes import condensed_notes
from edge_dwsep.operator_table import print_operators
from edge_dwsep.words import in_a_line

if TYPE_CHECKING:
    from rich.console import Console


WIDE = 160
"""Columns of what is not a terminal: nothing need be wrapped in a file."""


def console() -> Console:
    """Standard output, as wide as the terminal or, where it is none, as wide as a table needs."""
    from rich.console import Console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    return Console(width=width, highlight=False, soft_wrap=False)


Column = tuple[str, Literal["left", "right"], bool, Callable[[Mapping[str, Any]], str]]


def print_results(screen: Console, results: Mapping[str, Any]) -> None:
    """Print everything that a series of runs showed: runs, comparisons, and what a scenario tells besides."""
    runs = results["runs"]
    print_runs(screen, runs, results["devices"])
    print_comparisons(screen, results)
    for run in runs:
        if run["sustained"]:
            print_sustained(screen, run)
        if run["operators"]:
            print_operators(screen, run_title(run), run["operators"])


def print_runs(screen: Console, runs: Sequence[Mapping[str, Any]], devices: Sequence[Mapping[str, Any]] = ()) -> None:
    """Print one row a run, and below what is to be known of each; columns without any value are left out.

    Args:
        screen: where to.
        runs: records as in results.json, in an order that ranks nothing.
        devices: as in results.json; named where there are several, or one is another than this machine.
    """
    named = shown_devices(devices)
    several_models = len({run.get("model", "") for run in runs}) > 1
    several_threads = len({run["threads"] for run in runs}) > 1
    columns: list[Column] = [
        ("device", "left", True, lambda run: named.get(run.get("device"), "")),
        ("model", "left", True, lambda run: in_a_line(str(run.get("model", ""))) if several_models else ""),
        ("variant", "left", True, lambda run: str(run["variant"])),
        ("engine", "left", True, lambda run: str(run["engine"])),
        ("threads", "right", True, lambda run: str(run["threads"]) if several_threads else ""),
        ("size", "right", True, _size),
        ("batch", "right", True, lambda run: str(run["batch"]) if run["batch"] > 1 else ""),
        ("p50 ms [95 %]", "right", False, lambda run: _percentile(run, 50)),
        ("p90 ms", "right", True, lambda run: milliseconds(run["latency"] and run["latency"]["p90_ms"])),
        ("p99 ms", "right", True, lambda run: _only_latency(run, milliseconds, "p99_ms")),
        ("M instructions", "right", True, _instructions),
        ("mean ms, by itself", "right", True, _native),
        ("samples/s [95 %]", "right", False, _throughput),
        *(_cold_start_column(stage) for stage in STAGES),
        ("peak MB", "right", True, _peak),
        ("accuracy [95 %]", "right", False, _accuracy),
        ("agrees with float", "right", False, _agreement),
    ]
    _print(screen, columns, runs)
    for note in condensed_notes(runs, run_title):
        screen.print(Text(note))


def run_title(run: Mapping[str, Any]) -> str:
    """What a run is called below a table: its variant and engine, and its device if that is not this machine."""
    place = f", {run['device']}" if run.get("device", "local") != "local" else ""
    return f"{run['variant']} on {run['engine']}{place}"


def shown_devices(devices: Sequence[Mapping[str, Any]]) -> dict[Any, str]:
    """What a table calls each device; nothing where all is of this machine."""
    if all(device["name"] == "local" for device in devices):
        return {}
    return {device["name"]: f"{device['name']}{' (emulated)' if device.get('emulated') else ''}" for device in devices}


def print_comparisons(screen: Console, results: Mapping[str, Any]) -> None:
    """Print how each run of an interleaved session compares with the first."""
    runs = results["runs"]
    for comparison in results["comparisons"]:
        run, baseline = runs[comparison["run"]], runs[comparison["baseline"]]
        interval = comparison["interval"]
        bounds = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else " (too few launches for an interval)"
        screen.print(
            Text(
                f"{run_title(run)} takes {comparison['ratio']:.3f}{bounds} times as long as "
                f"{run_title(baseline)}: {comparison['verdict']}"
            )
        )


def print_sustained(screen: Console, run: Mapping[str, Any]) -> None:
    """Print latency over time, at most twelve windows of it, and when throttling began."""
    windows, throttling = run["sustained"]["windows"], run["sustained"]["throttling"]
    screen.print(Text(f"\n{run_title(run)}, over time"))
    shown = windows[:: -(-len(windows) // 12)]
    columns: list[Column] = [
        ("from s", "right", True, lambda window: f"{window['begin_s']:.1f}"),
        ("p50 ms", "right", True, lambda window: milliseconds(window["p50_ns"] / 1e6)),
        ("p90 ms", "right", True, lambda window: milliseconds(window["p90_ns"] / 1e6)),
        ("inferences", "right", True, lambda window: f"{window['count']}"),
        ("deg C", "right", True, lambda window: _state(window, "temperature_c", "{:.1f}")),
        ("MHz", "right", True, lambda window: _state(window, "frequency_mhz", "{}")),
    ]
    _print(screen, columns, shown)
    signs = run["sustained"]["signs"]
    said = f"no throttling seen; of its signs this device tells: {', '.join(signs)}"
    if throttling:
        said = f"slows down after {throttling['begins_s']:.0f} s (sign: {throttling['sign']})"
    screen.print(Text(said))


def _print(screen: Console, columns: Sequence[Column], items: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    rows = [[cell(item) for _, _, _, cell in columns] for item in items]
    shown = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    for index in shown:
        title, justify, whole, _ = columns[index]
        table.add_column(Text(title), justify=justify, no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(row[index]) for index in shown))
    screen.print(table)


def milliseconds(value: float | None) -> str:
    """Three significant digits, never in exponent form."""
    if not value:
        return ""
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return f"{value:.{digits + (value < 0.1)}f}"


def _percentile(run: Mapping[str, Any], q: int) -> str:
    latency = run["latency"]
    if not latency:
        return ""
    return f"{milliseconds(latency[f'p{q}_ms'])}{_bounds(latency[f'p{q}_interval_ms'])}"


def _bounds(interval: Sequence[float] | None) -> str:
    return f" [{milliseconds(interval[0])}, {milliseconds(interval[1])}]" if interval else ""


def _only_latency(run: Mapping[str, Any], write: Callable[[float | None], str], key: str) -> str:
    return write(run["latency"][key]) if run["latency"] and not run["accuracy"] else ""


def _throughput(run: Mapping[str, Any]) -> str:
    throughput = run["throughput"]
    if not throughput:
        return ""
    interval = throughput["interval"]
    bounds = f" [{interval[0]:,.0f}, {interval[1]:,.0f}]" if interval else ""
    return f"{throughput['samples_per_second']:,.0f}{bounds}"


def _instructions(run: Mapping[str, Any]) -> str:
    return f"{run['cost']['per_inference'] / 1e6:,.4f}" if run["cost"] else ""


def _native(run: Mapping[str, Any]) -> str:
    return milliseconds(run["native"]["mean_us"] / 1000) if run["native"] else ""


def _cold_start_column(stage: str) -> Column:
    def cell(run: Mapping[str, Any]) -> str:
        return milliseconds(run["cold_start"][stage]["p50_ms"]) if run["cold_start"] else ""

    return f"{stage.replace('_', ' ')} ms", "right", False, cell


def _size(run: Mapping[str, Any]) -> str:
    return f"{run['file_bytes'] / 1000:,.0f} kB" if run["file_bytes"] is not None else ""


def _peak(run: Mapping[str, Any]) -> str:
    peak = (run["memory"] or {}).get("peak_bytes")
    return f"{peak / 1e6:.0f}" if peak and not run["accuracy"] else ""


def _state(window: Mapping[str, Any], key: str, form: str) -> str:
    value = (window["state"] or {}).get(key)
    return form.format(max(value) if isinstance(value, list) else value) if value else ""


def _accuracy(run: Mapping[str, Any]) -> str:
    accuracy = run["accuracy"]
    if not accuracy:
        return ""
    low, high = accuracy["top1_interval"]
    return f"{100 * accuracy['top1']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _agreement(run: Mapping[str, Any]) -> str:
    return f"{100 * run['agreement']['top1']:.1f} %" if run["agreement"] else ""
