"""One self-contained HTML page out of measured results: the picture, the table, the device, and how to repeat it."""

from __future__ import annotations

__all__ = ["render"]

from edge_dwsep.report.page import render
