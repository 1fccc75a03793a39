"""The doctor's checks; each looks at one thing and gives what it found."""

from __future__ import annotations

__all__ = [
    "adb_client",
    "authorization",
    "bundle",
    "clock",
    "connection",
    "engines",
    "engines_here",
    "facts",
    "folder",
    "governor",
    "host_key",
    "lab_machine",
    "lease",
    "login",
    "machine",
    "pages",
    "pip",
    "python",
    "sftp_client",
    "shell",
    "space",
    "ssh_client",
]

import importlib.util
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dwsep_devices.doctor_visit import Check, Visit
from dwsep_devices.errors import DeviceError, DeviceRefused
from dwsep_devices.lease import Lease, lease_script, parse_holder, release_script
from dwsep_devices.transport import quoted

TOOLS = ("cat", "chmod", "cut", "env", "grep", "gzip", "head", "mkdir", "mv", "rm", "sed", "sha256sum", "stat", "tar")
"""Programs that our scripts use on a device."""

LEAST_BYTES = 300_000_000
ENOUGH_BYTES = 1_000_000_000
"""An environment takes 110-250 MB; all of them with the files pushed, less than 1 GB."""

MOST_CLOCK_SECONDS = 60.0
TRANSFER_SECONDS = 60.0
PAGE_4K = 4096

PERFORMANCE = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"


def ssh_client(visit: Visit) -> Iterator[Check]:
    """Whether this host has ssh."""
    yield _program(visit, "ssh client", "ssh", "openssh-client")


def sftp_client(visit: Visit) -> Iterator[Check]:
    """Whether this host has sftp."""
    yield _program(visit, "sftp client", "sftp", "openssh-client")


def adb_client(visit: Visit) -> Iterator[Check]:
    """Whether this host has adb."""
    from dwsep_devices.adb import find_adb

    try:
        yield Check("adb", "ok", str(find_adb()))
    except DeviceError as error:
        yield Check("adb", "fail", visit.said(error), "sudo apt install adb")


def pip(visit: Visit) -> Iterator[Check]:  # noqa: ARG001  # as every check
    """Whether this host can fetch packages for the device."""
    if importlib.util.find_spec("pip"):
        yield Check("pip", "ok", "fetches the engines' packages on this host")
        return
    yield Check("pip", "fail", f"{sys.executable} has none", f"{shlex.quote(sys.executable)} -m ensurepip")


def bundle(visit: Visit) -> Iterator[Check]:
    """Whether this host can make the Python that an Android device gets."""
    title, needed = "bundle", visit.facts.machine
    if visit.which("apt-get") and visit.which("dpkg-deb"):
        yield Check(title, "ok", "made of Debian's packages")
    elif needed == platform.machine():
        yield Check(title, "ok", "made of this host's own Python")
    else:
        found = f"this host has no apt to fetch a Python for {needed} with, and its own is of {platform.machine()}"
        yield Check(title, "fail", found, "apt-get --version  # measure this device from a Debian or Ubuntu host")


def lab_machine(visit: Visit) -> Iterator[Check]:
    """Whether the machine of the lab runs."""
    try:
        _ = visit.device
    except DeviceError as error:
        yield Check("lab machine", "fail", visit.said(error), f"edge-dwsep lab up {visit.profile.lab}")
    else:
        yield Check("lab machine", "ok", f"{visit.profile.lab} is up")


def connection(visit: Visit) -> Iterator[Check]:
    """Whether anything answers."""
    error = visit.refusal
    if error is None or isinstance(error, DeviceRefused):
        yield Check("connection", "ok", visit.known.where or "it answers")
    elif visit.profile.lab:
        yield Check("connection", "fail", visit.said(error), visit.there("true"))
    elif visit.profile.transport == "adb":
        yield Check("connection", "fail", visit.said(error), "adb reconnect offline; adb devices -l")
    else:
        verbose = visit.client.replace("ssh", "ssh -v", 1)
        yield Check("connection", "fail", visit.said(error), f"{verbose} true")


