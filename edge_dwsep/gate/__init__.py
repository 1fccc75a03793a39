"""Compare two measurements and gate on what changed: rules, intervals, and three verdicts."""

from __future__ import annotations

__all__ = [
    "ALLOWANCES",
    "METRICS",
    "Change",
    "Gate",
    "Judgement",
    "Rule",
    "RunChanges",
    "Verdict",
    "compare_results",
    "rule_from",
]

from edge_dwsep.gate.changes import Change
from edge_dwsep.gate.circumstances import ALLOWANCES
from edge_dwsep.gate.compare import Gate, Judgement, RunChanges, compare_results
from edge_dwsep.gate.rules import METRICS, Rule, Verdict, rule_from
