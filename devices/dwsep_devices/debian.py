"""Debian packages of any suite and architecture, fetched by the host's own apt without touching the host's system.

Each pair of suite and architecture has an apt root of its own in the user's cache folder: sources, lists, status and
downloads. The mirror and its key are those of the host's own sources, so a company's mirror and proxy serve here too;
apt checks every list by its signature and every package by its hash. What was fetched once is found again without apt
and without a network, and its hash is checked again when it is unpacked.
"""

from __future__ import annotations

__all__ = ["Package", "fetch", "manifest", "require_programs", "unpack"]

import contextlib
import errno
import json
import os
import re
import shutil
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwsep_devices.cache import cache_folder, locked, working_in_cache
from dwsep_devices.debian_mirror import Mirror, host_mirror
from dwsep_devices.errors import DeviceError, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.spawn import Completed, run_process

APT_SECONDS = 600.0
UNPACK_SECONDS = 120.0

FULL = re.compile(re.escape(os.strerror(errno.ENOSPC)) + "|" + re.escape(os.strerror(errno.EDQUOT)))

PROGRAMS = {"apt-get": "apt", "dpkg-deb": "dpkg"}

SAFE = re.compile(r"[a-z0-9][a-z0-9+.\-]*")
"""What names of packages, suites and architectures consist of (Debian Policy 5.6.7)."""

CONFIGURATION = """\
#clear APT::Architectures;
#clear APT::NeverAutoRemove;
#clear APT::Update;
#clear DPkg;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::ForceHash "SHA256";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"""
"""Read after the host's own configuration, whose proxies and certificates stay; its hooks, meant for its system, go."""

PLACES = {
    "Dir::State": "",
    "Dir::State::status": "status",
    "Dir::State::lists": "lists",
    "Dir::Cache": "cache",
    "Dir::Etc::sourcelist": "debian.sources",
}
"""Below the root; given as arguments, because a configuration file has no way to write a quote."""


@dataclass(frozen=True)
class Package:
    """A package of Debian on this host.

    Attributes:
        name: without architecture.
        version: as Debian writes it.
        path: of the .deb file.
        sha256: of that file.
    """

    name: str
    version: str
    path: Path
    sha256: str


def fetch(
    packages: Sequence[str],
    *,
    suite: str,
    architecture: str,
    closure: bool = False,
    refresh: bool = False,
    on_fetch: Callable[[], None] = lambda: None,
) -> list[Package]:
    """Packages of a suite, fetched unless they are here.

    Args:
        packages: names.
        suite: code name, such as "bookworm".
        architecture: Debian's name of it, such as "arm64".
        closure: whether to add what they depend on.
        refresh: whether to look for newer versions of what is here.
        on_fetch: called before the mirror is asked; not at all if everything is here.

    Returns:
        The packages in the order of their names.

    Raises:
        HostLacks: this host has no apt, no source of Debian packages, or not the key that they are signed with.
        TransientDeviceError: the mirror cannot be reached.
        PermanentDeviceError: the suite has no such package, or the cache folder cannot be written or is full.
    """
    for word in (suite, architecture, *packages):
        if not SAFE.fullmatch(word):
            raise PermanentDeviceError(
                f"local: {word!r} is no name of a Debian package, suite or architecture; "
                "they consist of small letters, digits and +.-"
            )
    root = cache_folder() / "debian" / f"{suite}-{architecture}"
    key = " ".join(["closure" if closure else "alone", *sorted(set(packages))])
    found = None if refresh else _known(root, key)
    if found is not None:
        return found
    require_programs(PROGRAMS, "to fetch Debian packages")
    with working_in_cache("local"):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / "lock"):
            found = None if refresh else _known(root, key)  # another process may have been faster
            if found is None:
                on_fetch()
                found = _fetched(root, key, suite, architecture, refresh=refresh)
    return found


