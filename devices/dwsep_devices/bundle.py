"""Bundles: a Python with the packages of one environment for an Android device, which has no Python of its own.

A bundle is one archive. Wherever it is unpacked it runs, started through its own loader; nothing of the device's C
library is used. The same packages give the same bytes. The runtime's own sources are not in it.
"""

from __future__ import annotations

__all__ = ["Bundle", "build_bundle", "bundle_command"]

import contextlib
import gzip
import hashlib
import io
import json
import platform
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dwsep_devices import bundle_python
from dwsep_devices.bundle_python import ARCHITECTURES, LOADERS, Interpreter, debian_python, host_python
from dwsep_devices.cache import cache_folder, locked
from dwsep_devices.environments import ENVIRONMENTS
from dwsep_devices.errors import DeviceUnsuitable, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.on_device import install_wheels
from dwsep_devices.unneeded import UNNEEDED, is_needed
from dwsep_devices.wheels import Wheel, alternatives, fetch
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.spawn import RUNTIME_ENVIRONMENT, run_process

COMPILE_SECONDS = 300.0
COMPILER = Path(__file__).with_name("on_device") / "compile_files.py"

LEVEL = 6
"""Of gzip: 9 takes three times as long for one part in a hundred."""

MTIME = 1_000_000_000
"""Of every file in an archive; tar warns of files from before the device's idea of the past."""

KEPT_BUNDLES = 2
"""Of an environment and machine, the newest among them."""

SITE = "site"


@dataclass(frozen=True)
class Bundle:
    """An archive for a device.

    Attributes:
        path: of the archive (.tar.gz) on this host.
        sha256: of it.
        environment: name in ``ENVIRONMENTS``.
        machine: as ``uname -m`` tells it.
        python: version of its interpreter, major and minor.
        packages: versions by name.
        unpacked_bytes: that its files take.
    """

    path: Path
    sha256: str
    environment: str
    machine: str
    python: str
    packages: Mapping[str, str]
    unpacked_bytes: int


def bundle_command(folder: str, machine: str, sources: str = "", temporary: str = "/data/local/tmp") -> list[str]:
    """Program and arguments that start the Python of an unpacked bundle; append what Python is to do.

    Variables, unlike arguments, hold for the processes too that the runtime itself starts. The library path is an
    argument of the loader, so that other programs started from within do not get it.

    Args:
        folder: where the bundle is unpacked on the device.
        machine: of the device.
        sources: folder with the runtime's sources; empty for none.
        temporary: folder for temporary files.
    """
    variables = {
        **RUNTIME_ENVIRONMENT,
        "HOME": folder,
        "TMPDIR": temporary,
        "PYTHONHOME": folder,
        "PYTHONPATH": ":".join(path for path in (sources, f"{folder}/{SITE}") if path),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = [f"{name}={value}" for name, value in sorted(variables.items())]
    loader = f"{folder}/lib/{LOADERS[machine]}"
    return ["env", *words, loader, "--library-path", f"{folder}/lib", f"{folder}/bin/python3", "-s", "-B"]


def build_bundle(environment: str, machine: str, on_step: Callable[[str], None] = lambda step: None) -> Bundle:
    """The bundle of an environment, made if it is not in the cache.

    Args:
        environment: name in ``ENVIRONMENTS``.
        machine: "x86_64" or "aarch64".
        on_step: told of each step that takes time, as it begins.

    Raises:
        UnknownName: no environment has that name.
        DeviceUnsuitable: there are no packages for that machine.
        HostLacks: this host cannot make it.
        TransientDeviceError: packages could not be fetched.
        PermanentDeviceError: it could not be made for another reason.
    """
    if environment not in ENVIRONMENTS:
        raise UnknownName("environment", environment, ENVIRONMENTS)
    if machine not in LOADERS:
        raise DeviceUnsuitable(f"bundles are made for {' and '.join(LOADERS)}, not for {machine}")
    folder = cache_folder() / "bundles"
    record = folder / f"{environment}-{machine}-{_recipe(environment, machine)}.json"
    kept = _whole(record)
    if kept is not None:
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "lock"):
            kept = _whole(record)
            if kept is None:
                for leftover in folder.glob("part-*"):  # of a process that was killed: the lock is ours
                    shutil.rmtree(leftover, ignore_errors=True)
                with tempfile.TemporaryDirectory(prefix="part-", dir=folder) as scratch:
                    kept = _built(environment, machine, Path(scratch), record, on_step)
            return kept
    except OSError as error:
        raise PermanentDeviceError(
            f"local: bundle {environment} for {machine} could not be made in {folder}: {error.strerror or error}"
        ) from error


