"""What each operator of a model costs, as a table on a terminal."""

from __future__ import annotations

__all__ = ["print_operators", "short_names"]

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]

UNSURE = "in parentheses: not to be told from 0"
UNKNOWN_MACS = "?"


def print_operators(screen: Console, title: str, profile: Row) -> None:
    """Print one row an operator, one a kind of operators, and what the sum is worth.

    Args:
        screen: where to.
        title: what was profiled.
        profile: as :func:`dwsep_runtime.operators.profile.profile_operators` returns it.
    """
    from rich.text import Text

    whole = profile["whole_ns"]
    operators: Sequence[Row] = profile["operators"]
    names = short_names([operator["name"] for operator in operators])
    rows: list[Row] = [
        {**operator, "name": f"{operator['index']} {name}"} for operator, name in zip(operators, names, strict=True)
    ]
    screen.print(Text(f"Operators of {title}", style="bold"))
    _print(screen, rows, whole, [("operator", "name"), ("type", "type"), ("kind", "kind")])
    kinds: list[Row] = [{**sums, "name": kind} for kind, sums in profile["by_kind"].items()]
    screen.print()
    _print(screen, kinds, whole, [("kind", "name"), ("operators", "operators")])
    screen.print()
    screen.print(Text(_whole_in_words(profile)))
    screen.print(Text(_distortion_in_words(profile)))
    if not all(operator["distinguishable"] for operator in operators):
        screen.print(Text(UNSURE, style="dim"))


def short_names(names: Sequence[str]) -> list[str]:
    """Names of operators without what all of them begin with, and of fused ones only the first.

    >>> short_names(["net/conv1/Relu6;net/conv1/convolution", "net/conv2/Relu6", "Identity"])
    ['conv1/Relu6', 'conv2/Relu6', 'Identity']
    """
    paths = [name.split(";")[0].split("/") for name in names]
    deep = [path for path in paths if len(path) > 1]
    common = 0
    while len(deep) > 1 and len({tuple(path[: common + 1]) for path in deep}) == 1 < min(map(len, deep)) - common:
        common += 1
    return ["/".join(path[common:] if len(path) > 1 else path) for path in paths]


def _print(screen: Console, rows: Sequence[Row], whole: float, heads: Sequence[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    columns: list[tuple[str, Literal["left", "right"], Callable[[Row], str]]] = [
        *((head, "left", lambda row, key=key: str(row[key])) for head, key in heads),
        ("time us [95 %]", "right", _time),
        ("share", "right", lambda row: f"{100 * row['ns'] / whole:.1f} %"),
        ("MMACs", "right", _millions),
        ("GMACs/s", "right", _speed),
        ("alone us", "right", lambda row: _microseconds(row["alone_ns"]) if row.get("alone_ns") else ""),
    ]
    table = Table(box=None, header_style="bold", pad_edge=False)
    cells = [[cell(row) for _, _, cell in columns] for row in rows]
    shown = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    for index in shown:
        head, justify, _ = columns[index]
        table.add_column(Text(head), justify=justify, no_wrap=index > 0, overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[index]) for index in shown))
    screen.print(table)


def _microseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1000:,.1f}"


def _interval(bounds: Sequence[float] | None) -> str:
    return f" [{_microseconds(bounds[0])}, {_microseconds(bounds[1])}]" if bounds else ""


def _sure(row: Row) -> bool:
    bounds = row["interval_ns"]
    return bool(bounds) and not bounds[0] <= 0 <= bounds[1]


def _time(row: Row) -> str:
    text = f"{_microseconds(row['ns'])}{_interval(row['interval_ns'])}"
    return text if _sure(row) else f"({text})"


def _millions(row: Row) -> str:
    if row["macs"] is None:
        return UNKNOWN_MACS
    return f"{row['macs'] / 1e6:.3f}" if row["macs"] else ""


def _speed(row: Row) -> str:
    """MACs by time; empty where either is unknown, since a time that may be 0 gives any speed."""
    return f"{row['macs'] / row['ns']:.1f}" if row["macs"] and _sure(row) and row["ns"] > 0 else ""


def _whole_in_words(profile: Row) -> str:
    fixed = profile["fixed_ns"]
    without = "" if fixed is None else f", {_microseconds(fixed)} us without any operator"
    share = 100 * profile["distortion"]["sum_to_whole"]
    return (
        f"whole {_microseconds(profile['whole_ns'])} us{_interval(profile['whole_interval_ns'])}, "
        f"operators {_microseconds(profile['sum_ns'])} us{without}: together {share:.1f} % of the whole"
    )


def _distortion_in_words(profile: Row) -> str:
    distortion = profile["distortion"]
    if profile["method"] == "prefix":
        alone = distortion["alone_to_parts"]
        text = "an operator's time is what a part of the model takes longer for ending after it and not before"
        if alone is not None:
            text += f"; as models of their own, convolutions and dense layers take {100 * alone:.1f} % of that"
        return text
    return (
        f"with the profiler an inference takes {100 * distortion['profiled_to_whole']:.1f} % of the time without; "
        f"its events add up to {100 * distortion['kernels_to_whole']:.1f} % of the whole before what noting them takes "
        "is taken off"
    )
