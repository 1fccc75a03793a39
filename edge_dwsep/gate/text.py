"""A comparison as a table in the terminal, or as plain text."""

from __future__ import annotations

__all__ = ["print_gate", "text_of"]

import io
from typing import TYPE_CHECKING

from edge_dwsep.gate.compare import Gate
from edge_dwsep.gate.rows import columns, reasons, rows, summary
from edge_dwsep.words import in_a_line

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"regressed": "bold red", "cannot tell": "yellow", "ok": "green"}
NUMERIC = frozenset(("base", "head", "change", "p"))
WIDTH = 120
"""Characters of a line in a file."""


def print_gate(screen: Console, gate: Gate) -> None:
    """Print a comparison: below the name of each run its figures, in columns that are as wide for all runs."""
    from rich.text import Text

    shown = [(title, name) for title, name in columns(gate) if name != "run"]
    told = rows(gate)
    cells = [[in_a_line(getattr(row, name)) for _, name in shown] for row in told]
    widths = [max(map(len, column)) for column in zip([title for title, _ in shown], *cells, strict=True)]

    def aligned(texts: list[str]) -> list[str]:
        return [
            text.rjust(width) if name in NUMERIC else text.ljust(width)
            for text, width, (_, name) in zip(texts, widths, shown, strict=True)
        ]

    screen.print(Text("  " + "  ".join(aligned([title for title, _ in shown])).rstrip(), style="bold"), soft_wrap=True)
    for at, row in enumerate(told):
        if at == 0 or row.run != told[at - 1].run:
            screen.print(Text(in_a_line(row.run), style="bold"))
        *first, last = aligned(cells[at])
        screen.print(
            Text.assemble("  ", "  ".join(first), "  ", (last.rstrip(), STYLES.get(row.verdict, ""))), soft_wrap=True
        )
    for line in [*reasons(gate), *summary(gate)]:
        screen.print(Text(in_a_line(line)))


def text_of(gate: Gate) -> str:
    """The table as plain text."""
    from rich.console import Console

    written = io.StringIO()
    print_gate(Console(file=written, width=WIDTH, color_system=None), gate)
    return written.getvalue()
