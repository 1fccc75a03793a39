"""What the runtime is asked to do: one model, one engine, one scenario."""

from __future__ import annotations

__all__ = ["SCHEMA_VERSION", "Accuracy", "Job", "Predict", "Scenario", "SingleStream"]

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, Union

from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.preprocessing import Preprocessing

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class SingleStream:
    """Inferences one after another, each timed (MLPerf Inference's SingleStream, Reddi et al. 2020, arXiv:1911.02549).

    Attributes:
        min_samples: timed inferences at least.
        min_seconds: seconds of timed inferences at least; both minimums hold.
        warmup_seconds: seconds of inferences before the first timed one.
        seed: of the random input.
    """

    min_samples: int = 1024
    min_seconds: float = 3.0
    warmup_seconds: float = 0.5
    seed: int = 0
    name: str = field(default="single-stream", init=False)

    def __post_init__(self) -> None:
        if self.min_samples < 1:
            raise InvalidInput(f"min_samples must be at least 1, received {self.min_samples}")
        for setting in ("min_seconds", "warmup_seconds"):
            if not 0 <= getattr(self, setting) <= 86400:
                raise InvalidInput(f"{setting} must be between 0 and 86400 s, received {getattr(self, setting)}")


@dataclass(frozen=True)
class Accuracy:
    """Classify labelled images one by one.

    Attributes:
        images: path of a .npy file, uint8 (count, height, width, channels).
        labels: path of a .npy file, integers (count,); label k is the model's output k + label_offset.
        preprocessing: from pixels to the model's input.
        label_offset: number of outputs before the one of label 0.
    """

    images: str
    labels: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    label_offset: int = 0
    name: str = field(default="accuracy", init=False)


@dataclass(frozen=True)
class Predict:
    """Run images one by one and keep the outputs, to compare them with another engine's.

    Attributes:
        images: path of a .npy file, uint8 (count, height, width, channels).
        outputs: path of the .npy file to write, float32 (count, outputs), dequantized.
        preprocessing: from pixels to the model's input.
    """

    images: str
    outputs: str
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    name: str = field(default="predict", init=False)


Scenario = Union[SingleStream, Accuracy, Predict]
SCENARIOS: dict[str, type[Any]] = {"single-stream": SingleStream, "accuracy": Accuracy, "predict": Predict}

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
        threads: of the engine.
        manifest_sha256: of the artifact's manifest, kept in the result; empty without a manifest.
        title: what messages call the model.
    """

    id: str
    model: str
    sha256: str
    engine: str
    scenario: Scenario
    threads: int = 1
    manifest_sha256: str = ""
    title: str = "model"

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= 1024:
            raise InvalidInput(f"threads must be between 1 and 1024, received {self.threads}")

    def to_json(self) -> dict[str, Any]:
        """The job as a JSON object; :meth:`from_json` reads it."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        scenario = {item.name: getattr(self.scenario, item.name) for item in fields(self.scenario)}
        if "preprocessing" in scenario:
            scenario["preprocessing"] = scenario["preprocessing"].to_json()
        return {"schema_version": SCHEMA_VERSION, **values, "scenario": scenario}

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
        scenario = dict(given.get("scenario") or {})
        name = scenario.pop("name", None)
        if name not in SCENARIOS:
            raise UnknownName("scenario", str(name), SCENARIOS)
        if "preprocessing" in scenario:
            scenario["preprocessing"] = Preprocessing.from_json(scenario["preprocessing"])
        given["scenario"] = _make(SCENARIOS[name], scenario, f"scenario {name}")
        return _make(cls, given, "job")


def _make(kind: type[Made], values: Mapping[str, Any], what: str) -> Made:
    known = {item.name for item in fields(kind) if item.init}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UnknownName(f"{what} key", key, known)
    try:
        return kind(**values)
    except TypeError as error:
        raise InvalidInput(f"{what}: {error}") from error
