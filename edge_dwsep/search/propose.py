"""Which points to measure next: some that fill the space, then those likeliest to lie on the front."""

from __future__ import annotations

__all__ = ["first_points", "next_points"]

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.search.effects import Effects, fit_effects, straightened
from edge_dwsep.search.fronts import non_dominated
from edge_dwsep.search.space import Space

DRAWS = 128
MOST_POINTS = 300
"""That are drawn together; of a larger space those that look best."""

OPTIMISM = 2.0
"""Standard deviations below the mean that a point is given when those that look best are taken."""

JITTER = 1e-9
STEADY = 1e-6
"""Share of the largest variance that is added to each, so that rounding leaves none negative."""


def first_points(
    space: Space, count: int, taken: Sequence[int], allowed: NDArray[np.bool_], rng: np.random.Generator
) -> list[int]:
    """Points that show every value of every axis, and pairs of them, as evenly as can be.

    Each is the one, of those not yet taken, whose values and pairs of values were shown least; a random one of equals.

    Args:
        space: the points.
        count: how many at most.
        taken: indices that are already known or on their way.
        allowed: which may be chosen, bool (points,).
        rng: source of randomness.
    """
    levels = space.levels
    axes = [axis for axis in range(levels.shape[1]) if len(space.axes[axis].values) > 1]
    codes = [levels[:, axis] for axis in axes]
    codes += [
        levels[:, axis] * len(space.axes[other].values) + levels[:, other]
        for place, axis in enumerate(axes)
        for other in axes[place + 1 :]
    ]
    weights = [1.0] * len(axes) + [1.0 / max(1, len(axes) - 1)] * (len(codes) - len(axes))
    shown = [np.bincount(code[list(taken)], minlength=int(code.max()) + 1).astype(float) for code in codes]
    free = allowed.copy()
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        cost = sum(
            (weight * (2 * seen[code] + 1) for weight, seen, code in zip(weights, shown, codes, strict=True)),
            np.zeros(len(levels)),
        )
        cost = np.where(free, cost, np.inf)
        pick = int(rng.choice(np.flatnonzero(cost <= cost.min() + JITTER)))
        chosen.append(pick)
        free[pick] = False
        for seen, code in zip(shown, codes, strict=True):
            seen[code[pick]] += 1
    return chosen


def next_points(
    space: Space,
    count: int,
    tried: NDArray[np.int64],
    values: NDArray[np.float64],
    maximize: Sequence[bool],
    allowed: NDArray[np.bool_],
    rng: np.random.Generator,
) -> list[int]:
    """Points that are likeliest to lie on the front, by what was measured so far.

    The effects of the axes are fitted to each objective; then all points' objectives are drawn together many times, and
    counted is how often each lies on the front of its draw.

    Args:
        space: the points.
        count: how many at most.
        tried: indices of points measured, int64 (measured,).
        values: of the objectives there, (measured, objectives), as measured.
        maximize: for each objective whether more is better.
        allowed: which may be chosen, bool (points,).
        rng: source of randomness.
    """
    free = np.flatnonzero(allowed)
    if not len(free):
        return []
    believed = [
        fit_effects(space, tried, straightened(values[:, column], maximize=more))
        for column, more in enumerate(maximize)
    ]
    among = _contenders(believed, free, tried)
    drawn = np.stack([_draws(effects, among, rng) for effects in believed], axis=-1)
    share = np.zeros(len(space.points))
    for draw in drawn:
        share[among] += non_dominated(draw)
    hope = _hope(believed)
    order = sorted(free, key=lambda index: (-share[index], hope[index]))
    return [int(index) for index in order[:count]]


def _hope(believed: Sequence[Effects]) -> NDArray[np.float64]:
    """How bad a point looks at best, over all objectives, as a rank; breaks ties."""
    ranks = [np.argsort(np.argsort(_optimistic(effects))) for effects in believed]
    return np.asarray(np.sum(ranks, axis=0), np.float64)


def _optimistic(effects: Effects) -> NDArray[np.float64]:
    return effects.mean - OPTIMISM * effects.deviation


def _contenders(believed: Sequence[Effects], free: NDArray[np.int64], tried: NDArray[np.int64]) -> NDArray[np.int64]:
    """The points that draws are made of: all, or those that few others look better than."""
    everyone = np.union1d(free, tried)
    if len(everyone) <= MOST_POINTS:
        return everyone
    looks = np.stack([_optimistic(effects)[everyone] for effects in believed], axis=1)
    better = np.zeros(len(everyone))
    for row in looks:
        better += ((row <= looks).all(axis=1) & (row < looks).any(axis=1)).astype(float)
    return np.asarray(everyone[np.argsort(better, kind="stable")[:MOST_POINTS]])


def _draws(effects: Effects, among: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Values at points, drawn together, (draws, points)."""
    mean, covariance = effects.mean[among], effects.covariance(among)
    steadied = covariance + (STEADY * float(np.diag(covariance).max()) + JITTER) * np.eye(len(among))
    return np.asarray(mean + rng.standard_normal((DRAWS, len(among))) @ np.linalg.cholesky(steadied).T)
