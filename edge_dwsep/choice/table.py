"""A choice in the terminal: the front of each device, why the others are off it, and the recommendation."""

from __future__ import annotations

__all__ = ["print_choice"]

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_dwsep.choice.choose import Choice, DeviceChoice
from edge_dwsep.choice.names import listed, names_among
from edge_dwsep.choice.objectives import OBJECTIVES
from edge_dwsep.words import escaped

if TYPE_CHECKING:
    from rich.console import Console

MOST_REASONS = 10
"""Runs whose reasons are told one by one."""


def print_choice(screen: Console, results: Mapping[str, Any], choice: Choice) -> None:
    """Print what was chosen on each device.

    Args:
        screen: where to.
        results: that the choice was made among.
        choice: as of :func:`edge_dwsep.choice.choose`.
    """
    from rich.text import Text

    for position, device in enumerate(choice.devices):
        if position:
            screen.print()
        if len(choice.devices) > 1 or device.device != "local":
            screen.print(Text(_place(device), style="bold"))
        _print_front(screen, results["runs"], device)
        for line in _lines(results["runs"], device):
            screen.print(Text(escaped(line)))
        screen.print(Text(device.recommendation, style="bold"))


def _place(device: DeviceChoice) -> str:
    batch = f", batch {device.batch}" if device.batch > 1 else ""
    return escaped(f"{device.device}{' (emulated)' if device.emulated else ''}{batch}")


def _names(runs: Sequence[Mapping[str, Any]], device: DeviceChoice) -> Callable[[int], str]:
    """What each run of a device is called, by its index."""
    name = names_among(runs[at] for at in {*device.front, *device.dominated, *device.unmet, *device.left_out})
    return lambda index: name(runs[index])


def _print_front(screen: Console, runs: Sequence[Mapping[str, Any]], device: DeviceChoice) -> None:
    from rich.table import Table
    from rich.text import Text

    if not device.front:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(Text("on the front"))
    objectives = [OBJECTIVES[name] for name in device.objectives]
    for objective in objectives:
        table.add_column(Text(f"{objective.name} [95 %]"), justify="right")
    table.add_column(Text(""))
    name = _names(runs, device)
    for index in device.front:
        figures = [objective.figure(runs[index]) for objective in objectives]
        cells = [one.written(figure) for one, figure in zip(objectives, figures, strict=True) if figure]
        note = "recommended" if index == device.recommended else "; ".join(device.untold.get(index, ()))
        table.add_row(Text(name(index)), *map(Text, cells), Text(note))
    screen.print(table)


def _lines(runs: Sequence[Mapping[str, Any]], device: DeviceChoice) -> list[str]:
    name = _names(runs, device)
    lines = list(device.notes)
    behind: dict[int, list[int]] = {}
    for index, by in device.dominated.items():
        behind.setdefault(by, []).append(index)
    for by, others in behind.items():
        lines.append(f"{name(by)} is better than {listed(others, name)}")
    told = [f"{name(index)}: {'; '.join(reasons)}" for index, reasons in device.unmet.items()]
    told += [f"{name(index)}: {reason}" for index, reason in device.left_out.items()]
    lines.extend(told[:MOST_REASONS])
    if len(told) > MOST_REASONS:
        lines.append(f"{len(told) - MOST_REASONS} more do not meet the constraints or take no part")
    return lines
