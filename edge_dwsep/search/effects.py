"""A model of what the axes' values do to an objective: their effects added up, and how these depend on one another.

It is a Gaussian process (Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", chapters 2 and 5); two
points have the covariance

    noise + level + sum over axes of v_a k_a + v_p product over axes of (r_a + (1 - r_a) k_a)

where k_a tells how alike two values of axis a are: 1 or 0 for names, exp(-distance / length) for numbers. The sum holds
effects that add up, as factors of latency do in its logarithm; the product holds what the axes do together, such as a
scheme that is fast on one engine alone, and r_a near 1 says that axis a has no part in it.
"""

from __future__ import annotations

__all__ = ["Effects", "fit_effects", "straightened"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_dwsep.search.space import Space

LEVEL = 1.0
STEPS = (1.5, 0.75, 0.4, 0.2)
"""Factors by which a parameter is changed in turn, as logarithms."""

JITTER = 1e-8
LEAST_SPREAD = 1e-12


@dataclass(frozen=True)
class Effects:
    """What is believed of an objective at every point of a space.

    Attributes:
        mean: (points,), in the straightened objective's own unit.
        deviation: (points,), of the objective without the noise of a measurement.
        noise: standard deviation of a measurement.
        covariance: of the objective at some points by their indices, (indices, indices).
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    noise: float
    covariance: Callable[[NDArray[np.int64]], NDArray[np.float64]]


def straightened(values: NDArray[np.float64], *, maximize: bool) -> NDArray[np.float64]:
    """An objective brought to a scale on which effects add up, and turned so that less is better; order is kept.

    The logarithm of what is positive, where that is to be small; of what is missing to 1, where a share is to be large.

    Args:
        values: all that are known of the objective, (count,).
        maximize: whether more is better.
    """
    if maximize and (values >= 0).all() and (values <= 1).all():
        return np.log(np.maximum(1 - values, 1e-4))
    if (values > 0).all():
        return -np.log(values) if maximize else np.log(values)
    return -values if maximize else values.copy()


def fit_effects(space: Space, tried: NDArray[np.int64], values: NDArray[np.float64]) -> Effects:
    """Fit the model to what was measured, by maximum a posteriori.

    Args:
        space: the points.
        tried: indices of points measured, int64 (count,).
        values: of the straightened objective there, (count,).
    """
    centre, spread = float(values.mean()), float(values.std())
    if spread < LEAST_SPREAD:
        flat = np.zeros(len(space.points))
        return Effects(flat + centre, flat, 0.0, lambda some: np.zeros((len(some), len(some))))
    scaled = (values - centre) / spread
    likeness = _Likeness(space)
    among = likeness.between(tried, tried)
    parameters = _fitted(lambda given: _misfit(likeness.covariance(among, given), given, scaled), likeness.start())
    noise = math.exp(2 * parameters[0])
    factor = np.linalg.cholesky(likeness.covariance(among, parameters) + (noise + JITTER) * np.eye(len(tried)))
    everywhere = np.arange(len(space.points), dtype=np.int64)
    half = np.linalg.solve(factor, likeness.covariance(likeness.between(tried, everywhere), parameters))
    mean = half.T @ np.linalg.solve(factor, scaled)
    alone = LEVEL + math.exp(parameters[1]) + float(np.exp(likeness.own_variances(parameters)).sum())
    left = np.maximum(alone - (half**2).sum(axis=0), 0)

    def covariance(some: NDArray[np.int64]) -> NDArray[np.float64]:
        prior = likeness.covariance(likeness.between(some, some), parameters)
        return np.asarray(spread**2 * (prior - half[:, some].T @ half[:, some]))

    return Effects(centre + spread * mean, spread * np.sqrt(left), spread * math.sqrt(noise), covariance)


class _Likeness:
    """Covariances of a space's points by parameters.

    Parameters, as one vector: logarithm of the noise's deviation, logarithm of v_p, logarithm of the lengths, and for
    each axis the logarithm of v_a and the logit of r_a.
    """

    def __init__(self, space: Space) -> None:
        self.axes = [place for place, axis in enumerate(space.axes) if len(axis.values) > 1]
        self.levels = space.levels
        self.tables = []
        for place in self.axes:
            axis = space.axes[place]
            if axis.ordered:
                positions = axis.positions
                self.tables.append(np.abs(positions[:, np.newaxis] - positions))
            else:
                self.tables.append(np.where(np.eye(len(axis.values), dtype=bool), 0.0, np.inf))

    def start(self) -> NDArray[np.float64]:
        count = len(self.axes)
        each = math.log(1 / max(1, count))
        return np.array([math.log(0.1), math.log(0.2), 0.0, *([each] * count), *([1.0] * count)])

    def own_variances(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of v_a of each axis."""
        return parameters[3 : 3 + len(self.axes)]

    def between(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """Distances on each axis of points from points, (first, second) an axis."""
        return [
            table[self.levels[first, place][:, np.newaxis], self.levels[second, place]]
            for place, table in zip(self.axes, self.tables, strict=True)
        ]

    def covariance(self, distances: list[NDArray[np.float64]], parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        count = len(self.axes)
        length = math.exp(parameters[2])
        product = np.array(math.exp(parameters[1]))
        total = np.array(LEVEL)
        variances = np.exp(self.own_variances(parameters))
        for axis, distance in enumerate(distances):
            alike = np.exp(-distance / length)
            apart = 1 / (1 + math.exp(-parameters[3 + count + axis]))
            total = total + variances[axis] * alike
            product = product * (apart + (1 - apart) * alike)
        return np.asarray(total + product)


def _misfit(covariance: NDArray[np.float64], parameters: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Negative logarithm of the posterior density of the parameters, but for a constant."""
    noise = math.exp(2 * parameters[0]) + JITTER
    try:
        factor = np.linalg.cholesky(covariance + noise * np.eye(len(values)))
    except np.linalg.LinAlgError:
        return math.inf
    half = np.linalg.solve(factor, values)
    likelihood = float(half @ half) / 2 + float(np.log(np.diag(factor)).sum())
    return likelihood + _prior(parameters)


def _prior(parameters: NDArray[np.float64]) -> float:
    """Measurements scatter by about a twentieth; what axes do together is less than what they do one by one."""
    count = (len(parameters) - 3) // 2
    centres = np.array([math.log(0.05), math.log(0.1), 0.0, *([math.log(0.3)] * count), *([1.0] * count)])
    widths = np.array([1.0, 1.0, 0.7, *([1.5] * count), *([1.5] * count)])
    return float((((parameters - centres) / widths) ** 2).sum()) / 2


def _fitted(misfit: Callable[[NDArray[np.float64]], float], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinate by coordinate, in ever smaller steps: some hundred values of a function that takes a millisecond."""
    best, least = start, misfit(start)
    for step in STEPS:
        for place in range(len(start)):
            for change in (step, -step):
                moved = best.copy()
                moved[place] += change
                found = misfit(moved)
                if found < least:
                    best, least = moved, found
                    break
    return best
