"""Where a classifier errs: recall and precision class by class, and which classes it takes for which."""

from __future__ import annotations

__all__ = ["class_name", "confusion_matrix", "largest_confusions", "per_class"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwsep_runtime.shares import wilson_interval


def class_name(names: Sequence[str], label: int) -> str:
    """Name of a class, or its number where none is known."""
    return names[label] if label < len(names) else str(label)


def confusion_matrix(labels: NDArray[np.int64], predictions: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Counts of images, (classes, classes): rows true, columns predicted; a negative prediction is in none."""
    known = predictions >= 0
    places = labels[known] * classes + predictions[known]
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(
    labels: NDArray[np.int64], predictions: NDArray[Any], classes: int, names: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """A row for each class.

    Args:
        labels: int64 (count,), each in 0..classes-1.
        predictions: integers (count,); a negative one is no class.
        classes: their number.
        names: by label; empty if unknown.

    Returns:
        JSON values: ``label``, ``name``, ``count`` (images of the class), ``correct``, ``recall`` (the share of them
        found) with its 95 % ``recall_interval`` (Wilson), ``predicted`` (images taken for the class) and ``precision``
        (the share of those that are of it). A share of no images is None.
    """
    counts = np.bincount(labels, minlength=classes)
    predicted = np.bincount(predictions[predictions >= 0], minlength=classes)
    correct = np.bincount(labels[predictions == labels], minlength=classes)
    return [
        {
            "label": label,
            "name": class_name(names, label),
            "count": count,
            "correct": right,
            "recall": right / count if count else None,
            "recall_interval": wilson_interval(right, count) if count else None,
            "predicted": taken,
            "precision": right / taken if taken else None,
        }
        for label, (count, right, taken) in enumerate(
            zip(counts.tolist(), correct.tolist(), predicted.tolist(), strict=True)
        )
    ]


def largest_confusions(confusion: ArrayLike, most: int) -> list[tuple[int, int, int, float]]:
    """The pairs of classes taken for one another most often.

    Args:
        confusion: (classes, classes) counts, rows true and columns predicted.
        most: pairs at most.

    Returns:
        True class, predicted class, images, and their share of the true class's; the most images first.
    """
    counts = np.array(confusion, np.int64)
    totals = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), counts.shape[1]) for place in order]
    return [
        (true, taken, int(counts[true, taken]), float(counts[true, taken] / totals[true]))
        for true, taken in pairs
        if counts[true, taken]
    ]
