"""A comparison as rows of text, for every form that it is shown in."""

from __future__ import annotations

__all__ = ["Row", "columns", "reasons", "rows", "summary"]

from collections.abc import Sequence
from dataclasses import dataclass

from edge_dwsep.choice.names import listed
from edge_dwsep.choice.objectives import OBJECTIVES
from edge_dwsep.comparison import verdict as ratio_verdict
from edge_dwsep.gate.changes import Change
from edge_dwsep.gate.compare import Gate, Judgement, RunChanges
from edge_dwsep.gate.rules import POINTS, Verdict

NOTHING_SHOWN = "no difference shown"


@dataclass(frozen=True)
class Row:
    """One figure of one run, or one rule.

    Attributes:
        run: name of the run.
        metric: name of the figure.
        base: the figure before.
        head: the figure after.
        change: the change and its interval.
        p: probability of the test, if there is one.
        rule: the rule that judges it; empty without rules.
        verdict: of the rule, or in words what is shown.
        reason: why it cannot be told, or what limits it.
        judgement: that of the rule, if there is one.
    """

    run: str
    metric: str
    base: str
    head: str
    change: str
    p: str
    rule: str
    verdict: str
    reason: str
    judgement: Judgement | None = None


def rows(gate: Gate) -> list[Row]:
    """A row for each rule and run; without rules, for each figure and run."""
    found: list[Row] = []
    for run in gate.runs:
        if gate.rules:
            found.extend(_judged(run, judgement) for judgement in run.judgements)
        else:
            found.extend(_row(run, change, rule="", verdict=_shown(change)) for change in run.changes)
    return found


def reasons(gate: Gate) -> list[str]:
    """Why rules were not simply met: each reason once, with the runs that it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows(gate):
        if row.judgement is not None and row.judgement.reason:
            found.setdefault((row.rule, row.judgement.reason), []).append(row.run)
    return [f"{rule} of {listed(runs)}: {reason}" for (rule, reason), runs in found.items()]


def summary(gate: Gate) -> list[str]:
    """Sentences below the rows: what differs, what is missing, and the verdict."""
    lines = [f"differs, as allowed: {note}" for note in gate.notes]
    if gate.only_head:
        lines.append(f"new in HEAD, and judged by no rule: {listed(list(gate.only_head))}")
    if gate.only_base:
        pass_over = "" if gate.missing_allowed or not gate.rules else "; --allow missing passes over them"
        lines.append(f"in BASE alone, so nothing is known of them in HEAD: {listed(list(gate.only_base))}{pass_over}")
    if not gate.rules:
        doubts: dict[str, list[str]] = {}
        for run in gate.runs:
            for note in run.notes:
                doubts.setdefault(note, []).append(run.name)
        return [*lines, *(f"{listed(list(dict.fromkeys(names)))}: {note}" for note, names in doubts.items())]
    counts = {
        verdict: sum(judgement.verdict is verdict for run in gate.runs for judgement in run.judgements)
        for verdict in reversed(Verdict)
    }
    told = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
    return [*lines, f"{gate.verdict.value}: {told or 'nothing was judged'}"]


def _judged(run: RunChanges, judgement: Judgement) -> Row:
    metric, verdict = judgement.rule.metric, judgement.verdict.value
    change = run.change(metric)
    if change is None:
        return Row(run.name, metric, "", "", "", "", str(judgement.rule), verdict, judgement.reason, judgement)
    return _row(run, change, rule=str(judgement.rule), verdict=verdict, judgement=judgement)


def _row(run: RunChanges, change: Change, *, rule: str, verdict: str, judgement: Judgement | None = None) -> Row:
    write = _share if change.metric in POINTS else OBJECTIVES["p50" if _is_time(change) else change.metric].write
    return Row(
        run=run.name,
        metric=change.metric,
        base=write(change.base),
        head=write(change.head),
        change=_change(change),
        p="" if change.p is None else "<0.001" if change.p < 0.001 else f"{change.p:.2g}",
        rule=rule,
        verdict=verdict,
        reason=(judgement.reason if judgement else "") or change.note,
        judgement=judgement,
    )


def _is_time(change: Change) -> bool:
    return change.metric[1:].isdigit()


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _change(change: Change) -> str:
    unit = "pp" if change.metric in POINTS else "%"
    digits = 2 if change.metric in POINTS else 1
    value, low, high = (f"{100 * one:+.{digits}f}" for one in (change.change, change.low, change.high))
    if not change.known:
        return f"{value} {unit} (no interval)"
    if change.low == change.high:
        return f"{value} {unit}"
    return f"{value} {unit} [{low}, {high}]"


def _shown(change: Change) -> str:
    """What a change shows without a rule."""
    if not change.known:
        return ""
    if _is_time(change):
        return ratio_verdict((1 + change.low, 1 + change.high))
    if change.low <= 0 <= change.high:
        return "the same" if change.low == change.high else NOTHING_SHOWN
    return "more" if change.low > 0 else "less"


def columns(gate: Gate) -> Sequence[tuple[str, str]]:
    """Titles of the columns and the attributes of :class:`Row` that they show; those of rules only where there are."""
    shown = [("run", "run"), ("figure", "metric"), ("base", "base"), ("head", "head"), ("change [95 %]", "change")]
    shown.append(("p", "p"))
    return [*shown, *([("rule", "rule")] if gate.rules else []), ("verdict", "verdict")]
