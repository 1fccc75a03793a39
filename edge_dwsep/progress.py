"""Progress on standard error: bars in a terminal, one line a step elsewhere."""

from __future__ import annotations

__all__ = ["Progress"]

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any


class Progress:
    """A bar that counts steps and names the one under way.

    Args:
        title: what the whole is.
        total: number of steps; it may turn out more or fewer.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._rich: Any = None
        self._screen: Any = None
        self._task: Any = None
        self._step = ""

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            # A descriptor of its own: standard error is redirected while converters run.
            self._screen = os.fdopen(os.dup(2), "w")
            self._rich = RichProgress(
                TextColumn("{task.fields[title]}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}", markup=False),
                console=Console(file=self._screen),
            )
            self._rich.start()
            self._task = self._rich.add_task("", total=self._total, title=self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            if kind is None:
                self._rich.update(self._task, completed=self._total, description="")
            self._rich.stop()
            self._screen.close()

    def step(self, name: str) -> None:
        """Begin a step; the one before it counts as done."""
        if self._rich is not None:
            self._rich.update(self._task, description=name, advance=1 if self._step else 0)
        else:
            sys.stderr.write(f"{self._title}: {name}\n")
            sys.stderr.flush()
        self._step = name

    def show(self, write: Callable[[IO[str]], None]) -> None:
        """Let something be written where the steps are shown, above the bar."""
        if self._rich is not None:
            self._rich.stop()
            write(self._screen)
            self._rich.start()
        else:
            write(sys.stderr)

    def total(self, total: int) -> None:
        """Say how many steps there are, as far as is known by now."""
        if self._rich is not None:
            self._rich.update(self._task, total=total)
        self._total = total

    def set(self, done: int, name: str = "") -> None:
        """Say how many steps are done, for work that counts by itself."""
        if self._rich is not None:
            self._rich.update(self._task, completed=done, description=name)
