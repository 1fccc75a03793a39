"""Several results as one, so that they lie in one picture."""

from __future__ import annotations

__all__ = ["together"]

from collections.abc import Mapping, Sequence
from typing import Any

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.results import SCHEMA_VERSION
from edge_dwsep.words import in_a_line

MACHINE = ("kind", "emulated", "cpu", "cores", "machine")
"""What two devices of one name must have in common to be one device."""


def together(named: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Put results together; runs keep their order, and one that is in several is taken once.

    Devices or models of one name that are not the same are told apart by the name of their source.

    Args:
        named: results, each with the name of its source; at least one.

    Raises:
        InvalidInput: accuracy was counted on different images, which would be compared as if it were not.
    """
    if len(named) == 1:
        return dict(named[0][1])
    data = _data(named)
    runs: list[dict[str, Any]] = []
    models: dict[str, Mapping[str, Any]] = {}
    devices: dict[str, Mapping[str, Any]] = {}
    seen: set[str] = set()
    for source, results in named:
        new_models = _added(models, _with_reference(results), ("weights_sha256", "input_shape"), source)
        new_devices = _added(devices, results["devices"], MACHINE, source)
        for run in results["runs"]:
            if run.get("id") and run["id"] in seen:
                continue
            seen.add(run.get("id") or "")
            runs.append(
                {
                    **run,
                    "model": new_models.get(run["model"], run["model"]),
                    "device": new_devices.get(run["device"], run["device"]),
                }
            )
    return {
        "schema_version": SCHEMA_VERSION,
        "created": max((str(results.get("created") or "") for _, results in named), default="") or None,
        "command": "\n".join(dict.fromkeys(str(results["command"]) for _, results in named if results.get("command"))),
        "versions": _versions(named),
        "models": list(models.values()),
        "data": data,
        "reference": None,
        "devices": list(devices.values()),
        "settings": _by_source(named, "settings"),
        "sweep": _sweep(named),
        "runs": runs,
        "comparisons": [],
        "failed_exports": [one for _, results in named for one in results.get("failed_exports") or ()],
    }


def _with_reference(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models, each with the float accuracy that results of one model tell once for all."""
    return [{**model, "reference": model.get("reference") or results.get("reference")} for model in results["models"]]


def _added(
    known: dict[str, Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], same: Sequence[str], source: str
) -> dict[str, str]:
    """Add ``ours`` to what is known by name; gives the names that had to be changed."""
    renamed = {}
    for one in ours:
        name = str(one["name"])
        other = known.get(name)
        if other is not None and any(other.get(key) != one.get(key) for key in same):
            renamed[name] = f"{name} ({source})"
        known.setdefault(renamed.get(name, name), {**one, "name": renamed.get(name, name)})
    return renamed


def _data(named: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    """What accuracy was counted on, the same for all that counted any."""
    counted = [(source, results["data"]) for source, results in named if results.get("data")]
    for source, data in counted[1:]:
        first, other = counted[0]
        if data.get("sha256") != other.get("sha256"):
            raise InvalidInput(
                f"{in_a_line(first)} and {in_a_line(source)} count accuracy on different images "
                f"({in_a_line(str(other.get('name')))}, {in_a_line(str(data.get('name')))}); report them apart"
            )
    return counted[0][1] if counted else None


def _versions(named: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    told: dict[str, dict[str, None]] = {}
    for _, results in named:
        for tool, version in (results.get("versions") or {}).items():
            told.setdefault(tool, {})[str(version)] = None
    return {tool: ", ".join(versions) for tool, versions in told.items()}


def _by_source(named: Sequence[tuple[str, Mapping[str, Any]]], key: str) -> dict[str, Any]:
    """A part that all have alike, or each source's own by its name."""
    parts = [(source, dict(results.get(key) or {})) for source, results in named]
    return parts[0][1] if all(part == parts[0][1] for _, part in parts) else dict(parts)


def _sweep(named: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any] | None:
    sweeps = [(source, results["sweep"]) for source, results in named if results.get("sweep")]
    if not sweeps:
        return None
    plans = {source: sweep.get("plan") or {} for source, sweep in sweeps}
    told = {
        key: [str(sweep[key]) for _, sweep in sweeps if sweep.get(key)] for key in ("id", "name", "store", "started")
    }
    ended = [sweep.get("finished") for _, sweep in sweeps]
    return {
        **{key: ", ".join(dict.fromkeys(values)) for key, values in told.items()},
        "finished": max(map(str, ended)) if all(ended) else None,
        "plan": next(iter(plans.values())) if len(plans) == 1 else plans,
        "excluded": [one for _, sweep in sweeps for one in sweep.get("excluded") or ()],
    }
