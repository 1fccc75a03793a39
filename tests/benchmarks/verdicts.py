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
LEAST_TRUTH, MOST_TRUTH = 1.03, 1.07


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
    """The comparison of a session in turns, and whether all its runs were ``valid``."""
    results = bench(*files, "--interleave", "--launches", launches)
    return {**results["comparisons"][0], "valid": all(run["valid"] for run in results["runs"])}


def progress(what: str, done: int, total: int, said: str) -> None:
    print(f"{what}, {done} of {total}: {said}", file=sys.stderr, flush=True)


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
        sessions, ours, usual, held = [], [], [], 0
        for done in range(1, SAME + 1):
            comparison = in_turns([narrow, copy])
            sessions.append(comparison)
            ours.append(comparison["verdict"])
            held += comparison["interval"][0] <= 1 <= comparison["interval"][1]
            usual.append(one_after_the_other([narrow, copy]))
            progress("a file and its copy", done, SAME, f"{ours[-1]}; one after the other: {usual[-1]}")
    truth = in_turns([narrow, wide], TRUTH_LAUNCHES)
    sessions.append(truth)
    low, high = truth["interval"]
    progress("the slower network's true ratio", 1, 1, f"{truth['ratio']:.3f} [{low:.3f}, {high:.3f}]")
    found = []
    for done in range(1, SLOWER + 1):
        sessions.append(in_turns([narrow, wide]))
        found.append(sessions[-1]["verdict"])
        progress("the slower network", done, SLOWER, found[-1])
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
        show(
            f"its true ratio, {TRUTH_LAUNCHES} launches: [{low:.3f}, {high:.3f}]",
            f"{truth['ratio']:.3f}",
            "",
            truth["ratio"],
            f"within {LEAST_TRUTH} to {MOST_TRUTH}",
            met=low >= LEAST_TRUTH and high <= MOST_TRUTH,
        ),
    ]
    print(f"intervals that held 1 in the comparisons with the copy: {held} of {SAME}")
    doubtful = sum(not session["valid"] for session in sessions)
    print(f"sessions in turns with a run that is not valid: {doubtful} of {len(sessions)}")
    return all(met)


if __name__ == "__main__":
    sys.exit(not main())
