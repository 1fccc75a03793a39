"""Contents of files by their hash, in a folder of this host: written whole, checked whenever they are used."""

from __future__ import annotations

__all__ = ["BlobFolder", "default_blobs"]

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from dwsep_devices.cache import cache_folder
from dwsep_export.errors import OutputNotWritable
from dwsep_runtime.model_file import sha256_of
from edge_dwsep.sweep.errors import LostContent


class BlobFolder:
    """A folder of contents, ``AB/ABCDEF...`` by SHA-256.

    Args:
        folder: made when something is first put into it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where a content lies, if it is there."""
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether a content is there and whole; one that is damaged is removed."""
        path = self.path(sha256)
        if not path.is_file():
            return False
        if sha256_of(path) == sha256:
            return True
        path.unlink(missing_ok=True)
        return False

    def put(self, content: bytes) -> str:
        """Keep a content; gives its SHA-256.

        Raises:
            OutputNotWritable: the folder cannot be written, or the disk is full.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if path.is_file() and path.stat().st_size == len(content) and self.has(sha256):
            return sha256
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(part).replace(path)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise OutputNotWritable(
                f"{self.folder} cannot be written: {error.strerror}; free space there or set XDG_CACHE_HOME"
            ) from error
        return sha256

    def put_file(self, path: Path) -> str:
        """Keep the content of a file; gives its SHA-256."""
        return self.put(path.read_bytes())

    def read(self, sha256: str) -> bytes:
        """A content.

        Raises:
            LostContent: it is not there, or damaged.
        """
        if not self.has(sha256):
            raise LostContent(sha256)
        return self.path(sha256).read_bytes()

    def copy(self, sha256: str, target: Path) -> None:
        """Put a copy of a content at ``target`` in one rename; its folder must exist.

        Raises:
            LostContent: it is not there, or damaged.
            OSError: the target cannot be written; it names the target.
        """
        if not self.has(sha256):
            raise LostContent(sha256)
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.copyfile(self.path(sha256), part)
        except OSError as error:  # which names the content, whatever was refused
            raise OSError(error.errno, error.strerror, str(target)) from error
        part.replace(target)


def default_blobs() -> BlobFolder:
    """The folder of this user's cache."""
    return BlobFolder(cache_folder() / "sweep" / "blobs")