def host_key(visit: Visit) -> Iterator[Check]:
    """Whether the device's key is the one that was accepted."""
    error = visit.refusal
    if error is None or "host key" not in str(error):
        yield Check("host key", "ok", "known")
        return
    if "changed" in str(error):
        told = re.search(r'ssh-keygen -f "[^"]*" -R "[^"]*"', str(error))  # ssh knows which file and which entry
        host, port = visit.known.host.rpartition("@")[2], visit.known.port
        entry = shlex.quote(f"[{host}]:{port}" if port else host)
        removal = told.group(0) if told else f"ssh-keygen -R {entry}"
        yield Check("host key", "fail", visit.said(error), f"{removal} && {visit.client} true")
        return
    yield Check("host key", "fail", visit.said(error), f"{visit.client} true")


def login(visit: Visit) -> Iterator[Check]:
    """Whether ssh logs in without asking anything."""
    if visit.refusal is None:
        yield Check("login", "ok", "by key or agent, without a password")
        return
    copy = visit.client.replace("ssh", "ssh-copy-id", 1)
    yield Check("login", "fail", visit.said(visit.refusal), copy)


def authorization(visit: Visit) -> Iterator[Check]:
    """Whether the phone allows debugging from this host."""
    if visit.refusal is None:
        yield Check("login", "ok", "authorized")
        return
    allow = "adb kill-server && adb devices   # then accept this host's key on the device's screen"
    yield Check("login", "fail", visit.said(visit.refusal), allow)


def shell(visit: Visit) -> Iterator[Check]:
    """Whether scripts run, and the programs that they use are there."""
    script = "a=1; case $((a + 1)) in 2) echo shell=posix ;; esac; echo lacks=$(for tool in "
    script += f"{' '.join(TOOLS)}; do command -v $tool >/dev/null 2>&1 || echo $tool; done)"
    told = visit.device.answers(script)
    lacks = told.get("lacks", "").split()
    if told.get("shell") != "posix":
        yield Check("shell", "fail", f"its sh answers {told!r:.80}", visit.there("ls -l /bin/sh"))
    elif lacks:
        install = f"sudo apt install coreutils tar gzip grep sed  # {' '.join(lacks)}"
        yield Check("shell", "fail", f"it lacks {', '.join(lacks)}", visit.there(install))
    else:
        yield Check("shell", "ok", "POSIX, with all programs that are used")


def folder(visit: Visit) -> Iterator[Check]:
    """Whether a file can be copied into our folder and run from there."""
    title, device = "folder and file transfer", visit.device
    try:
        interpreter = device.answers("echo sh=$(command -v sh)").get("sh", "/bin/sh")
        there = f"{device.root}/doctor-{visit.token}"
    except DeviceError as error:
        yield Check(title, "fail", visit.said(error), visit.there(f"ls -ld {_shell_path(visit.profile.root)}"))
        return
    tidy = f"rm -f {quoted(there)}; rmdir {quoted(device.root)} 2>/dev/null; true"
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-doctor-") as temporary:
        local = Path(temporary) / "doctor"
        local.write_text(f"#!{interpreter}\necho ran={visit.token}\n", encoding="utf-8")
        try:
            device.transport.send(local, there, timeout=TRANSFER_SECONDS)
            ran = device.ask(f"chmod 700 {quoted(there)} && {quoted(there)}", check=False)
        except DeviceError as error:
            yield Check(title, "fail", visit.said(error), _transfer_mend(visit))
            return
        finally:
            device.ask(tidy)
    if f"ran={visit.token}" in ran:
        yield Check(title, "ok", device.root)
        return
    yield Check(
        title,
        "fail",
        f"no program runs in {device.root}: its file system is mounted noexec",
        visit.there(f"sudo mount -o remount,exec \"$(df -P {quoted(device.root)} | sed -n '2s/.* //p')\""),
    )


