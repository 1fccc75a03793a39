"""How often the gate of ``compare`` is wrong, in simulated measurements whose true change is known.

    python -m tests.benchmarks.gate

Times are log-normal around each process's own median; neighbours are correlated (autoregressive), and processes differ.
The peer is the gate that is usual: fail where p50 is more than 5 % larger, and a Mann-Whitney test as of independent
samples. The seed is fixed; nothing here measures the machine.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.gate.changes import change_of
from edge_dwsep.gate.latency_change import mann_whitney
from edge_dwsep.gate.rules import Verdict, judged, rule_from
from edge_dwsep.latency import percentile_figures
from tests.benchmarks.figures import HEADER, show

REPEATS = 400
PROCESSES, SAMPLES = 5, 400
NOISE = 0.05
RULE = rule_from("p50>+5%")
LIMIT = 0.025
"""Share of changes that lie right at a limit and may be called regressed: half of 5 %."""

SERIES = [(memory, between) for memory in (0.0, 0.9, 0.97) for between in (0.0, 0.02)]
"""Correlation of neighbours, and standard deviation between processes, as a share."""


def measured(
    rng: np.random.Generator, factor: float, memory: float, between: float, processes: int = PROCESSES
) -> list[NDArray[np.int64]]:
    """Inference times of each process in ns."""
    steps = rng.standard_normal((processes, SAMPLES)) * math.sqrt(1 - memory**2)
    noise = np.empty_like(steps)
    noise[:, 0] = rng.standard_normal(processes)
    for at in range(1, SAMPLES):
        noise[:, at] = memory * noise[:, at - 1] + steps[:, at]
    offsets = between * rng.standard_normal((processes, 1))
    return list((3e6 * factor * np.exp(NOISE * noise + offsets)).astype(np.int64))


def run_of(processes: list[NDArray[np.int64]]) -> dict[str, Any]:
    return {"latency": percentile_figures(processes)}


def usual_test(base: NDArray[Any], head: NDArray[Any]) -> float:
    """Mann-Whitney's two-sided probability as of independent samples, by its normal approximation."""
    ordered = np.sort(base)
    wins = float((np.searchsorted(ordered, head, "left") + np.searchsorted(ordered, head, "right")).sum()) / 2
    pairs = len(base) * len(head)
    error = math.sqrt(pairs * (len(base) + len(head) + 1) / 12)
    return 2 * NormalDist().cdf(-abs(wins - pairs / 2) / error)


def verdicts(rng: np.random.Generator, factor: float, memory: float, between: float) -> Counter[str]:
    """Verdicts of ours, of the usual gate, and of both tests, over the repetitions."""
    counts: Counter[str] = Counter()
    for _ in range(REPEATS):
        sides = [measured(rng, one, memory, between) for one in (1.0, factor)]
        change = change_of("p50", *map(run_of, sides), same_images=True)
        if change is None:
            raise SystemExit("p50 has no change to judge")
        counts[judged(RULE, change.low, change.high).value] += 1
        counts["usual"] += change.change > RULE.limit
        p = mann_whitney(*sides)
        counts["ours p"] += p is not None and p < 0.05
        counts["usual p"] += usual_test(*map(np.concatenate, sides)) < 0.05
    return counts


def main() -> bool:
    rng = np.random.default_rng(7)
    print(HEADER)
    met = []
    for memory, between in SERIES:
        told = f"memory {memory:g}, processes {100 * between:g} % apart"
        for factor, name in ((1.0, "no change"), (1.05, "+5 %"), (1.10, "+10 %")):
            counts = verdicts(rng, factor, memory, between)
            regressed, unsure = (counts[one.value] / REPEATS for one in (Verdict.REGRESSED, Verdict.CANNOT_TELL))
            goal = "" if factor > 1.05 else f"at most {2 * LIMIT if factor == 1.05 else 0.01:g}"
            fine = factor > 1.05 or regressed <= (2 * LIMIT if factor == 1.05 else 0.01)
            met.append(
                show(
                    f"{name}, {told}: regressed (cannot tell {unsure:.2f})",
                    f"{regressed:.3f}",
                    f"{counts['usual'] / REPEATS:.3f}",
                    regressed / max(counts["usual"] / REPEATS, 1 / REPEATS),
                    goal,
                    met=fine,
                )
            )
            if factor == 1.0:
                alarms, usual = counts["ours p"] / REPEATS, counts["usual p"] / REPEATS
                met.append(
                    show(
                        f"{name}, {told}: Mann-Whitney p < 0.05",
                        f"{alarms:.3f}",
                        f"{usual:.3f}",
                        alarms / max(usual, 1 / REPEATS),
                        "at most 0.08",
                        met=alarms <= 0.08,
                    )
                )
    return all(met)


if __name__ == "__main__":
    sys.exit(not main())
