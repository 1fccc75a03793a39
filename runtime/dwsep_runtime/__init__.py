"""Runs one job on the device: an engine, a model file, a scenario; JSON in, JSON lines out.

Needs Python 3.9, NumPy and the one engine that the job names; imports nothing else of the toolchain.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
