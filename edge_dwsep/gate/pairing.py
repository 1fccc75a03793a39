"""Which run of one measurement is to be compared with which of another."""

from __future__ import annotations

__all__ = ["Pairing", "paired"]

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.choice.names import run_name
from edge_dwsep.results_source import IDENTITY


@dataclass(frozen=True)
class Pairing:
    """Runs side by side.

    Attributes:
        pairs: a run of the base and the one of the head that is of the same thing.
        only_base: runs of the base without counterpart.
        only_head: runs of the head without counterpart.
    """

    pairs: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]
    only_base: tuple[Mapping[str, Any], ...]
    only_head: tuple[Mapping[str, Any], ...]


def paired(
    base: Sequence[Mapping[str, Any]], head: Sequence[Mapping[str, Any]], ignored: Collection[str] = ()
) -> Pairing:
    """Pair runs that are of the same thing, in the order of the base.

    Args:
        base: records of runs.
        head: records of runs.
        ignored: parts of the identity in which counterparts may differ; runs that are equal in all of it come first,
            and of the rest those that are alike in the other parts and the only ones on their side.

    Raises:
        InvalidInput: several runs of one side are of the same thing.
    """
    known = {_identity(run): run for run in base}
    others = {_identity(run): run for run in head}
    for side, runs, found in (("BASE", base, known), ("HEAD", head, others)):
        if len(found) < len(runs):
            twice = next(run for run in runs if found[_identity(run)] is not run)
            raise InvalidInput(
                f"{side} has several runs of {run_name(twice, runs)}; which one is meant cannot be told: "
                "give results that have each once"
            )
    partner = {identity: others[identity] for identity in known if identity in others}
    if ignored:
        partner.update(_alike(known, others, partner, ignored))
    taken = {id(run) for run in partner.values()}
    return Pairing(
        pairs=tuple((run, partner[identity]) for identity, run in known.items() if identity in partner),
        only_base=tuple(run for identity, run in known.items() if identity not in partner),
        only_head=tuple(run for run in others.values() if id(run) not in taken),
    )


def _alike(
    known: Mapping[str, Mapping[str, Any]],
    others: Mapping[str, Mapping[str, Any]],
    partner: Mapping[str, Mapping[str, Any]],
    ignored: Collection[str],
) -> dict[str, Mapping[str, Any]]:
    """Counterparts of runs without one, which differ in ``ignored`` parts only."""
    sides: list[dict[str, list[str]]] = [{}, {}]
    for side, runs in zip(sides, (known, others), strict=True):
        for identity, run in runs.items():
            if identity not in partner:
                side.setdefault(_identity(run, ignored), []).append(identity)
    return {
        own[0]: others[sides[1][alike][0]]
        for alike, own in sides[0].items()
        if len(own) == 1 and len(sides[1].get(alike, ())) == 1
    }


def _identity(run: Mapping[str, Any], ignored: Collection[str] = ()) -> str:
    parts = {name: run[name] for name in IDENTITY if name not in ignored}
    return json.dumps([parts, bool(run.get("is_reference"))], sort_keys=True)
