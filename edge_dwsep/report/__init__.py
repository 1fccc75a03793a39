"""Measured results as one self-contained HTML page, and as Markdown: what was measured, and how to repeat it."""

from __future__ import annotations

__all__ = ["markdown", "render"]

from edge_dwsep.report.markdown import markdown
from edge_dwsep.report.page import render
