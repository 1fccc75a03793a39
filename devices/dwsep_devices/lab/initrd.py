"""An initial RAM disk with a few modules of a kernel: what it takes to reach the root file system."""

from __future__ import annotations

__all__ = ["archive", "modules"]

import gzip
import lzma
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from dwsep_devices.errors import PermanentDeviceError


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """A compressed cpio archive of the form "newc" (Linux: Documentation/driver-api/early-userspace/buffer-format.rst).

    Args:
        files: mode and content by path; of a folder the content is empty, of a link it is where it leads.
    """
    whole = bytearray()
    for number, (name, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], start=1):
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        whole += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        whole += bytes(-len(whole) % 4) + content
        whole += bytes(-len(whole) % 4)
    return gzip.compress(bytes(whole), 1, mtime=0)


def modules(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Modules of a kernel and those that they need, in the order in which they can be loaded.

    Args:
        folder: with the kernel's modules.
        names: of modules; one that is built into the kernel may be missing.

    Raises:
        PermanentDeviceError: a module that another needs is missing.
    """
    paths = {path.name.split(".")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        content = _content(paths[name])
        found = re.search(rb"(?:^|\0)depends=([^\0]*)\0", content)
        needed = found.group(1).decode().replace("-", "_").split(",") if found else []
        for other in filter(None, needed):
            if other not in paths:
                raise PermanentDeviceError(f"lab: the kernel's module {name} needs {other}, which is not there")
            if other not in ordered:
                add(other)
        ordered[name] = content

    for name in names:
        if name in paths and name not in ordered:
            add(name)
    return ordered


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content