def _recipe(environment: str, machine: str) -> str:
    """A hash of what a bundle is made of, as far as it is known before anything is fetched."""
    code = [Path(path).read_bytes() for path in (__file__, bundle_python.__file__, install_wheels.__file__, COMPILER)]
    wanted = [alternatives(requirement) for requirement in ENVIRONMENTS[environment].requirements]
    told = json.dumps([environment, machine, platform.machine(), wanted, UNNEEDED]).encode()
    return hashlib.sha256(b"\0".join([told, *code])).hexdigest()[:16]


def _kept(record: Path) -> Bundle | None:
    try:
        told: Any = json.loads(record.read_text("utf-8"))
        return Bundle(**{**told, "path": record.with_name(told["path"])})
    except (OSError, ValueError, KeyError, TypeError):  # never made, or damaged
        return None


def _whole(record: Path) -> Bundle | None:
    """The bundle of a record if its archive is there, undamaged."""
    kept = _kept(record)
    with contextlib.suppress(OSError):
        return kept if kept is not None and sha256_of(kept.path) == kept.sha256 else None
    return None


def _built(environment: str, machine: str, scratch: Path, record: Path, on_step: Callable[[str], None]) -> Bundle:
    interpreter, compiler = _pythons(machine, scratch, lambda: on_step("fetch Python"))
    wheels = fetch(
        ENVIRONMENTS[environment].requirements,
        python=interpreter.version,
        machine=machine,
        glibc=interpreter.glibc,
        on_fetch=lambda: on_step("fetch packages"),
    )
    on_step(f"make the bundle of {environment}")
    site = scratch / "site"
    for wheel in wheels:
        _unpack(wheel, site)
    standard = interpreter.sources()
    pairs = [(path, f"lib/{path.relative_to(interpreter.standard).as_posix()}c") for path in standard]
    pairs += [(path, f"{SITE}/{path.relative_to(site).as_posix()}c") for path in sorted(site.rglob("*.py"))]
    _compile(compiler, pairs, scratch / "compiled")
    version = ".".join(map(str, interpreter.version))
    packages = {wheel.name: wheel.version for wheel in wheels}
    told = {
        "environment": environment,
        "machine": machine,
        "python": version,
        "packages": packages,
        "wheels": {wheel.name: wheel.sha256 for wheel in wheels},
        "debian": list(interpreter.parts),
    }
    files = _files(interpreter, scratch, site, version)
    files["bundle.json"] = (json.dumps(told, indent=1, sort_keys=True).encode(), False)
    archive = _archive(files)
    sha256 = hashlib.sha256(archive).hexdigest()
    path = record.with_name(f"{sha256}.tar.gz")
    (scratch / "archive").write_bytes(archive)
    (scratch / "archive").replace(path)
    unpacked = sum(len(content) for content, _ in files.values())
    made = Bundle(path, sha256, environment, machine, version, packages, unpacked)
    part = scratch / "record"
    part.write_text(json.dumps({**asdict(made), "path": path.name}), encoding="utf-8")
    part.replace(record)
    _tidy(record, f"{environment}-{machine}-*.json")
    return made


