"""What a device is: one POSIX shell script asks it everything, a pure function reads the answer.

The script runs on dash, bash, busybox and Android's mksh with toybox, as any user. Every reading is optional: a
Raspberry Pi, a phone and an emulated board tell different things.
"""

from __future__ import annotations

__all__ = ["Cluster", "Facts", "Python", "parse_facts", "probe", "probe_here", "probe_script"]

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dwsep_devices.cpu_names import core_name
from dwsep_devices.errors import DeviceUnsuitable, PermanentDeviceError
from dwsep_devices.transport import quoted
from dwsep_runtime.spawn import run_process

PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.10", "python3.9", "python3")
"""The first is what every engine has packages for."""

ABOUT_PYTHON = (
    "import sys, struct, os\n"
    "from importlib.machinery import PathFinder\n"
    "try: libc = os.confstr('CS_GNU_LIBC_VERSION')\n"
    "except (ValueError, OSError): libc = ''\n"
    "has = PathFinder.find_spec('venv') is not None\n"
    "version = '.'.join(str(part) for part in sys.version_info[:3])\n"
    "print('python=%s|%d|%d|%s|%s' % (version, struct.calcsize('P') * 8, has, libc or '', sys.executable))\n"
)

SCRIPT = r"""
exec 2>/dev/null
tell() { [ -n "$2" ] && printf '%s=%s\n' "$1" "$2"; }
first() { [ -r "$1" ] && IFS= read -r line < "$1" && printf '%s' "$line"; }
has() { command -v "$1" >/dev/null; }
tell machine "$(uname -m)"
tell kernel "$(uname -r)"
bits=$(getconf LONG_BIT) || bits=
case $bits in
32|64) ;;
*)  case $(echo $( (od -An -tu1 -j4 -N1 /proc/self/exe ||
        dd if=/proc/self/exe bs=1 skip=4 count=1 | od -An -tu1))) in
    1) bits=32 ;; 2) bits=64 ;; *) bits= ;;
    esac ;;
esac
tell bits "$bits"
tell os "$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release | sed 's/"//g')"
page=$(getconf PAGESIZE || getconf PAGE_SIZE) || page=
[ -n "$page" ] || { page=$(sed -n 's/^KernelPageSize: *\([0-9]*\) kB.*/\1/p' /proc/self/smaps | head -n 1)
    [ -z "$page" ] || page=$((page * 1024)); }
tell page_size "$page"
if has getprop; then
    tell android "$(getprop ro.build.version.release)"
    tell sdk "$(getprop ro.build.version.sdk)"
    tell abi "$(getprop ro.product.cpu.abi)"
    tell maker "$(getprop ro.product.manufacturer)"
    tell model "$(getprop ro.product.model)"
    tell qemu "$(getprop ro.boot.qemu)$(getprop ro.kernel.qemu)"
fi
tell glibc "$(getconf GNU_LIBC_VERSION)"
has ldd && tell ldd "$(echo $(ldd --version 2>&1 </dev/null | head -n 2))"
for file in /lib/ld-musl-*; do [ -e "$file" ] && tell musl "$file"; done
seen=' '
for name in PYTHONS; do
    path=$(command -v "$name") || continue
    case $path in /*) ;; *) continue ;; esac
    real=$(readlink -f "$path") || real=$path
    case $seen in *" $real "*) continue ;; esac
    seen="$seen$real "
    "$path" -I -S -c ABOUT_PYTHON </dev/null
done
tell nproc "$(unset OMP_NUM_THREADS OMP_THREAD_LIMIT; nproc)"
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
    [ -d "$cpu" ] || continue
    printf 'core=%s|%s|%s|%s|%s\n' "${cpu##*/cpu}" "$(first "$cpu/cpufreq/cpuinfo_max_freq")" \
        "$(first "$cpu/cpu_capacity")" "$(first "$cpu/regs/identification/midr_el1")" \
        "$(first "$cpu/cpufreq/scaling_governor")"
done
tell governors "$(first /sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors)"
grep -E '^(processor|model name|CPU implementer|CPU part|Hardware)' /proc/cpuinfo |
    head -n 4096 | sed 's/^/cpuinfo=/'
tell memory_kb "$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
folder=ROOT
case $folder in
'') folder=${HOME:-/}; [ -d /data/local/tmp ] && folder=/data/local/tmp ;;
'~/'*) folder=${HOME:-}/${folder#??} ;;
esac
while [ ! -d "$folder" ] && [ "$folder" != "${folder%/*}" ]; do folder=${folder%/*}; done
folder=${folder:-/}
tell df "$(df -kP "$folder" | sed -n '$p')"
tell stat "$(stat -f -c '%a %S' "$folder")"
for zone in /sys/class/thermal/thermal_zone*; do
    [ -r "$zone/temp" ] && tell sensor "$(first "$zone/type" || printf '%s' "${zone##*/}")"
done
[ -r /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq ] && echo sensor=cpufreq
[ -r /sys/devices/platform/soc/soc:firmware/get_throttled ] && echo sensor=get_throttled
has vcgencmd && vcgencmd get_throttled >/dev/null </dev/null && echo sensor=vcgencmd
has dumpsys && dumpsys thermalservice </dev/null | grep 'Thermal Status' >/dev/null &&
    echo sensor=thermalservice
[ -r /proc/device-tree/model ] && tell product "$(cat /proc/device-tree/model)"
tell dmi "$(first /sys/class/dmi/id/product_name)"
echo probed=whole
"""

