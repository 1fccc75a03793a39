"""The figures that the page's script draws, in as few bytes as they need: columns, words by number, rounded."""

from __future__ import annotations

__all__ = ["DETAILS_BYTES", "payload", "script_data"]

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from edge_dwsep.choice.objectives import INSTRUCTIONS_SCATTER, MEMORY_SCATTER
from edge_dwsep.comparison import LEAST_DIFFERENCE
from edge_dwsep.operator_table import short_names
from edge_dwsep.report.looks import Looks
from edge_dwsep.report.runs import Interval, ReportedRun, Share, interval, number, section
from edge_dwsep.report.states import over_time, thinned
from edge_dwsep.share_differences import paired_difference

DIGITS = 5
DETAILS_BYTES = 1_200_000
"""Of what only some runs can have on a page that stays below 5 MB: times of operators, and of each launch."""

MOST_STATES = 600
MOST_LAUNCHES = 1500
MOST_WARNINGS = 2000
"""Different warnings that are kept word by word."""

Columns = dict[str, list[Any]]


class _Words:
    """Each different word once, and its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __getitem__(self, word: str) -> int:
        return self.numbers.setdefault(word, len(self.numbers))

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)


WORDS = ("model", "device", "variant", "format", "scheme", "engine", "engine_version", "options", "file", "error")


def payload(
    results: Mapping[str, Any],
    runs: Sequence[ReportedRun],
    front: Collection[int] | None,
    recommended: Collection[int],
    looks: Looks,
) -> dict[str, Any]:
    """Lay out runs as columns.

    Args:
        results: for its models, devices and references.
        runs: of the results.
        front: positions of the runs that a choice has on its front; None where none was made.
        recommended: positions of the runs that it recommends.
        looks: of schemes and engines.

    Returns:
        JSON values. ``words`` has the values of each column that holds numbers of words; a column is absent where no
        run has the figure, as ``NAME_low`` and ``NAME_high`` are where no run has its interval.
    """
    words = {name: _Words() for name in WORDS}
    warnings = _Words()
    columns: Columns = defaultdict(list)
    for run in runs:
        for name in WORDS:
            columns[name].append(words[name][getattr(run, name) or ""])
        _add_figures(columns, run)
        kept = [text for text in run.warnings if text in warnings.numbers or len(warnings.numbers) < MOST_WARNINGS]
        columns["warnings"].append([warnings[text] for text in dict.fromkeys(kept)] or None)
        columns["front"].append(None if front is None else int(run.position in front))
        columns["recommended"].append(run.position in recommended or None)
    return {
        "words": {**{name: list(found) for name, found in words.items()}, "warnings": list(warnings)},
        "runs": {
            name: column for name, column in columns.items() if any(item not in (None, "", []) for item in column)
        },
        "count": len(runs),
        "models": _models(results, list(words["model"])),
        "devices": [_device(name, results, runs) for name in words["device"]],
        "looks": {"schemes": looks.schemes, "engines": looks.engines},
        "least_difference": LEAST_DIFFERENCE,
        "scatter": {"memory": MEMORY_SCATTER, "instructions": INSTRUCTIONS_SCATTER},
        **_details(runs, front or ()),
    }


def script_data(values: Mapping[str, Any]) -> str:
    r"""JSON that may stand in a ``script`` element: nothing in it can end the element or begin another.

    >>> script_data({"name": "</script><!--"})
    '{"name":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _add_figures(columns: Columns, run: ReportedRun) -> None:
    exact = {
        "position": run.position,
        "id": run.id[:16],
        "threads": run.threads,
        "batch": run.batch if run.batch > 1 else None,
        "emulated": run.emulated or None,
        "invalid": None if run.valid else True,
        "reused": run.reused or None,
        "size": None if run.file_bytes is None else int(run.file_bytes),
        "memory": None if run.memory is None else int(run.memory),
        "instructions": None if run.instructions is None else round(run.instructions),
        "samples": None if run.samples is None else int(run.samples),
        "images": None if run.images is None else int(run.images),
        "sha256": run.sha256[:16],
        "quantiles": list(run.quantiles),
    }
    for name, value in exact.items():
        columns[name].append(value)
    for name, (value, bounds) in zip(("p50", "p90", "p99"), run.percentiles, strict=True):
        _add_bounded(columns, name, value, bounds)
    _add_bounded(columns, "throughput", *run.throughput)
    for name, share in (("top1", run.top1), ("agreement", run.agreement), ("drop", _drop(run))):
        _add_bounded(columns, name, *((share.value, share.interval) if share else (None, None)))


def _add_bounded(columns: Columns, name: str, value: float | None, bounds: Interval | None) -> None:
    columns[name].append(rounded(value))
    columns[f"{name}_low"].append(rounded(bounds[0]) if bounds and value is not None else None)
    columns[f"{name}_high"].append(rounded(bounds[1]) if bounds and value is not None else None)


