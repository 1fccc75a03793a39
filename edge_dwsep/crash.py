"""Which operator of a model an engine crashes on."""

from __future__ import annotations

__all__ = ["crashing_operator"]

from dataclasses import replace
from pathlib import Path

from dwsep_devices import Device, Setup, run_job
from dwsep_export import Artifact
from dwsep_runtime.conditions import Conditions
from dwsep_runtime.errors import DwsepError, EngineCrashed, TimedOut
from dwsep_runtime.operators.tflite_prefix import first_crashing_operator
from dwsep_runtime.scenarios import FirstInference

PART_SECONDS = 60.0
"""Seconds that a part of the model may take to load and run once."""


def crashing_operator(device: Device, artifact: Artifact, engine: str, setup: Setup) -> str | None:
    """Find the operator by running ever shorter beginnings of the model, each in a process of its own.

    Args:
        device: where it crashed.
        artifact: what crashed.
        engine: on which engine.
        setup: of the run that crashed.

    Returns:
        The operator, such as "operator 3 FLOOR_MOD"; None where it cannot be told: the file is no .tflite, cannot
        be taken apart or brought to the device, or no part of it crashes.
    """
    setup = replace(setup, conditions=Conditions())

    def crashes(part: Path) -> bool:
        try:
            run_job(device, part, engine, FirstInference(), setup, timeout=PART_SECONDS)
        except TimedOut:
            return False
        except EngineCrashed:
            return True
        except DwsepError:
            return False
        return False

    if artifact.format != "tflite":
        return None
    try:
        found = first_crashing_operator(artifact.file, crashes)
    except Exception:  # noqa: BLE001  # a clue beside an error that is known: the want of it must not end a bench
        return None
    return None if found is None else str(found)
