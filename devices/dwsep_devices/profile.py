"""What is known of a kind of device before it is reached: one TOML file a kind, in ``profiles/`` or of the user.

A file ``<config>/edge-dwsep/profiles/KIND.toml`` adds a kind or replaces one. It may say ``base = "raspberry-pi-4"``
and then holds only what differs:

    base = "raspberry-pi-4"
    title = "Raspberry Pi 4 with an SSD"
    root = "/mnt/ssd/edge-dwsep"
"""

from __future__ import annotations

__all__ = ["PACKAGED", "Profile", "load_profile", "profile_kinds", "user_profiles"]

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwsep_devices.settings import Reader, config_folder, read_table, require_name
from dwsep_runtime.errors import InvalidInput, UnknownName

PACKAGED = Path(__file__).with_name("profiles")
"""Folder of the kinds that come with this package."""

OURS = "edge-dwsep"
"""Part of the last name of every path that ``devices remove`` deletes on a device: a home folder never has it."""

MOST_CORES = 4096

ROOTS = {"local": "", "ssh": "~/.edge-dwsep", "adb": "/data/local/tmp/edge-dwsep"}
LEASES = {"local": "", "ssh": "/tmp/edge-dwsep.lease", "adb": "/data/local/tmp/edge-dwsep.lease"}  # noqa: S108
"""Where nothing else is said. The lease lies where every user of the device finds it."""


@dataclass(frozen=True)
class Profile:
    """A kind of device.

    Attributes:
        kind: its name.
        title: what it is called in sentences.
        transport: "local", "ssh" or "adb".
        root: folder on the device that is ours; "~/" at its start is the user's home there. Empty for ``local``.
        lease: path on the device of the lock that a measurement holds. Empty for ``local``.
        machines: what ``uname -m`` may say there; empty for anything.
        emulated: whether its times are those of an emulation, never to be ranked beside hardware.
        lab: name of the lab machine that it is; empty if it is none.
        cores: how many it usually has; 0 if that is not known.
    """

    kind: str
    title: str
    transport: str
    root: str
    lease: str
    machines: tuple[str, ...] = ()
    emulated: bool = False
    lab: str = ""
    cores: int = 0


def profile_kinds() -> list[str]:
    """Names of all kinds: those of the package, and the user's."""
    return sorted({path.stem for path in PACKAGED.glob("*.toml")} | set(user_profiles()))


def user_profiles() -> dict[str, Path]:
    """The user's own files, by the kind they describe."""
    return {path.stem: path for path in sorted((config_folder() / "profiles").glob("*.toml"))}


def load_profile(kind: str) -> Profile:
    """Read the profile of a kind; the user's own file goes before the package's.

    Raises:
        UnknownName: there is no such kind, or its file has an unknown key.
        InvalidInput: its file cannot be read, or a value is not accepted.
    """
    return _loaded(kind, ())


def _loaded(kind: str, above: tuple[Path, ...]) -> Profile:
    own, packaged = user_profiles(), {path.stem: path for path in PACKAGED.glob("*.toml")}
    # A user's file that is based on the kind it replaces means the package's.
    path = next((files[kind] for files in (own, packaged) if kind in files and files[kind] not in above), None)
    if path is None and any(file.stem == kind for file in above):
        raise InvalidInput(f"{above[-1]}: base {kind!r} leads back to itself; name a kind that is not based on it")
    if path is None:
        raise UnknownName("kind of device", kind, profile_kinds())
    values = read_table(path, READERS if path == own.get(kind) else PACKAGED_READERS)
    inherited: dict[str, Any] = {}
    if "base" in values:
        inherited = vars(_loaded(values.pop("base"), (*above, path))).copy()
        if "transport" in values and values["transport"] != inherited["transport"]:
            raise InvalidInput(
                f"{path}: transport is {values['transport']!r} and that of its base {inherited['transport']!r}; "
                "leave it out, or the base"
            )
    return _profile(path, {**inherited, **values, "kind": kind})


def _profile(path: Path, values: dict[str, Any]) -> Profile:
    if path.parent != PACKAGED:
        require_name("kind of device", values["kind"])
    if "transport" not in values:
        raise InvalidInput(f'{path}: transport is missing; say transport = "ssh" or "adb", or name a base')
    transport = values["transport"]
    if transport == "local" and path.parent != PACKAGED:
        raise InvalidInput(f"{path}: the one kind with transport 'local' is 'local'; say \"ssh\" or \"adb\"")
    defaults = {"title": values["kind"], "root": ROOTS[transport], "lease": LEASES[transport]}
    return Profile(**{**defaults, **values})


def text(value: Any) -> str:
    """A line of text that a terminal prints as it is."""
    if not (isinstance(value, str) and value and value.isprintable()):
        raise ValueError("a line of text")
    return value


def device_path(value: Any) -> str:
    """A path on a device that may be deleted there."""
    parts = value.split("/") if isinstance(value, str) else []
    if len(parts) < 2 or parts[0] not in {"", "~"} or {".", ".."} & set(parts) or not text(value):
        raise ValueError("a path on the device that begins with '/' or '~/' and has no '.' or '..' in it")
    if OURS not in parts[-1]:
        raise ValueError(f"a path whose last name has {OURS!r} in it, for `devices remove` deletes it")
    return str(value)


def lease_path(value: Any) -> str:
    """A path on a device that is the same for every user of it."""
    if not device_path(value).startswith("/"):
        raise ValueError("a path on the device that begins with '/', for every user of it finds the lease there")
    return str(value)


def one_of(*accepted: str) -> Reader:
    """One of several words."""

    def read(value: Any) -> str:
        if value not in accepted:
            raise ValueError(f"one of {', '.join(accepted)}")
        return str(value)

    return read


def texts(value: Any) -> tuple[str, ...]:
    """A list of lines of text."""
    try:
        return tuple(text(item) for item in _list(value))
    except ValueError as error:
        raise ValueError('a list of texts, such as ["aarch64"]') from error


def truth(value: Any) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  # a reader's one error
    return value


def whole(least: int, most: int) -> Reader:
    """A whole number within bounds."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return read


def _list(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        raise ValueError("a list")  # noqa: TRY004  # a reader's one error
    return value


SHARED_READERS: dict[str, Reader] = {
    "title": text,
    "root": device_path,
    "lease": lease_path,
    "machines": texts,
    "emulated": truth,
    "cores": whole(0, MOST_CORES),
}
READERS: dict[str, Reader] = {**SHARED_READERS, "base": text, "transport": one_of("ssh", "adb")}
PACKAGED_READERS: dict[str, Reader] = {**SHARED_READERS, "transport": one_of("local", "ssh", "adb"), "lab": text}