def clock(visit: Visit) -> Iterator[Check]:
    """Whether the device's clock agrees with this host's."""
    begun = visit.now()
    told = visit.device.answers("echo now=$(date +%s)").get("now", "")
    ended = visit.now()
    if not told.isdecimal():
        yield Check("clock", "warn", "it tells no time", visit.there("date"))
        return
    off = max(begun - 1 - int(told), int(told) - ended, 0.0)
    if off <= MOST_CLOCK_SECONDS:
        yield Check("clock", "ok", "agrees with this host's")
    elif visit.profile.transport == "adb":
        yield Check("clock", "warn", f"wrong by {off:.0f} s", visit.there("settings put global auto_time 1"))
    else:
        yield Check("clock", "warn", f"wrong by {off:.0f} s", visit.there("sudo timedatectl set-ntp true"))


def lease(visit: Visit) -> Iterator[Check]:
    """Whether another measurement has the device."""
    asked = Lease(visit.profile.lease)
    told = visit.device.answers(f"{lease_script(asked, 1)}\n{release_script(asked)}").get("lease", "")
    try:
        holder = parse_holder(told)
    except ValueError:
        path = visit.profile.lease
        yield Check("lease", "fail", f"none can be kept in {path}", visit.there(f"sudo rm -rf {shlex.quote(path)}"))
        return
    if holder is None:
        yield Check("lease", "ok", "free")
        return
    found = f"in use by {holder.who}, for {holder.seconds} s more at most"
    yield Check("lease", "warn", found, f"sleep {holder.seconds} && edge-dwsep devices doctor {visit.name}")


def facts(visit: Visit) -> Iterator[Check]:
    """Whether the device tells what it is."""
    known = visit.facts
    told = ", ".join(part for part in (known.product, known.cpu, known.os) if part)
    yield Check("facts", "ok", told or known.machine)
    if known.emulator and not visit.profile.emulated:
        kind = f"android-emulator-{'x86_64' if known.machine == 'x86_64' else 'arm64'}"
        serial = f" --serial {shlex.quote(visit.known.serial)}" if visit.known.serial else ""
        found = f"an emulator, which kind {visit.profile.kind} is not: its figures would be ranked with hardware's"
        again = f"edge-dwsep devices add {visit.name} --replace --kind {kind}{serial}"
        yield Check("kind", "fail", found, again)


def machine(visit: Visit) -> Iterator[Check]:
    """Whether processor and programs are of 64 bits, and of the kind that the profile says."""
    known, accepted = visit.facts, visit.profile.machines
    found = f"{known.machine}{f', {known.libc}' if known.libc else ''}"
    if accepted and known.machine not in accepted:
        kinds = "edge-dwsep devices kinds"
        yield Check("machine", "fail", f"{found}; kind {visit.profile.kind} is {' or '.join(accepted)}", kinds)
    elif known.bits == 32:
        flash = (
            "rpi-imager  # choose a 64-bit system" if visit.profile.transport == "ssh" else "edge-dwsep devices kinds"
        )
        yield Check("machine", "fail", f"{found}: its programs are of 32 bits, and no engine is", flash)
    else:
        yield Check("machine", "ok", found)


def pages(visit: Visit) -> Iterator[Check]:
    """Whether the engines' libraries fit the device's memory pages."""
    known = visit.facts
    if known.page_size <= PAGE_4K or known.machine != "x86_64":  # those for aarch64 are made for 64 KiB
        size = f"{known.page_size // 1024} KiB" if known.page_size else "not told"
        yield Check("memory pages", "ok", size)
        return
    found = f"{known.page_size // 1024} KiB, and the engines' packages for {known.machine} are made for 4 KiB"
    yield Check("memory pages", "fail", found, "emulator -list-avds  # take a system image with 4 KiB pages")


