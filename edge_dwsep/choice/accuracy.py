"""Accuracy of runs beside one another: image by image where results tell which images were right."""

from __future__ import annotations

__all__ = ["AccuracyScale"]

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.shares import mcnemar
from edge_dwsep.choice.front import IntervalScale, Points
from edge_dwsep.choice.objectives import Figure

SIGNIFICANT = 0.05
MOST_PAIRED = 2000
"""Runs that are compared image by image; the table of pairs grows with the square."""


class AccuracyScale:
    """Runs differ in accuracy if McNemar's test says so, or, without answers to the same images, their intervals."""

    def __init__(self, figures: Sequence[Figure], right: Sequence[NDArray[np.bool_] | None]) -> None:
        low, high = (np.array([getattr(figure, bound) for figure in figures]) for bound in ("low", "high"))
        self._intervals = IntervalScale(low, high, larger_is_better=True)
        self._right: NDArray[np.float32] | None = None
        lengths = {-1 if answers is None else len(answers) for answers in right}
        if len(right) <= MOST_PAIRED and len(lengths) == 1 and -1 not in lengths:
            self._right = np.array(right, np.float32)

    def better(self, rows: Points, columns: Points) -> NDArray[np.bool_]:
        """Whether each of ``rows`` is shown to be more accurate than each of ``columns``."""
        if self._right is None:
            return self._intervals.better(rows, columns)
        ours, theirs = self._right[rows], self._right[columns]
        both = ours @ theirs.T
        alone = (ours.sum(axis=1)[:, None] - both).round().astype(np.int64)
        other_alone = (theirs.sum(axis=1)[None, :] - both).round().astype(np.int64)
        together = alone + other_alone
        counts, position = np.unique(together, return_inverse=True)
        most = np.array([_most_of_fewer(int(count)) for count in counts], np.int64)[position.reshape(together.shape)]
        shown: NDArray[np.bool_] = (alone > other_alone) & (other_alone <= most)
        return shown


@cache
def _most_of_fewer(count: int) -> int:
    """The larger of two counts that sum to ``count`` is significantly larger if the smaller is at most this; or -1."""
    low, high = -1, count // 2
    while low < high:  # McNemar's probability grows with the smaller count
        middle = (low + high + 1) // 2
        if mcnemar(middle, count - middle) < SIGNIFICANT:
            low = middle
        else:
            high = middle - 1
    return low
