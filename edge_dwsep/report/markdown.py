"""The report as Markdown, for a pull request or an issue."""

from __future__ import annotations

__all__ = ["markdown"]

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_dwsep.report.figures import FORBIDDEN, milliseconds, percent, plural, size, span, value
from edge_dwsep.report.runs import Interval, ReportedRun, read_runs, section
from edge_dwsep.report.summary import heading, lead
from edge_dwsep.report.toml_text import toml_text
from edge_dwsep.words import in_markdown

if TYPE_CHECKING:
    from edge_dwsep.choice import Choice

MOST_OPEN = 30
"""Longer tables are folded, the front's apart: comments on pull requests are read on the way to something else."""

MOST_ROWS = 200
"""Of a table: GitHub refuses comments of more than 65,536 characters."""

MOST_SENTENCES = 20
MOST_HASHES = 30
MOST_POSITIONS = 12

Column = tuple[str, bool, Callable[[ReportedRun], str]]
"""A heading, whether its cells are figures, and what a run has to tell below it."""


def markdown(results: Mapping[str, Any], choice: Choice | None = None) -> str:
    """Write measured results as GitHub Flavored Markdown.

    Args:
        results: as for :func:`edge_dwsep.report.page.render`.
        choice: of these results, by :func:`edge_dwsep.choice.choose`.

    Returns:
        A document; names in ``results`` can neither become markup of it nor call for anybody.
    """
    runs = tuple(read_runs(results))
    parts = [f"## {in_markdown(heading(results, runs))}", in_markdown(lead(results, runs)), _recommended(choice)]
    if runs:
        front = () if choice is None else {index + 1 for index in choice.front}
        parts.append(_tables(runs, front))
    else:
        parts.append("There are no runs in these results.")
    parts += [_failures(runs, results.get("failed_exports")), _warnings(runs), _excluded(results), _repeat(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _recommended(choice: Choice | None) -> str:
    if choice is None or not choice.devices:
        return ""
    several = len(choice.devices) > 1
    lines = []
    for one in choice.devices:
        place = f"{one.device}{' (emulated)' if one.emulated else ''}{f', batch {one.batch}' if one.batch > 1 else ''}"
        name = f"**{in_markdown(place)}**: " if several or one.emulated or one.batch > 1 else ""
        lines += [f"> {name}{in_markdown('; '.join((one.recommendation, *one.notes)))}"]
    return "\n>\n".join(lines)


def _tables(runs: Sequence[ReportedRun], front: Collection[int]) -> str:
    """Every run in one table, or those of the front, and all of them folded below."""
    columns = _columns(runs, front)
    if len(runs) <= MOST_OPEN:
        return _table(columns, runs)
    shown = runs[:MOST_ROWS]
    left = f"\n\n{plural(len(runs) - len(shown), 'more run')}: see the results." if len(runs) > len(shown) else ""
    every = _folded(plural(len(runs), "run"), _table(columns, shown) + left)
    chosen = [run for run in runs if run.position in front][:MOST_OPEN]
    return f"On the front:\n\n{_table(columns, chosen)}\n\n{every}" if chosen else every


def _columns(runs: Sequence[ReportedRun], front: Collection[int]) -> list[Column]:
    several = {
        name for name in ("device", "model", "threads", "batch") if len({getattr(run, name) for run in runs}) > 1
    }
    columns: list[Column] = [
        ("run", True, lambda run: str(run.position)),
        ("device", False, lambda run: _place(run) if "device" in several else ""),
        ("model", False, lambda run: run.model if "model" in several else ""),
        ("variant", False, lambda run: run.variant),
        ("engine", False, lambda run: run.engine),
        ("threads", True, lambda run: str(run.threads or "") if "threads" in several else ""),
        ("batch", True, lambda run: str(run.batch) if "batch" in several else ""),
        ("size", True, lambda run: size(run.file_bytes) if run.file_bytes else ""),
        ("p50 ms [95 %]", True, lambda run: _bounded(*run.percentiles[0], milliseconds)),
        ("p90 ms", True, lambda run: _bounded(run.percentiles[1][0], None, milliseconds)),
        ("images/s [95 %]", True, lambda run: _bounded(*run.throughput, lambda figure: f"{figure:,.0f}")),
        (
            "M instructions",
            True,
            lambda run: _bounded(run.instructions, None, lambda figure: f"{figure / 1e6:,.4f}"),
        ),
        ("top-1 % [95 %]", True, lambda run: _bounded(run.top1.value, run.top1.interval, percent) if run.top1 else ""),
        ("same as float %", True, lambda run: percent(run.agreement.value) if run.agreement else ""),
        ("", False, lambda run: _note(run, front)),
    ]
    return [column for column in columns if any(column[2](run) for run in runs)]


def _note(run: ReportedRun, front: Collection[int]) -> str:
    if run.error is not None:
        return f"failed: {run.error}"
    return "not valid" if not run.valid else "front" if run.position in front else ""


def _place(run: ReportedRun) -> str:
    return f"{run.device}{' (emulated)' if run.emulated else ''}"


def _bounded(figure: float | None, bounds: Interval | None, written: Callable[[float], str]) -> str:
    return "" if figure is None else f"{written(figure)} {span(bounds, written)}".rstrip()


def _table(columns: Sequence[Column], runs: Iterable[ReportedRun]) -> str:
    lines = [
        f"| {' | '.join(title for title, _, _ in columns)} |",
        f"|{'|'.join('-:' if figure else '-' for _, figure, _ in columns)}|",
        *(f"| {' | '.join(in_markdown(cell(run)) for _, _, cell in columns)} |" for run in runs),
    ]
    return "\n".join(lines)


def _failures(runs: Iterable[ReportedRun], failed_exports: object) -> str:
    told: dict[str, list[str]] = {}
    for run in runs:
        if run.error is not None:
            told.setdefault(run.error, []).append(str(run.position))
    exports = failed_exports if isinstance(failed_exports, list) else []
    lines = _lines(told) + [
        f"- {in_markdown(value(one.get('variant')))} could not be made: {in_markdown(value(one.get('error')))}"
        for one in exports[:MOST_SENTENCES]
        if isinstance(one, Mapping)
    ]
    return _listed("Failures", lines, folded=False)


def _warnings(runs: Iterable[ReportedRun]) -> str:
    told: dict[str, list[str]] = {}
    for run in runs:
        for sentence in dict.fromkeys(run.warnings):
            told.setdefault(sentence, []).append(str(run.position))
    return _listed("Warnings", _lines(told), folded=True)


def _excluded(results: Mapping[str, Any]) -> str:
    told: dict[str, list[str]] = {}
    excluded = section(results, "sweep").get("excluded")
    for one in excluded if isinstance(excluded, list) else ():
        if isinstance(one, Mapping):
            told.setdefault(value(one.get("reason")), []).append(value(one.get("what")))
    return _listed("Left out of the plan", _lines(told), folded=True)


def _lines(told: Mapping[str, Sequence[str]]) -> list[str]:
    lines = []
    for sentence, concerned in list(told.items())[:MOST_SENTENCES]:
        more = f" and {len(concerned) - MOST_POSITIONS} more" if len(concerned) > MOST_POSITIONS else ""
        lines.append(f"- {in_markdown(sentence)} ({', '.join(map(in_markdown, concerned[:MOST_POSITIONS]))}{more})")
    if len(told) > MOST_SENTENCES:
        lines.append(f"- and {len(told) - MOST_SENTENCES} more")
    return lines


def _listed(title: str, lines: Sequence[str], *, folded: bool) -> str:
    if not lines:
        return ""
    inner = "\n".join(lines)
    return _folded(f"{title} ({len(lines)})", inner) if folded else f"**{title}**\n\n{inner}"


def _repeat(results: Mapping[str, Any]) -> str:
    """Command, plan, versions and hashes, folded."""
    data, plan = section(results, "data"), section(section(results, "sweep"), "plan")
    command = results.get("command")
    told = results.get("models")
    models = [model for model in told if isinstance(model, Mapping)] if isinstance(told, list) else []
    versions = ", ".join(f"{tool} {value(version)}" for tool, version in section(results, "versions").items())
    hashes = [(f"weights of {value(model.get('name'))}", model.get("weights_sha256")) for model in models]
    hashes.append((f"data {value(data.get('name'))}", data.get("sha256")))
    lines = [
        f"- {in_markdown(name)}: sha256 {in_markdown(value(digest))}" for name, digest in hashes[:MOST_HASHES] if digest
    ]
    parts = [
        _fenced(str(command), "sh") if command else "",
        _fenced(toml_text(plan), "toml") if plan else "",
        in_markdown(versions),
        "\n".join(lines),
    ]
    inner = "\n\n".join(part for part in parts if part)
    return _folded("How to repeat", inner) if inner else ""


def _fenced(content: str, language: str) -> str:
    """A code block whose fence is longer than any that its content has."""
    clean = FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", content)
    fence = "`" * max(3, 1 + max((len(found) for found in re.findall("`+", clean)), default=0))
    return f"{fence}{language}\n{clean}\n{fence}"


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{inner}\n\n</details>"
