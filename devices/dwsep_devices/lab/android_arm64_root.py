"""The Android-like root for arm64 that an emulated board has, and what starts adbd in it."""

from __future__ import annotations

__all__ = ["PACKAGES", "START", "SUITE", "lay_root"]

import shutil
from collections.abc import Sequence
from pathlib import Path

from dwsep_devices import debian
from dwsep_devices.debian import Package
from dwsep_devices.errors import PermanentDeviceError
from dwsep_devices.lab import android_root
from dwsep_devices.lab.android_root import PACKAGES, SUITE

DEBIAN_LIBRARIES, LIBRARIES = "/lib/aarch64-linux-gnu/", "/apex/com.android.libs/"
DEBIAN_LOADER, LOADER = "/lib/ld-linux-aarch64.so.1", "/apex/com.android.ld/ld.so"
"""Where Debian's programs look for the C library, and where it lies in this root: paths of the same length."""

START = """\
#!/bin/sh
# An Android-like root over the machine's own, and adbd in it as Android's user shell; started again when it ends.
root=/android data=/home/android
mkdir -p "$data" && chown 2000:2000 "$data" && chmod 771 "$data"
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$data" "$root/data/local/tmp"
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount -t tmpfs -o nosuid,mode=755,size=64k dev "$root/dev"
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=600 devpts "$root/dev/pts"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"; done
while :; do
    env -i ADBD_PORT=5555 ANDROID_DATA=/data ANDROID_ROOT=/system HOME=/ PATH=/system/bin SHELL=/system/bin/sh \\
        TMPDIR=/data/local/tmp /usr/sbin/chroot --userspec=2000:2000 --groups= "$root" /apex/com.android.adbd/bin/adbd
    sleep 0.2
done
"""

PROPERTIES = {
    **android_root.PROPERTIES,
    "ro.product.name": "lab_android_arm64",
    "ro.product.device": "lab_android_arm64",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.cpu.abilist": "arm64-v8a",
    "ro.product.cpu.abilist64": "arm64-v8a",
    "ro.build.fingerprint": "edge-dwsep/lab_android_arm64:14",
}


def lay_root(packages: Sequence[Package], target: Path, scratch: Path) -> None:
    """Lay out the root, of which :mod:`dwsep_devices.lab.android_root` tells; nothing is run to do so.

    Args:
        packages: adbd, mksh, toybox and what they need, for arm64.
        target: folder to make it in, which is not there yet.
        scratch: folder for what is unpacked on the way, which the caller removes.

    Raises:
        PermanentDeviceError: a package is laid out in another way than those of Debian's this was written for.
    """
    scratch.mkdir(parents=True)
    for package in packages:
        debian.unpack(package, scratch)
    for folder in (*android_root.FOLDERS, LIBRARIES.strip("/"), str(Path(LOADER).parent).lstrip("/")):
        (target / folder).mkdir(parents=True)
    for name, aim in android_root.LINKS.items():
        (target / name).symlink_to(aim)
    programs = target / "system/bin"
    libraries = scratch / "usr" / DEBIAN_LIBRARIES.strip("/")
    try:
        for path in sorted([*libraries.glob("lib*.so*"), *(libraries / "android").glob("lib*.so*")]):
            shutil.copyfile(path, target / LIBRARIES.lstrip("/") / path.name, follow_symlinks=False)
        loader = libraries / Path(DEBIAN_LOADER).name
        moved = _with(loader.read_bytes(), DEBIAN_LIBRARIES, LIBRARIES)
        for path in (target / LOADER.lstrip("/"), target / LIBRARIES.lstrip("/") / loader.name):
            _write_program(path, moved)
        adbd = scratch / "usr/lib/android-sdk/platform-tools/adbd"
        for source, path in (
            (adbd, target / "apex/com.android.adbd/bin/adbd"),
            (scratch / "usr/bin/toybox", programs / "toybox"),
        ):
            _write_program(path, _with(source.read_bytes(), DEBIAN_LOADER, LOADER))
        _write_program(programs / "sh", (scratch / "usr/lib/aarch64-linux-musl/bin/mksh").read_bytes())
    except OSError as error:
        raise PermanentDeviceError(
            f"lab-android-arm64: the packages of Debian {SUITE} lack {error.filename}; this version knows adbd 34.0.5, "
            "mksh 59c and toybox 0.8.9"
        ) from error
    for tool in set(android_root.TOOLS) - set(android_root.SCRIPTS):
        (programs / tool).symlink_to("toybox")
    for name, text in android_root.SCRIPTS.items():
        _write_program(programs / name, text.encode())
    (target / "system/etc/hosts").write_text("127.0.0.1 localhost\n")
    properties = "".join(f"{name}={value}\n" for name, value in PROPERTIES.items())
    (target / "vendor/build.prop").write_text(properties)


def _with(program: bytes, path: str, other: str) -> bytes:
    """A program with another path, as long, in the place of one.

    Raises:
        PermanentDeviceError: it does not have that path.
    """
    if path.encode() + b"\0" not in program:
        raise PermanentDeviceError(f"lab-android-arm64: a program of Debian's does not look for {path}, as it should")
    return program.replace(path.encode(), other.encode())


def _write_program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)
