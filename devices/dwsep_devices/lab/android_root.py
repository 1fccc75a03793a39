"""The root file system of an Android-like machine, made of Debian packages.

It has what a program finds on a phone: a static mksh as /system/bin/sh, toybox, getprop, /data/local/tmp; and lacks
what it lacks there: /lib, /usr, /tmp, /etc/passwd, /dev/shm. The real adbd and toybox need a C library, which lies
where no other program looks for one.
"""

from __future__ import annotations

__all__ = ["LAYOUTS", "SUITE", "TOOLS", "Layout", "build_root", "properties", "root_packages", "with_path"]

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dwsep_devices import debian
from dwsep_devices.errors import PermanentDeviceError

SUITE = "trixie"
"""The first Debian with adbd."""

PACKAGES = ("adbd", "mksh", "toybox", "coreutils")
"""A phone's toybox hashes by BoringSSL. Debian's, by plain C, takes ten times as long; coreutils' sha256sum is as fast
as a phone's."""


@dataclass(frozen=True)
class Layout:
    """What differs from one kind of machine to another.

    Attributes:
        name: of the lab machine.
        abi: what Android calls its kind of programs.
        architecture: what Debian calls it.
        folder: of Debian's that has the libraries, below /lib and /usr/lib.
        musl_folder: likewise, of programs that need no C library of the system.
        asked: the loader that Debian's programs ask for.
        libraries: folder of the libraries in the root; a path as long as Debian's, to take its place in the loader.
        loader: in the root; a path as long as the one that is asked for.
    """

    name: str
    abi: str
    architecture: str
    folder: str
    musl_folder: str
    asked: str
    libraries: str
    loader: str

    @property
    def searched(self) -> str:
        """The folder in which Debian's loader looks for libraries."""
        return f"/lib/{self.folder}/"


LAYOUTS = {
    "x86_64": Layout(
        name="android",
        abi="x86_64",
        architecture="amd64",
        folder="x86_64-linux-gnu",
        musl_folder="x86_64-linux-musl",
        asked="/lib64/ld-linux-x86-64.so.2",
        libraries="/apex/com.android.lib/",
        loader="/apex/com.android.lib/ld.so",
    ),
    "aarch64": Layout(
        name="android-arm64",
        abi="arm64-v8a",
        architecture="arm64",
        folder="aarch64-linux-gnu",
        musl_folder="aarch64-linux-musl",
        asked="/lib/ld-linux-aarch64.so.1",
        libraries="/apex/com.android.libs/",
        loader="/apex/com.android.ld/ld.so",
    ),
}
"""By machine, as ``uname -m`` tells it."""

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


def properties(layout: Layout) -> dict[str, str]:
    """What getprop answers at first; it reads /vendor/build.prop, which belongs to one running machine."""
    product = f"lab_{layout.name.replace('-', '_')}"
    return {
        "ro.product.manufacturer": "edge-dwsep",
        "ro.product.model": "Android-like root",
        "ro.product.name": product,
        "ro.product.device": product,
        "ro.product.cpu.abi": layout.abi,
        "ro.product.cpu.abilist": layout.abi,
        "ro.product.cpu.abilist32": "",
        "ro.product.cpu.abilist64": layout.abi,
        "ro.build.version.sdk": "34",
        "ro.build.version.release": "14",
        "ro.build.fingerprint": f"edge-dwsep/{product}:14",
        "ro.hardware": "lab",
        "ro.boot.qemu": "",
        "ro.debuggable": "0",
        "sys.boot_completed": "1",
    }


def root_packages(
    layout: Layout, *, refresh: bool = False, on_fetch: Callable[[], None] = lambda: None
) -> list[debian.Package]:
    """The packages that a root is made of; see :func:`dwsep_devices.debian.fetch`.

    Raises:
        DeviceError: they could not be fetched.
    """
    return debian.fetch(
        PACKAGES, suite=SUITE, architecture=layout.architecture, closure=True, refresh=refresh, on_fetch=on_fetch
    )


def build_root(layout: Layout, packages: Sequence[debian.Package], target: Path, scratch: Path) -> None:
    """Lay out a root; nothing is run to do so.

    Args:
        layout: of the machine it is for.
        packages: what to make it of; see :func:`root_packages`.
        target: folder to make it in, which is not there yet.
        scratch: folder for what is unpacked on the way, which the caller removes.

    Raises:
        PermanentDeviceError: a package is laid out in another way than those of Debian's this was written for.
    """
    scratch.mkdir(parents=True)
    for package in packages:
        debian.unpack(package, scratch)
    places = (layout.libraries, str(PurePosixPath(layout.loader).parent))
    for folder in (*FOLDERS, *(place.strip("/") for place in places)):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for name, aim in LINKS.items():
        (target / name).symlink_to(aim)
    try:
        _lay_libraries(layout, scratch / "usr/lib" / layout.folder, target)
        for source, name in (
            ("lib/android-sdk/platform-tools/adbd", "apex/com.android.adbd/bin/adbd"),
            ("bin/toybox", "system/bin/toybox"),
            ("bin/sha256sum", "system/bin/sha256sum"),
        ):
            program = (scratch / "usr" / source).read_bytes()
            _write_program(target / name, with_path(program, layout.asked, layout.loader))
        _write_program(target / "system/bin/sh", (scratch / "usr/lib" / layout.musl_folder / "bin/mksh").read_bytes())
    except FileNotFoundError as error:
        raise PermanentDeviceError(
            f"lab-{layout.name}: the packages of Debian {SUITE} lack {error.filename}; this version knows adbd 34.0.5, "
            "mksh 59c and toybox 0.8.9"
        ) from error
    for tool in TOOLS - {*SCRIPTS, "sha256sum"}:
        (target / "system/bin" / tool).symlink_to("toybox")
    for name, text in SCRIPTS.items():
        _write_program(target / "system/bin" / name, text.encode())
    (target / "system/etc/hosts").write_text("127.0.0.1 localhost\n")
    told = "".join(f"{name}={value}\n" for name, value in properties(layout).items())
    (target / "vendor/build.prop").write_text(told)


def with_path(program: bytes, path: str, other: str) -> bytes:
    """A program with another path, as long, in the place of one.

    Raises:
        PermanentDeviceError: it does not have that path.
    """
    if f"{path}\0".encode() not in program or len(path) != len(other):
        raise PermanentDeviceError(f"lab: a program of Debian's does not look for {path}, as it should")
    return program.replace(path.encode(), other.encode())


def _lay_libraries(layout: Layout, source: Path, target: Path) -> None:
    folder = target / layout.libraries.strip("/")
    for path in sorted([*source.glob("lib*.so*"), *(source / "android").glob("lib*.so*")]):
        shutil.copyfile(path, folder / path.name, follow_symlinks=False)
    name = PurePosixPath(layout.asked).name
    moved = with_path((source / name).read_bytes(), layout.searched, layout.libraries)
    for path in (target / layout.loader.lstrip("/"), folder / name):
        _write_program(path, moved)


def _write_program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)
