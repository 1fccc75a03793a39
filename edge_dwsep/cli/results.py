"""``edge-dwsep results list|show|export|choose``."""

from __future__ import annotations

__all__ = ["export_results", "list_results", "results", "show", "store_option"]

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge_dwsep.cli.lazy import LazyGroup
from edge_dwsep.cli.options import json_option
from edge_dwsep.words import escaped, in_a_line

if TYPE_CHECKING:
    from edge_dwsep.store import RunFilter, Store

Function = TypeVar("Function", bound=Callable[..., Any])
AGE = re.compile(r"(\d+)([mhdw])")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SHORT = 10
"""Digits of an id that are shown: 40 bits tell a million runs apart."""

MOST = 10**9
"""Runs that can be asked for; databases take no number of any size."""

store_option = click.option(
    "--store",
    help="Where results are kept: an SQLite file, or postgresql://USER@HOST/DATABASE. "
    "[default: $EDGE_DWSEP_STORE, or a file in your data folder]",
)


class Since(click.ParamType[str]):
    """A time in the past: a date or time in UTC, or an age such as 7d."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The time as the store writes it."""
        age = AGE.fullmatch(value)
        try:
            if age:
                when = datetime.now(timezone.utc) - timedelta(**{UNITS[age[2]]: int(age[1])})
            else:
                when = datetime.fromisoformat(value.replace("Z", "+00:00"))
                when = when.astimezone(timezone.utc) if when.tzinfo else when.replace(tzinfo=timezone.utc)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is neither a date such as 2026-11-25 (UTC) nor an age such as 12h, 7d or 4w", param, ctx
            )
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def filter_options(function: Function, *, format_option: str = "--format") -> Function:
    """Adds the options that say which runs, to be read by :func:`filter_from`.

    Args:
        function: of a command.
        format_option: what the option for the model files' format is called.
    """
    several = "; several, with commas or repeated"
    for option in (
        click.option("--valid", is_flag=True, help="Those alone that succeeded and are valid."),
        click.option("--since", type=Since(), help="Not older: a date or time (UTC), or an age such as 7d."),
        click.option("--sweep", default="", help="Of a sweep: its id or the beginning of it."),
        click.option("--threads", multiple=True, help=f"Of so many threads{several}."),
        click.option("--device", "devices", multiple=True, help=f"On a device{several}."),
        click.option("--engine", "engines", multiple=True, help=f"By an engine{several}."),
        click.option(format_option, "formats", multiple=True, help=f"tflite or onnx{several}."),
        click.option("--scheme", "schemes", multiple=True, help=f"Of a quantization scheme{several}."),
        click.option("--model", "models", multiple=True, help="Of a network by that name; repeatable."),
    ):
        function = option(function)
    return function


@click.group(
    cls=LazyGroup,
    commands_at={
        "list": ("edge_dwsep.cli.results:list_results", "Runs that are kept, newest first; or sweeps."),
        "show": ("edge_dwsep.cli.results:show", "A run or a sweep."),
        "export": ("edge_dwsep.cli.results:export_results", "Write runs as CSV, Parquet or results.json."),
        "choose": ("edge_dwsep.cli.choose:choose", "Which variant ships: the front, and a recommendation."),
    },
)
def results() -> None:
    """List, show, export and choose among what sweeps have measured."""


@click.command("list")
@click.option("--sweeps", is_flag=True, help="Sweeps instead of runs.")
@filter_options
@click.option(
    "--limit", type=click.IntRange(0, MOST), default=50, show_default=True, help="At most so many; 0 for all."
)
@store_option
@json_option
def list_results(sweeps: bool, limit: int, store: str | None, as_json: bool, **given: Any) -> None:
    """List runs that are kept, newest first; or sweeps."""
    from edge_dwsep.store import open_store

    with open_store(store, create=False) as opened:
        if sweeps:
            found, total = opened.list_sweeps(limit=limit), opened.count_sweeps()
        else:
            where = filter_from(opened, given, limit=limit)
            found, total = opened.list_runs(where), opened.count_runs(where)
        if as_json:
            click.echo(json.dumps(found))
            return
        if not found:
            click.echo(f"no {'sweep' if sweeps else 'run'} in {opened.url} is as asked for")
            return
    from edge_dwsep.device_table import print_rows
    from edge_dwsep.table import console

    print_rows(console(), [_sweep_row(one) if sweeps else _run_row(one) for one in found])
    if len(found) < total:
        click.echo(f"{len(found)} of {total:,}; --limit 0 lists all")


