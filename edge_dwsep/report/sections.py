"""The parts of the page that are text: what failed, what is to be doubted, the devices, and how to repeat it all."""

from __future__ import annotations

__all__ = ["device_section", "excluded_section", "failure_section", "repeat_section", "warning_section"]

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from edge_dwsep.report.figures import MISSING, escape, plural, size, value
from edge_dwsep.report.runs import ReportedRun, number, section
from edge_dwsep.report.toml_text import toml_text

MOST_SENTENCES = 200
"""Different warnings, failures or reasons on the page; a sweep that has more tells the rest in its results."""

MOST_POSITIONS = 40
MOST_FILES = 1000

NOT_SHOWN = frozenset({"monotonic_ns", "cpu_ticks", "cpu_steal_ticks", "involuntary_switches", "frequency_cores"})
"""Counters of a state that say something by their difference alone."""

Told = Mapping[str, Sequence[int]]
"""A sentence, and the positions of the runs that it is about."""


def failure_section(runs: Iterable[ReportedRun], failed_exports: object) -> str:
    """Runs that failed, by their reason, and variants that could not be made."""
    told: dict[str, list[int]] = {}
    for run in runs:
        if run.error is not None:
            told.setdefault(run.error, []).append(run.position)
    entries = [_sentence(text, positions) for text, positions in _first(told)]
    exports = failed_exports if isinstance(failed_exports, list) else []
    entries += [
        _entry(f"{value(one.get('variant'))} could not be made: {value(one.get('error'))}")
        for one in exports[:MOST_SENTENCES]
        if isinstance(one, Mapping)
    ]
    return _list_section("failures", "Failures", entries, len(told) + len(exports))


def warning_section(runs: Iterable[ReportedRun]) -> str:
    """What is to be doubted, each sentence once, with the runs that it is about."""
    told: dict[str, list[int]] = {}
    for run in runs:
        for text in dict.fromkeys(run.warnings):
            told.setdefault(text, []).append(run.position)
    return _list_section(
        "warnings", "Warnings", [_sentence(text, positions) for text, positions in _first(told)], len(told)
    )


def excluded_section(results: Mapping[str, Any]) -> str:
    """Combinations of the plan that cannot exist, by their reason."""
    told: dict[str, list[str]] = {}
    excluded = section(results, "sweep").get("excluded")
    for one in excluded if isinstance(excluded, list) else ():
        if isinstance(one, Mapping):
            told.setdefault(value(one.get("reason")), []).append(value(one.get("what")))
    entries = [_entry(reason, _enumerated(whats)) for reason, whats in list(told.items())[:MOST_SENTENCES]]
    return _list_section("excluded", "Left out of the plan", entries, len(told))


