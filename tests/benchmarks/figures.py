"""One line a figure: ours beside the peer's, their ratio, and the goal."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence

HEADER = f"{'figure':58} {'ours':>12} {'peer':>12} {'ratio':>7}   goal"


def show(name: str, ours: str, peer: str, ratio: float, goal: str, *, met: bool) -> bool:
    print(f"{name:58} {ours:>12} {peer:>12} {ratio:7.3f}   {goal:22} {'met' if met else 'NOT MET'}", flush=True)
    return met


def tell(name: str, ours: str) -> None:
    """A figure that has neither peer nor goal."""
    print(f"{name:58} {ours:>12} {'':12} {'':7}   no goal", flush=True)


def milliseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.4f} ms"


def paired(ours: Callable[[], float], peer: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """Medians of ours and the peer's, and the median of their ratio round by round, every other round in reverse."""
    pairs = []
    for round_ in range(rounds):
        if round_ % 2:
            other = peer()
            pairs.append((ours(), other))
        else:
            pairs.append((ours(), peer()))
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in pairs)


def spread(values: Sequence[float]) -> float:
    """Largest less smallest, as a share of the median."""
    return (max(values) - min(values)) / statistics.median(values)


def stay_on_one_core() -> None:
    """Two cores of a noisy machine differ by more at any moment than what is compared here."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
