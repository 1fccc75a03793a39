"""Wheels of packages that exist in tests alone."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path


def made_wheel(
    folder: Path,
    name: str = "tiny",
    version: str = "1.0",
    files: Mapping[str, bytes] | None = None,
    *,
    tag: str = "py3-none-any",
    requires_python: str = ">=3.9",
    recorded: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel into a folder.

    Args:
        folder: where to.
        name: of the package.
        version: of it.
        files: content by name; a module of the package's name if None.
        tag: Python, ABI and platform.
        requires_python: what pip is told.
        recorded: contents that the RECORD tells of in place of the true ones.
    """
    info = f"{name}-{version}.dist-info"
    content = {f"{name}.py": b"SIZE = 1\n"} if files is None else dict(files)
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {requires_python}\n"
    content[f"{info}/METADATA"] = told.encode()
    content[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    lines = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in {**content, **(recorded or {})}.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    file = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        for path, data in content.items():
            wheel.writestr(path, data)
    return file


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