def device_section(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    """What each device is, and how the first run found it and the last one left it."""
    told = results.get("devices")
    devices = [device for device in told if isinstance(device, Mapping)] if isinstance(told, list) else []
    parts = []
    for device in devices:
        ours = [run for run in runs if run.device == device.get("name") or len(devices) == 1]
        before = next((run.before for run in ours if run.before), {})
        after = next((run.after for run in reversed(ours) if run.after), {})
        blocks = [
            ("", _definitions(_pairs(device, without={"name"}))),
            ("Before the first run", _definitions(_pairs(before, without=NOT_SHOWN))),
            ("After the last run", _definitions(_pairs(after, without=NOT_SHOWN))),
        ]
        shown = "".join(f"<div>{f'<h4>{title}</h4>' if title else ''}{text}</div>" for title, text in blocks if text)
        name = value(device.get("name") or "an unnamed device")
        parts.append(f'<h3>{escape(name)}</h3><div class="columns">{shown}</div>')
    inner = "".join(parts)
    title = "Device" if len(devices) == 1 else "Devices"
    return f'<section class="device" id="devices"><h2>{title}</h2>{inner}</section>' if inner else ""


def repeat_section(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    """The command, the plan, settings, versions and hashes: what it takes to measure the same again."""
    sweep, data = section(results, "sweep"), section(results, "data")
    command, plan = results.get("command"), section(sweep, "plan")
    told = results.get("models")
    models = [model for model in told if isinstance(model, Mapping)] if isinstance(told, list) else []
    engines = sorted({(run.engine, run.engine_version) for run in runs if run.engine_version})
    files = {run.sha256: run.file for run in runs if run.file}
    blocks = [
        ("Settings", _definitions(_pairs(section(results, "settings")))),
        ("Tools", _definitions((str(tool), value(version)) for tool, version in section(results, "versions").items())),
        ("Engines that ran", _definitions((engine, version) for engine, version in engines)),
        ("Sweep", _definitions((key, value(sweep.get(key))) for key in ("id", "name", "store", "started", "finished"))),
    ]
    digests = [
        *((f"weights of {value(model.get('name'))}", value(model.get("weights_sha256"))) for model in models),
        (f"data {value(data.get('name'))}", value(data.get("sha256"))),
        *(("runtime that measured", harness) for harness in sorted({run.harness for run in runs if run.harness})),
        *((name, digest) for digest, name in list(files.items())[:MOST_FILES]),
    ]
    columns = "".join(f"<div><h3>{title}</h3>{text}</div>" for title, text in blocks if text)
    hashes = _definitions(digests)
    more = f'<p class="note">{len(files) - MOST_FILES:,} more files are in the results.</p>'
    parts = [
        f"<pre><code>{escape(command)}</code></pre>" if command else "",
        f"<h3>Plan</h3><pre><code>{escape(toml_text(plan))}</code></pre>" if plan else "",
        f'<div class="columns">{columns}</div>' if columns else "",
        _folded("Models, data and files (sha256)", f'<div class="digests">{hashes}</div>', len(digests))
        if hashes
        else "",
        more if len(files) > MOST_FILES else "",
    ]
    inner = "".join(parts)
    return f'<section class="repeat" id="repeat"><h2>How to repeat</h2>{inner}</section>' if inner else ""


def _folded(title: str, inner: str, lines: int) -> str:
    """A part that is closed where it is long."""
    return f"<details{' open' if lines <= 16 else ''}><summary><h3>{title}</h3></summary>{inner}</details>"


def _list_section(name: str, title: str, entries: Sequence[str], count: int) -> str:
    if not entries:
        return ""
    hidden = count - MOST_SENTENCES
    more = f'<p class="note">{hidden:,} more are in the results.</p>' if hidden > 0 else ""
    return f'<section id="{name}"><h2>{title}</h2><ul class="sentences">{"".join(entries)}</ul>{more}</section>'


def _first(told: Told) -> list[tuple[str, Sequence[int]]]:
    return list(told.items())[:MOST_SENTENCES]


def _sentence(text: str, positions: Sequence[int]) -> str:
    return _entry(text, f"Run{'' if len(positions) == 1 else 's'} {_enumerated([str(at) for at in positions])}")


def _entry(text: str, note: str = "") -> str:
    return f"<li>{escape(text)}{f'<small>{escape(note)}</small>' if note else ''}</li>"


def _enumerated(items: Sequence[str]) -> str:
    more = f" and {plural(len(items) - MOST_POSITIONS, 'other')}" if len(items) > MOST_POSITIONS else ""
    return f"{', '.join(items[:MOST_POSITIONS])}{more}"


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a definition list; pairs without a value are left out."""
    entries = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs if text not in {"", MISSING}
    )
    return f"<dl>{entries}</dl>" if entries else ""


def _term(key: str) -> str:
    """Return a JSON key in words, its unit after a comma."""
    for suffix, unit in (("_mhz", "MHz"), ("_c", "\N{DEGREE SIGN}C"), ("_ms", "ms"), ("_ns", "ns")):
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix).replace('_', ' ')}, {unit}"
    return key.replace("_", " ")


def _pairs(mapping: Mapping[str, Any], without: Collection[str] = ()) -> list[tuple[str, str]]:
    return [
        (_term(str(key.removesuffix("_bytes"))), size(number(item)))
        if isinstance(key, str) and key.endswith("_bytes") and number(item) is not None
        else (_term(str(key)), value(item))
        for key, item in mapping.items()
        if key not in without
    ]
