"""The Pareto front of points that are known by intervals only.

One point is better than another in an objective where their intervals tell them apart, and dominates it where it is
better in one objective at least and worse in none. Since intervals that overlap do not differ, that relation is not
transitive: A may dominate B and B dominate C while A and C cannot be told apart. So a point is off the front exactly
if one that is on the front dominates it (the kernel of the relation: von Neumann and Morgenstern, "Theory of Games and
Economic Behavior", section 30); where points dominate one another in a circle, which wide intervals can bring about in
three objectives, none of them is preferred and all stay on it. There is exactly one such front, and it is never empty.
"""

from __future__ import annotations

__all__ = ["IntervalScale", "Scale", "kernel"]

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.intp]

CHUNK = 1 << 21
"""Pairs that are compared at a time: megabytes, whatever the number of points."""

FIRST = 64
"""Points that all others are held against first."""

Dominates = Callable[[Points, Points], NDArray[np.bool_]]
"""Whether each of the first dominates each of the second: (first, second)."""


class Scale(Protocol):
    """An objective's order of points."""

    def better(self, rows: Points, columns: Points) -> NDArray[np.bool_]:
        """Whether each of ``rows`` is shown to be better than each of ``columns``: (rows, columns)."""


class IntervalScale:
    """Points whose intervals do not overlap differ; the smaller is the better one."""

    def __init__(self, low: NDArray[Any], high: NDArray[Any], *, larger_is_better: bool = False) -> None:
        self._low, self._high = (-high, -low) if larger_is_better else (low, high)

    def better(self, rows: Points, columns: Points) -> NDArray[np.bool_]:
        """Whether the whole interval of a row lies below that of a column."""
        below: NDArray[np.bool_] = self._high[rows][:, None] < self._low[columns][None, :]
        return below


def kernel(count: int, scales: Sequence[Scale]) -> tuple[list[int], dict[int, int]]:
    """Which points are on the front, and for the others one on the front that dominates them.

    Args:
        count: of points, which the scales know as 0..count-1.
        scales: of each objective, at least one.

    Returns:
        Points on the front, ascending; and {point off the front: the first on it that dominates it}.

    >>> exact = [IntervalScale(values, values) for values in np.array([[1, 2, 3, 3], [3, 2, 1, 2]])]
    >>> kernel(4, exact)
    ([0, 1, 2], {3: 1})
    """

    def dominates(rows: Points, columns: Points) -> NDArray[np.bool_]:
        above = np.zeros((len(rows), len(columns)), np.bool_)
        below = above.copy()
        for scale in scales:
            above |= scale.better(rows, columns)
            below |= scale.better(columns, rows).T
        return above & ~below

    front: list[int] = []
    dominated: dict[int, int] = {}
    undecided = np.arange(count)
    while len(undecided):
        free = _undominated(undecided, dominates)
        found = free if len(free) else _circle(undecided, dominates)
        front.extend(found.tolist())
        undecided = np.setdiff1d(undecided, found, assume_unique=True)
        remaining = []
        for part in _parts(undecided, len(found)):
            by = dominates(found, part)
            off = by.any(axis=0)
            dominated.update(zip(part[off].tolist(), found[by.argmax(axis=0)[off]].tolist(), strict=True))
            remaining.append(part[~off])
        undecided = np.concatenate(remaining) if remaining else undecided
    return sorted(front), dominated


def _undominated(points: Points, dominates: Dominates) -> Points:
    """Those that none of the others dominates.

    Whoever is dominated once need not be looked at again, so nearly all go with the first few that are held against
    them. These are drawn at random, for points may come in any order, the worst first among them.
    """
    alive = points
    drawn = np.random.default_rng(0).permutation(points)
    start = 0
    while start < len(drawn):
        size = max(FIRST, CHUNK // max(1, len(alive)))
        part = drawn[start : start + (size if start else FIRST)]
        alive = alive[~dominates(part, alive).any(axis=0)]
        start += len(part)
    return alive


def _parts(points: Points, others: int) -> Iterator[Points]:
    """Points in parts that can be compared with ``others`` at a time."""
    size = max(1, CHUNK // max(1, others))
    for start in range(0, len(points), size):
        yield points[start : start + size]


def _circle(points: Points, dominates: Dominates) -> Points:
    """Points that dominate one another, directly or by way of others, and that no other of ``points`` dominates.

    Of a graph in which each point is dominated by another, that is a strongly connected component without an edge into
    it. Who leads to a point leads to all of its component; as long as one of these is not reached back, the ones that
    lead to it are fewer.
    """

    def closure(start: Points, within: Points, *, backwards: bool) -> Points:
        reached, edge = start, start
        while len(edge):
            rest = np.setdiff1d(within, reached, assume_unique=True)
            touched = dominates(rest, edge).any(axis=1) if backwards else dominates(edge, rest).any(axis=0)
            edge = rest[touched]
            reached = np.concatenate([reached, edge])
        return np.sort(reached)

    start = points[:1]
    while True:
        leading = closure(start, points, backwards=True)
        unreached = np.setdiff1d(leading, closure(start, leading, backwards=False), assume_unique=True)
        if not len(unreached):
            return leading
        start = unreached[:1]
