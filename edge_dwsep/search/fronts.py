"""Pareto fronts and the volume that they dominate; less is better in every objective here."""

from __future__ import annotations

__all__ = ["hypervolume", "non_dominated"]

import numpy as np
from numpy.typing import NDArray


def non_dominated(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other dominates: is as good in every objective and better in one.

    Args:
        values: (points, objectives).

    Returns:
        bool (points,).
    """
    as_good = np.ones((len(values), len(values)), bool)
    for column in values.T:
        as_good &= column[:, np.newaxis] <= column
    return np.asarray(~(as_good & ~as_good.T).any(axis=0))


def hypervolume(values: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Volume of what lies between points and a reference that is worse than they are (Zitzler and Thiele 1998).

    By slices along the last objective, each of one objective fewer: for fronts of some hundred points.

    Args:
        values: (points, objectives).
        reference: (objectives,); points that are not better than it in every objective add nothing.
    """
    inside = values[(values < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    ends = np.append(inside[1:, -1], reference[-1])
    volume = 0.0
    for index, end in enumerate(ends):
        depth = end - inside[index, -1]
        if depth > 0:
            volume += depth * hypervolume(inside[: index + 1, :-1], reference[:-1])
    return float(volume)
