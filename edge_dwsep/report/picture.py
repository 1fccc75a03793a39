"""Accuracy against latency as inline SVG: a mark for each run, its area the file size, its bars the 95 % intervals."""

from __future__ import annotations

__all__ = ["NARROW", "WIDE", "Canvas", "Legend", "dashes", "draw", "swatch"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_dwsep.report.figures import escape, milliseconds, percent, size, span
from edge_dwsep.report.placement import Anchor, Box, Placed, place, text_width
from edge_dwsep.report.runs import Interval, ReportedRun
from edge_dwsep.report.scales import Scale, latency_scale, linear_scale, round_sizes

SCHEME_COLORS = {
    "float32": "#0072b2",
    "float16": "#56b4e9",
    "w8-dynamic": "#009e73",
    "w8a8": "#e69f00",
    "w8-weight-only": "#cc79a7",
    "w8a16": "#d55e00",
    "w4-weight-only": "#f0e442",
    "mixed": "#999999",
}
"""Fill of a mark: the palette of Okabe and Ito, "Color Universal Design" (2008), with a grey in place of black, which
would vanish on a dark page. A further scheme takes the first color that is free."""

ENGINE_SHAPES = {"litert": "circle", "tflite": "square", "onnxruntime": "diamond"}
"""Outline of a mark. A further engine takes the first shape that is free."""

SHAPES = ("circle", "square", "diamond", "triangle", "hexagon")
CORNERS = {"square": (4, 45.0), "diamond": (4, 0.0), "triangle": (3, 30.0), "hexagon": (6, 0.0)}
"""Corners of a shape and the angle in degrees of its first, clockwise from three o'clock."""

LONGEST_LABEL = 34


@dataclass(frozen=True)
class Canvas:
    """The measures of one drawing, in pixels of its view box.

    Attributes:
        name: class of the drawing, which decides on which screens it shows.
        width: of the drawing.
        height: of the drawing.
        left: room for the accuracy axis.
        right: margin.
        top: room for the size legend.
        bottom: room for the latency axis.
        font: size of all text.
        largest: radius of the circle for the largest file.
        most_names: more points than this are labelled with their number rather than their name.
        ticks: latency ticks at most.
    """

    name: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    font: float
    largest: float
    most_names: int
    ticks: int


WIDE = Canvas("wide", 1040, 600, 50, 14, 48, 62, 15, 16, 16, 9)
NARROW = Canvas("narrow", 358, 460, 40, 4, 66, 52, 13, 12, 0, 5)


@dataclass(frozen=True)
class Legend:
    """Which color each scheme has, and which shape each engine."""

    colors: dict[str, str]
    shapes: dict[str, str]

    @classmethod
    def of(cls, runs: Sequence[ReportedRun]) -> Legend:
        """Give every scheme and engine of the runs a look; the known ones keep theirs from page to page."""
        schemes, engines = ({run.scheme: "" for run in runs}, {run.engine: "" for run in runs})
        return cls(
            _assign(schemes, SCHEME_COLORS, tuple(SCHEME_COLORS.values())), _assign(engines, ENGINE_SHAPES, SHAPES)
        )


def _assign(names: dict[str, str], known: dict[str, str], looks: tuple[str, ...]) -> dict[str, str]:
    ordered = [name for name in known if name in names] + [name for name in names if name not in known]
    taken = {known[name] for name in ordered if name in known}
    free = [look for look in looks if look not in taken] or list(looks)
    strange = [name for name in ordered if name not in known]
    given = {name: free[at % len(free)] for at, name in enumerate(strange)}
    return {name: known.get(name) or given[name] for name in ordered}


def _circumradius(shape: str, area: float) -> float:
    """Return the radius of the circle around a shape of ``area`` square pixels.

    A regular polygon of n corners on a circle of radius r covers n/2 r^2 sin(2 pi/n).
    """
    if shape not in CORNERS:
        return math.sqrt(area / math.pi)
    corners, _ = CORNERS[shape]
    return math.sqrt(2 * area / (corners * math.sin(2 * math.pi / corners)))


def _mark(shape: str, x: float, y: float, area: float, attributes: str) -> str:
    """Draw a shape of ``area`` square pixels about (``x``, ``y``)."""
    radius = _circumradius(shape, area)
    if shape not in CORNERS:
        return f'<circle {attributes} cx="{x:.2f}" cy="{y:.2f}" r="{radius:.3f}"/>'
    corners, first = CORNERS[shape]
    angles = (math.radians(first) + 2 * math.pi * corner / corners for corner in range(corners))
    points = " ".join(f"{x + radius * math.cos(a):.2f},{y + radius * math.sin(a):.2f}" for a in angles)
    return f'<polygon {attributes} points="{points}"/>'


def swatch(shape: str, color: str) -> str:
    """Return a small drawing of one mark, for the legend, the key and the table; an empty color gives an outline."""
    attributes = f'class="mark" fill="{color}"' if color else 'class="mark hollow"'
    return (
        '<svg class="swatch" viewBox="0 0 18 18" width="18" height="18" aria-hidden="true">'
        f"{_mark(shape, 9, 9.5 if shape == 'triangle' else 9, 110, attributes)}</svg>"
    )


def dashes() -> str:
    """Return a small drawing of the line that stands for the float model."""
    return (
        '<svg class="swatch" viewBox="0 0 18 18" width="18" height="18" aria-hidden="true">'
        '<path class="reference" d="M-1 9H19"/></svg>'
    )


def _described(name: str, run: ReportedRun) -> str:
    """Return what a pointer resting on the mark is told."""
    lines = [
        name,
        f"{run.engine} {run.engine_version}".strip() + f", {run.scheme}",
        f"p50 {milliseconds(run.p50)} ms {span(run.p50_interval, milliseconds)}".rstrip(),
        f"top-1 {percent(run.top1)} % {span(run.top1_interval, percent)}".rstrip(),
    ]
    if run.p90 is not None:
        lines.insert(3, f"p90 {milliseconds(run.p90)} ms")
    lines.append(f"file {size(run.file_bytes)}" if run.file_bytes else "file size unknown")
    return "\n".join(lines)


def _extent(centers: Sequence[float], intervals: Sequence[Interval | None]) -> Interval:
    every = [*centers, *(end for interval in intervals if interval for end in interval)]
    return min(every), max(every)


def _axes(canvas: Canvas, across: Scale, up: Scale) -> list[str]:
    """Draw grid lines, tick labels and axis titles."""
    left, right = canvas.left, canvas.width - canvas.right
    top, bottom = canvas.top, canvas.height - canvas.bottom
    parts = []
    digits = max((len(f"{tick:g}".partition(".")[2]) for tick in up.ticks), default=0)
    for tick in up.ticks:
        y = up(tick)
        parts.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8:.1f}" y="{y + 4.5:.1f}" text-anchor="end">{tick:.{digits}f}</text>'
        )
    for tick in across.ticks:
        x = across(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{bottom + canvas.font + 7:.1f}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(f'<path class="axis" d="M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}"/>')
    kind = ", log scale" if across.logarithmic else ""
    middle = (left + right) / 2
    parts.append(
        f'<text class="title" x="{middle:.1f}" y="{canvas.height - 8:.1f}" text-anchor="middle">'
        f"p50 latency of one inference, ms{kind}</text>"
    )
    # Upright words above the axis are read faster than a title on its side, and leave the plot more of a small screen.
    parts.append(f'<text class="title" x="0" y="{top - 10:.1f}">top-1 accuracy, %</text>')
    return parts


def _size_legend(canvas: Canvas, sizes: Sequence[float], area_per_byte: float) -> list[str]:
    """Draw a few round sizes in the top margin, right-aligned, at the scale of the marks."""
    x, y = canvas.width - canvas.right, canvas.largest + 4
    parts: list[str] = []
    for bytes_ in sorted(round_sizes(min(sizes), max(sizes)), reverse=True):
        written = size(bytes_).replace(".00 ", " ").replace(".0 ", " ")
        area = bytes_ * area_per_byte
        radius = math.sqrt(area / math.pi)
        x -= text_width(written, canvas.font) * 0.92
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y + 4.5:.1f}">{written}</text>')
        x -= radius + 6
        parts.append(_mark("circle", x, y, area, 'class="sample"'))
        x -= radius + 12
    parts.append(f'<text class="tick" x="{x:.1f}" y="{y + 4.5:.1f}" text-anchor="end">File size:</text>')
    return ['<g class="sizes">', *parts, "</g>"]


