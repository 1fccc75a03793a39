"""The space that is searched: points that can be measured, each a value on every axis."""

from __future__ import annotations

__all__ = ["Axis", "Point", "Space", "Value"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwsep_runtime.errors import InvalidInput

Value = str | int | float
Point = Mapping[str, Value]
"""Name of an axis -> value, such as {"alpha": 0.35, "recipe": "tflite-w8a8", "threads": 4}."""


@dataclass(frozen=True)
class Axis:
    """What points may differ by.

    Attributes:
        name: such as alpha, resolution, recipe, engine or threads; nothing depends on which.
        values: that occur, each once; numbers ascending, others in the order of the points.
    """

    name: str
    values: tuple[Value, ...]

    @property
    def ordered(self) -> bool:
        """Whether neighbouring values are likelier to be alike: whether they are numbers."""
        return all(_is_number(value) for value in self.values)

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where each value of an ordered axis lies, from 0 to 1; by ratio where all are positive."""
        numbers = np.array([float(value) for value in self.values])
        scaled = np.log(numbers) if numbers.min() > 0 else numbers
        width = scaled[-1] - scaled[0]
        return np.asarray((scaled - scaled[0]) / width if width else np.zeros(len(scaled)))


@dataclass(frozen=True)
class Space:
    """Points to choose among; not every combination of values need be one of them.

    Attributes:
        points: each once, all of the same axes.

    Raises:
        InvalidInput: no points, points of different axes, one twice, or a value that is no text or finite number.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise InvalidInput("there is nothing to search: no points were given; give at least one")
        names = list(self.points[0])
        for point in self.points:
            if set(point) != set(names):
                raise InvalidInput(f"points must have the same axes, received {names} and {list(point)}")
            for name, value in point.items():
                if not isinstance(value, str) and not _is_number(value):
                    raise InvalidInput(f"a value must be a text or a finite number, received {value!r} on {name}")
        if len(self.indices) != len(self.points):
            raise InvalidInput("a point was given twice; give each once")

    @classmethod
    def of(cls, points: Sequence[Point]) -> Space:
        """A space of copies of points."""
        return cls(tuple(dict(point) for point in points))

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """The axes, in the order of the first point, those with a single value included."""
        axes = []
        for name in self.points[0]:
            values = list(dict.fromkeys(point[name] for point in self.points))
            numbers = all(map(_is_number, values))
            axes.append(Axis(name, tuple(sorted(values, key=float) if numbers else values)))
        return tuple(axes)

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """Index of each point's value on each axis, int64 (points, axes)."""
        places = [{value: place for place, value in enumerate(axis.values)} for axis in self.axes]
        rows = [
            [place[point[axis.name]] for axis, place in zip(self.axes, places, strict=True)] for point in self.points
        ]
        return np.array(rows, np.int64).reshape(len(self.points), len(self.axes))

    @cached_property
    def indices(self) -> Mapping[tuple[Value, ...], int]:
        """Index of a point by its values in the order of the first point's axes."""
        names = list(self.points[0])
        return {tuple(point[name] for name in names): index for index, point in enumerate(self.points)}

    def index(self, values: Mapping[str, Any]) -> int | None:
        """Which point has these values; None if no point has."""
        names = list(self.points[0])
        if set(values) != set(names):
            return None
        return self.indices.get(tuple(values[name] for name in names))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
