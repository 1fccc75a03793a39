"""A comparison as Markdown, for a comment on a pull request."""

from __future__ import annotations

__all__ = ["escaped", "markdown_of"]

import re

from edge_dwsep.gate.compare import Gate
from edge_dwsep.gate.rows import Row, columns, reasons, rows, summary
from edge_dwsep.gate.rules import Verdict
from edge_dwsep.words import in_a_line

MARKS = {Verdict.OK: "ok", Verdict.CANNOT_TELL: "**cannot tell**", Verdict.REGRESSED: "**regressed**"}
SPECIAL = re.compile(r"([\\`*_\[\]<|~&$]|^[#>+-])")
WORD_JOINER = "\N{WORD JOINER}"


def markdown_of(gate: Gate) -> str:
    """The comparison as a heading, a table and notes."""
    told = columns(gate)
    title = f"{escaped(gate.head)} against {escaped(gate.base)}"
    lines = [f"### {title}: {gate.verdict.value}" if gate.rules else f"### {title}", ""]
    lines.append("| " + " | ".join(escaped(title) for title, _ in told) + " |")
    lines.append("|" + "|".join("-:" if name in {"base", "head", "change", "p"} else "-" for _, name in told) + "|")
    lines.extend("| " + " | ".join(_cell(row, name) for _, name in told) + " |" for row in rows(gate))
    notes = [*reasons(gate), *summary(gate)]
    if notes:
        lines.extend(["", *(f"- {escaped(note)}" for note in notes)])
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, no mention of an account.

    >>> escaped("a|b <script> @team")
    'a\\|b \\<script> @\u2060team'
    """
    return SPECIAL.sub(r"\\\1", in_a_line(text)).replace("@", f"@{WORD_JOINER}")


def _cell(row: Row, name: str) -> str:
    if name == "verdict" and row.judgement is not None:
        return MARKS[row.judgement.verdict]
    return escaped(getattr(row, name))
