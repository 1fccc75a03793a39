"""Whether two measurements were made under circumstances that let their runs be compared."""

from __future__ import annotations

__all__ = ["ALLOWANCES", "differences", "require_comparable"]

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dwsep_runtime.errors import InvalidInput, UnknownName

ALLOWANCES = ("device", "engine", "harness", "data", "settings", "missing")
"""What may differ if one says so; ``missing`` are runs that one side alone has, and figures."""

HARDWARE = ("kind", "emulated", "product", "cpu", "cores", "machine")
SETTINGS = ("scenario", "conditions", "memory_limit_bytes")
"""Settings that change what is measured, not how precisely."""

MOST_TOLD = 4

Pair = tuple[Mapping[str, Any], Mapping[str, Any]]


def require_comparable(
    base: Mapping[str, Any], head: Mapping[str, Any], pairs: Sequence[Pair], allowed: Collection[str]
) -> list[str]:
    """Make sure that runs were measured alike.

    Args:
        base: results.
        head: results.
        pairs: runs to compare.
        allowed: names of ``ALLOWANCES`` that may differ.

    Returns:
        What differs and is allowed to, as sentences.

    Raises:
        UnknownName: there is no such allowance.
        InvalidInput: something differs that may not.
    """
    for name in allowed:
        if name not in ALLOWANCES:
            raise UnknownName("allowance", name, ALLOWANCES)
    told: dict[str, list[str]] = {}
    for name, sentence in differences(base, head, pairs):
        sentences = told.setdefault(name, [])
        if sentence not in sentences:
            sentences.append(sentence)
    refused = {name: sentences for name, sentences in told.items() if name not in allowed}
    if refused:
        sentences = [sentence for some in refused.values() for sentence in some]
        more = f"; and {len(sentences) - MOST_TOLD} more" if len(sentences) > MOST_TOLD else ""
        raise InvalidInput(
            f"BASE and HEAD were not measured alike: {'; '.join(sentences[:MOST_TOLD])}{more}. "
            f"Measure both alike, or compare them all the same with --allow {','.join(refused)}"
        )
    return [sentence for sentences in told.values() for sentence in sentences]


def differences(base: Mapping[str, Any], head: Mapping[str, Any], pairs: Sequence[Pair]) -> Iterator[tuple[str, str]]:
    """Each difference as the allowance that would let it pass and a clause that tells it."""
    devices = [{device["name"]: device for device in results["devices"]} for results in (base, head)]
    for before, after in pairs:
        ours, theirs = devices[0].get(before["device"], {}), devices[1].get(after["device"], {})
        if before["device"] != after["device"]:
            yield "device", f"device {before['device']} is compared with {after['device']}"
        for key in HARDWARE:
            if ours.get(key) is not None and theirs.get(key) is not None and ours[key] != theirs[key]:
                yield "device", f"{key} of device {before['device']} was {ours[key]} and is {theirs[key]}"
        if before["engine"] != after["engine"]:
            yield "engine", f"engine {before['engine']} is compared with {after['engine']}"
        elif _differ(before, after, "engine_version"):
            yield (
                "engine",
                f"{before['engine']} was version {before.get('engine_version')} and is {after.get('engine_version')}",
            )
        if _differ(before, after, "harness_sha256"):
            was, now = (str(run.get("harness_sha256") or "not told") for run in (before, after))
            yield "harness", f"the measuring program was {was[:12]} and is {now[:12]} (harness_sha256)"
    yield from _of_results(base, head, pairs)


def _of_results(base: Mapping[str, Any], head: Mapping[str, Any], pairs: Sequence[Pair]) -> Iterator[tuple[str, str]]:
    counted = any(before.get("accuracy") and after.get("accuracy") for before, after in pairs)
    ours, theirs = (results.get("data") or {} for results in (base, head))
    if counted and ours.get("sha256") != theirs.get("sha256"):
        yield "data", f"accuracy was counted on {_data(ours)} and is on {_data(theirs)}"
    for key in SETTINGS:
        was, now = (results.get("settings", {}).get(key) for results in (base, head))
        if was is not None and now is not None and was != now:
            yield "settings", f"{key} was {was} and is {now}"


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], key: str) -> bool:
    """Whether two runs that were measured differ in something, or only one of them tells it."""
    return before["status"] == after["status"] == "ok" and (before.get(key) or "") != (after.get(key) or "")


def _data(data: Mapping[str, Any]) -> str:
    return f"{data.get('name', 'unknown data')} ({str(data.get('sha256', '?'))[:12]})"
