"""results.json: everything that a series of runs showed, raw samples included."""

from __future__ import annotations

__all__ = ["SCHEMA_VERSION", "add_run", "circumstances", "new_results", "write_results"]

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from dwsep_export.output import json_text, write_text

SCHEMA_VERSION = 4
TOOLS = ("edge-dwsep", "tensorflow", "keras", "ai-edge-litert", "onnxruntime", "numpy")


def new_results(command: str, settings: Mapping[str, Any], devices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Results without runs: when, by which command, versions, settings, and what is known of the devices before."""
    return {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command,
        "versions": {**{name: metadata.version(name) for name in TOOLS}, "python": platform.python_version()},
        "models": [],
        "data": None,
        "reference": None,
        "devices": [dict(device) for device in devices],
        "settings": dict(settings),
        "sweep": None,
        "runs": [],
        "comparisons": [],
    }


def add_run(results: dict[str, Any], record: dict[str, Any], measured: Mapping[str, Any]) -> None:
    """Put what was measured into a run's record; what is true of the device goes to its entry in ``devices``."""
    for key, value in measured.items():
        if key == "device":
            next(one for one in results["devices"] if one["name"] == record["device"]).update(value)
        elif key == "doubts":
            record["warnings"].extend(sentence for sentence in value if sentence not in record["warnings"])
        elif key == "invalid":
            record["valid"] = record["valid"] and not value
            record["warnings"][:0] = [f"not valid: {reason}" for reason in value]
        elif key == "state" and record["state"]:
            record["state"] = {"before": record["state"]["before"], "after": value["after"]}
        else:
            record[key] = value


def circumstances(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a result of the runtime tells besides its figures, as :func:`add_run` takes it."""
    return {
        "engine_version": result["engine"]["version"],
        "state": result["state"],
        "device": result["device"],
        "harness_sha256": result["harness_sha256"],
        "environment": result.get("environment") or None,
    }


def write_results(results: Mapping[str, Any], path: Path) -> None:
    """Write results as JSON, in one rename.

    Raises:
        OutputNotWritable: the folder cannot be written.
    """
    write_text(path, json_text(results))
