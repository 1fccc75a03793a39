"""What a variant must meet to be chosen, and whether its intervals show that it does."""

from __future__ import annotations

__all__ = ["Constraints", "Finding", "findings"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dwsep_runtime.errors import UnknownName
from edge_dwsep.choice.drop import Drop
from edge_dwsep.choice.objectives import OBJECTIVES, Figure, Objective
from edge_dwsep.choice.quantities import bytes_of, milliseconds_of, points_of, share_of

UPPER = {"max_p50": "p50", "max_p90": "p90", "max_size": "size", "max_memory": "memory"}
"""Constraints that an objective must not exceed."""

READ: Mapping[str, Callable[[str, str], float]] = {
    "max_drop": points_of,
    "max_p50": milliseconds_of,
    "max_p90": milliseconds_of,
    "max_size": bytes_of,
    "max_memory": bytes_of,
    "min_top1": share_of,
}


@dataclass(frozen=True)
class Constraints:
    """Limits; None where there is none.

    Attributes:
        max_drop: accuracy that may be lost against float, as a share.
        max_p50: in ms.
        max_p90: in ms.
        max_size: of the model file, in bytes.
        max_memory: peak of the process, in bytes.
        min_top1: a share.
    """

    max_drop: float | None = None
    max_p50: float | None = None
    max_p90: float | None = None
    max_size: float | None = None
    max_memory: float | None = None
    min_top1: float | None = None

    @classmethod
    def from_texts(
        cls, texts: Mapping[str, str | None], *, option: Callable[[str], str] = lambda name: name
    ) -> Constraints:
        """Constraints as options and plans write them, such as ``{"max_drop": "1pp", "max_p90": "20ms"}``.

        Args:
            texts: by the names of the attributes; None or nothing where there is none.
            option: what messages call a name.

        Raises:
            InvalidInput: a quantity cannot be read.
            UnknownName: there is no such constraint.
        """
        for name in texts:
            if name not in READ:
                raise UnknownName("constraint", name, READ)
        return cls(**{name: READ[name](text, option(name)) for name, text in texts.items() if text})

    def to_json(self) -> dict[str, float]:
        """Those that there are."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def of_accuracy(self) -> bool:
        """Whether they say how accurate a variant must be."""
        return self.max_drop is not None or self.min_top1 is not None


@dataclass(frozen=True)
class Finding:
    """What a constraint makes of a run.

    Attributes:
        constraint: its name.
        met: False where the run is shown not to meet it, None where it cannot be told.
        reason: a clause that says why, for people; empty where it is met.
    """

    constraint: str
    met: bool | None
    reason: str = ""


def findings(constraints: Constraints, run: Mapping[str, Any], drop: Drop | None) -> Sequence[Finding]:
    """What each constraint makes of a run.

    Args:
        constraints: what is asked for.
        run: a run's record.
        drop: how much accuracy it loses; None where that is not known.
    """
    found = []
    if constraints.max_drop is not None:
        found.append(_drop(constraints.max_drop, drop))
    if constraints.min_top1 is not None:
        found.append(_objective("min_top1", constraints.min_top1, OBJECTIVES["top1"], run))
    for name, objective in UPPER.items():
        limit = getattr(constraints, name)
        if limit is not None:
            found.append(_objective(name, limit, OBJECTIVES[objective], run))
    return found


def _objective(name: str, limit: float, objective: Objective, run: Mapping[str, Any]) -> Finding:
    figure = objective.figure(run)
    if figure is None:
        return Finding(name, None, f"{objective.noun} was not measured")
    wanted = f"{'at least' if objective.larger_is_better else 'at most'} {objective.write(limit)} is asked for"
    if objective.larger_is_better:
        met = _within(Figure(-figure.value, -figure.high, -figure.low), -limit)
    else:
        met = _within(figure, limit)
    return Finding(name, met, "" if met else f"{objective.noun} is {objective.written(figure)}, {wanted}")


def _drop(limit: float, drop: Drop | None) -> Finding:
    if drop is None:
        return Finding("max_drop", None, "how much accuracy it loses is not known")
    met = _within(drop.figure, limit)
    reason = (
        "" if met else f"it loses {drop.written()} against {drop.reference}, at most {100 * limit:g} pp is asked for"
    )
    return Finding("max_drop", met, reason)


def _within(figure: Figure, limit: float) -> bool | None:
    if figure.high <= limit:
        return True
    return False if figure.low > limit else None
