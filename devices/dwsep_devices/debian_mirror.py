"""Where a host gets Debian's packages from: the mirror of its own apt, and the keys that its lists are signed with."""

from __future__ import annotations

__all__ = ["MIRROR_VARIABLE", "Mirror", "host_mirror", "mirror_of", "signed_by"]

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dwsep_devices.errors import HostLacks
from dwsep_runtime.spawn import run_process

MIRROR_VARIABLE = "EDGE_DWSEP_DEBIAN_MIRROR"
"""Environment variable with the address of a Debian mirror, for hosts whose apt has no Debian of its own."""

KEYRINGS = ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg")
"""Names under /usr/share/keyrings, the newer first; both are of the package debian-archive-keyring."""

ASK_SECONDS = 60.0

TARGET_FORMAT = "$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)|$(SOURCESENTRY)"


@dataclass(frozen=True)
class Mirror:
    """Where packages come from: an address, and the keyring that its lists are signed with ("" for apt's own keys)."""

    address: str
    keyring: str


def host_mirror() -> Mirror:
    """The mirror of Debian that this host's own apt uses, or the one that the user names.

    Raises:
        HostLacks: there is none.
    """
    given = os.environ.get(MIRROR_VARIABLE, "")
    if given:
        return Mirror(given, _debian_keyring())
    lines: list[str] = []
    run_process(["apt-get", "indextargets", "--format", TARGET_FORMAT], timeout=ASK_SECONDS, on_line=lines.append)
    found = mirror_of(lines, _release())
    if found is None:
        raise HostLacks(
            f"local: the apt sources of this machine have no Debian; set {MIRROR_VARIABLE} to the address of a Debian "
            "mirror and install the package debian-archive-keyring"
        )
    address, source = found
    return Mirror(address, signed_by(source) or _debian_keyring())


def mirror_of(targets: Sequence[str], release: Mapping[str, str]) -> tuple[str, str] | None:
    """Address of a Debian mirror among apt's targets, and the entry of the sources that names it.

    Args:
        targets: lines in the form of ``TARGET_FORMAT``; a field that apt does not know stays as it is written there.
        release: of this system (os-release), which tells a mirror whose lists were never fetched.
    """
    codename = release.get("VERSION_CODENAME", "")
    for line in targets:
        created_by, origin, label, component, suite, address, source = (line.strip().split("|") + [""] * 7)[:7]
        if created_by != "Packages" or component != "main":
            continue
        unknown = origin in {"", "$(ORIGIN)"}
        if (origin, label) == ("Debian", "Debian") or (unknown and release.get("ID") == "debian" and suite == codename):
            return address, source
    return None


def _release() -> dict[str, str]:
    with contextlib.suppress(OSError):
        lines = Path("/etc/os-release").read_text().splitlines()
        return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    return {}


def signed_by(source: str) -> str:
    """The keyring file that an entry of the sources, such as "/etc/apt/sources.list:3", names; "" if it names none."""
    path, _, number = source.rpartition(":")
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(path).read_text()
        entry = text.splitlines()[int(number) - 1]
        if path.endswith(".sources"):
            entry = [part for part in re.split(r"\n\s*\n", text) if re.search(r"(?m)^\w", part)][int(number) - 1]
        found = re.search(r"(?mi)^Signed-By:[ \t]*(/\S+)|\bsigned-by=(/[^\]\s]+)", entry)
        if found:
            return found.group(1) or found.group(2)
    return ""


def _debian_keyring() -> str:
    paths = [Path("/usr/share/keyrings") / name for name in KEYRINGS]
    return next((str(path) for path in paths if path.exists()), "")
