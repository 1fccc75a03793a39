"""How often a comparison in turns is wrong: of a file with itself, and of a network with one 5 % slower.

    python -m tests.benchmarks.verdicts

The peer is the comparison that is usual: two runs one after the other, called different where their p50 differ by more
than the sum of the half-widths of their intervals.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import HEADER, show
from tests.benchmarks.networks import NARROW, WIDE, stack

SAME, SLOWER = 40, 20
MOST_FALSE, LEAST_FOUND = 2, 18
TRUTH_LAUNCHES = 40


def bench(*arguments: object) -> dict[str, Any]:
    """The command as a user calls it; its results."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "results.json"
        command = [sys.executable, "-m", "edge_dwsep", "bench", *map(str, arguments), "--output", str(output)]
        run = subprocess.run([*command, "--engine", "litert"], capture_output=True, text=True, check=False)
        if not output.exists():
            raise SystemExit(run.stderr)
        results: dict[str, Any] = json.loads(output.read_text())
    return results


def in_turns(files: Sequence[Path], launches: int = 10) -> dict[str, Any]:
    comparison: dict[str, Any] = bench(*files, "--interleave", "--launches", launches)["comparisons"][0]
    return comparison


def one_after_the_other(files: Sequence[Path]) -> str:
    """The usual way, in about the time of a session in turns."""
    first, second = (run["latency"] for run in bench(*files, "--mode", "rapid", "--min-seconds", "2")["runs"])
    intervals = [figures["p50_interval_ms"] or [0.0, math.inf] for figures in (first, second)]
    if intervals[1][0] > intervals[0][1]:
        return "slower"
    return "faster" if intervals[1][1] < intervals[0][0] else "no difference shown"


def main() -> bool:
    narrow, wide = stack(NARROW), stack(WIDE)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.tflite"
        copy.write_bytes(narrow.read_bytes())
        ours, usual, held = [], [], 0
        for _ in range(SAME):
            comparison = in_turns([narrow, copy])
            ours.append(comparison["verdict"])
            held += comparison["interval"][0] <= 1 <= comparison["interval"][1]
            usual.append(one_after_the_other([narrow, copy]))
    truth = in_turns([narrow, wide], TRUTH_LAUNCHES)
    low, high = truth["interval"]
    found = [in_turns([narrow, wide])["verdict"] for _ in range(SLOWER)]
    print(HEADER)
    false, usual_false = (SAME - verdicts.count("no difference shown") for verdicts in (ours, usual))
    met = [
        show(
            f"false verdicts in {SAME} comparisons of a file with its copy",
            str(false),
            str(usual_false),
            false / max(1, usual_false),
            f"at most {MOST_FALSE}",
            met=false <= MOST_FALSE,
        ),
        show(
            f"a network {100 * (truth['ratio'] - 1):.1f} % slower found, of {SLOWER}",
            str(found.count("slower")),
            "",
            found.count("slower") / SLOWER,
            f"at least {LEAST_FOUND}",
            met=found.count("slower") >= LEAST_FOUND,
        ),
    ]
    print(f"intervals that held 1 in the comparisons with the copy: {held} of {SAME}")
    print(f"the slower network's true ratio, {TRUTH_LAUNCHES} launches: {truth['ratio']:.3f} [{low:.3f}, {high:.3f}]")
    return all(met)


if __name__ == "__main__":
    sys.exit(not main())
