"""The root file system of an Android-like machine, made of Debian packages.

It has what a program finds on a phone: a static mksh as /system/bin/sh, toybox, getprop, /data/local/tmp; and lacks
what it lacks there: /lib, /usr, /tmp, /etc/passwd, /dev/shm. The real adbd and toybox need a C library, which lies
where no other program looks for one.
"""

from __future__ import annotations

__all__ = ["ABI", "PROPERTIES", "SUITE", "TOOLS", "build_root", "moved_loader", "own_loader", "root_packages"]

import shutil
from collections.abc import Sequence
from pathlib import Path

from dwsep_devices import debian
from dwsep_devices.errors import PermanentDeviceError

SUITE = "trixie"
"""The first Debian with adbd."""

ABI = {"x86_64": ("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")}
"""Debian's architecture, its folder of libraries and its loader, by machine."""

PACKAGES = ("adbd", "mksh", "toybox")
HASHING = "coreutils"
"""A phone's toybox hashes by BoringSSL. Debian's, by plain C, takes ten times as long; its sha256sum is as fast."""

DEBIAN_FOLDER = "/lib/x86_64-linux-gnu/"
FOLDER = "/apex/com.android.lib/"
LOADER = f"{FOLDER}ld.so"
"""Where the libraries of adbd and toybox lie: a path as long as Debian's, to take its place in the loader."""

NAMES_OF_TOOLS = (
    "[ base64 basename cal cat chgrp chmod chown chroot chrt cksum clear cmp comm cp cpio cut date df dirname dmesg "
    "dos2unix du echo egrep env expand fallocate false fgrep file find flock fmt free fsync grep groups gunzip head "
    "hostname hwclock iconv id ifconfig inotifyd install ionice iorenice kill killall ln logname losetup ls lsusb "
    "md5sum microcom mkdir mkfifo mknod mktemp mount mountpoint mv nc netcat netstat nice nl nohup nproc nsenter od "
    "paste patch pgrep pidof ping pkill pmap printenv printf prlimit ps pwd pwdx readelf readlink realpath rev rm "
    "rmdir sed seq setsid sha1sum sha224sum sha256sum sha384sum sha512sum sleep sort split stat strings sync sysctl "
    "tac tail tar taskset tee test time timeout top touch true truncate tty ulimit umount uname uniq unix2dos unlink "
    "unshare uptime usleep uudecode uuencode uuidgen vmstat watch wc which whoami xargs xxd yes zcat"
)
TOOLS = frozenset(NAMES_OF_TOOLS.split())
"""Programs of Android 14's toybox, as far as Debian's has them: awk, dd, diff, expr and tr are missing."""

PROPERTIES = {
    "ro.product.manufacturer": "edge-dwsep",
    "ro.product.model": "Android-like root",
    "ro.product.name": "lab_android",
    "ro.product.device": "lab_android",
    "ro.product.cpu.abi": "x86_64",
    "ro.product.cpu.abilist": "x86_64",
    "ro.product.cpu.abilist32": "",
    "ro.product.cpu.abilist64": "x86_64",
    "ro.build.version.sdk": "34",
    "ro.build.version.release": "14",
    "ro.build.fingerprint": "edge-dwsep/lab_android:14",
    "ro.hardware": "lab",
    "ro.boot.qemu": "",
    "ro.debuggable": "0",
    "sys.boot_completed": "1",
}
"""What getprop answers at first; it reads /vendor/build.prop, which belongs to one running machine."""

GETPROP = """#!/system/bin/sh
# getprop [NAME [DEFAULT]]: of the lines NAME=VALUE in /vendor/build.prop
if [ $# -eq 0 ]; then
    while IFS= read -r line; do
        case $line in *=*) printf '[%s]: [%s]\\n' "${line%%=*}" "${line#*=}" ;; esac
    done </vendor/build.prop
    exit 0
fi
value=$2
while IFS= read -r line; do
    case $line in "$1="?*) value=${line#*=} ;; esac
done </vendor/build.prop
printf '%s\\n' "$value"
"""

GETCONF = """#!/system/bin/sh
# getconf NAME: the page size is that of the property edge_dwsep.page_size, if it is set
case $1 in
PAGESIZE | PAGE_SIZE) value=$(/system/bin/getprop edge_dwsep.page_size) && printf '%s\\n' "${value:-4096}" ;;
*) exec /system/bin/toybox getconf "$@" ;;
esac
"""

GZIP = """#!/system/bin/sh
# Debian's toybox only unpacks
case $1 in
-d) shift && exec /system/bin/toybox gunzip "$@" ;;
-dc | -cd) shift && exec /system/bin/toybox zcat "$@" ;;
*) printf 'gzip: only -d is known here\\n' >&2 && exit 1 ;;
esac
"""

