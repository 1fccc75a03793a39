"""The runtime's own sources on a device: ``<root>/runtime/<harness hash>/dwsep_runtime``, sent as one archive."""

from __future__ import annotations

__all__ = ["archive", "compile_script", "runtime_sources", "sources_folder"]

import io
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dwsep_runtime
from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.transport import quoted
from dwsep_runtime.harness import harness_sha256
from dwsep_runtime.model_file import sha256_of

if TYPE_CHECKING:
    from dwsep_devices.remote import RemoteDevice

KEPT_VERSIONS = 3
"""Versions of the harness that stay on a device, the new one among them."""

UNPACK_SECONDS = 120.0


def sources_folder(root: str) -> str:
    """Where the runtime's sources of this version lie below a device's root; to be put on Python's path."""
    return f"{root}/runtime/{harness_sha256()}"


def runtime_sources(device: RemoteDevice) -> str:
    """Bring the runtime's sources to a device, unless they are there.

    Returns:
        The folder that holds ``dwsep_runtime``.

    Raises:
        DeviceError: they could not be brought there.
    """
    folder = sources_folder(device.root)
    if "there" in device.ask(f"[ -d {quoted(folder)} ] && echo there; true"):
        return folder
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-sources-") as scratch:
        local = Path(scratch) / "dwsep_runtime.tar"
        local.write_bytes(archive(Path(dwsep_runtime.__file__).parent))
        sha256 = sha256_of(local)
        blob = f"{device.root}/blobs/{sha256}.tar"
        device.push(local, blob, sha256)
    if "unpacked" not in device.ask(_unpack(folder, blob), timeout=UNPACK_SECONDS):
        raise PermanentDeviceError(f"{device.name}: the runtime could not be unpacked in {folder}")
    return folder


def archive(package: Path) -> bytes:
    """The sources of a package as a tar file, the same for the same sources."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for source in sorted(package.rglob("*.py")):
            content = source.read_bytes()
            entry = tarfile.TarInfo(f"{package.name}/{source.relative_to(package).as_posix()}")
            entry.size = len(content)
            entry.mtime = 1_000_000_000  # tar warns of files from before the device's idea of the past
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def compile_script(python: Sequence[str], folder: str, marker: str) -> str:
    """A script that compiles the sources for a Python, once: start-up of the runtime counts.

    Args:
        python: program and arguments.
        folder: as :func:`runtime_sources` gives it.
        marker: name of a file in it that says that this was done.
    """
    compiling = [*python, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", "dwsep_runtime"]
    # From within the folder, so that paths in messages are the same for every device.
    return (
        f"cd {quoted(folder)} && {{ [ -f {quoted(marker)} ] || "
        f"{{ {' '.join(quoted(word) for word in compiling)} >&2 && : > {quoted(marker)}; }}; }}"
    )


def _unpack(folder: str, blob: str) -> str:
    """Unpack beside the place, rename into it, and remove versions that were not used for long."""
    parent, _, name = folder.rpartition("/")
    return f"""mkdir -p {quoted(parent)} && cd {quoted(parent)} || exit
exec 9> lock; flock 9 2>/dev/null
if [ ! -d {name} ]; then
    rm -rf ./*.part; mkdir {name}.part && tar -xf {quoted(blob)} -C {name}.part && mv {name}.part {name} || exit
fi
rm -f {quoted(blob)}*
ls -t | grep -E '^[0-9a-f]{{64}}$' | grep -v {name} | tail -n +{KEPT_VERSIONS} |
while read -r old; do rm -rf "./$old"; done
echo unpacked"""
