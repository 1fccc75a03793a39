"""How much accuracy a run loses against the float network that it could have been."""

from __future__ import annotations

__all__ = ["Drop", "drops"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_dwsep.answers import right_answers
from edge_dwsep.choice.objectives import Figure
from edge_dwsep.share_differences import paired_difference, unpaired_difference
from edge_dwsep.words import escaped


@dataclass(frozen=True)
class Drop:
    """What a run loses, as a share, positive where it is less accurate.

    Attributes:
        figure: the loss and its interval.
        reference: what it is compared with, as a sentence can hold it.
        paired: whether image by image.
    """

    figure: Figure
    reference: str
    paired: bool

    def written(self) -> str:
        """The loss in percentage points: ``1.9 pp [0.8, 3.1]``."""
        value, low, high = (100 * one for one in (self.figure.value, self.figure.low, self.figure.high))
        return f"{value:.1f} pp [{low:.1f}, {high:.1f}]"


def drops(results: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> list[Drop | None]:
    """What each run loses against the most accurate float reference there is.

    Of several networks the reference is that of the most accurate one: whoever tries a narrower network wants to know
    what it costs, too. A run of the same network is compared with it image by image; one of another network too where
    results tell which images were right, and otherwise as if the images were others, which makes the interval wider
    than it is.

    Args:
        results: that the runs are of.
        runs: those that are weighed against one another.

    Returns:
        One a run; None for a run without accuracy, or where there is no reference.
    """
    concerned = {run["model"] for run in runs}
    references = {
        model["name"]: model["reference"]
        for model in results["models"]
        if model["name"] in concerned and (model.get("reference") or {}).get("top1") is not None
    }
    if not references:
        return [_within_model(run, "float") for run in runs]
    best = max(references, key=lambda name: references[name]["top1"])
    several = len(concerned) > 1
    said = escaped(f"{references[best]['name']}{f' of {best}' if several else ''}")
    right = right_answers({**references[best], "count": _count(runs)})
    found: list[Drop | None] = []
    for run in runs:
        if run["model"] == best:
            found.append(_within_model(run, said))
        else:
            found.append(_across(run, references[best]["top1"], right, said))
    return found


def _count(runs: Sequence[Mapping[str, Any]]) -> int:
    return next((run["accuracy"]["count"] for run in runs if run.get("accuracy")), 0)


def _within_model(run: Mapping[str, Any], reference: str) -> Drop | None:
    mcnemar = (run.get("agreement") or {}).get("mcnemar")
    if not run.get("accuracy") or not mcnemar:
        return None
    loss, bounds = paired_difference(mcnemar["b"], mcnemar["c"], run["accuracy"]["count"])
    return Drop(Figure(loss, *bounds), reference, paired=True)


def _across(run: Mapping[str, Any], top1: float, right: Any, reference: str) -> Drop | None:
    accuracy = run.get("accuracy")
    if not accuracy:
        return None
    count, own = accuracy["count"], right_answers(accuracy)
    if own is not None and right is not None and len(own) == len(right):
        b, c = int(np.count_nonzero(right & ~own)), int(np.count_nonzero(own & ~right))
        loss, bounds = paired_difference(b, c, count)
        return Drop(Figure(loss, *bounds), reference, paired=True)
    loss, bounds = unpaired_difference((round(top1 * count), count), (round(accuracy["top1"] * count), count))
    return Drop(Figure(loss, *bounds), reference, paired=False)
