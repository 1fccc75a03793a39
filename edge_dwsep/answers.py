"""Which images each run had right, and of how many two runs of the same images differ."""

from __future__ import annotations

__all__ = ["Discordant", "discordant", "right_answers"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.arrays import decode_array


@dataclass(frozen=True)
class Discordant:
    """Images that one of two runs alone had right.

    Attributes:
        b: that the first alone had right.
        c: that the second alone had right.
        exact: whether they were counted; otherwise they are the most there can be, and tests are too cautious rather
            than too bold.
    """

    b: int
    c: int
    exact: bool


def right_answers(accuracy: Mapping[str, Any] | None) -> NDArray[np.bool_] | None:
    """Which images were right, in their order; None where results do not tell."""
    if not accuracy or not accuracy.get("correct"):
        return None
    return np.unpackbits(decode_array(accuracy["correct"]), count=accuracy["count"]).astype(np.bool_)


def discordant(first: Mapping[str, Any], second: Mapping[str, Any]) -> Discordant | None:
    """Images of which one run alone was right, of two that saw the same images.

    Results that do not tell which images were right still tell what was predicted. Where two predictions differ at most
    one of them is right, so there are at most as many such images as predictions that differ, and their difference is
    that of the runs' right answers.

    Args:
        first: ``accuracy`` of a run.
        second: of another, on the same images.

    Returns:
        None where results tell neither.
    """
    if first["count"] != second["count"]:
        return None
    ours, theirs = right_answers(first), right_answers(second)
    if ours is not None and theirs is not None:
        return Discordant(int(np.count_nonzero(ours & ~theirs)), int(np.count_nonzero(theirs & ~ours)), exact=True)
    if not first.get("predictions") or not second.get("predictions"):
        return None
    differing = int(np.count_nonzero(decode_array(first["predictions"]) != decode_array(second["predictions"])))
    ahead = round(first["top1"] * first["count"]) - round(second["top1"] * second["count"])
    shared = max(0, differing - abs(ahead)) // 2
    return Discordant(shared + max(ahead, 0), shared + max(-ahead, 0), exact=False)
