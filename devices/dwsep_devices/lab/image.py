"""The disk of an emulated Raspberry Pi, made of Debian's packages on this host; no program of its architecture runs."""

from __future__ import annotations

__all__ = ["Image", "build_image"]

import hashlib
import json
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dwsep_devices import debian
from dwsep_devices.debian import Package
from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.lab import android_root, guest, initrd
from dwsep_runtime.spawn import run_process

ARCHITECTURE = "arm64"

KERNEL_SUITE, KERNEL = "trixie", "linux-image-cloud-arm64"
"""A kernel made for emulated machines; ext4 is built in."""

PROGRAMS = {
    "apt-get": "apt",
    "debugfs": "e2fsprogs",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "qemu-system-aarch64": "qemu-system-arm",
}

USELESS = (
    "usr/games",
    "usr/include",
    "usr/lib/debug",
    "usr/lib/systemd",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/menu",
    "var/cache",
)

MERGED = ("bin", "lib", "sbin")

HOME_BYTES = 4 << 30
STEP_SECONDS = 300.0


@dataclass(frozen=True)
class Image:
    """What a machine boots from, in a folder named by what it was made of.

    Attributes:
        folder: has ``root.img``, ``home.img``, ``kernel``, ``initrd``, the keys and ``manifest.json``.
        key: hash of the recipe and of the packages.
    """

    folder: Path
    key: str


def build_image(images: Path, *, refresh: bool, on_step: Callable[[str], None]) -> Image:
    """Make the image, unless it is there; the caller holds a lock.

    Args:
        images: folder of images.
        refresh: whether to look for newer packages.
        on_step: called with what is done next, in words.

    Raises:
        HostLacks: a program is missing here.
        DeviceError: a package could not be fetched, or the image could not be made.
    """
    debian.require_programs(PROGRAMS, "to build an emulated machine")
    told: list[str] = []

    def on_fetch() -> None:
        if not told:
            told.append("fetching packages")
            on_step(told[0])

    kernel = _kernel(refresh=refresh, on_fetch=on_fetch)
    ask = partial(debian.fetch, suite=guest.SUITE, architecture=ARCHITECTURE, refresh=refresh, on_fetch=on_fetch)
    (busybox,) = ask(["busybox-static"])
    userland = ask(guest.PACKAGES)
    layout = android_root.LAYOUTS["aarch64"]
    android = android_root.root_packages(layout, refresh=refresh, on_fetch=on_fetch)
    packages = debian.manifest([*kernel, busybox, *userland, *android])
    key = _key(packages)
    folder = images / key
    if (folder / "manifest.json").exists():
        return Image(folder, key)
    images.mkdir(parents=True, exist_ok=True)
    for leftover in (*images.glob("part-*"), folder):
        shutil.rmtree(leftover, ignore_errors=True)
    part = images / f"part-{uuid.uuid4().hex}"
    part.mkdir(mode=0o700)
    try:
        on_step("unpacking packages")
        _unpack([*kernel, busybox], userland, part)
        android_root.build_root(layout, android, part / "root/android", part / "android-packages")
        on_step("compiling Python's library")
        _compile(part)
        on_step("making the disk")
        _configure(part)
        _make_disks(part)
        for scratch in ("android-packages", "kernel-package", "root"):
            shutil.rmtree(part / scratch)
        (part / "manifest.json").write_text(
            json.dumps({"schema_version": 1, "key": key, "packages": packages}, indent=1)
        )
        part.rename(folder)
    except OSError as error:
        raise PermanentDeviceError(f"lab: the image could not be made in {images}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Image(folder, key)


def _key(packages: Sequence[dict[str, str]]) -> str:
    recipe = hashlib.sha256(json.dumps(packages).encode())
    for module in (android_root, guest, initrd):
        recipe.update(Path(str(module.__file__)).read_bytes())
    recipe.update(Path(__file__).read_bytes())
    return recipe.hexdigest()[:24]


def _kernel(*, refresh: bool, on_fetch: Callable[[], None]) -> list[Package]:
    """The kernel that the suite's package of that name stands for."""
    ask = partial(debian.fetch, suite=KERNEL_SUITE, architecture=ARCHITECTURE, on_fetch=on_fetch)
    (stands_for,) = ask([KERNEL], refresh=refresh)
    lines: list[str] = []
    run_process(["dpkg-deb", "-f", str(stands_for.path), "Depends"], timeout=STEP_SECONDS, on_line=lines.append)
    name = "".join(lines).split(" ")[0].strip()
    return ask([name])


def _unpack(boot: Sequence[Package], userland: Sequence[Package], part: Path) -> None:
    root = part / "root"
    root.mkdir()
    jobs = [(package, part / "kernel-package") for package in boot] + [(package, root) for package in userland]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in [pool.submit(debian.unpack, package, folder) for package, folder in jobs]:
            done.result()
    for name in USELESS:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "usr/lib/python3.11/sitecustomize.py").unlink(missing_ok=True)  # leads into /etc, and is empty there
    for name in MERGED:
        _merge(root / name, root / "usr" / name)
        (root / name).symlink_to(f"usr/{name}")


