"""What a sweep leaves in its folder: results.json, report.html and report.md, and the choice that they show."""

from __future__ import annotations

__all__ = ["RESULTS", "choice_of", "write_answers"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_export.output import write_text
from edge_dwsep.results import write_results
from edge_dwsep.store import Store
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


def write_answers(store: Store, sweep_id: str, folder: Path, plan: SweepPlan) -> tuple[dict[str, Any], Choice]:
    """Write what a sweep showed into its folder; gives light results, and the choice.

    Raises:
        OutputNotWritable: the folder cannot be written.
        StoreError: the store does not work.
    """
    from edge_dwsep.report import markdown, render

    results = store.results(sweep_id)
    choice = choice_of(results, plan)
    whole = store.results(sweep_id, samples=True) if len(results["runs"]) <= MOST_WITH_SAMPLES else results
    write_results(whole, folder / RESULTS)
    write_text(folder / PAGE, render(results, choice))
    write_text(folder / MARKDOWN, markdown(results, choice))
    return results, choice


def answers_stand(folder: Path) -> bool:
    """Whether a folder has all that :func:`write_answers` writes."""
    return all((folder / name).is_file() for name in (RESULTS, PAGE, MARKDOWN))