def _bars(run: ReportedRun, across: Scale, up: Scale) -> tuple[Box, ...]:
    """Return the error bars of a run as flat rectangles: the latency's, then the accuracy's."""
    if run.p50 is None or run.top1 is None:
        return ()
    x, y = across(run.p50), up(100 * run.top1)
    bars = []
    if run.p50_interval is not None and run.p50_interval[0] > 0:
        bars.append(Box(across(run.p50_interval[0]), y, across(run.p50_interval[1]), y))
    if run.top1_interval is not None:
        bars.append(Box(x, up(100 * run.top1_interval[1]), x, up(100 * run.top1_interval[0])))
    return tuple(bars)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


def _point(run: ReportedRun, name: str, label: str, mark: str, anchor: Anchor, placed: Placed) -> str:
    """Draw one run: bars below, leader, mark, label, and the words for a pointer."""
    box = placed.box
    parts = [f'<g class="point" data-run="{run.position}"><title>{escape(_described(name, run))}</title>']
    parts += (
        f'<path class="bar" d="M{bar.left:.1f} {bar.top:.1f}L{bar.right:.1f} {bar.bottom:.1f}"/>' for bar in anchor.bars
    )
    if placed.far:
        x1, y1, x2, y2 = placed.line
        parts.append(f'<path class="leader" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>')
    parts.append(f'<circle class="target" cx="{anchor.x:.1f}" cy="{anchor.y:.1f}" r="{max(11.0, anchor.radius):.1f}"/>')
    parts.append(mark)
    # Text hugs the side of its box that faces the mark, since the width of the box is an estimate.
    if box.left >= anchor.x:
        at, aligned = box.left, "start"
    elif box.right <= anchor.x:
        at, aligned = box.right, "end"
    else:
        at, aligned = (box.left + box.right) / 2, "middle"
    baseline = (box.top + box.bottom) / 2 + 0.3 * anchor.height
    parts.append(
        f'<text class="label" x="{at:.1f}" y="{baseline:.1f}" text-anchor="{aligned}">{escape(label)}</text></g>'
    )
    return "".join(parts)


