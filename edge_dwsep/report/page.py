"""The page: what was measured in words, the place of each drawing, the figures, and the script that draws them."""

from __future__ import annotations

__all__ = ["render"]

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from edge_dwsep.report.figures import escape, value
from edge_dwsep.report.looks import Looks
from edge_dwsep.report.payload import payload, script_data
from edge_dwsep.report.runs import ReportedRun, read_runs, section
from edge_dwsep.report.sections import (
    device_section,
    excluded_section,
    failure_section,
    repeat_section,
    warning_section,
)
from edge_dwsep.report.static_table import static_table
from edge_dwsep.report.summary import heading, lead

if TYPE_CHECKING:
    from edge_dwsep.choice import Choice

SCRIPTS = (
    "data",
    "front",
    "scales",
    "marks",
    "labels",
    "plot",
    "picture",
    "rows",
    "operators",
    "states",
    "table",
    "page",
)
"""In the order in which they need each other; together they are one script."""


def render(results: Mapping[str, Any], choice: Choice | None = None) -> str:
    """Lay out measured results as one HTML page that needs no network and no other file.

    Without its script the page has the runs as a table. The order of the runs is that of the results: the page ranks
    nothing whose intervals overlap.

    Args:
        results: what ``results.json`` holds, full or light. Any key may be absent or None; what is absent is left out.
            Latencies are in ms, shares (accuracy, agreement) between 0 and 1, sizes in bytes. ``runs`` are iterated
            over once.
        choice: of these results, by :func:`edge_dwsep.choice.choose`.

    Returns:
        A complete HTML document; nothing in ``results`` can become markup or script of it.
    """
    runs = tuple(read_runs(results))
    title = heading(results, runs)
    body = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(lead(results, runs))}</p>', _recommended(choice)]
    body += [_drawn(runs)] if runs else ['<p class="empty">There are no runs in these results.</p>']
    body += [
        failure_section(runs, results.get("failed_exports")),
        warning_section(runs),
        excluded_section(results),
        device_section(results, runs),
        repeat_section(results, runs),
    ]
    version = section(results, "versions").get("edge-dwsep")
    created = results.get("created")
    made = f"edge-dwsep{f' {value(version)}' if version else ''}{f', measured {value(created)}' if created else ''}"
    style = _text("page.css")
    script = _script()
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    ending = ""
    if runs:
        front = None if choice is None else {index + 1 for index in choice.front}
        recommended = () if choice is None else {index + 1 for index in choice.recommended}
        looks = Looks.of((run.scheme for run in runs), (run.engine for run in runs))
        data = script_data(payload(results, runs, front, recommended, looks))
        ending = f'<script type="application/json" id="data">{data}</script>\n<script>{script}</script>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
        f'<body><main>{"".join(body)}</main><footer class="note">{escape(made)}</footer>\n{ending}</body></html>\n'
    )


def _recommended(choice: Choice | None) -> str:
    """What is recommended for each device, in the words of the choice."""
    if choice is None or not choice.devices:
        return ""
    several = len(choice.devices) > 1
    entries = []
    for one in choice.devices:
        batch = f", batch {one.batch}" if one.batch > 1 else ""
        place = f"{one.device}{' (emulated)' if one.emulated else ''}{batch}"
        name = f"<dt>{escape(place)}</dt>" if several or batch or one.emulated else ""
        notes = "".join(f"<small>{escape(note)}</small>" for note in one.notes)
        entries.append(f"{name}<dd>{escape(one.recommendation)}{notes}</dd>")
    return f'<section class="recommended" aria-label="Recommendation"><dl>{"".join(entries)}</dl></section>'


def _drawn(runs: Sequence[ReportedRun]) -> str:
    """Where the script puts what it draws, and the table for who has no script."""
    several = len({run.device for run in runs}) > 1
    return (
        f'<noscript><section id="every-run"><h2>Every run</h2><div class="scroll" role="region" tabindex="0"'
        f' aria-label="Every run">{static_table(runs, several_devices=several)}</div></section></noscript>'
        '<div id="drawn" hidden></div>'
    )


@cache
def _text(name: str) -> str:
    return (resources.files("edge_dwsep.report") / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """All scripts as one, in a scope of their own."""
    parts = "\n".join(_text(f"script/{name}.js") for name in SCRIPTS)
    return f'"use strict";\n{{\n{parts}}}\n'


def _hash(text: str) -> str:
    """Source of a Content-Security-Policy (W3C, level 3) that allows this very text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
