"""The manifest: what a model file is, how it was made, and how far it can be trusted, bound to its content by hash."""

from __future__ import annotations

__all__ = ["SCHEMA_VERSION", "Calibration", "Manifest", "ModelFacts", "Parity", "load_manifest", "manifest_path"]

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from dwsep_export.errors import StaleArtifact
from dwsep_runtime.engines.protocol import Tensor
from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.golden import Golden
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.preprocessing import Preprocessing

SCHEMA_VERSION = 2
SUFFIX = ".manifest.json"

Made = TypeVar("Made")


@dataclass(frozen=True)
class ModelFacts:
    """The network before export.

    Attributes:
        name: what it is called in results.
        architecture: name in the registry of architectures; empty for a model of the user's own.
        alpha: width multiplier; None where unknown.
        input_shape: (height, width, channels).
        outputs: length of the output.
        params: number of weights.
        macs: multiply-accumulates of one inference.
        weights_sha256: hash of all weights, in order.
    """

    name: str
    architecture: str
    alpha: float | None
    input_shape: tuple[int, ...]
    outputs: int
    params: int
    macs: int
    weights_sha256: str


@dataclass(frozen=True)
class Calibration:
    """Images that activation ranges were taken from: data set, its hash, and which of its images."""

    data: str
    data_sha256: str
    count: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Parity:
    """How the artifact's outputs compare with the Keras model's on the same images.

    Attributes:
        data: data set.
        data_sha256: its hash.
        count: images compared.
        indices: which of the data set's images.
        engine: engine that ran the artifact, and its version.
        top1_agreement: share of images with the same largest output; None where the
            Keras model puts all of them into one class.
        max_abs_error: largest difference of any output.
        mean_abs_error: mean difference over all outputs.
    """

    data: str
    data_sha256: str
    count: int
    indices: tuple[int, ...]
    engine: str
    top1_agreement: float | None
    max_abs_error: float
    mean_abs_error: float


@dataclass(frozen=True)
class Manifest:
    """See the module; ``file``, ``recipe`` and ``oldest_runtime`` are objects of plain values.

    ``golden`` is what the export made of the golden images; None where it was written by an earlier version.
    """

    model: ModelFacts
    recipe: dict[str, str]
    file: dict[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    operators: dict[str, int]
    oldest_runtime: dict[str, Any]
    calibration: Calibration | None
    parity: Parity
    golden: Golden | None
    provenance: dict[str, str]
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        values = asdict(self)
        values["preprocessing"] = self.preprocessing.to_json()
        values["golden"] = self.golden.to_json() if self.golden else None
        return {"schema_version": SCHEMA_VERSION, **values}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Manifest:
        """Read a manifest of this or an earlier schema version.

        Raises:
            InvalidInput: another schema version, or a key missing or unknown.
        """
        given = _migrated(values)
        try:
            given["model"] = _make(ModelFacts, given["model"], "model")
            given["inputs"] = tuple(_make(Tensor, item, "input") for item in given["inputs"])
            given["outputs"] = tuple(_make(Tensor, item, "output") for item in given["outputs"])
            given["preprocessing"] = Preprocessing.from_json(given["preprocessing"])
            given["parity"] = _make(Parity, given["parity"], "parity")
            if given["golden"] is not None:
                given["golden"] = Golden.from_json(given["golden"])
            if given["calibration"] is not None:
                given["calibration"] = _make(Calibration, given["calibration"], "calibration")
            made = _make(cls, given, "manifest")
            named = (made.file["sha256"], made.recipe["name"], made.recipe["scheme"])
        except KeyError as error:
            raise InvalidInput(f"manifest lacks {error.args[0]!r}") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise InvalidInput(f"manifest has a value of the wrong kind: {error}") from error
        if not all(isinstance(text, str) for text in named):
            raise InvalidInput("manifest has a hash or name that is not a text")
        return made


def _migrated(values: dict[str, Any]) -> dict[str, Any]:
    """The values as this schema version has them, without the version."""
    given = dict(values)
    version = given.pop("schema_version", None)
    if version == 1:
        return {**given, "golden": None}
    if version != SCHEMA_VERSION:
        raise InvalidInput(f"manifest has schema_version {version}; this version reads 1 to {SCHEMA_VERSION}")
    return given


def _make(kind: type[Made], values: dict[str, Any], what: str) -> Made:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise UnknownName(f"{what} key", key, known)
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**frozen)
    except TypeError as error:
        raise InvalidInput(f"{what} in manifest: {error}") from error


def manifest_path(model: Path) -> Path:
    """Where a model file's manifest lies: beside it, with ``.manifest.json`` added to its name."""
    return model.with_name(model.name + SUFFIX)


def load_manifest(model: Path) -> tuple[Manifest, str] | None:
    """The manifest of a model file and the manifest's SHA-256, or None if it has none.

    Raises:
        StaleArtifact: the file's content is not the one that the manifest was written for.
        InvalidInput: the manifest cannot be read.
    """
    path = manifest_path(model)
    if not path.exists():
        return None
    try:
        content = path.read_bytes()
        values = json.loads(content)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"manifest {path} cannot be read: {error}; export the model again") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"manifest {path} is not a JSON object; export the model again")
    try:
        manifest = Manifest.from_json(values)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}; export the model again") from error
    if sha256_of(model) != manifest.file["sha256"]:
        raise StaleArtifact(f"{model} is not the file that {path.name} was written for; export the model again")
    return manifest, hashlib.sha256(content).hexdigest()