def draw(
    runs: Sequence[ReportedRun],
    names: Sequence[str],
    legend: Legend,
    canvas: Canvas,
    reference: float | None = None,
) -> str:
    """Draw the runs on one canvas.

    Args:
        runs: at least one run, all of them drawable.
        names: what to call each.
        legend: colors and shapes.
        canvas: measures of the drawing.
        reference: top-1 share of the float model, drawn as a dashed line.

    Returns:
        An ``svg`` element.

    Raises:
        ValueError: no run can be drawn.
    """
    shown = [(run, name, run.p50, run.top1) for run, name in zip(runs, names, strict=True)]
    centers = [(p50, 100 * top1) for _, _, p50, top1 in shown if p50 is not None and top1 is not None]
    if not centers or len(centers) != len(shown):
        raise ValueError("a picture needs at least one run, and every run a latency and an accuracy")
    left, right = canvas.left, canvas.width - canvas.right
    top, bottom = canvas.top, canvas.height - canvas.bottom
    padding = canvas.largest + 6

    latencies, accuracies = [p50 for p50, _ in centers], [top1 for _, top1 in centers]
    across_extent = _extent(latencies, [run.p50_interval for run in runs])
    up_extent = _extent(accuracies, [_in_percent(run.top1_interval) for run in runs])
    if reference is not None:
        up_extent = min(up_extent[0], 100 * reference), max(up_extent[1], 100 * reference)
    across = latency_scale(latencies, across_extent, (left, right), padding, most=canvas.ticks)
    up = linear_scale(up_extent, (bottom, top), padding, least=1.0, limits=(0.0, 100.0))

    sizes = [run.file_bytes for run in runs if run.file_bytes is not None]
    area_per_byte = math.pi * canvas.largest**2 / max(sizes) if sizes else 0.0
    numbered = len(runs) > canvas.most_names
    anchors, labels, marks = [], [], []
    for (run, name, _, _), (p50, top1) in zip(shown, centers, strict=True):
        x, y = across(p50), up(top1)
        label = str(run.position) if numbered else _shortened(name)
        known = run.file_bytes is not None
        area = (run.file_bytes or 0.0) * area_per_byte if known else math.pi * 36
        fill = f'class="mark" fill="{legend.colors[run.scheme]}"' if known else 'class="mark hollow"'
        labels.append(label)
        marks.append(_mark(legend.shapes[run.engine], x, y, area, fill))
        reach = 0.95 * _circumradius(legend.shapes[run.engine], area) + 1
        anchors.append(Anchor(x, y, reach, text_width(label, canvas.font), canvas.font + 2, _bars(run, across, up)))

    parts = _axes(canvas, across, up)
    lines = []
    if reference is not None:
        y = up(100 * reference)
        parts.append(f'<path class="reference" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        lines.append(Box(left, y, right, y))
    if sizes:
        parts.extend(_size_legend(canvas, sizes, area_per_byte))
    placed = place(anchors, Box(left + 3, top + 2, right - 2, bottom - 3), lines)
    largest_first = sorted(range(len(shown)), key=lambda at: -anchors[at].radius)
    parts.extend(
        _point(shown[at][0], shown[at][1], labels[at], marks[at], anchors[at], placed[at]) for at in largest_first
    )
    amount = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    described = f"Top-1 accuracy against p50 latency of {amount}; the table has the figures."
    return (
        f'<svg class="picture {canvas.name}" viewBox="0 0 {canvas.width:g} {canvas.height:g}" role="img"'
        f' aria-label="{described}" data-scale="{"log" if across.logarithmic else "linear"}"'
        f' font-size="{canvas.font:g}">{"".join(parts)}</svg>'
    )


def _in_percent(interval: Interval | None) -> Interval | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])