ID = """#!/system/bin/sh
# toybox's own looks for /etc/passwd; Android's C library knows its users
case $1 in
-u | -g | -G) printf '2000\\n' ;;
-un | -gn | -nu | -ng) printf 'shell\\n' ;;
*) printf 'uid=2000(shell) gid=2000(shell) groups=2000(shell) context=u:r:shell:s0\\n' ;;
esac
"""

WHOAMI = "#!/system/bin/sh\nprintf 'shell\\n'\n"

SCRIPTS = {"getprop": GETPROP, "getconf": GETCONF, "gzip": GZIP, "id": ID, "whoami": WHOAMI}

FOLDERS = ("apex/com.android.adbd/bin", "data/local/tmp", "dev", "proc", "sys", "system/bin", "system/etc", "vendor")
LINKS = {"bin": "system/bin", "etc": "system/etc"}


def root_packages() -> list[debian.Package]:
    """The packages that a root is made of, fetched unless they are here.

    Raises:
        DeviceError: they could not be fetched.
    """
    return debian.fetch((*PACKAGES, HASHING), suite=SUITE, architecture=ABI["x86_64"][0], closure=True)


def build_root(packages: Sequence[debian.Package], target: Path, scratch: Path) -> None:
    """Lay out a root; nothing is run to do so.

    Args:
        packages: what to make it of; see :func:`root_packages`.
        target: folder to make it in, which is not there yet.
        scratch: folder for what is unpacked on the way, which the caller removes.

    Raises:
        PermanentDeviceError: a package is laid out in another way than those of Debian's this was written for.
    """
    _, libraries, loader = ABI["x86_64"]
    scratch.mkdir(parents=True)
    for package in packages:
        debian.unpack(package, scratch)
    for folder in FOLDERS:
        (target / folder).mkdir(parents=True)
    for name, aim in LINKS.items():
        (target / name).symlink_to(aim)
    try:
        _lay_libraries(scratch / "usr/lib" / libraries, target / FOLDER.lstrip("/"), loader)
        _lay_program(scratch / "usr/lib/android-sdk/platform-tools/adbd", target / "apex/com.android.adbd/bin/adbd")
        _lay_program(scratch / "usr/bin/toybox", target / "system/bin/toybox")
        _lay_program(scratch / "usr/bin/sha256sum", target / "system/bin/sha256sum")
        shutil.copyfile(scratch / "usr/lib/x86_64-linux-musl/bin/mksh", target / "system/bin/sh")
    except OSError as error:
        raise PermanentDeviceError(
            f"lab-android: the packages of Debian {SUITE} lack {error.filename}; this version knows adbd 34.0.5, "
            "mksh 59c and toybox 0.8.9"
        ) from error
    for tool in TOOLS - {*SCRIPTS, "sha256sum"}:
        (target / "system/bin" / tool).symlink_to("toybox")
    for name, text in SCRIPTS.items():
        (target / "system/bin" / name).write_text(text)
    (target / "system/etc/hosts").write_text("127.0.0.1 localhost\n")
    for program in ("sh", "toybox", *SCRIPTS):
        (target / "system/bin" / program).chmod(0o755)


def own_loader(program: bytes) -> bytes:
    """A program that asks for the root's own loader instead of Debian's; the program interpreter is a string in it.

    Raises:
        PermanentDeviceError: it asks for another loader.
    """
    asked = b"/lib64/ld-linux-x86-64.so.2\0"
    if program.count(asked) != 1:
        raise PermanentDeviceError("lab-android: a program of Debian's does not ask for the loader it should")
    return program.replace(asked, LOADER.encode().ljust(len(asked), b"\0"))


def moved_loader(loader: bytes) -> bytes:
    """A loader that looks for libraries in the root's own folder instead of Debian's.

    Raises:
        PermanentDeviceError: it looks in other folders.
    """
    if f"\0{DEBIAN_FOLDER}\0".encode() not in loader or len(FOLDER) != len(DEBIAN_FOLDER):
        raise PermanentDeviceError("lab-android: Debian's loader does not look for libraries where it should")
    return loader.replace(DEBIAN_FOLDER.encode(), FOLDER.encode())


def _lay_libraries(source: Path, target: Path, loader: str) -> None:
    target.mkdir()
    for path in sorted([*source.glob("lib*.so*"), *(source / "android").glob("lib*.so*")]):
        shutil.copyfile(path, target / path.name, follow_symlinks=False)
    for name in ("ld.so", loader):
        (target / name).write_bytes(moved_loader((source / loader).read_bytes()))
        (target / name).chmod(0o755)


def _lay_program(source: Path, target: Path) -> None:
    target.write_bytes(own_loader(source.read_bytes()))
    target.chmod(0o755)
