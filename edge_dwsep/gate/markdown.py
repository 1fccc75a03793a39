"""A comparison as Markdown, for a comment on a pull request."""

from __future__ import annotations

__all__ = ["markdown_of"]

from edge_dwsep.gate.compare import Gate
from edge_dwsep.gate.rows import Row, columns, reasons, rows, summary
from edge_dwsep.gate.rules import Verdict
from edge_dwsep.words import in_markdown

MARKS = {Verdict.OK: "ok", Verdict.CANNOT_TELL: "**cannot tell**", Verdict.REGRESSED: "**regressed**"}


def markdown_of(gate: Gate) -> str:
    """The comparison as a heading, a table and notes."""
    told = columns(gate)
    title = f"{in_markdown(gate.head)} against {in_markdown(gate.base)}"
    lines = [f"### {title}: {gate.verdict.value}" if gate.rules else f"### {title}", ""]
    lines.append("| " + " | ".join(in_markdown(title) for title, _ in told) + " |")
    lines.append("|" + "|".join("-:" if name in {"base", "head", "change", "p"} else "-" for _, name in told) + "|")
    lines.extend("| " + " | ".join(_cell(row, name) for _, name in told) + " |" for row in rows(gate))
    notes = [*reasons(gate), *summary(gate)]
    if notes:
        lines.extend(["", *(f"- {in_markdown(note)}" for note in notes)])
    return "\n".join(lines) + "\n"


def _cell(row: Row, name: str) -> str:
    if name == "verdict" and row.judgement is not None:
        return MARKS[row.judgement.verdict]
    return in_markdown(getattr(row, name))