def _tidy(record: Path, kin: str) -> None:
    """Remove bundles of the same kind that newer ones took the place of, but for the last few."""
    older = sorted(record.parent.glob(kin), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in older[KEPT_BUNDLES:]:
        path.unlink()
    named = {kept.path.name for path in record.parent.glob("*.json") if (kept := _kept(path))}
    for path in record.parent.glob("*.tar.gz"):
        if path.name not in named:
            path.unlink()


def _pythons(machine: str, scratch: Path, on_fetch: Callable[[], None]) -> tuple[Interpreter, list[str]]:
    """The interpreter for a machine, and a command that runs one of the same version on this host, to compile."""
    here = platform.machine()
    try:
        interpreter = debian_python(machine, scratch / "python", on_fetch)
        if here == machine:
            return interpreter, _command(interpreter)
        if here in ARCHITECTURES:
            return interpreter, _command(debian_python(here, scratch / "compiler", on_fetch))
    except HostLacks:  # no apt, no mirror
        interpreter = host_python(machine)
        return interpreter, [str(interpreter.program)]
    version = ".".join(map(str, interpreter.version))
    found = shutil.which(f"python{version}")
    if found is None:
        raise HostLacks(
            f"local: a bundle is compiled by Python {version}, and Debian's does not run on {here}; install one, or "
            f"make bundles on a host of {' or '.join(ARCHITECTURES)}"
        )
    return interpreter, [found]


def _command(interpreter: Interpreter) -> list[str]:
    """Run an interpreter from where it was unpacked, with its own loader and libraries."""
    folders = sorted({str(path.parent) for path in interpreter.libraries.values()})
    home = f"PYTHONHOME={interpreter.standard.parent.parent}"
    return ["env", home, str(interpreter.loader), "--library-path", ":".join(folders), str(interpreter.program)]


def _unpack(wheel: Wheel, site: Path) -> None:
    """Unpack what a run needs of a wheel, whose hash was checked when it was fetched."""
    with zipfile.ZipFile(wheel.path) as archive:
        for item in archive.infolist():
            name = install_wheels.placed(item.filename)
            if name and not item.is_dir() and is_needed(name) and ".." not in name.split("/"):
                target = site / name.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(item))


def _compile(python: Sequence[str], pairs: Sequence[tuple[Path, str]], target: Path) -> None:
    asked = [[str(source), str(target / name), name.removesuffix("c")] for source, name in pairs]
    # In isolation, and with hashes of strings that do not change from one process to the next: they order sets.
    command = ["env", "PYTHONHASHSEED=0", *python, "-s", "-S", "-B", str(COMPILER)]
    done = run_process(command, stdin=json.dumps(asked), timeout=COMPILE_SECONDS)
    if done.timed_out:
        raise TransientDeviceError(f"local: a bundle was not compiled within {COMPILE_SECONDS:.0f} s; try again")
    if done.returncode:
        said = [line for line in done.errors if line.strip()] or ["it gave no reason"]
        raise PermanentDeviceError(f"local: a bundle could not be compiled: {said[-1]}")


Files = dict[str, tuple[bytes, bool]]
"""Content, and whether it is a program, by path in the archive."""


def _files(interpreter: Interpreter, scratch: Path, site: Path, version: str) -> Files:
    compiled = scratch / "compiled"
    files: Files = {"bin/python3": (interpreter.program.read_bytes(), True)}
    files[f"lib/{interpreter.loader.name}"] = (interpreter.loader.read_bytes(), True)
    for name, path in interpreter.libraries.items():
        files[f"lib/{name}"] = (path.read_bytes(), False)
    for path in interpreter.modules:
        files[f"lib/python{version}/lib-dynload/{path.name}"] = (path.read_bytes(), False)
    files[f"lib/python{version}/os.py"] = (b"", False)  # by it CPython finds its home
    files[f"lib/python{version.replace('.', '')}.zip"] = (_zip(compiled / "lib"), False)
    for path in site.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            files[f"{SITE}/{path.relative_to(site).as_posix()}"] = (path.read_bytes(), False)
    for path in (compiled / SITE).rglob("*.pyc"):
        files[f"{SITE}/{path.relative_to(compiled / SITE).as_posix()}"] = (path.read_bytes(), False)
    return files


def _zip(folder: Path) -> bytes:
    """The standard library; not compressed, because Python reads from it at every start."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*.pyc")):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return written.getvalue()


def _archive(files: Files) -> bytes:
    """A .tar.gz that is the same for the same files: order, owners, times and modes are fixed."""
    written = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=written, mode="wb", compresslevel=LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name, (content, program) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), MTIME, 0o755 if program else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()