def space(visit: Visit) -> Iterator[Check]:
    """Whether there is space for engines and models."""
    free = visit.facts.free_bytes
    if free is None:
        yield Check("free space", "warn", "not told", visit.there("df -h"))
        return
    found = f"{free / 1e6:,.0f} MB"
    if free >= ENOUGH_BYTES:
        yield Check("free space", "ok", found)
        return
    state = "fail" if free < LEAST_BYTES else "warn"
    local = visit.profile.transport == "local"
    mend = "df -h ." if local else f"edge-dwsep devices remove {visit.name} --keep"
    yield Check("free space", state, f"{found}; engines take {LEAST_BYTES / 1e6:.0f} MB and more", mend)


def governor(visit: Visit) -> Iterator[Check]:
    """Whether the cores keep one frequency."""
    known = visit.facts
    if not known.governor:
        yield Check("governor", "ok", "none: the frequency is not the system's to change, or not told")
    elif known.governor == "performance":
        yield Check("governor", "ok", "performance")
    elif visit.profile.transport == "adb":
        yield Check("governor", "warn", f"{known.governor}: latency scatters more, and a phone's cannot be set")
    else:
        yield Check("governor", "warn", f"{known.governor}: latency scatters more", visit.there(PERFORMANCE))


def python(visit: Visit) -> Iterator[Check]:
    """Whether there is a Python that environments can be made with."""
    from dwsep_devices.suitability import OLDEST_PYTHON, version_of

    known = visit.facts
    usable = [item for item in known.pythons if item.bits == 64 and version_of(item) >= OLDEST_PYTHON]
    install = visit.there("sudo apt install python3")
    if usable:
        yield Check("python", "ok", ", ".join(f"{item.version} ({item.path})" for item in usable))
    elif known.pythons:
        told = ", ".join(f"{item.version} ({item.bits} bits)" for item in known.pythons)
        yield Check("python", "fail", f"{told}; needed is 3.9 or later, of 64 bits", install)
    else:
        yield Check("python", "fail", "none", install)


def engines(visit: Visit) -> Iterator[Check]:
    """Which engines can be installed."""
    from dwsep_devices.provision import can_provide
    from dwsep_runtime.engines import ENGINES

    usual = {kind.environment for kind in ENGINES.values() if kind.default}
    for name, reason in can_provide(visit.facts).items():
        title = f"engines: {name}"
        if not reason:
            yield Check(title, "ok", "can be installed")
        elif name in usual:
            yield Check(title, "fail", reason, _engine_mend(visit, reason))
        else:
            yield Check(title, "warn", reason)


def engines_here(visit: Visit) -> Iterator[Check]:  # noqa: ARG001  # as every check
    """Which engines this Python has."""
    from dwsep_devices.environments import is_met_here
    from dwsep_runtime.engines import ENGINES

    for name, kind in ENGINES.items():
        if is_met_here(kind.environment):
            yield Check(f"engine {name}", "ok", "installed")
        elif kind.default:
            yield Check(f"engine {name}", "fail", f"{kind.package} is not installed", f"pip install {kind.package}")
        else:
            yield Check(f"engine {name}", "ok", "installed in an environment of its own when first used")


def _program(visit: Visit, title: str, program: str, package: str) -> Check:
    found = visit.which(program)
    if found:
        return Check(title, "ok", found)
    return Check(title, "fail", f"there is no {program} on the PATH", f"sudo apt install {package}")


def _engine_mend(visit: Visit, reason: str) -> str:
    if "free" in reason:
        return f"edge-dwsep devices remove {visit.name} --keep"
    if "Python" in reason:
        return visit.there("sudo apt install python3")
    return "edge-dwsep devices kinds  # take another device or another system for it"


def _transfer_mend(visit: Visit) -> str:
    if visit.profile.transport == "adb":
        return visit.there("ls -ld /data/local/tmp; df -h /data")
    line = "Subsystem sftp internal-sftp"
    return visit.there(f"echo '{line}' | sudo tee -a /etc/ssh/sshd_config && sudo systemctl reload ssh")


def _shell_path(path: str) -> str:
    return path.rpartition("/")[0] or "/"
