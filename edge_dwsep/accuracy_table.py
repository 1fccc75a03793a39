"""Accuracy in the terminal: a row a run, and on request the classes one by one and what they are taken for."""

from __future__ import annotations

__all__ = ["print_accuracy", "print_classes", "print_confusion", "verdict"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edge_dwsep.per_class import class_name, largest_confusions
from edge_dwsep.table import run_title, shown_devices

if TYPE_CHECKING:
    from rich.console import Console

WHOLE_MATRIX = 12
"""Classes up to which the whole confusion matrix fits a terminal."""

LARGEST = 15
"""Confusions listed of more classes."""

Row = Sequence[str]


def print_accuracy(screen: Console, results: Mapping[str, Any]) -> None:
    """Print one row a run, and one an output where outputs were compared number by number.

    Args:
        screen: where to.
        results: as in results.json.
    """
    runs = results["runs"]
    name = (results.get("reference") or {}).get("name", "")
    numeric = [run for run in runs if run.get("numeric_agreement")]
    named = shown_devices(results["devices"])
    titles = [
        "device",
        "variant",
        "engine",
        "size",
        "top-1 [95 %]",
        "top-5",
        "agrees with reference",
        "against reference",
        "note",
    ]
    rows = [
        [
            named.get(run["device"], ""),
            run["variant"],
            run["engine"],
            f"{run['file_bytes'] / 1000:,.0f} kB",
            _top1(run),
            _share(run["accuracy"] and run["accuracy"]["top5"]),
            _share(run["agreement"] and run["agreement"]["top1"]),
            "reference" if run.get("is_reference") else verdict((run["agreement"] or {}).get("mcnemar")),
            f"failed: {run['error']}" if run["status"] != "ok" else "; ".join(run["warnings"]),
        ]
        for run in runs
    ]
    _print(screen, titles, rows, left={0, 1, 2, 7, 8}, wrapped={8})
    if numeric:
        tolerance = _percent(numeric[0]["numeric_agreement"]["tolerance"])
        screen.print()
        _print(
            screen,
            [
                "device",
                "variant",
                "engine",
                "output",
                "largest difference",
                "of range",
                "rms",
                "of range",
                "cosine",
                f"within {tolerance}",
            ],
            [
                [named.get(run["device"], ""), *_numeric(run, output)]
                for run in numeric
                for output in run["numeric_agreement"]["outputs"]
            ],
            left={0, 1, 2, 3},
        )
    if name and (numeric or any(run["agreement"] for run in runs)):
        screen.print(f"reference: {name}", markup=False)


def verdict(mcnemar: Mapping[str, Any] | None) -> str:
    """McNemar's test in plain words, such as "no difference shown (p = 0.34)"; empty without one."""
    if not mcnemar:
        return ""
    p = mcnemar["p"]
    return f"{mcnemar['verdict']} ({'p < 0.001' if p < 0.001 else f'p = {p:.2g}'})"


def print_classes(screen: Console, run: Mapping[str, Any]) -> None:
    """Print recall and precision of a run, class by class."""
    rows = [
        [
            item["name"] if item["name"] == str(item["label"]) else f"{item['label']} {item['name']}",
            f"{item['count']}",
            f"{item['correct']}",
            _share(item["recall"]) + _interval(item["recall_interval"]),
            _share(item["precision"]),
        ]
        for item in run["accuracy"]["per_class"]
    ]
    screen.print(f"\n{run_title(run)}", markup=False)
    _print(screen, ["class", "images", "correct", "recall [95 %]", "precision"], rows, left={0})


def print_confusion(screen: Console, run: Mapping[str, Any]) -> None:
    """Print which classes a run takes for which: the matrix of up to twelve classes, of more the largest entries."""
    accuracy = run["accuracy"]
    names = [item["name"] for item in accuracy["per_class"]]
    screen.print(f"\n{run_title(run)}", markup=False)
    if len(names) <= WHOLE_MATRIX:
        rows = [
            [f"{label} {name}" if name != str(label) else name, *(str(count) if count else "." for count in counts)]
            for label, (name, counts) in enumerate(zip(names, accuracy["confusion"], strict=True))
        ]
        _print(screen, ["true \\ predicted", *map(str, range(len(names)))], rows, left={0})
        return
    rows = [
        [class_name(names, true), class_name(names, taken), str(count), _percent(share)]
        for true, taken, count, share in largest_confusions(accuracy["confusion"], LARGEST)
    ]
    _print(screen, ["class", "taken for", "images", "of the class"], rows, left={0, 1})


def _print(
    screen: Console,
    titles: Row,
    rows: Sequence[Row],
    *,
    left: set[int],
    wrapped: frozenset[int] | set[int] = frozenset(),
) -> None:
    """Print a table without the columns that are empty in every row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    shown = [index for index in range(len(titles)) if any(row[index] for row in rows)]
    for index in shown:
        table.add_column(
            Text(titles[index]), justify="left" if index in left else "right", no_wrap=index in {0, 1, 2} - wrapped
        )
    for row in rows:
        table.add_row(*(Text(row[index]) for index in shown))
    screen.print(table)


def _numeric(run: Mapping[str, Any], output: Mapping[str, Any]) -> Row:
    return [
        run["variant"],
        run["engine"],
        output["name"],
        f"{output['max_abs']:.3g}",
        _percent(output["max_relative"]),
        f"{output['rms']:.3g}",
        _percent(output["rms_relative"]),
        "" if output["cosine"] is None else f"{output['cosine']:.6f}",
        _percent(output["within"]),
    ]


def _percent(share: float) -> str:
    """A share in percent with enough digits to tell small ones apart."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 1 or not percent else f"{percent:.2g} %"


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _interval(interval: Sequence[float] | None) -> str:
    return f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""


def _top1(run: Mapping[str, Any]) -> str:
    accuracy = run["accuracy"]
    return _share(accuracy["top1"]) + _interval(accuracy["top1_interval"]) if accuracy else ""