@click.command("show")
@click.argument("run_or_sweep")
@store_option
@json_option
@click.option("--samples", is_flag=True, help="With --json: with raw samples and predictions.")
def show(run_or_sweep: str, store: str | None, as_json: bool, samples: bool) -> None:
    """Show a run or a sweep by its id, or the beginning of it."""
    from edge_dwsep.store import open_store

    with open_store(store, create=False) as opened:
        kind, found = opened.find(run_or_sweep)
        if kind == "sweep":
            values = opened.results(found, samples=samples)
        else:
            values = opened.results_of_run(found, samples=samples)
    if as_json:
        click.echo(json.dumps(values))
        return
    from edge_dwsep.device_table import print_rows
    from edge_dwsep.table import console, print_results

    screen = console()
    if kind == "sweep":
        _print_sweep(values)
    else:
        _print_run(values["runs"][0], values["measured"], values["sweeps"])
    print_results(screen, values)
    if kind == "run" and values["runs"][0].get("launches"):
        click.echo("\nlaunches")
        print_rows(screen, [_launch_row(launch) for launch in values["runs"][0]["launches"]])


@click.command("export")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["csv", "parquet", "json"]),
    required=True,
    help="json is a results.json, which report, choose and compare read.",
)
@click.option("--samples", is_flag=True, help="With every timed inference; as CSV, a row each.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write. [default: standard output]")
@partial(filter_options, format_option="--model-format")
@click.option("--limit", type=click.IntRange(0, MOST), default=0, help="At most so many of the newest. [default: all]")
@store_option
def export_results(
    file_format: str, samples: bool, output: Path | None, limit: int, store: str | None, **given: Any
) -> None:
    """Write runs as CSV, Parquet or results.json.

    In CSV, text that a spreadsheet would take for a formula gets a ' before it.
    """
    if output is None and file_format == "parquet":
        raise click.UsageError("--format parquet needs --output FILE")
    from dwsep_export.output import file_place, staging_folder
    from edge_dwsep.store import open_store
    from edge_dwsep.store.export import write_csv, write_json, write_parquet

    with open_store(store, create=False) as opened:
        where = filter_from(opened, given, limit=limit)
        write = write_csv if file_format == "csv" else write_json
        if output is None:
            write(opened, where, sys.stdout, samples=samples)
            return
        place = file_place(output)
        with staging_folder(place.parent) as staging:
            part = staging / place.name
            if file_format == "parquet":
                count = write_parquet(opened, where, part, samples=samples)
            else:
                with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                    count = write(opened, where, file, samples=samples)
            part.replace(place)
    click.echo(f"{count:,} run{'' if count == 1 else 's'} in {output}", err=True)


def filter_from(store: Store, given: Mapping[str, Any], *, limit: int) -> RunFilter:
    """Which runs, as the options of :func:`filter_options` say it.

    Raises:
        InvalidInput: a value that no run of the store has, or a sweep that is not there.
    """
    from dwsep_runtime.errors import InvalidInput, UnknownName
    from edge_dwsep.store import RunFilter

    wanted: dict[str, tuple[Any, ...]] = {"models": tuple(given["models"])}
    for name in ("schemes", "formats", "engines", "devices", "threads"):
        wanted[name] = tuple(part.strip() for word in given[name] for part in word.split(",") if part.strip())
    for number in wanted["threads"]:
        if not number.isdecimal():
            raise InvalidInput(f"--threads must be numbers such as 1,4; received {number!r}")
    wanted["threads"] = tuple(int(number) for number in wanted["threads"])
    for name, values in wanted.items():
        known = store.values(COLUMN_OF[name]) if values else []
        for value in values:
            if value not in known:
                raise UnknownName(f"{COLUMN_OF[name]} among the runs of the store", str(value), map(str, known))
    sweep = store.find_sweep(given["sweep"]) if given["sweep"] else ""
    return RunFilter(sweep=sweep, since=given["since"] or "", valid=given["valid"], limit=limit, **wanted)


