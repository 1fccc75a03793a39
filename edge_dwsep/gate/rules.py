"""Rules of a gate, such as ``p50>+5%`` or ``top1<-0.5pp``: which change of which figure fails it."""

from __future__ import annotations

__all__ = ["METRICS", "POINTS", "Rule", "Verdict", "judged", "rule_from"]

import math
import re
from dataclasses import dataclass
from enum import Enum

from dwsep_runtime.errors import InvalidInput, UnknownName

RELATIVE = ("p50", "p90", "p95", "p99", "size", "memory", "instructions")
"""Figures whose change is told in per cent of what they were."""

POINTS = ("top1", "top5", "agreement")
"""Shares, whose change is told in percentage points."""

METRICS = (*RELATIVE[:4], *POINTS, *RELATIVE[4:])

GRAMMAR = re.compile(r"\s*(\w+)\s*(<|>)\s*([+-]?)\s*(\d+\.?\d*|\.\d+)\s*(%|pp)\s*", re.ASCII)
EXAMPLES = "'p50>+5%', 'top1<-0.5pp' or 'size>+2%'"


class Verdict(str, Enum):
    """What a rule makes of a change; the worst of several is what counts."""

    OK = "ok"
    CANNOT_TELL = "cannot tell"
    REGRESSED = "regressed"

    @property
    def rank(self) -> int:
        """0 of the best to 2 of the worst."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Rule:
    """A change that is a regression.

    Attributes:
        metric: one of ``METRICS``.
        above: whether changes above the limit are regressions, or those below it.
        limit: the change, as a share: 0.05 is +5 % of the base's figure, or 5 percentage points of a share.
    """

    metric: str
    above: bool
    limit: float

    def __str__(self) -> str:
        unit = "pp" if self.metric in POINTS else "%"
        return f"{self.metric}{'>' if self.above else '<'}{100 * self.limit:+.10g}{unit}"


def rule_from(text: str) -> Rule:
    """A rule from its text.

    Raises:
        InvalidInput: it is no rule, its unit is not that of its figure, or the sign of its limit is left out.
        UnknownName: there is no such figure.

    >>> str(rule_from("p50 > +5 %")), str(rule_from("top1<-0.5pp"))
    ('p50>+5%', 'top1<-0.5pp')
    """
    found = GRAMMAR.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"rule {text!r} cannot be read; give a figure, < or >, a change with its sign, and %, or pp for "
            f"percentage points, such as {EXAMPLES}; figures are {', '.join(METRICS)}"
        )
    metric, sign, change, number, unit = found.groups()
    if metric not in METRICS:
        raise UnknownName("figure of a rule", metric, METRICS)
    wanted = "pp" if metric in POINTS else "%"
    if unit != wanted:
        kind = "a share: give percentage points" if wanted == "pp" else "no share: give per cent of what it was"
        raise InvalidInput(f"rule {text!r}: {metric} is {kind}, such as {metric}{sign}{change or '+'}{number}{wanted}")
    limit = float(f"{change}{number}") / 100
    if limit and not change:
        raise InvalidInput(
            f"rule {text!r} leaves open whether {number}{unit} more or less is meant; "
            f"write {metric}{sign}+{number}{unit} or {metric}{sign}-{number}{unit}"
        )
    if not math.isfinite(limit):
        raise InvalidInput(f"rule {text!r}: {number} is no number to compare with; give one such as {EXAMPLES}")
    return Rule(metric, sign == ">", limit)


def judged(rule: Rule, low: float, high: float) -> Verdict:
    """What a rule makes of a change that is known to lie between two bounds.

    Args:
        rule: the rule.
        low: of the change, as a share; minus infinity where nothing is known.
        high: of the change.

    >>> judged(rule_from("size>+2%"), 0.01, 0.03).value
    'cannot tell'
    """
    if not rule.above:
        low, high = -high, -low
    limit = rule.limit if rule.above else -rule.limit
    if low > limit:
        return Verdict.REGRESSED
    return Verdict.OK if high <= limit else Verdict.CANNOT_TELL