MOST_TEXT = 200
SECONDS_HERE = 30.0

MUSL_VERSION = re.compile(r"musl libc.*Version (\S+)")
GLIBC_VERSION = re.compile(r"(?:GLIBC|GNU libc|glibc).*?(\d+\.\d+)", re.IGNORECASE)
SPACE = re.compile(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%")
"""Size, used and available kilobytes and share of a line of ``df -kP`` (POSIX.1-2017, df)."""


@dataclass(frozen=True)
class Python:
    """A Python of a device.

    Attributes:
        version: such as "3.11.2".
        path: of its program there.
        bits: 32 or 64.
        venv: whether it can make environments.
        libc: such as "glibc 2.36"; empty if it does not tell.
    """

    version: str
    path: str
    bits: int
    venv: bool
    libc: str


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind.

    Attributes:
        cores: their numbers.
        cpu: what they are, such as "Cortex-A76"; empty if they do not tell.
        max_mhz: highest frequency; None if they do not tell.
    """

    cores: tuple[int, ...]
    cpu: str
    max_mhz: float | None


@dataclass(frozen=True)
class Facts:
    """What a device told of itself; 0, empty or None for what it did not tell.

    Attributes:
        machine: as ``uname -m`` says it; of the kernel.
        bits: of its programs, 32 or 64; those of a 64-bit kernel may be 32.
        os: name and version of the system.
        kernel: release.
        libc: "glibc 2.36", "musl 1.2.4" or "bionic".
        python: version of the Python that environments are made with.
        python_path: its program.
        pythons: all that were found.
        page_size: bytes of a memory page.
        cores: that are online.
        clusters: cores by kind, as numbered.
        cpu: name of the processor, or of its cores.
        memory_bytes: of the device.
        free_bytes: free to this user where our folder lies, or will.
        governor: of the cores' frequency; several, separated by commas, if they differ.
        governors: that it offers.
        sensors: what tells temperature, frequency or throttling.
        android_sdk: API level; None if it is no Android.
        abi: of Android.
        product: what it is sold as.
        emulator: whether it is an Android emulator.
    """

    machine: str
    bits: int = 0
    os: str = ""
    kernel: str = ""
    libc: str = ""
    python: str = ""
    python_path: str = ""
    pythons: tuple[Python, ...] = ()
    page_size: int = 0
    cores: int = 0
    clusters: tuple[Cluster, ...] = ()
    cpu: str = ""
    memory_bytes: int = 0
    free_bytes: int | None = None
    governor: str = ""
    governors: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    android_sdk: int | None = None
    abi: str = ""
    product: str = ""
    emulator: bool = False


def probe(ask: Callable[[str], str], *, root: str = "", name: str = "device") -> Facts:
    """Find out what a device is.

    Args:
        ask: runs a script on the device and gives its standard output.
        root: our folder there, for the free space; "~/" at its start is the user's home.
        name: what the user calls the device.

    Raises:
        DeviceUnsuitable: its answer makes no sense.
        DeviceError: it cannot be asked.
    """
    answer = ask(probe_script(root))
    try:
        return parse_facts(answer)
    except ValueError as error:
        raise DeviceUnsuitable(f"{name}: {error}; it needs a POSIX shell with uname, sed, grep and head") from error


def probe_here() -> Facts:
    """What this machine is.

    Raises:
        PermanentDeviceError: it has no POSIX shell.
        DeviceUnsuitable: the shell's answer makes no sense.
    """
    lines: list[str] = []

    def ask(script: str) -> str:
        try:
            run_process(["sh", "-c", script], timeout=SECONDS_HERE, on_line=lines.append)
        except OSError as error:
            raise PermanentDeviceError(f"local: sh could not be started: {error.strerror}") from error
        return "".join(lines)

    return probe(ask, root="~/", name="local")


def probe_script(root: str = "") -> str:
    """The script that asks everything.

    Args:
        root: our folder on the device, for the free space.
    """
    script = SCRIPT.replace("PYTHONS", " ".join(PYTHONS)).replace("ABOUT_PYTHON", quoted(ABOUT_PYTHON))
    return script.replace("folder=ROOT", f"folder={quoted(root)}")


def parse_facts(answer: str) -> Facts:
    """Read what the script printed. Lines that are none of its own, such as a greeting, are passed over.

    Raises:
        ValueError: it is not a whole answer.
    """
    told: dict[str, list[str]] = defaultdict(list)
    for line in answer.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.isidentifier():
            told[key].append(_plain(value))
    one = {key: values[-1] for key, values in told.items()}
    if one.get("probed") != "whole" or not one.get("machine"):
        begin = _plain(answer.strip())[:60]
        raise ValueError(f"the answer to what it is was not understood; it begins {begin!r}")
    pythons = tuple(python for line in told["python"] for python in _python(line))
    best = _best(pythons)
    clusters, governors = _cores(told["core"], told["cpuinfo"])
    android = "sdk" in one or "android" in one
    return Facts(
        machine=one["machine"],
        bits=_number(one.get("bits")),
        os=f"Android {one['android']}" if "android" in one else one.get("os", ""),
        kernel=one.get("kernel", ""),
        libc="bionic" if android else _libc(one),
        python=best.version if best else "",
        python_path=best.path if best else "",
        pythons=pythons,
        page_size=_number(one.get("page_size")),
        cores=_number(one.get("nproc")) or sum(len(cluster.cores) for cluster in clusters),
        clusters=clusters,
        cpu=_cpu(clusters, told["cpuinfo"]),
        memory_bytes=1024 * _number(one.get("memory_kb")),
        free_bytes=_free(one),
        governor=", ".join(governors),
        governors=tuple(one.get("governors", "").split()),
        sensors=tuple(dict.fromkeys(told["sensor"])),
        android_sdk=_number(one.get("sdk")) if android else None,
        abi=one.get("abi", ""),
        product=_product(one),
        emulator="1" in one.get("qemu", ""),
    )


def _plain(text: str) -> str:
    """A line that a terminal prints as it is, and no longer than it need be."""
    return "".join(letter if letter.isprintable() else " " for letter in text[: 20 * MOST_TEXT]).strip()[:MOST_TEXT]


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else 0


def _python(line: str) -> Iterable[Python]:
    version, bits, venv, libc, path = (*line.split("|", 4), "", "", "", "", "")[:5]
    if re.fullmatch(r"3\.\d+\.\d+", version) and path.startswith("/"):
        yield Python(version, path, _number(bits), venv == "1", libc)


def _best(pythons: Sequence[Python]) -> Python | None:
    """The first that environments can be made with, else the first that there is."""
    return next((python for python in pythons if python.venv and python.bits == 64), next(iter(pythons), None))


def _libc(one: Mapping[str, str]) -> str:
    if one.get("glibc", "").startswith("glibc "):
        return one["glibc"]
    ldd = one.get("ldd", "")
    if "musl" in ldd or "musl" in one:
        version = MUSL_VERSION.search(ldd)
        return f"musl {version.group(1)}" if version else "musl"
    version = GLIBC_VERSION.search(ldd)
    return f"glibc {version.group(1)}" if version else ""


def _cores(lines: Iterable[str], cpuinfo: Iterable[str]) -> tuple[tuple[Cluster, ...], list[str]]:
    """Clusters, and the governors that are set, from what each core told."""
    names = _names(cpuinfo)
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    governors: dict[str, None] = {}
    cores = sorted(((*line.split("|"), "", "", "", "")[:5] for line in lines), key=lambda core: _number(core[0]))
    for number, max_khz, capacity, midr, governor in cores:
        name = _name_of_midr(midr) or names.get(_number(number), "")
        groups[name, max_khz, capacity].append(_number(number))
        if governor:
            governors[governor] = None
    clusters = [
        Cluster(tuple(numbers), name, _number(khz) / 1000 or None) for (name, khz, _), numbers in groups.items()
    ]
    if not clusters and names:
        clusters = [
            Cluster(tuple(number for number, its in names.items() if its == name), name, None)
            for name in dict.fromkeys(names.values())
        ]
    return tuple(clusters), list(governors)


def _names(cpuinfo: Iterable[str]) -> dict[int, str]:
    """Name of each ARM core by its number (Linux, arch/arm64/kernel/cpuinfo.c)."""
    names: dict[int, str] = {}
    number = implementer = 0
    for line in cpuinfo:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor":
            number = _number(value)
        elif re.fullmatch(r"0x[0-9a-fA-F]{1,4}", value):
            if key == "CPU implementer":
                implementer = int(value, 16)
            elif key == "CPU part":
                names[number] = core_name(implementer, int(value, 16))
    return names


def _name_of_midr(midr: str) -> str:
    """Name of a core by its main ID register: implementer in bits 24-31, part in bits 4-15 (Arm ARM, MIDR_EL1)."""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", midr) or not int(midr, 16):
        return ""
    return core_name(int(midr, 16) >> 24 & 0xFF, int(midr, 16) >> 4 & 0xFFF)


def _cpu(clusters: Sequence[Cluster], cpuinfo: Iterable[str]) -> str:
    kinds: dict[str, int] = defaultdict(int)
    for cluster in clusters:
        kinds[cluster.cpu] += len(cluster.cores)
    kinds.pop("", None)
    if kinds:
        return next(iter(kinds)) if len(kinds) == 1 else " + ".join(f"{count} {name}" for name, count in kinds.items())
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in cpuinfo)}
    return told.get("model name") or told.get("Hardware") or ""


def _free(one: Mapping[str, str]) -> int | None:
    found = SPACE.search(one.get("df", ""))
    if found:
        return 1024 * int(found.group(3))
    blocks, _, size = one.get("stat", "").partition(" ")
    return _number(blocks) * _number(size) if blocks.isdigit() and size.isdigit() else None


def _product(one: Mapping[str, str]) -> str:
    maker, model = one.get("maker", ""), one.get("model", "")
    android = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return android.strip() or one.get("product") or one.get("dmi", "")