COLUMN_OF = {
    "models": "model",
    "schemes": "scheme",
    "formats": "format",
    "engines": "engine",
    "devices": "device",
    "threads": "threads",
}
"""Column of each option that takes several values."""


def _run_row(run: Mapping[str, Any]) -> dict[str, str]:
    from edge_dwsep.table import milliseconds

    p50 = milliseconds(run["p50_ms"])
    if run["p50_low_ms"] is not None:
        p50 += f" [{milliseconds(run['p50_low_ms'])}, {milliseconds(run['p50_high_ms'])}]"
    top1 = ""
    if run["top1"] is not None:
        top1 = f"{100 * run['top1']:.1f} % [{100 * run['top1_low']:.1f}, {100 * run['top1_high']:.1f}]"
    state = "" if run["valid"] else "not valid" if run["status"] == "ok" else "failed"
    return {
        "id": run["key"][:SHORT],
        "measured (UTC)": _minute(run["created"]),
        "device": in_a_line(f"{run['device']}{' (emulated)' if run['emulated'] else ''}"),
        "model": in_a_line(run["model"]),
        "variant": in_a_line(run["variant"]),
        "engine": in_a_line(run["engine"]),
        "threads": str(run["threads"]),
        "size": "" if run["file_bytes"] is None else f"{run['file_bytes'] / 1000:,.0f} kB",
        "p50 ms [95 %]": p50,
        "M instructions": "" if run["instructions"] is None else f"{run['instructions'] / 1e6:,.4f}",
        "accuracy [95 %]": top1,
        "": state,
    }


def _sweep_row(sweep: Mapping[str, Any]) -> dict[str, str]:
    return {
        "id": sweep["id"],
        "name": in_a_line(sweep["name"]),
        "started (UTC)": _minute(sweep["started"]),
        "status": sweep["status"],
        "runs": f"{sweep['runs']:,}",
        "failed": str(sweep["failed"] or ""),
        "command": in_a_line(sweep["command"]),
    }


def _print_sweep(values: Mapping[str, Any]) -> None:
    sweep = values["sweep"]
    lines = [
        ("sweep", f"{sweep['id']} {sweep['name']}".rstrip()),
        ("command", values["command"]),
        ("started", f"{sweep['started']} (UTC)"),
        ("ended", f"{sweep['finished'] or 'not yet'}, {sweep['status']}"),
        ("data", (values["data"] or {}).get("name", "")),
    ]
    lines += [("left out", f"{one['what']}: {one['reason']}") for one in sweep["excluded"]]
    _print_lines(lines)


def _print_run(run: Mapping[str, Any], measured: str, sweeps: Sequence[str]) -> None:
    options = ", ".join(f"{name}={value}" for name, value in (run.get("engine_options") or {}).items())
    lines = [
        ("run", run["id"]),
        ("measured", f"{measured} (UTC)"),
        ("sweeps", ", ".join(sweeps)),
        ("model", run.get("model", "")),
        ("file", f"{run['file']}, sha256 {run['sha256']}" if run.get("sha256") else run.get("file", "")),
        ("engine", f"{run['engine']} {run.get('engine_version') or ''}".rstrip()),
        ("threads", f"{run['threads']}, batch {run['batch']}{f', {options}' if options else ''}"),
        ("harness", str(run.get("harness_sha256") or "")),
    ]
    _print_lines(lines)


def _print_lines(lines: Sequence[tuple[str, str]]) -> None:
    for title, text in lines:
        if text:
            click.echo(f"{title:<9} {escaped(text)}")
    click.echo()


def _launch_row(launch: Mapping[str, Any]) -> dict[str, str]:
    from edge_dwsep.table import milliseconds

    before, after = launch.get("state_before") or {}, launch.get("state_after") or {}

    def change(key: str) -> str:
        known = [f"{state[key]:g}" for state in (before, after) if isinstance(state.get(key), (int, float))]
        return " to ".join(dict.fromkeys(known))

    return {
        "round": str(launch.get("round", "")),
        "started (UTC)": str(launch.get("started", "")),
        "p50 ms": milliseconds(launch.get("p50_ms")),
        "deg C": change("temperature_c"),
        "MHz": change("frequency_mhz"),
        "load": change("load_1min"),
    }


def _minute(when: str | None) -> str:
    return (when or "")[:16].replace("T", " ")
