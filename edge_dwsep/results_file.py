"""Read results.json of this version and of earlier ones."""

from __future__ import annotations

__all__ = ["migrated", "read_results"]

import json
from pathlib import Path
from typing import Any

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.results import SCHEMA_VERSION

OLDEST = 3
REQUIRED = {"runs": list, "devices": list, "models": list}


def read_results(path: Path) -> dict[str, Any]:
    """Read a results.json; one of an earlier schema version is brought to this one.

    Raises:
        InvalidInput: it is missing, no JSON, no results, or of a schema version that this program does not know.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"results {path} cannot be read: {error.strerror}; give a results.json") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"results {path} are not JSON: {error}; give a results.json of edge-dwsep") from error
    if not isinstance(values, dict) or "schema_version" not in values:
        raise InvalidInput(f"{path} holds no results of edge-dwsep; give a results.json of bench, accuracy or sweep")
    return migrated(values, str(path))


def migrated(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Results as this schema version has them.

    Args:
        values: of any known schema version.
        name: of where they come from, for messages.

    Raises:
        InvalidInput: of another schema version, or a part is missing or of another kind.
    """
    version = values["schema_version"]
    if version == OLDEST:
        values = _from_3(values)
    elif version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        mend = "upgrade edge-dwsep" if newer else "measure again"
        raise InvalidInput(
            f"{name} has schema_version {version!r}; this version reads {OLDEST} to {SCHEMA_VERSION}: {mend}"
        )
    for key, kind in REQUIRED.items():
        if not isinstance(values.get(key), kind) or not all(isinstance(one, dict) for one in values[key]):
            raise InvalidInput(f"{name}: {key!r} must be a list of objects; write the results again")
    return values


def _from_3(values: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 knew one model, and no sweeps."""
    model = values.get("model")
    rest = {key: value for key, value in values.items() if key != "model"}
    models, name = [], ""
    if isinstance(model, dict):
        models = [{**model, "trained": True, "reference": values.get("reference")}]
        name = model.get("name", "")
    added = {"model": name, "cost": None, "native": None}
    runs = [{**added, **run} if isinstance(run, dict) else run for run in values.get("runs", [])]
    return {**rest, "schema_version": SCHEMA_VERSION, "models": models, "sweep": None, "runs": runs}
