"""Find room for a label beside each point of a crowded picture.

Labelling points without overlap is NP-hard (Formann and Wagner, 1991); a greedy start and a few rounds in which each
label in turn moves to its cheapest place are near enough for a few dozen points, and always give the same answer.
"""

from __future__ import annotations

__all__ = ["Anchor", "Box", "Placed", "place", "text_width"]

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

GAPS = (4.0, 12.0, 24.0, 38.0, 54.0, 74.0, 100.0, 130.0)
"""Distances in pixels between a mark and its label that are tried."""

DIRECTIONS = 20
MANY = 30
"""Above this many points fewer places are tried: a crowd has no free room, and the time grows with its square."""

LEADER_FROM = 9.0
"""A label farther than this from its mark is tied to it by a line."""

ROUNDS = 8
CHOICES = 80
"""Cheapest places of each label that are weighed against those of the others."""

BAR_COST = 24.0
APART = 6.0
"""Pixels between two labels, so that neither numbers nor names run into one."""

NARROW = frozenset("iljtfrI.,:;'|!()[]- \N{MIDDLE DOT}")


class Box(NamedTuple):
    """A rectangle in pixels, y growing downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box, margin: float = 0.0) -> float:
        """Return the area in square pixels that both cover, ``other`` grown by ``margin`` on every side."""
        width = min(self.right, other.right + margin) - max(self.left, other.left - margin)
        height = min(self.bottom, other.bottom + margin) - max(self.top, other.top - margin)
        return width * height if width > 0 and height > 0 else 0.0

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Return the point of the rectangle that is nearest to (``x``, ``y``)."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


@dataclass(frozen=True)
class Anchor:
    """A point that wants a label.

    Attributes:
        x: its middle.
        y: its middle.
        radius: of the circle around its mark.
        width: of its label.
        height: of its label.
        bars: its error bars, which labels had better not cover.
    """

    x: float
    y: float
    radius: float
    width: float
    height: float
    bars: tuple[Box, ...] = ()

    @cached_property
    def box(self) -> Box:
        """The square around the mark."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True)
class Placed:
    """Where a label goes.

    Attributes:
        box: the rectangle of its text.
        line: x1, y1, x2, y2 of the shortest line from the rim of the mark to the label.
        far: whether the label is so far from its mark that the line should be drawn.
    """

    box: Box
    line: tuple[float, float, float, float]
    far: bool

    @cached_property
    def extent(self) -> Box:
        """The rectangle around text and line."""
        if not self.far:
            return self.box
        x, y = self.line[:2]
        return Box(min(self.box.left, x), min(self.box.top, y), max(self.box.right, x), max(self.box.bottom, y))


Choice = tuple[float, Placed]
"""A place for a label with what it costs whatever the other labels do."""


def text_width(text: str, font_size: float) -> float:
    """Estimate the width in pixels of ``text`` in a common sans-serif font, rather too wide than too narrow."""
    ems = 0.0
    for character in text:
        if unicodedata.east_asian_width(character) in "WF":
            ems += 1.0
        elif character in NARROW:
            ems += 0.36
        else:
            ems += 0.9 if character in "mwMW@%" else 0.64
    return ems * font_size


