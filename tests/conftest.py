"""What several tests share: the demo run once, and the command line as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

# As the command line does it, before any test imports onnxruntime.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Demo:
    """A finished demo: its folder, what it printed, and how it ended."""

    folder: Path
    run: subprocess.CompletedProcess[str]

    def artifact(self, ending: str) -> Path:
        """The one artifact whose file name ends so."""
        (found,) = (self.folder / "artifacts").glob(f"*{ending}")
        return found


def edge_dwsep(*arguments: object, cwd: Path | None = None, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command: Sequence[str] = [sys.executable, "-m", "edge_dwsep", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False)


@pytest.fixture(scope="session")
def command_line() -> CommandLine:
    return edge_dwsep


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "out"
    return Demo(folder, edge_dwsep("demo", "--output", folder))