def unpack(package: Package, folder: Path) -> None:
    """Lay the files of a package below a folder.

    Raises:
        TransientDeviceError: the package is not what was fetched; it is removed, and fetched again the next time.
        PermanentDeviceError: it could not be unpacked, or the folder cannot be written.
    """
    try:
        is_whole = sha256_of(package.path) == package.sha256
    except OSError:
        is_whole = False
    if not is_whole:
        with contextlib.suppress(OSError):
            package.path.unlink(missing_ok=True)
        raise TransientDeviceError(f"local: {package.path} was damaged since it was fetched, and is removed; try again")
    done = _run(["dpkg-deb", "-x", str(package.path), str(folder)], UNPACK_SECONDS)
    if done.returncode:
        raise PermanentDeviceError(f"local: {package.path} could not be unpacked in {folder}: {_last(done)}")


def manifest(packages: Sequence[Package]) -> list[dict[str, str]]:
    """What packages something was made of, for its record: name, version and sha256 of each."""
    return [{"name": one.name, "version": one.version, "sha256": one.sha256} for one in packages]


def require_programs(programs: Mapping[str, str], purpose: str) -> None:
    """Make sure that programs are installed.

    Args:
        programs: names of programs and of the Debian packages that have them.
        purpose: what for, such as "to fetch Debian packages".

    Raises:
        HostLacks: one is not; the message has the command that installs all that are missing.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise HostLacks(
            f"local: what is needed {purpose} is not installed: {', '.join(missing)}; this works on Debian, Ubuntu and "
            "their kin, and elsewhere where apt and dpkg are installed"
        )
    wanted = " ".join(sorted({programs[program] for program in missing}))
    raise HostLacks(
        f"local: what is needed {purpose} is not installed: {', '.join(missing)}; "
        f"install it with: apt-get install --no-install-recommends {wanted}"
    )


def _known(root: Path, key: str) -> list[Package] | None:
    """What an earlier call of the same key fetched, if all of it is still here."""
    try:
        records = json.loads((root / "fetched.json").read_text())[key]
        found = [Package(one["name"], one["version"], root / one["file"], one["sha256"]) for one in records]
        whole = all(one.path.stat().st_size == record["bytes"] for one, record in zip(found, records, strict=True))
    except (OSError, ValueError, KeyError, TypeError):  # never fetched, or damaged
        return None
    return found if whole else None


def _fetched(root: Path, key: str, suite: str, architecture: str, *, refresh: bool) -> list[Package]:
    mirror = host_mirror()
    _configure(root, mirror, suite, architecture)
    kind, *names = key.split()
    fresh = refresh or not any((root / "lists").glob("*_Packages*"))
    if fresh:
        _update(root, suite, mirror)
    try:
        records = _download(root, kind, names)
    except DeviceError:
        if fresh:
            raise
        _update(root, suite, mirror)  # the lists were old: a package is newer, or came later
        records = _download(root, kind, names)
    index = root / "fetched.json"
    try:
        known = json.loads(index.read_text())
    except (OSError, ValueError):
        known = {}
    part = root / "fetched.json.part"
    part.write_text(json.dumps({**known, key: records}))
    part.replace(index)
    return [Package(one["name"], one["version"], root / one["file"], one["sha256"]) for one in records]


def _configure(root: Path, mirror: Mirror, suite: str, architecture: str) -> None:
    for folder in ("lists/partial", "cache/archives/partial", "archives"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "status").write_text("")
    (root / "apt.conf").write_text(CONFIGURATION.format(architecture=architecture))
    fields = {
        "Types": "deb",
        "URIs": mirror.address,
        "Suites": suite,
        "Components": "main",
        "Architectures": architecture,
        "Targets": "Packages",
        "Languages": "none",
        "PDiffs": "no",
        "Signed-By": mirror.keyring,
    }
    (root / "debian.sources").write_text("".join(f"{name}: {value}\n" for name, value in fields.items() if value))


def _apt(root: Path) -> list[str]:
    placed = (f"{name}={root / place}" for name, place in PLACES.items())
    return ["apt-get", "-c", str(root / "apt.conf"), "-q", "-q", *(word for one in placed for word in ("-o", one))]


def _update(root: Path, suite: str, mirror: Mirror) -> None:
    done = _run([*_apt(root), "-o", "APT::Update::Error-Mode=any", "update"])
    _require_room(root, done)
    if done.returncode and any("not signed" in line or "NO_PUBKEY" in line for line in done.errors):
        keys = mirror.keyring or "the keys of apt"
        raise HostLacks(
            f"local: Debian's signature of {mirror.address} cannot be checked with {keys}: {_last(done)}; get its "
            "keys with: apt-get install debian-archive-keyring"
        )
    if done.returncode:
        raise TransientDeviceError(
            f"local: the list of Debian {suite} could not be fetched from {mirror.address}: {_last(done)}; "
            "try again when this machine is connected"
        )


def _download(root: Path, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Fetch what is not yet in the root's archives; a record of each package, with the path of its file in the root."""
    lines: list[str] = []
    ask = ["install", "--assume-yes"] if kind == "closure" else ["download"]
    asked = _run([*_apt(root), "--print-uris", *ask, *names], on_line=lines.append)
    files = uris(lines)
    if asked.returncode or not files:
        raise PermanentDeviceError(f"local: Debian packages {' '.join(names)} were not found: {_last(asked)}")
    here = {path.name for path in (root / "archives").iterdir()}
    missing = [
        file for file, sha256 in files.items() if file not in here or sha256_of(root / "archives" / file) != sha256
    ]
    if missing:
        part = root / f"part-{uuid.uuid4().hex}"
        for leftover in root.glob("part-*"):  # of a process that was killed: the lock is ours
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir()
        try:
            wanted = ["=".join(named(file)) for file in missing]
            done = _run([*_apt(root), "-o", "Acquire::Retries=3", "download", *wanted], cwd=part)
            _require_room(root, done)
            if done.returncode:
                raise TransientDeviceError(f"local: Debian packages could not be fetched: {_last(done)}; try again")
            for file in missing:
                (part / file).replace(root / "archives" / file)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return [_record(root, file, sha256) for file, sha256 in sorted(files.items())]


