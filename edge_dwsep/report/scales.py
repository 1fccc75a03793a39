"""Axes of the picture: from figures to pixels, with ticks at round figures."""

from __future__ import annotations

__all__ = ["Scale", "latency_scale", "linear_scale", "linear_ticks", "log_ticks", "round_sizes"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOG_FROM_RATIO = 3.0
"""A latency axis is logarithmic when its slowest run takes more than this many times its fastest."""


@dataclass(frozen=True)
class Scale:
    """A straight or logarithmic map from figures to pixels.

    Attributes:
        low: figure drawn at pixel ``start``.
        high: figure drawn at pixel ``end``.
        start: pixel of ``low``.
        end: pixel of ``high``; below ``start`` for an axis that points up.
        logarithmic: whether equal ratios, rather than equal differences, take equal room.
        ticks: figures to mark, ascending.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: tuple[float, ...]

    def __call__(self, figure: float) -> float:
        """Return the pixel of ``figure``."""
        if self.logarithmic:
            share = math.log(figure / self.low) / math.log(self.high / self.low)
        else:
            share = (figure - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def _round_step(width: float, parts: int) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that cuts ``width`` into at most ``parts``."""
    power = 10.0 ** math.floor(math.log10(width / parts))
    return next(power * factor for factor in (1, 2, 5, 10, 20) if width / (power * factor) <= parts)


def linear_ticks(low: float, high: float, most: int = 7) -> tuple[float, ...]:
    """Return the multiples of a round step (1, 2 or 5 times a power of ten) from ``low`` to ``high``.

    >>> linear_ticks(89.6, 93.1)
    (90.0, 90.5, 91.0, 91.5, 92.0, 92.5, 93.0)
    """
    step = _round_step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return tuple(round(index * step, digits) for index in range(first, last + 1))


def log_ticks(low: float, high: float, most: int = 9) -> tuple[float, ...]:
    """Return 1, 2 and 5 times powers of ten from ``low`` to ``high``; more on a short axis, fewer on a long one.

    >>> log_ticks(0.03, 0.4)
    (0.05, 0.1, 0.2)
    >>> log_ticks(0.5, 1.9)
    (0.5, 0.7, 1.0, 1.5)
    >>> log_ticks(0.001, 1000, most=8)
    (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def between(factors: Sequence[float]) -> tuple[float, ...]:
        every = (float(f"{factor}e{power}") for power in powers for factor in factors)
        return tuple(tick for tick in every if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9))

    ticks = between((1, 2, 5))
    if len(ticks) < 3:
        return between((1, 1.5, 2, 3, 5, 7))
    if len(ticks) > most:
        decades = between((1,))
        return decades[:: math.ceil(len(decades) / most)]
    return ticks


def linear_scale(
    extent: tuple[float, float],
    pixels: tuple[float, float],
    padding: float,
    *,
    least: float = 0.0,
    limits: tuple[float, float] = (-math.inf, math.inf),
    most: int = 7,
) -> Scale:
    """Fit a straight scale to ``extent``.

    Args:
        extent: smallest and largest figure to show.
        pixels: where the axis starts and ends.
        padding: pixels kept free at either end.
        least: width in figures below which the extent is widened around its middle.
        limits: figures beyond which there are no ticks.
        most: ticks at most, roughly.

    Returns:
        A scale whose ticks cover the whole axis, padding included.
    """
    low, high = extent
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    start, end = pixels
    per_pixel = (high - low) / (abs(end - start) - 2 * padding)
    low, high = low - padding * per_pixel, high + padding * per_pixel
    ticks = linear_ticks(max(low, limits[0]), min(high, limits[1]), most)
    return Scale(low, high, start, end, logarithmic=False, ticks=ticks)


def latency_scale(
    centers: Sequence[float],
    extent: tuple[float, float],
    pixels: tuple[float, float],
    padding: float,
    *,
    most: int = 9,
) -> Scale:
    """Fit a latency axis: logarithmic when the runs lie more than a factor of 3 apart.

    Args:
        centers: latencies of the runs in ms, above 0.
        extent: smallest and largest figure to show in ms, intervals included.
        pixels: where the axis starts and ends.
        padding: pixels kept free at either end.
        most: ticks at most, roughly.
    """
    smallest, largest = min(centers), max(centers)
    if largest / smallest <= LOG_FROM_RATIO:
        least = 0.1 * largest
        return linear_scale(extent, pixels, padding, least=least, limits=(0.0, math.inf), most=most)
    low = extent[0] if extent[0] > 0 else smallest / 2
    start, end = pixels
    per_pixel = math.log(extent[1] / low) / (abs(end - start) - 2 * padding)
    stretch = math.exp(padding * per_pixel)
    low, high = low / stretch, extent[1] * stretch
    return Scale(low, high, start, end, logarithmic=True, ticks=log_ticks(low, high, most))


def round_sizes(smallest: float, largest: float) -> tuple[float, ...]:
    """Return up to three round sizes for a legend, about the range from ``smallest`` to ``largest``.

    >>> round_sizes(280_000, 880_000)
    (200000.0, 500000.0, 1000000.0)
    """
    powers = range(math.floor(math.log10(smallest)) - 1, math.ceil(math.log10(largest)) + 1)
    every = (float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5))
    near = [size for size in every if 0.5 * smallest <= size <= 1.25 * largest]
    return tuple(near[-3:] if len(near) <= 4 else (near[0], near[len(near) // 2], near[-1]))
