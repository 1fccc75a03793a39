"""Compare the runs of two measurements, and judge their changes by rules."""

from __future__ import annotations

__all__ = ["Gate", "Judgement", "RunChanges", "compare_results"]

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.choice.names import names_among
from edge_dwsep.gate.changes import Change, change_of
from edge_dwsep.gate.circumstances import require_comparable
from edge_dwsep.gate.pairing import paired
from edge_dwsep.gate.rules import METRICS, Rule, Verdict, judged

Run = Mapping[str, Any]

PAIRED_ACROSS = ("device", "engine")
"""Allowances by which runs without a counterpart are paired with those of another device or engine."""


@dataclass(frozen=True)
class Judgement:
    """What a rule makes of a run.

    Attributes:
        rule: the rule.
        verdict: of the rule.
        reason: why, where no change could be judged; empty otherwise.
    """

    rule: Rule
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class RunChanges:
    """What changed of a run, and what the rules make of it.

    Attributes:
        name: of the run, for people.
        identity: what it is of, as JSON values.
        changes: of the figures that both sides tell, in the order of ``METRICS``.
        judgements: one for each rule.
        notes: what was doubtful about either side, as sentences.
    """

    name: str
    identity: Mapping[str, Any]
    changes: tuple[Change, ...]
    judgements: tuple[Judgement, ...]
    notes: tuple[str, ...] = ()

    def change(self, metric: str) -> Change | None:
        """The change of a figure, if both sides tell it."""
        return next((change for change in self.changes if change.metric == metric), None)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "name": self.name,
            **self.identity,
            "changes": [change.to_json() for change in self.changes],
            "verdicts": [
                {"rule": str(one.rule), "verdict": one.verdict.value, "reason": one.reason or None}
                for one in self.judgements
            ],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Gate:
    """Two measurements compared.

    Attributes:
        base: what the base is called.
        head: what the head is called.
        rules: by which changes were judged.
        runs: those that both have.
        only_base: names of runs that the base alone has.
        only_head: names of runs that the head alone has.
        missing_allowed: whether runs of the base alone, and figures that a side does not tell, leave the verdict alone.
        notes: what differs between the measurements and was allowed to, as sentences.
    """

    base: str
    head: str
    rules: tuple[Rule, ...]
    runs: tuple[RunChanges, ...]
    only_base: tuple[str, ...]
    only_head: tuple[str, ...]
    missing_allowed: bool
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all; ``ok`` without rules."""
        verdicts = [judgement.verdict for run in self.runs for judgement in run.judgements]
        if self.rules and not self.missing_allowed and self.only_base:  # a new run has nothing to regress from
            verdicts.append(Verdict.CANNOT_TELL)
        return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.OK)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "base": self.base,
            "head": self.head,
            "verdict": self.verdict.value,
            "rules": [str(rule) for rule in self.rules],
            "runs": [run.to_json() for run in self.runs],
            "only_base": list(self.only_base),
            "only_head": list(self.only_head),
            "notes": list(self.notes),
        }


def compare_results(
    base: Mapping[str, Any],
    head: Mapping[str, Any],
    rules: Sequence[Rule] = (),
    allowed: Collection[str] = (),
    names: tuple[str, str] = ("BASE", "HEAD"),
) -> Gate:
    """Compare runs of the same thing, and judge what changed.

    Each rule is judged at 95 % by itself: of a hundred changes that lie right at a limit two or three are called
    regressed, fewer of smaller ones.

    Args:
        base: results, as :func:`edge_dwsep.results_file.read_results` gives them.
        head: results to compare with them.
        rules: what is a regression.
        allowed: circumstances that may differ: :data:`edge_dwsep.gate.circumstances.ALLOWANCES`.
        names: what both are called.

    Raises:
        InvalidInput: the two have no run in common, or were measured under other circumstances than allowed.
    """
    ignored = [name for name in PAIRED_ACROSS if name in allowed]
    pairing = paired(base["runs"], head["runs"], ignored)
    notes = require_comparable(base, head, pairing.pairs, allowed)
    if not pairing.pairs:
        raise InvalidInput(f"{names[0]} and {names[1]} have no run in common: {_apart(base, head)}")
    data = [(results.get("data") or {}).get("sha256") for results in (base, head)]
    same_images = data[0] is not None and data[0] == data[1]
    name = names_among([*base["runs"], *head["runs"]])
    missing = "missing" in allowed
    return Gate(
        base=names[0],
        head=names[1],
        rules=tuple(rules),
        runs=tuple(
            _compared(before, after, rules, name(after), same_images=same_images, missing=missing)
            for before, after in pairing.pairs
        ),
        only_base=tuple(name(run) for run in pairing.only_base),
        only_head=tuple(name(run) for run in pairing.only_head),
        missing_allowed=missing,
        notes=tuple(notes),
    )


def _apart(base: Mapping[str, Any], head: Mapping[str, Any]) -> str:
    """Why no run has a counterpart, and what to do."""
    for name in PAIRED_ACROSS:
        if paired(base["runs"], head["runs"], [name]).pairs:
            return f"they differ in the {name} alone; compare them all the same with --allow {name}"
    return "give two of which some runs are of the same network, variant, engine, threads and device"


def _compared(
    before: Run, after: Run, rules: Sequence[Rule], name: str, *, same_images: bool, missing: bool
) -> RunChanges:
    failed = _failed(before, after)
    changes = (
        []
        if failed
        else [
            change
            for metric in METRICS
            if (change := change_of(metric, before, after, same_images=same_images)) is not None
        ]
    )
    told = {change.metric: change for change in changes}
    doubtful = _doubtful(before, after)
    judgements = []
    for rule in rules:
        change = told.get(rule.metric)
        if failed:
            judgements.append(Judgement(rule, *failed))
        elif change is None:
            verdict = Verdict.OK if missing else Verdict.CANNOT_TELL
            judgements.append(Judgement(rule, verdict, f"{rule.metric} was not measured on both sides"))
        elif doubtful and rule.metric.startswith("p"):
            judgements.append(Judgement(rule, Verdict.CANNOT_TELL, doubtful))
        else:
            verdict = judged(rule, change.low, change.high)
            judgements.append(Judgement(rule, verdict, change.note if verdict is Verdict.CANNOT_TELL else ""))
    return RunChanges(
        name=name,
        identity={name: after[name] for name in ("device", "model", "variant", "engine", "threads", "batch")},
        changes=tuple(changes),
        judgements=tuple(judgements),
        notes=tuple(note for note in (doubtful, *(change.note for change in changes)) if note),
    )


def _failed(before: Run, after: Run) -> tuple[Verdict, str] | None:
    """The verdict where one side failed: what worked and does not any more is a regression whatever the rule."""
    if after["status"] != "ok":
        if before["status"] == "ok":
            return Verdict.REGRESSED, f"it fails now: {after['error']}"
        return Verdict.CANNOT_TELL, f"it failed on both sides: {after['error']}"
    if before["status"] != "ok":
        return Verdict.CANNOT_TELL, f"it failed before: {before['error']}"
    return None


def _doubtful(before: Run, after: Run) -> str:
    """Why the times of a pair are not to be trusted; empty where they are."""
    for side, run in (("BASE", before), ("HEAD", after)):
        if not run["valid"]:
            reason = next((warning for warning in run["warnings"] if warning.startswith("not valid")), "not valid")
            return f"{side} is {reason}"
    return ""
