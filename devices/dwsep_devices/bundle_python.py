"""The interpreter of a bundle: a CPython with its loader and libraries, as files that need no place of their own.

It is Debian's, for any machine, on any host that can fetch Debian packages; else this host's own, for its own machine.
"""

from __future__ import annotations

__all__ = ["LOADERS", "Interpreter", "debian_python", "host_python"]

import os
import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dwsep_devices import debian
from dwsep_devices.errors import HostLacks, PermanentDeviceError
from dwsep_runtime.spawn import run_process

SUITE = "bookworm"
"""Its CPython 3.11 is the newest that tflite-runtime has a wheel for."""

DEBIAN_VERSION = (3, 11)
DEBIAN_GLIBC = (2, 36)

ARCHITECTURES = {"x86_64": ("amd64", "x86_64-linux-gnu"), "aarch64": ("arm64", "aarch64-linux-gnu")}
LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
"""Names of the GNU C library's loader, by machine."""

PACKAGES = (
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libstdc++6",
    "python3.11-minimal",
    "zlib1g",
)
LIBRARIES = (
    "libc.so.6",
    "libdl.so.2",
    "libexpat.so.1",
    "libffi.so.8",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libutil.so.1",
    "libz.so.1",
)
"""What CPython, its modules below and the engines' packages need of the system."""

MODULES = (
    "_asyncio",
    "_contextvars",
    "_ctypes",
    "_json",
    "_multiprocessing",
    "_posixshmem",
    "_queue",
    "_typing",
    "mmap",
    "resource",
    "termios",
)
"""Modules of Debian's lib-dynload that need none but these libraries."""

LEFT_OUT = re.compile(
    r"_test|_xx|xx|_ctypes_test|_curses|_dbm|_gdbm|_hashlib|_sqlite3|_ssl|_tkinter|_uuid|_crypt|_bz2|_lzma|nis|readline|ossaudio"
)
"""Modules of this host's lib-dynload that no run needs, and most of which need further libraries."""

NOT_ON_A_PHONE = frozenset(
    {
        "__pycache__",
        "config",
        "curses",
        "dbm",
        "dist-packages",
        "distutils",
        "ensurepip",
        "idlelib",
        "lib-dynload",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "sitecustomize.py",
        "sqlite3",
        "test",
        "tests",
        "tkinter",
        "turtle.py",
        "turtledemo",
        "venv",
        "wsgiref",
        "xmlrpc",
    }
)
"""Parts of the standard library that stay behind."""


@dataclass(frozen=True)
class Interpreter:
    """A CPython as files.

    Attributes:
        version: of it.
        glibc: version of its C library.
        program: the interpreter.
        loader: the program that loads it.
        libraries: shared libraries, by the names that they are asked for by.
        modules: files of lib-dynload.
        standard: folder of the standard library.
        parts: packages that it came in; empty for this host's own.
    """

    version: tuple[int, int]
    glibc: tuple[int, int]
    program: Path
    loader: Path
    libraries: dict[str, Path]
    modules: Sequence[Path]
    standard: Path
    parts: Sequence[dict[str, str]] = field(default_factory=list)

    def sources(self) -> list[Path]:
        """Python files of the standard library that a phone gets, in the order of their names."""
        found = []
        for folder, folders, files in os.walk(self.standard):
            folders[:] = sorted(name for name in folders if NOT_ON_A_PHONE.isdisjoint({name, name.partition("-")[0]}))
            found += [
                Path(folder, name) for name in sorted(files) if name.endswith(".py") and name not in NOT_ON_A_PHONE
            ]
        return found


def debian_python(machine: str, scratch: Path, on_fetch: Callable[[], None] = lambda: None) -> Interpreter:
    """Debian's CPython.

    Args:
        machine: as ``uname -m`` tells it.
        scratch: folder to unpack it in.
        on_fetch: called before packages are fetched; not at all if they are here.

    Raises:
        DeviceError: its packages could not be fetched or are laid out otherwise.
    """
    architecture, libraries = ARCHITECTURES[machine]
    packages = debian.fetch(PACKAGES, suite=SUITE, architecture=architecture, on_fetch=on_fetch)
    scratch.mkdir(parents=True)
    for package in packages:
        debian.unpack(package, scratch)
    folders = [scratch / "lib" / libraries, scratch / "usr/lib" / libraries]
    standard = scratch / "usr/lib/python3.11"
    made = Interpreter(
        version=DEBIAN_VERSION,
        glibc=DEBIAN_GLIBC,
        program=scratch / "usr/bin/python3.11",
        loader=_in(folders, LOADERS[machine]),
        libraries={name: _in(folders, name) for name in LIBRARIES},
        modules=[_module(standard / "lib-dynload", name) for name in MODULES],
        standard=standard,
        parts=debian.manifest(packages),
    )
    if not made.program.is_file():
        raise PermanentDeviceError(f"local: Debian {SUITE}'s python3.11-minimal has no usr/bin/python3.11")
    return made


def host_python(machine: str) -> Interpreter:
    """This process's CPython, for a device of this host's machine; its libraries are found by ldd.

    Raises:
        HostLacks: it cannot be taken elsewhere, or is of another machine.
    """
    libc, version = platform.libc_ver()
    if platform.machine() != machine or libc != "glibc" or sys.implementation.name != "cpython":
        raise HostLacks(
            f"local: Debian's Python for {machine} cannot be fetched on this host, and its own is "
            f"{sys.implementation.name} on {platform.machine()} with {libc or 'no glibc'}; use a Debian host, "
            f"Ubuntu, or a host of {machine}"
        )
    program = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    dynload = Path(sysconfig.get_config_var("DESTSHARED") or standard / "lib-dynload")
    modules = [path for path in sorted(dynload.glob("*.so")) if not LEFT_OUT.match(path.name)]
    libraries = _needed([program, *modules])
    for name in LIBRARIES:  # of the engines' packages
        found = next((path.with_name(name) for path in libraries.values() if path.with_name(name).exists()), None)
        if found:
            libraries.setdefault(name, found)
    loader = libraries.pop(LOADERS[machine], None)
    if loader is None:
        raise HostLacks(f"local: this host's Python {program} does not say which loader it needs; use a Debian host")
    major, minor = version.split(".")[:2]
    return Interpreter(
        version=(sys.version_info.major, sys.version_info.minor),
        glibc=(int(major), int(minor)),
        program=program,
        loader=loader,
        libraries=libraries,
        modules=modules,
        standard=standard,
    )


def _needed(files: Sequence[Path]) -> dict[str, Path]:
    """Shared libraries that files need, by name, as this host's loader finds them."""
    if shutil.which("ldd") is None:
        raise HostLacks(
            "local: ldd is needed to find the libraries of this host's Python; install it (package libc-bin)"
        )
    lines: list[str] = []
    run_process(["ldd", *map(str, files)], timeout=60, environment={"LC_ALL": "C"}, on_line=lines.append)
    found = (re.search(r"^\s+(?:(\S+) => )?(/\S+) \(0x", line) for line in lines)
    return {Path(one.group(1) or one.group(2)).name: Path(one.group(2)).resolve() for one in found if one}


def _in(folders: Sequence[Path], name: str) -> Path:
    for folder in folders:
        if (folder / name).exists():
            return (folder / name).resolve()
    raise PermanentDeviceError(f"local: Debian {SUITE}'s packages have no {name} where it was")


def _module(folder: Path, name: str) -> Path:
    found = sorted(folder.glob(f"{name}.cpython-*.so"))
    if not found:
        raise PermanentDeviceError(f"local: Debian {SUITE}'s libpython3.11-stdlib has no module {name}")
    return found[0]
