"""What the runtime is asked to do: one model, one engine, one scenario, under which conditions."""

from __future__ import annotations

__all__ = ["SCHEMA_VERSION", "Job"]

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from dwsep_runtime.conditions import Conditions
from dwsep_runtime.engines.protocol import EngineSettings
from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.scenarios import scenario_kind

if TYPE_CHECKING:
    from dwsep_runtime.scenarios import Scenario

SCHEMA_VERSION = 2

Made = TypeVar("Made")


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        id: name of the run; every line of its output carries it.
        model: path of the model file on the device.
        sha256: of the model file; a file with another content is refused.
        engine: name in the registry of engines.
        scenario: what to do with the model.
        settings: of the engine: threads, batch, options.
        conditions: what the device should be brought to for the run.
        memory_limit_bytes: most data memory that the process may take; None for as much as the device has.
        manifest_sha256: of the artifact's manifest, kept in the result; empty without a manifest.
        title: what messages call the model.
    """

    id: str
    model: str
    sha256: str
    engine: str
    scenario: Scenario
    settings: EngineSettings = field(default_factory=EngineSettings)
    conditions: Conditions = field(default_factory=Conditions)
    memory_limit_bytes: Optional[int] = None
    manifest_sha256: str = ""
    title: str = "model"

    def __post_init__(self) -> None:
        for key in ("id", "model", "sha256", "engine", "manifest_sha256", "title"):
            value = getattr(self, key)
            if not isinstance(value, str):
                raise InvalidInput(f"job key {key!r} must be a string, received {value!r}")
        limit = self.memory_limit_bytes
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise InvalidInput(f"memory_limit_bytes must be a whole number of bytes above 0, received {limit!r}")

    def to_json(self) -> dict[str, Any]:
        """The job as a JSON object; :meth:`from_json` reads it."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        scenario = {item.name: getattr(self.scenario, item.name) for item in fields(self.scenario)}
        values["conditions"] = self.conditions.to_json()
        values["settings"] = {**vars(self.settings), "options": dict(self.settings.options)}
        return {
            "schema_version": SCHEMA_VERSION,
            **values,
            "scenario": {key: _plain(scenario[key]) for key in scenario},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Job:
        """Read a job.

        Raises:
            InvalidInput: another schema version, or a key missing, unknown or out of range.
        """
        given = dict(values)
        version = given.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise InvalidInput(f"job has schema_version {version}; this runtime reads {SCHEMA_VERSION}")
        for key in ("scenario", "conditions", "settings"):
            if not isinstance(given.get(key, {}), Mapping):
                raise InvalidInput(f"job key {key!r} must be an object, received {given[key]!r}")
        scenario = dict(given.get("scenario") or {})
        name = str(scenario.pop("name", None))
        kind = scenario_kind(name)
        for key, read in getattr(kind, "READERS", {}).items():
            if key in scenario:
                scenario[key] = read(scenario[key])
        given["scenario"] = _make(kind, scenario, f"scenario {name}")
        if "settings" in given:
            given["settings"] = _make(EngineSettings, given["settings"], "settings")
        if "conditions" in given:
            given["conditions"] = Conditions.from_json(given["conditions"])
        return _make(cls, given, "job")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_json() if hasattr(value, "to_json") else value


def _make(kind: type[Made], values: Mapping[str, Any], what: str) -> Made:
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UnknownName(f"{what} key", key, known)
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidInput(f"{what}: {error}") from error
