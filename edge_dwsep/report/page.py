"""The page: summary, picture, table, warnings, device, and what it takes to measure the same again."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_dwsep.report.figures import MISSING, count, escape, milliseconds, percent, size, span, value
from edge_dwsep.report.picture import NARROW, WIDE, Legend, dashes, draw, swatch
from edge_dwsep.report.runs import ReportedRun, interval, labels, number, read_runs, section
from edge_dwsep.report.stylesheet import STYLESHEET

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy (W3C, level 3): the page may load nothing at all."""

FOOTNOTES = "abcdefghijklmnopqrstuvwxyz"


def _plural(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def _sentence(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    """Return what was measured, on what, with what, and how often, as one plain sentence."""
    model, data = _model_of(results), section(results, "data")
    device = _device_of(results)
    shape, times = model.get("input_shape"), "\N{MULTIPLICATION SIGN}"
    traits = [
        f"input {times.join(map(str, shape))}" if isinstance(shape, (list, tuple)) else "",
        f"{count(number(model.get('params')))} parameters" if number(model.get("params")) else "",
        f"{count(number(model.get('macs')))} MACs" if number(model.get("macs")) else "",
    ]
    described = ", ".join(trait for trait in traits if trait)
    cores = number(device.get("cores"))
    machine = ", ".join(
        part for part in (value(device.get("cpu") or ""), _plural(int(cores), "core") if cores else "") if part
    )
    images = number(data.get("count"))
    failed = sum(run.error is not None for run in runs)
    return (
        f"{_model_name(results)}{f' ({described})' if described else ''}, {_plural(len(runs), 'run')} on "
        f"{value(device.get('name') or 'an unnamed device')}{f' ({machine})' if machine else ''}"
        f"{f', {failed} of which failed' if failed else ''}; accuracy "
        f"{f'on {count(images)} images ' if images else ''}of {value(data.get('name') or 'an unnamed data set')}."
    )


def _device_of(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the device of the results, the first where there are several."""
    devices = results.get("devices")
    return section({"device": devices[0]}, "device") if isinstance(devices, list) and devices else {}


def _model_of(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the model of the results, the first where there are several."""
    models = results.get("models")
    return section({"model": models[0]}, "model") if isinstance(models, list) and models else {}


def _model_name(results: Mapping[str, Any]) -> str:
    model = _model_of(results)
    if model.get("name"):
        return value(model["name"])
    alpha = number(model.get("alpha"))
    return f"{value(model.get('architecture') or 'Unnamed model')}{f' {alpha:g}' if alpha else ''}"


def _reference(results: Mapping[str, Any]) -> tuple[str, float] | None:
    reference = section(results, "reference")
    top1 = number(reference.get("top1"))
    return None if top1 is None else (value(reference.get("name") or "reference"), top1)


def _figure(results: Mapping[str, Any], runs: Sequence[ReportedRun], names: Sequence[str], legend: Legend) -> str:
    chosen = [(run, name) for run, name in zip(runs, names, strict=True) if run.drawable]
    if not chosen:
        return "<p>No run has both a latency and an accuracy, so there is no picture.</p>" if runs else ""
    drawn, drawn_names = [run for run, _ in chosen], [name for _, name in chosen]
    schemes = {run.scheme for run in drawn}
    engines = {run.engine for run in drawn}
    colors = "".join(
        f"<li>{swatch('circle', color)}{escape(scheme)}</li>"
        for scheme, color in legend.colors.items()
        if scheme in schemes
    )
    shapes = "".join(
        f"<li>{swatch(shape, 'none')}{escape(engine)}</li>"
        for engine, shape in legend.shapes.items()
        if engine in engines
    )
    key = "".join(
        f"<li><b>{run.position}</b>{swatch(legend.shapes[run.engine], legend.colors[run.scheme])}{escape(name)}</li>"
        for run, name in chosen
    )
    reference = _reference(results)
    level = None if reference is None else reference[1]
    line = "" if reference is None else f"{dashes()}{escape(reference[0])}, {percent(level)} %"
    pictures = "".join(draw(drawn, drawn_names, legend, canvas, level) for canvas in (WIDE, NARROW))
    numbered = "" if len(drawn) > WIDE.most_names else " narrow"
    left_out = len(runs) - len(drawn)
    absent = f" {_plural(left_out, 'run')} without both figures {'is' if left_out == 1 else 'are'} in the table only."
    return (
        f'<figure><div class="legend"><ul aria-label="Schemes">{colors}</ul><ul aria-label="Engines">{shapes}</ul>'
        f"{f'<ul><li>{line}</li></ul>' if line else ''}</div>{pictures}"
        f'<ol class="key{numbered}">{key}{f"<li><b></b>{line}</li>" if line else ""}</ol><figcaption class="note">'
        "Left is faster, up is more accurate, a smaller mark is a smaller file. Bars are 95 % intervals, hidden behind "
        "the mark where they are shorter than it; where those of two runs overlap, these measurements do not put one "
        "run before the other. A latency\u2019s interval speaks of one process; measured again it may lie outside."
        f"{absent if left_out else ''}</figcaption></figure>"
    )


def _with_interval(written: str, interval: str) -> str:
    return f'{written} <span class="interval">{interval}</span>' if interval else written


def _row(run: ReportedRun, legend: Legend, notes: str, *, with_threads: bool) -> str:
    mark = swatch(legend.shapes[run.engine], legend.colors[run.scheme])
    engine = " ".join(part for part in (run.engine, run.engine_version) if part)
    if with_threads and run.threads is not None:
        engine += f", {_plural(run.threads, 'thread')}"
    variant = escape(run.variant) + (f" <sup>{notes}</sup>" if notes else "")
    entry = f'<span class="entry"><i>{run.position}</i>{mark}<span>{variant}</span></span>'
    cells = [
        f'<th scope="row" class="words">{entry}</th>',
        f'<td class="words">{escape(engine)}</td>',
        f"<td>{size(run.file_bytes)}</td>",
    ]
    if run.error is not None:
        cells.append(f'<td class="words error" colspan="4">Failed: {escape(run.error)}</td>')
        return f'<tr class="failed">{"".join(cells)}</tr>'
    cells += [
        f"<td>{_with_interval(milliseconds(run.p50), span(run.p50_interval, milliseconds))}</td>",
        f"<td>{milliseconds(run.p90)}</td>",
        f"<td>{_with_interval(percent(run.top1), span(run.top1_interval, percent))}</td>",
        f"<td>{_with_interval(percent(run.agreement), span(run.agreement_interval, percent))}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _table(results: Mapping[str, Any], runs: Sequence[ReportedRun], legend: Legend, notes: Mapping[int, str]) -> str:
    """Lay out every run in the order of the results, with the float model as a row of its own at the end."""
    threads = len({run.threads for run in runs}) > 1
    heads = (
        ('class="words"', "Variant", ""),
        ('class="words"', "Engine", ""),
        ("", "File", ""),
        ("", "p50, ms", "95 % interval"),
        ("", "p90, ms", ""),
        ("", "Top-1, %", "95 % interval"),
        ("", "Same as float, %", "95 % interval"),
    )
    head = "".join(
        f'<th scope="col" {attributes}>{title}{f"<small>{unit}</small>" if unit else ""}</th>'
        for attributes, title, unit in heads
    )
    rows = [_row(run, legend, notes.get(run.position, ""), with_threads=threads) for run in runs]
    reference = _reference(results)
    if reference is not None:
        bounds, nothing = section(results, "reference").get("top1_interval"), f"<td>{MISSING}</td>"
        shown = _with_interval(percent(reference[1]), span(interval(bounds), percent))
        rows.append(
            '<tr class="float"><th scope="row" class="words"><span class="entry"><i></i>'
            f'{escape(reference[0])}</span></th><td class="words">reference</td>'
            f"{3 * nothing}<td>{shown}</td>{nothing}</tr>"
        )
    return (
        '<section><h2>Every run</h2><div class="scroll" role="region" aria-label="Every run" tabindex="0">'
        f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


def _footnotes(runs: Sequence[ReportedRun]) -> tuple[dict[int, str], dict[str, list[int]]]:
    """Return the letters of each run's warnings, and each different warning with the runs it concerns."""
    concerned: dict[str, list[int]] = {}
    for run in runs:
        for text in dict.fromkeys(run.warnings):
            concerned.setdefault(text, []).append(run.position)
    marks: dict[int, list[str]] = {}
    for at, positions in enumerate(concerned.values()):
        for position in positions:
            marks.setdefault(position, []).append(_letter(at))
    return {position: " ".join(letters) for position, letters in marks.items()}, concerned


def _letter(at: int) -> str:
    return FOOTNOTES[at % 26] * (at // 26 + 1)


def _warnings(concerned: Mapping[str, Sequence[int]]) -> str:
    if not concerned:
        return ""
    entries = "".join(
        f"<li><sup>{_letter(at)}</sup> {escape(text)}"
        f"<small>Run{'' if len(positions) == 1 else 's'} {', '.join(map(str, positions))}</small></li>"
        for at, (text, positions) in enumerate(concerned.items())
    )
    return f'<section><h2>Warnings</h2><ul class="warnings">{entries}</ul></section>'


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a definition list; pairs without a value are left out."""
    entries = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs if text not in ("", MISSING)
    )
    return f"<dl>{entries}</dl>" if entries else ""


def _term(key: str) -> str:
    """Return a JSON key in words, its unit after a comma."""
    for suffix, unit in (("_mhz", "MHz"), ("_c", "\N{DEGREE SIGN}C"), ("_ms", "ms"), ("_ns", "ns")):
        if key.endswith(suffix):
            return f"{key.removesuffix(suffix).replace('_', ' ')}, {unit}"
    return key.replace("_", " ")


def _pairs(mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (_term(str(key.removesuffix("_bytes"))), size(number(item)))
        if isinstance(key, str) and key.endswith("_bytes") and number(item) is not None
        else (_term(str(key)), value(item))
        for key, item in mapping.items()
    ]


def _states(runs: Sequence[ReportedRun]) -> str:
    """Return the device's state before and after each run as a table of the keys that have a value in any of them."""
    keys = list(dict.fromkeys(key for run in runs for state in (run.before, run.after) for key in state))
    told = [key for key in keys if any(state.get(key) is not None for run in runs for state in (run.before, run.after))]
    if not told:
        return ""
    rows = []
    for run in runs:
        cells = "".join(
            f"<td>{escape(value(run.before.get(key)))} \N{RIGHTWARDS ARROW} {escape(value(run.after.get(key)))}</td>"
            for key in told
        )
        rows.append(f'<tr><th scope="row" class="words">{run.position} {escape(run.variant)}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{escape(_term(str(key)))}</th>' for key in told)
    return (
        "<details><summary>State before \N{RIGHTWARDS ARROW} after each run</summary>"
        '<div class="scroll" role="region" aria-label="State before and after each run" tabindex="0">'
        f'<table class="states"><thead><tr><th scope="col" class="words">Run</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _device(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    blocks = [("", _definitions(_pairs(_device_of(results))))]
    before = next((run.before for run in runs if run.before), {})
    after = next((run.after for run in reversed(runs) if run.after), {})
    blocks.append(("Before the first run", _definitions(_pairs(before))))
    blocks.append(("After the last run", _definitions(_pairs(after))))
    shown = "".join(f"<div>{f'<h3>{title}</h3>' if title else ''}{text}</div>" for title, text in blocks[1:] if text)
    columns = f'<div class="columns states">{shown}</div>' if shown else ""
    inner = f"{blocks[0][1]}{columns}{_states(runs)}"
    return f'<section class="device"><h2>Device</h2>{inner}</section>' if inner else ""


def _repeat(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    command = results.get("command")
    model, data = _model_of(results), section(results, "data")
    settings = _definitions(_pairs(section(results, "settings")))
    versions = _definitions((str(tool), value(version)) for tool, version in section(results, "versions").items())
    inputs = _definitions(
        [
            ("model", _model_name(results) if model else ""),
            ("weights sha256", value(model.get("weights_sha256"))),
            ("data", value(data.get("name"))),
            ("data sha256", value(data.get("sha256"))),
            *((run.file, run.sha256) for run in {run.sha256: run for run in runs if run.file}.values()),
        ]
    )
    blocks = (("Settings", settings), ("Tools", versions))
    columns = "".join(f"<div><h3>{title}</h3>{text}</div>" for title, text in blocks if text)
    parts = [
        f"<pre><code>{escape(command)}</code></pre>" if command else "",
        f'<div class="columns">{columns}</div>' if columns else "",
        f'<h3>Model, data and files (sha256)</h3><div class="digests">{inputs}</div>' if inputs else "",
    ]
    inner = "".join(parts)
    return f'<section class="repeat"><h2>How to repeat</h2>{inner}</section>' if inner else ""


def render(results: Mapping[str, Any]) -> str:
    """Lay out measured results as one HTML page that needs no network, script or other file.

    The order of the runs is that of the results: the page ranks nothing, since intervals may overlap.

    Args:
        results: what ``results.json`` holds. Any key may be absent or None; what is absent is left out or shown as a
            dash. Latencies are in ms, shares (accuracy, agreement) between 0 and 1, sizes in bytes.

    Returns:
        A complete HTML document; everything that came from ``results`` is escaped.
    """
    runs = read_runs(results)
    names = labels(runs)
    legend = Legend.of(runs)
    notes, concerned = _footnotes(runs)
    title = f"{_model_name(results)} on {value(_device_of(results).get('name') or 'an unnamed device')}"
    body = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(_sentence(results, runs))}</p>']
    if runs:
        body += [_figure(results, runs, names, legend), _table(results, runs, legend, notes), _warnings(concerned)]
    else:
        body.append('<p class="empty">There are no runs in these results.</p>')
    body += [_device(results, runs), _repeat(results, runs)]
    created = results.get("created")
    version = section(results, "versions").get("edge-dwsep")
    made = f"edge-dwsep{f' {value(version)}' if version else ''}{f', measured {value(created)}' if created else ''}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLESHEET}</style></head>\n"
        f'<body><main>{"".join(body)}</main><footer class="note">{escape(made)}</footer></body></html>\n'
    )