def _candidates(anchor: Anchor, bounds: Box, gaps: Sequence[float], directions: int) -> Iterator[Choice]:
    """Yield each place for a label inside ``bounds`` with what its distance costs."""
    for gap in gaps:
        for step in range(directions):
            angle = 2 * math.pi * step / directions
            right, down = math.cos(angle), math.sin(angle)
            edge_x, edge_y = anchor.x + right * (anchor.radius + gap), anchor.y + down * (anchor.radius + gap)
            # The label is shifted along the ray's side, so that it is its rim and not its middle that lies on the ray.
            middle_x = edge_x + max(-1.0, min(1.0, 1.6 * right)) * anchor.width / 2
            middle_y = edge_y + max(-1.0, min(1.0, 1.6 * down)) * anchor.height / 2
            box = Box(
                middle_x - anchor.width / 2,
                middle_y - anchor.height / 2,
                middle_x + anchor.width / 2,
                middle_y + anchor.height / 2,
            )
            if box.left < bounds.left or box.right > bounds.right or box.top < bounds.top or box.bottom > bounds.bottom:
                continue
            end_x, end_y = box.nearest(anchor.x, anchor.y)
            length = math.hypot(end_x - anchor.x, end_y - anchor.y) or 1.0
            share = anchor.radius / length
            start_x, start_y = anchor.x + (end_x - anchor.x) * share, anchor.y + (end_y - anchor.y) * share
            far = length - anchor.radius >= LEADER_FROM
            cost = gap + (6 if far else 0)
            if far and anchor.bars and abs(end_x - anchor.x) < 4:
                cost += BAR_COST  # the line would run along the accuracy's error bar
            yield cost, Placed(box, (start_x, start_y, end_x, end_y), far)


def _inside(line: tuple[float, float, float, float], box: Box) -> float:
    """Return how many pixels of a line segment lie in ``box`` (Liang and Barsky, 1984)."""
    x, y, x2, y2 = line
    enter, leave = 0.0, 1.0
    for start, step, low, high in ((x, x2 - x, box.left, box.right), (y, y2 - y, box.top, box.bottom)):
        if step == 0:
            if not low < start < high:
                return 0.0
            continue
        first, last = (low - start) / step, (high - start) / step
        if first > last:
            first, last = last, first
        enter, leave = max(enter, first), min(leave, last)
        if enter >= leave:
            return 0.0
    return (leave - enter) * math.hypot(x2 - x, y2 - y)


