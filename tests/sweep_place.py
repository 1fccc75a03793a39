"""A place of a user's own to sweep in, where nothing of another user or test is known."""

from __future__ import annotations

__all__ = ["Place"]

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where a user sweeps: folders of caches, data and output of their own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that sweeps there."""
        return {
            **os.environ,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    @property
    def store(self) -> Path:
        """The default store of that user."""
        return self.folder / "data" / "edge-dwsep" / "results.sqlite"

    def command(self, *arguments: object) -> list[str]:
        """A command line."""
        return [sys.executable, "-m", "edge_dwsep", *map(str, arguments)]

    def run(self, *arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self.environment,
            cwd=self.folder,
        )

    def steps(self) -> dict[str, tuple[str, str]]:
        """Kind and time of every finished step in the store, by key; none while there is no store."""
        if not self.store.exists():
            return {}
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as connection:
            made = connection.execute("select count(*) from sqlite_master where name = 'dwsep_steps'").fetchone()
            rows = connection.execute("select key, kind, created from dwsep_steps").fetchall() if made[0] else []
        return {key: (kind, created) for key, kind, created in rows}