def _merge(source: Path, target: Path) -> None:
    """Move what lies in one folder into another, which may have folders of the same names."""
    for path in source.iterdir():
        into = target / path.name
        if path.is_dir() and not path.is_symlink() and into.is_dir():
            _merge(path, into)
        else:
            target.mkdir(parents=True, exist_ok=True)
            path.rename(into)
    source.rmdir()


def _compile(part: Path) -> None:
    """Compile Python's library; by its own version, which the host may not have."""
    library = part / "root/usr/lib/python3.11"
    python = [sys.executable, "-I"] if sys.version_info[:2] == (3, 11) else _own_python(part / "python")
    arguments = ["-m", "compileall", "-q", "-j", "0", "-s", str(part / "root"), "-p", "/", str(library)]
    _do("Python's library", [*python, *arguments])
    shutil.rmtree(part / "python", ignore_errors=True)


def _own_python(folder: Path) -> list[str]:
    """A Python of the guest's version for this host, beside the host's own libraries."""
    lines: list[str] = []
    run_process(["dpkg", "--print-architecture"], timeout=STEP_SECONDS, on_line=lines.append)
    architecture = "".join(lines).strip()
    names = ["python3.11-minimal", "libpython3.11-stdlib"]
    for package in debian.fetch(names, suite=guest.SUITE, architecture=architecture, closure=True):
        debian.unpack(package, folder)
    loader = next(path for path in folder.glob("lib/*-linux-gnu/ld-linux-*"))
    libraries = ":".join(str(path) for path in (loader.parent, folder / "usr/lib" / loader.parent.name))
    variables = [f"PYTHONHOME={folder / 'usr'}", "PYTHONNOUSERSITE=1"]
    return ["env", *variables, str(loader), "--library-path", libraries, str(folder / "usr/bin/python3.11"), "-s"]


def _configure(part: Path) -> None:
    root = part / "root"
    for name in guest.FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, (mode, text) in guest.FILES.items():
        (root / name).unlink(missing_ok=True)
        (root / name).write_text(text)
        (root / name).chmod(mode)
    for name, aim in guest.LINKS.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(aim)
    for name in ("host_key", "client_key"):
        _do("a key", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "edge-dwsep-lab", "-f", str(part / name)])
    shutil.copy(part / "host_key", root / "etc/ssh/ssh_host_ed25519_key")
    shutil.copyfile(part / "client_key.pub", root / "etc/ssh/authorized_keys" / guest.USER)
    (part / "host_key").unlink()
    _lay_boot(part)


def _lay_boot(part: Path) -> None:
    package = part / "kernel-package"
    (kernel,) = (package / "boot").glob("vmlinuz-*")
    kernel.rename(part / "kernel")
    folders = ("bin", "dev", "lower", "modules", "over", "proc", "system")
    files: dict[str, tuple[int, bytes]] = dict.fromkeys(folders, (stat.S_IFDIR | 0o755, b""))
    (busybox,) = (path for path in (package / "bin/busybox", package / "usr/bin/busybox") if path.exists())
    files["bin/busybox"] = (stat.S_IFREG | 0o755, busybox.read_bytes())
    files["init"] = (stat.S_IFREG | 0o755, guest.INIT.encode())
    loaded = initrd.modules(package / "usr/lib/modules", guest.MODULES)
    for number, (name, content) in enumerate(loaded.items()):
        files[f"modules/{number:02d}-{name}.ko"] = (stat.S_IFREG | 0o644, content)
    (part / "initrd").write_bytes(initrd.archive(files))


def _make_disks(part: Path) -> None:
    """The file systems of the root, whose files all are root's whoever runs this, and of /home, which is empty."""
    root = part / "root"
    paths = [path for path in sorted(root.rglob("*")) if path.lstat().st_uid or path.lstat().st_gid]
    size = sum(-(-path.lstat().st_size // 4096) * 4096 for path in root.rglob("*") if not path.is_dir())
    plain = ["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal,^metadata_csum,^resize_inode"]
    blocks = str((size + (48 << 20)) // 4096)
    disk = part / "root.img"
    _do("the disk", ["mke2fs", *plain, "-E", "root_owner=0:0", "-d", str(root), str(disk), blocks])
    commands = "".join(
        f'sif "/{path.relative_to(root)}" uid 0\nsif "/{path.relative_to(root)}" gid 0\n' for path in paths
    )
    if commands:
        _do("the disk's owners", ["debugfs", "-w", "-f", "-", str(disk)], stdin=commands)
    lazy = ["-E", "lazy_itable_init=1,root_owner=0:0", "-N", "65536"]
    _do("the home disk", ["mke2fs", *plain, *lazy, str(part / "home.img"), str(HOME_BYTES // 4096)])


def _do(what: str, command: Sequence[str], stdin: str = "") -> None:
    environment = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin", "E2FSPROGS_FAKE_TIME": "1600000000"}
    done = run_process(command, stdin=stdin, timeout=STEP_SECONDS, environment=environment)
    if done.returncode:
        said = next((line.strip() for line in done.errors if line.strip()), "it gave no reason")
        raise PermanentDeviceError(f"lab: {what} could not be made: {command[0]}: {said}")
