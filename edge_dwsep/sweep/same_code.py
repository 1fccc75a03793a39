"""Whether another installation of this toolchain makes the same of the same: its code, and the packages that decide."""

from __future__ import annotations

__all__ = ["difference", "installation"]

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

OURS = ("edge_dwsep", "dwsep_export", "dwsep_devices", "dwsep_runtime")
"""Packages whose sources are compared: two checkouts of one version can differ."""

DECISIVE = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxslim", "onnxruntime", "ai-edge-litert")
"""Packages that steps name with their versions, as they are where the sweep is begun."""


@functools.cache
def installation() -> dict[str, str]:
    """What is installed here: version by package, and ``code``, the SHA-256 of our sources."""
    told = {name: _version(name) for name in ("edge-dwsep", *DECISIVE, "distributed")}
    digest = hashlib.sha256()
    for name in OURS:
        found = importlib.util.find_spec(name)
        for folder in sorted(found.submodule_search_locations or ()) if found else ():
            for source in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{name}/{source.relative_to(folder)}\0".encode())
                digest.update(hashlib.sha256(source.read_bytes()).digest())
    return {**told, "code": digest.hexdigest()}


def difference(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    """The first thing by which an installation differs from another, in words; empty if they are the same."""
    for name in here:
        other = there.get(name) or "none"
        if other == here[name]:
            continue
        if name == "code":
            return f"its edge-dwsep {here['edge-dwsep']} has other code than this one"
        return f"it has {name} {other} where this machine has {here[name] or 'none'}"
    return ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