def _intersect(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    """Return whether two line segments cross."""

    def side(line: tuple[float, float, float, float], x: float, y: float) -> bool:
        return (line[2] - line[0]) * (y - line[1]) > (line[3] - line[1]) * (x - line[0])

    return side(a, b[0], b[1]) != side(a, b[2], b[3]) and side(b, a[0], a[1]) != side(b, a[2], a[3])


def _fixed_cost(at: Placed, anchor: Anchor, near: Sequence[Anchor], lines: Sequence[Box]) -> float:
    """Return what a place costs however the other labels lie: what it covers, and whose label it could be taken for."""
    cost = sum(BAR_COST for line in lines if at.box.overlap(line, 1))
    cost += sum(BAR_COST for bar in anchor.bars if at.box.overlap(bar, 1))
    own = math.hypot(at.line[2] - at.line[0], at.line[3] - at.line[1])
    for other in near:
        cost += sum(BAR_COST for bar in other.bars if at.box.overlap(bar, 1))
        covered = at.box.overlap(other.box, 1)
        if covered:
            cost += 60 + 4 * covered
        if at.far:
            cost += 10 * _inside(at.line, other.box)
        else:
            x, y = at.box.nearest(other.x, other.y)
            if math.hypot(x - other.x, y - other.y) - other.radius < own + 3:
                cost += 60  # nearer to another mark
        # Small marks are drawn over large ones: a label is read as belonging to the mark that is seen beside it.
        if other.radius <= anchor.radius and math.hypot(at.line[0] - other.x, at.line[1] - other.y) < other.radius:
            cost += 100
    return cost


def _mutual_cost(one: Placed, other: Placed) -> float:
    """Return what it costs that two labels, or the lines to them, cover or cross each other."""
    if not one.extent.overlap(other.extent, APART):
        return 0.0
    covered = one.box.overlap(other.box, APART)
    cost = 400 + 10 * covered if covered else 0.0
    if one.far and _inside(one.line, other.box):
        cost += 150
    if other.far and _inside(other.line, one.box):
        cost += 150
    if one.far and other.far and _intersect(one.line, other.line):
        cost += 120
    return cost


def _neighbors(anchors: Sequence[Anchor], farthest: float) -> list[list[int]]:
    """Return for each point those whose marks, bars or labels its own label could meet."""
    reach = [anchor.radius + farthest + 4 for anchor in anchors]
    spans = [
        Box(
            min(anchor.x - room - anchor.width, *(bar.left for bar in anchor.bars), anchor.x),
            min(anchor.y - room - anchor.height, *(bar.top for bar in anchor.bars), anchor.y),
            max(anchor.x + room + anchor.width, *(bar.right for bar in anchor.bars), anchor.x),
            max(anchor.y + room + anchor.height, *(bar.bottom for bar in anchor.bars), anchor.y),
        )
        for anchor, room in zip(anchors, reach, strict=True)
    ]
    return [
        [other for other in range(len(anchors)) if other != index and span.overlap(spans[other])]
        for index, span in enumerate(spans)
    ]


def _cheapest(found: Sequence[Choice], others: Sequence[Placed]) -> Choice:
    """Return the place that costs least beside the places that others have taken."""
    best, least = found[0], math.inf
    for choice in found:
        total, at = choice
        if total >= least:
            break
        for other in others:
            total += _mutual_cost(at, other)
            if total >= least:
                break
        else:
            best, least = choice, total
    return best


def _settled(choices: Sequence[Sequence[Choice]], near: Sequence[Sequence[int]], order: Sequence[int]) -> list[Choice]:
    """Place the labels in the order given, then let each move until none gains by it."""
    taken: dict[int, Choice] = {}
    for _ in range(ROUNDS):
        before = dict(taken)
        for index in order:
            taken[index] = _cheapest(choices[index], [taken[other][1] for other in near[index] if other in taken])
        if taken == before:
            break
    return [taken[index] for index in range(len(choices))]


def _total(solution: Sequence[Choice], near: Sequence[Sequence[int]]) -> float:
    mutual = sum(
        _mutual_cost(at, solution[other][1]) for index, (_, at) in enumerate(solution) for other in near[index]
    )
    return sum(cost for cost, _ in solution) + mutual / 2


def _forced(anchor: Anchor, bounds: Box) -> Placed:
    """Return a place for a label that fits nowhere: at the left edge, below its mark."""
    top = min(anchor.y + anchor.radius, bounds.bottom - anchor.height)
    box = Box(bounds.left, top, bounds.left + anchor.width, top + anchor.height)
    return Placed(box, (anchor.x, anchor.y, *box.nearest(anchor.x, anchor.y)), far=False)


def place(anchors: Sequence[Anchor], bounds: Box, lines: Sequence[Box] = ()) -> list[Placed]:
    """Choose a place for the label of every anchor.

    Args:
        anchors: the points, with the sizes of their labels.
        bounds: no label leaves this rectangle; one that is wider is put at its left edge.
        lines: further flat rectangles that labels had better not cover.

    Returns:
        One place for each anchor, in their order.
    """
    gaps, directions = (GAPS, DIRECTIONS) if len(anchors) <= MANY else (GAPS[:2], 8)
    near = _neighbors(anchors, gaps[-1])
    choices: list[list[Choice]] = []
    for anchor, close in zip(anchors, near, strict=True):
        others = [anchors[other] for other in close]
        found = [
            (cost + _fixed_cost(at, anchor, others, lines), at)
            for cost, at in _candidates(anchor, bounds, gaps, directions)
        ] or [(0.0, _forced(anchor, bounds))]
        choices.append(sorted(found, key=lambda choice: choice[0])[:CHOICES])
    forward = range(len(anchors))
    hardest_first = sorted(forward, key=lambda index: -choices[index][0][0])
    orders = (hardest_first, forward, forward[::-1]) if len(anchors) <= MANY else (hardest_first,)
    solutions = [_settled(choices, near, order) for order in orders]
    return [at for _, at in min(solutions, key=lambda solution: _total(solution, near))]
