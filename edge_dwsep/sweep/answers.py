"""What a sweep leaves in its folder: results.json, report.html and report.md, and the choice that they show."""

from __future__ import annotations

__all__ = ["RESULTS", "answers_seal", "choice_of", "write_answers"]

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_export.output import write_text
from edge_dwsep.results import write_results
from edge_dwsep.sweep.plan import SweepPlan

if TYPE_CHECKING:
    from edge_dwsep.choice import Choice

RESULTS, PAGE, MARKDOWN = "results.json", "report.html", "report.md"

MOST_WITH_SAMPLES = 500
"""Runs up to which results.json holds raw samples, about a megabyte a run; of more they stay in the store."""


def choice_of(results: Mapping[str, Any], plan: SweepPlan) -> Choice:
    """The choice that a plan asks for.

    Raises:
        InvalidInput: an objective or constraint of the plan cannot be read.
    """
    from edge_dwsep.choice import DEFAULT_OBJECTIVES, Constraints, choose

    wanted = plan.choose
    names = ("max_drop", "max_p50", "max_p90", "max_size", "max_memory", "min_top1")
    constraints = Constraints.from_texts({name: getattr(wanted, name) for name in names})
    return choose(results, wanted.pareto or DEFAULT_OBJECTIVES, constraints)


def write_answers(
    results: Mapping[str, Any], choice: Choice, folder: Path, samples: Callable[[], Mapping[str, Any]]
) -> None:
    """Write what a sweep showed into its folder.

    Args:
        results: light ones.
        choice: among them.
        folder: of the sweep.
        samples: gives the same results with raw samples; asked if these are not too many for a file.

    Raises:
        OutputNotWritable: the folder cannot be written.
        StoreError: the store does not work.
    """
    from edge_dwsep.report import markdown, render

    write_results(samples() if len(results["runs"]) <= MOST_WITH_SAMPLES else results, folder / RESULTS)
    write_text(folder / PAGE, render(results, choice))
    write_text(folder / MARKDOWN, markdown(results, choice))


def answers_seal(results: Mapping[str, Any], folder: Path) -> str:
    """A word for what lies in a folder and the runs that it is about; empty if something is missing there.

    Another word says that another sweep has changed a run meanwhile, or somebody a file.
    """
    try:
        known = [(folder / name).stat() for name in (RESULTS, PAGE, MARKDOWN)]
    except OSError:
        return ""
    told = [[[run["id"], run["status"]] for run in results["runs"]], [[one.st_size, one.st_mtime_ns] for one in known]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
