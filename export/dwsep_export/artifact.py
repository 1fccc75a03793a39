"""An artifact: a model file, and the manifest that belongs to it where there is one."""

from __future__ import annotations

__all__ = ["Artifact", "open_artifact", "place_artifact"]

from dataclasses import dataclass
from pathlib import Path

from dwsep_export.manifest import Manifest, load_manifest, manifest_path
from dwsep_runtime.model_file import model_format, sha256_of


@dataclass(frozen=True)
class Artifact:
    """A model file ready to be measured.

    Attributes:
        file: the .tflite or .onnx file.
        format: "tflite" or "onnx".
        sha256: of the file.
        manifest: None for a file made elsewhere.
        manifest_sha256: of the manifest's file; empty without one.
    """

    file: Path
    format: str
    sha256: str
    manifest: Manifest | None
    manifest_sha256: str

    @property
    def variant(self) -> str:
        """The recipe's name, or the file's without its suffix where there is no manifest."""
        return self.manifest.recipe["name"] if self.manifest else self.file.stem

    @property
    def scheme(self) -> str:
        """The recipe's scheme; "unknown" without a manifest."""
        return self.manifest.recipe["scheme"] if self.manifest else "unknown"


def open_artifact(file: Path) -> Artifact:
    """Look a model file through, and its manifest if it has one.

    Raises:
        InvalidModel: missing, empty, truncated, or not what its name says.
        StaleArtifact: the manifest was written for another content.
        InvalidInput: the manifest cannot be read.
    """
    found = model_format(file)
    manifest, manifest_sha256 = load_manifest(file) or (None, "")
    return Artifact(file, found, sha256_of(file), manifest, manifest_sha256)


def place_artifact(model: Path, manifest: Path, final: Path) -> Artifact:
    """Give a finished model file and its manifest their final names, on the same file system.

    Raises:
        InvalidInput: they do not belong together.
    """
    # An old manifest must never stand beside a new file, nor the other way round.
    manifest_path(final).unlink(missing_ok=True)
    model.replace(final)
    manifest.replace(manifest_path(final))
    return open_artifact(final)
