"""Records of runs without their raw samples, as a store searches and a report shows thousands of them."""

from __future__ import annotations

__all__ = ["QUANTILES", "distribution_of", "full", "light", "light_results"]

from collections.abc import Mapping, Sequence
from typing import Any

QUANTILES = tuple(2.5 * step for step in range(41))
"""Percentiles of all samples that a light record keeps, 0 (the least) to 100 (the greatest)."""

BULK = {
    "latency": ("samples_ns", "stages", "states", "warmups"),
    "accuracy": ("predictions", "confusion", "per_class"),
}
"""What a light record leaves out of each part of a run; and ``log``."""

DISTRIBUTION = "distribution_ms"
SHOWN_STATE = ("temperature_c", "frequency_mhz", "load_1min", "governor", "throttled_now")
"""What a light record keeps of the device's state around each launch, where the device told it."""


def light(record: Mapping[str, Any]) -> dict[str, Any]:
    """A run's record without raw samples; of one that is light already, a copy.

    Args:
        record: of results.json.

    Returns:
        The record, its parts without what ``BULK`` names and without ``log``; ``latency`` with ``distribution_ms``:
        inference times in ms at ``QUANTILES``.
    """
    kept = {key: value for key, value in record.items() if key != "log"}
    for part, names in BULK.items():
        if kept.get(part):
            kept[part] = {key: value for key, value in kept[part].items() if key not in names}
    found = distribution_of(record)
    if found is not None:
        kept["latency"][DISTRIBUTION] = found
    if kept.get("launches"):
        kept["launches"] = [_light_launch(launch) for launch in kept["launches"]]
    return kept


def light_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """Results with every run's record light."""
    return {**results, "runs": [light(run) for run in results["runs"]]}


def distribution_of(record: Mapping[str, Any]) -> list[float] | None:
    """Inference times in ms at ``QUANTILES``, of a full or of a light record; None where nothing was timed."""
    latency = record.get("latency") or {}
    if DISTRIBUTION in latency:
        return list(latency[DISTRIBUTION])
    if not latency.get("samples_ns"):
        return None
    import numpy as np

    from dwsep_runtime.arrays import decode_array

    samples = decode_array(latency["samples_ns"])
    if not len(samples):
        return None
    # Five digits tell more than any clock does.
    return [float(f"{value:.5g}") for value in np.percentile(samples, QUANTILES) / 1e6]


def full(
    record: Mapping[str, Any], launches: Sequence[Mapping[str, Any]], accuracy: Mapping[str, Any]
) -> dict[str, Any]:
    """A light record with its raw samples again.

    Args:
        record: light.
        launches: what the runtime told of each process that timed it, in the order of the record.
        accuracy: the record's ``accuracy`` as it was measured, or nothing.
    """
    whole = dict(record)
    if whole.get("latency") and launches:
        import numpy as np

        from dwsep_runtime.arrays import decode_array, encode_array

        measured = [launch["measured"] for launch in launches]
        whole["latency"] = {
            **{key: value for key, value in whole["latency"].items() if key != DISTRIBUTION},
            "samples_ns": encode_array(np.concatenate([decode_array(one["samples_ns"]) for one in measured])),
            "warmups": [one.get("warmup") for one in measured],
            "stages": [launch.get("stages") for launch in launches],
            "states": [one.get("states") for one in measured],
        }
        whole["log"] = [line for launch in launches for line in launch.get("log", ())]
    if whole.get("accuracy") and accuracy:
        whole["accuracy"] = {**accuracy, **whole["accuracy"]}
    return whole


def _light_launch(launch: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(launch)
    for when in ("state_before", "state_after"):
        state = kept.get(when)
        if state:
            kept[when] = {name: state[name] for name in SHOWN_STATE if state.get(name) is not None}
    return kept