def _record(root: Path, file: str, sha256: str) -> dict[str, Any]:
    name, version = named(file)
    size = (root / "archives" / file).stat().st_size
    return {"name": name, "version": version, "file": f"archives/{file}", "bytes": size, "sha256": sha256}


def uris(lines: Sequence[str]) -> dict[str, str]:
    """Names of the files that apt would fetch, and their SHA-256, out of what it prints with --print-uris.

    >>> uris(["'http://mirror/pool/libc6_2.41%2bdeb13u5_arm64.deb' libc6_2.41+deb13u5_arm64.deb 2488872 SHA256:1e84"])
    {'libc6_2.41+deb13u5_arm64.deb': '1e84'}
    """
    found = (re.match(r"'[^']+' (\S+\.deb) \d+ SHA256:([0-9a-f]+)", line) for line in lines)
    return {match.group(1): match.group(2) for match in found if match}


def named(file: str) -> tuple[str, str]:
    """Name and version of a package, by the name of its file.

    >>> named("android-liblog_1%3a34.0.5-12_arm64.deb")
    ('android-liblog', '1:34.0.5-12')
    """
    name, version, _ = file.split("_")
    return name, urllib.parse.unquote(version)


def _run(
    command: Sequence[str],
    timeout: float = APT_SECONDS,
    *,
    cwd: Path | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> Completed:
    started = [*command] if cwd is None else ["env", f"--chdir={cwd}", *command]
    done = run_process(started, timeout=timeout, environment={"LC_ALL": "C.UTF-8"}, on_line=on_line)
    if done.timed_out:
        raise TransientDeviceError(f"local: {command[0]} took longer than {timeout:.0f} s; try again")
    return done


def _require_room(root: Path, completed: Completed) -> None:
    if completed.returncode and any(FULL.search(line) for line in completed.errors):
        raise PermanentDeviceError(f"local: {root} cannot be used: its disk is full; free it or set XDG_CACHE_HOME")


def _last(completed: Completed) -> str:
    said = [line.strip() for line in completed.errors if line.strip()]
    told = [line for line in said if line.startswith("E: ")] or said or ["it gave no reason"]
    return told[0].removeprefix("E: ")