def rounded(value: float | None) -> float | int | None:
    """A figure to five significant digits, whole numbers without a point."""
    if value is None:
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def _drop(run: ReportedRun) -> Share | None:
    """What the run loses against the float model, counted on the same images."""
    if run.apart is None or not run.images or sum(run.apart) > run.images:
        return None
    return Share(*_loss(*run.apart, int(run.images)))


_loss = cache(paired_difference)
"""Many runs of a sweep lose the same: threads do not change what is computed."""


def _models(results: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """What is known of each model, in the order of ``names``."""
    told = results.get("models")
    known = {str(model.get("name", "")): model for model in told or () if isinstance(model, Mapping)}
    if len(known) == 1 and names == [""]:
        known = {"": next(iter(known.values()))}
    return [_model(name, known.get(name, {}), results) for name in names]


def _model(name: str, model: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    shape = model.get("input_shape")
    sides = [number(side) for side in shape[:2]] if isinstance(shape, (list, tuple)) else []
    reference = section(model, "reference") or section(results, "reference")
    top1 = number(reference.get("top1"))
    return {
        "name": name,
        "architecture": str(model.get("architecture") or ""),
        "alpha": number(model.get("alpha")),
        "resolution": "\N{MULTIPLICATION SIGN}".join(f"{side:g}" for side in dict.fromkeys(sides) if side is not None),
        "macs": number(model.get("macs")),
        "reference": None if top1 is None else {"name": str(reference.get("name") or "reference"), "top1": top1},
    }


def _device(name: str, results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> dict[str, Any]:
    """A device's state over time, by its launches where the results tell them, else before and after each run."""
    ours = [run for run in runs if run.device == name]
    launches = [(launch, run) for run in ours for launch in run.launches]
    told = results.get("devices")
    known = next((one for one in told or () if isinstance(one, Mapping) and one.get("name") == name), {})
    states = sorted(state for launch, _ in launches for state in launch.states)
    states = states or over_time([(run.before, run.after) for run in ours])
    begin = min([launch.seconds for launch, _ in launches] or [state.seconds for state in states], default=0.0)
    ratios: list[list[float | None]] = []
    for launch, run in launches:
        usual = run.percentiles[0][0]
        if usual and launch.p50:
            ratios.append([launch.seconds - begin, launch.p50 / usual, run.position])
    ratios.sort(key=lambda row: row[0] or 0.0)
    shown = (
        thinned([[row[0], row[1], None] for row in ratios], MOST_LAUNCHES) if len(ratios) > MOST_LAUNCHES else ratios
    )
    return {
        "name": name,
        "emulated": bool(known.get("emulated")) or any(run.emulated for run in ours),
        "states": _round_rows(thinned([[state.seconds - begin, *state[1:]] for state in states], MOST_STATES)),
        "launches": _round_rows(shown),
    }


def _round_rows(rows: Sequence[Sequence[float | None]]) -> list[list[float | int | None]]:
    return [[rounded(value) for value in row] for row in rows]


def _details(runs: Sequence[ReportedRun], front: Collection[int]) -> dict[str, Any]:
    """Times of operators and of launches by position: of the front first, and of as many as there is room for."""
    room = DETAILS_BYTES
    operators: dict[int, Any] = {}
    launches: dict[int, Any] = {}
    names = _Words()
    for run in sorted(runs, key=lambda run: run.position not in front):
        if room <= 0:
            break
        if run.operators is not None:
            told = _operators(run.operators, names)
            if told is not None:
                operators[run.position] = told
                room -= len(json.dumps(told))
        if len(run.launches) > 1:
            launches[run.position] = [rounded(launch.p50) for launch in run.launches]
            room -= 12 * len(run.launches)
    left_out = sum(run.operators is not None for run in runs) - len(operators)
    return {"operators": operators, "operator_names": list(names), "operators_left_out": left_out, "launches": launches}


def _operators(profile: Mapping[str, Any], names: _Words) -> dict[str, Any] | None:
    """Of each operator: name, type and kind by number, microseconds with bounds, MACs, whether it differs from 0."""
    told = [one for one in profile.get("operators") or () if isinstance(one, Mapping)]
    whole = number(profile.get("whole_ns"))
    titles = short_names([str(one.get("name", "")) for one in told])
    rows = []
    for title, one in zip(titles, told, strict=True):
        ns, bounds = number(one.get("ns")), interval(one.get("interval_ns")) or (None, None)
        if ns is None:
            return None
        figures = [rounded(None if value is None else value / 1000) for value in (ns, *bounds)]
        macs = number(one.get("macs"))
        described = [names[text] for text in (title, str(one.get("type", "")), str(one.get("kind", "")))]
        rows.append([*described, *figures, None if macs is None else int(macs), int(bool(one.get("distinguishable")))])
    return {"whole": rounded(whole / 1000), "rows": rows} if rows and whole else None
