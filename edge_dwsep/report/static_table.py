"""The runs as a table for who reads the page without its script, or searches its source."""

from __future__ import annotations

__all__ = ["static_table"]

from collections.abc import Callable, Sequence

from edge_dwsep.report.figures import escape, milliseconds, percent, size, span
from edge_dwsep.report.runs import Interval, ReportedRun

Column = tuple[str, Callable[[ReportedRun], str]]
"""A heading, and what a run has to tell below it."""


def static_table(runs: Sequence[ReportedRun], *, several_devices: bool) -> str:
    """Lay out every run in the order of the results; columns without any figure are left out.

    End tags that HTML does not need are left out: of thousands of rows they would be a tenth of the page.
    """
    described: list[Column] = [
        ("Run", lambda run: str(run.position)),
        ("Device", lambda run: f"{run.device}{' (emulated)' if run.emulated else ''}" if several_devices else ""),
        ("Model", lambda run: run.model),
        ("Variant", lambda run: run.variant),
        ("Engine", lambda run: f"{run.engine} {run.engine_version}".strip()),
        ("Threads", lambda run: "" if run.threads is None else str(run.threads)),
        ("File", lambda run: size(run.file_bytes) if run.file_bytes else ""),
    ]
    measured: list[Column] = [
        ("p50, ms [95 %]", lambda run: _bounded(*run.percentiles[0], milliseconds)),
        ("p90, ms", lambda run: _bounded(run.percentiles[1][0], None, milliseconds)),
        ("Images/s [95 %]", lambda run: _bounded(*run.throughput, lambda value: f"{value:,.0f}")),
        ("Instructions", lambda run: _bounded(run.instructions, None, lambda value: f"{value:,.0f}")),
        ("Top-1, % [95 %]", lambda run: _bounded(run.top1.value, run.top1.interval, percent) if run.top1 else ""),
        (
            "Same as float, % [95 %]",
            lambda run: _bounded(run.agreement.value, run.agreement.interval, percent) if run.agreement else "",
        ),
    ]
    described, measured = (
        [column for column in columns if any(column[1](run) for run in runs)] for columns in (described, measured)
    )
    head = "".join(f'<th scope="col">{title}' for title, _ in (*described, *measured))
    rows = "".join(_row(run, described, measured) for run in runs)
    return f'<table class="runs"><thead><tr>{head}<tbody>{rows}</table>'


def _row(run: ReportedRun, described: Sequence[Column], measured: Sequence[Column]) -> str:
    cells = "".join(f"<td>{escape(cell(run))}" for _, cell in described)
    if run.error is not None:
        return f'<tr>{cells}<td colspan="{max(1, len(measured))}">Failed: {escape(run.error)}'
    return f"<tr>{cells}{''.join(f'<td>{escape(cell(run))}' for _, cell in measured)}"


def _bounded(value: float | None, bounds: Interval | None, written: Callable[[float], str]) -> str:
    if value is None:
        return ""
    return f"{written(value)} {span(bounds, written)}".rstrip()
