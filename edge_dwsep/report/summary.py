"""What was measured, on what, with what and how often, as a heading and a plain sentence."""

from __future__ import annotations

__all__ = ["heading", "lead"]

from collections.abc import Mapping, Sequence
from typing import Any

from edge_dwsep.report.figures import count, plural, value
from edge_dwsep.report.runs import ReportedRun, number, section

MOST_NAMES = 3
"""More models or devices are given as their number."""


def heading(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    """The models and the devices, briefly."""
    models = [_model_name(model) for model in _measured(_told(results, "models"), runs, "model")]
    return f"{_together(models, 'model') or 'Unnamed model'} on {_on(results, runs)}"


def lead(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    """One sentence, two of a sweep."""
    models = _measured(_told(results, "models"), runs, "model")
    devices = _measured(_told(results, "devices"), runs, "device")
    data = section(results, "data")
    failed = sum(run.error is not None for run in runs)
    said = "Unnamed model"
    if len(models) == 1:
        traits = _traits(models[0])
        said = f"{_model_name(models[0])}{f' ({traits})' if traits else ''}"
    elif models:
        said = plural(len(models), "model")
    machine = _machine(devices[0]) if len(devices) == 1 else ""
    said += f", {plural(len(runs), 'run')} on {_on(results, runs)}{f' ({machine})' if machine else ''}"
    said += f", {failed} of which failed" if failed else ""
    images = number(data.get("count"))
    if data.get("name") or images or any(run.top1 for run in runs):
        said += f"; accuracy {f'on {count(images)} images ' if images else ''}of "
        said += value(data.get("name") or "an unnamed data set")
    sweep = section(results, "sweep")
    if not sweep:
        return f"{said}."
    reused = sum(run.reused for run in runs)
    again = f" {plural(reused, 'run')} of it had been measured before." if reused else ""
    unfinished = "" if sweep.get("finished") else " It is not finished."
    return f"{said}. Sweep {value(sweep.get('name') or sweep.get('id') or 'without a name')}.{again}{unfinished}"


def _on(results: Mapping[str, Any], runs: Sequence[ReportedRun]) -> str:
    devices = _measured(_told(results, "devices"), runs, "device")
    names = [value(device.get("name") or "an unnamed device") for device in devices]
    return _together(names, "device") or "an unnamed device"


def _told(results: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    told = results.get(key)
    return [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []


def _measured(told: list[Mapping[str, Any]], runs: Sequence[ReportedRun], key: str) -> list[Mapping[str, Any]]:
    """Those that runs are of; all of them where the runs do not say."""
    named = {getattr(run, key) for run in runs}
    return [one for one in told if one.get("name") in named] or told


def _together(names: Sequence[str], noun: str) -> str:
    if len(names) > MOST_NAMES:
        return plural(len(names), noun)
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _model_name(model: Mapping[str, Any]) -> str:
    if model.get("name"):
        return value(model["name"])
    alpha = number(model.get("alpha"))
    return f"{value(model.get('architecture') or 'Unnamed model')}{f' {alpha:g}' if alpha else ''}"


def _traits(model: Mapping[str, Any]) -> str:
    shape, times = model.get("input_shape"), "\N{MULTIPLICATION SIGN}"
    traits = [
        f"input {times.join(map(str, shape))}" if isinstance(shape, (list, tuple)) else "",
        f"{count(number(model.get('params')))} parameters" if number(model.get("params")) else "",
        f"{count(number(model.get('macs')))} MACs" if number(model.get("macs")) else "",
    ]
    return ", ".join(trait for trait in traits if trait)


def _machine(device: Mapping[str, Any]) -> str:
    cores = number(device.get("cores"))
    parts = (value(device.get("cpu") or ""), plural(int(cores), "core") if cores else "")
    return ", ".join(part for part in parts if part)
