"""The lab machine ``android``: the real adbd in an Android-like root, reached as a phone is, without a phone.

It is a process of this host (:mod:`dwsep_devices.lab.android_host`) in namespaces of its own, on loopback alone, with
an adb server of its own. Nothing of it outlives that process.
"""

from __future__ import annotations

__all__ = ["AndroidMachine", "Running"]

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dwsep_runtime
from dwsep_devices import debian
from dwsep_devices.adb import AdbTransport, find_adb
from dwsep_devices.cache import cache_folder, locked, working_in_cache
from dwsep_devices.errors import HostLacks, TransientDeviceError
from dwsep_devices.lab import android_host, android_root
from dwsep_devices.lab.processes import MARK, end_marked, is_running
from dwsep_runtime.spawn import run_process

MACHINE = "x86_64"
"""What of :data:`dwsep_devices.lab.android_root.LAYOUTS` runs here: the filter of system calls knows no other."""

LAYOUT = android_root.LAYOUTS[MACHINE]
UP_SECONDS = 30.0
DOWN_SECONDS = 10.0
REFUSED = re.compile(r"was refused|were refused|could not be (?:mounted|changed|left)")
"""What :mod:`dwsep_devices.lab.namespaces` says of what an administrator forbids."""

NEEDS = (
    "it needs user namespaces: run as root, in a container with --privileged, or allow them with "
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu) or kernel.unprivileged_userns_clone=1 (Debian)"
)


@dataclass(frozen=True)
class Running:
    """A machine that is up.

    Attributes:
        pid: of its outermost process.
        serial: for adb.
        adb_port: of its own adb server.
    """

    pid: int
    serial: str
    adb_port: int


class AndroidMachine:
    """The machine of this user on this host, or another of the same kind.

    Args:
        name: of the machine; its state lies in a folder of that name.
    """

    title = "the real adbd in an Android-like root (x86_64)"

    def __init__(self, name: str = "android") -> None:
        self.name = name

    @property
    def folder(self) -> Path:
        """Where the state of the running machine lies; gone once it is down."""
        return cache_folder() / "lab" / "run" / self.name

    @property
    def data(self) -> Path:
        """What is /data/local/tmp on the machine."""
        return self.folder / "data"

    @property
    def properties(self) -> Path:
        """What getprop reads on the machine, lines of ``NAME=VALUE``; may be changed while it is up."""
        return self.folder / "vendor" / "build.prop"

    def build(self, *, refresh: bool = False, on_step: Callable[[str], None] = lambda step: None) -> Path:
        """Make the root file system, unless it is there.

        Args:
            refresh: whether to look for newer packages.
            on_step: called with what is done next, in words.

        Returns:
            Its folder.

        Raises:
            HostLacks: this host cannot make or run it.
            DeviceError: it could not be made.
        """
        if sys.platform != "linux" or platform.machine() != MACHINE:
            raise HostLacks(
                f"lab-{self.name}: it runs on Linux on {MACHINE}; this is {sys.platform} on {platform.machine()}; "
                "elsewhere: edge-dwsep lab up android-arm64"
            )
        packages = android_root.root_packages(LAYOUT, refresh=refresh, on_fetch=lambda: on_step("fetching packages"))
        recipe = Path(android_root.__file__).read_bytes() + json.dumps(debian.manifest(packages)).encode()
        roots = cache_folder() / "lab" / "android"
        built = roots / hashlib.sha256(recipe).hexdigest()[:32]
        with working_in_cache(f"lab-{self.name}"):
            if built.exists():
                return built
            roots.mkdir(parents=True, exist_ok=True)
            with locked(roots / "lock"):
                if not built.exists():
                    on_step("making its root")
                    self._make(built, packages)
        return built

    def _make(self, built: Path, packages: Sequence[debian.Package]) -> None:
        """Make the root beside its place, and rename it; the caller holds the lock."""
        for left in built.parent.glob("*.part"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        part = built.with_name(f"{built.name}.part")
        try:
            android_root.build_root(LAYOUT, packages, part / "root", part / "scratch")
            shutil.rmtree(part / "scratch")
            (part / "packages.json").write_text(json.dumps(debian.manifest(packages), indent=1))
            part.rename(built)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        for other in built.parent.iterdir():
            if other.is_dir() and other not in {built, *self._used()}:
                shutil.rmtree(other.rename(part), ignore_errors=True)

    def _used(self) -> Iterator[Path]:
        """Roots of machines that are up."""
        for config in self.folder.parent.glob("*/config.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                yield Path(json.loads(config.read_text())["root"]).parent

    def up(
        self,
        *,
        data_bytes: int = 0,
        properties: Mapping[str, str] | None = None,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> Running:
        """Start the machine, unless it is up.

        Args:
            data_bytes: size of a file system in memory for /data/local/tmp; 0 for the host's disk.
            properties: what getprop answers besides, or instead of, what it answers at first.
            on_step: called with what is done next, in words.

        Raises:
            HostLacks: this host cannot run it.
            DeviceError: it could not be made or started.
        """
        adb = find_adb()
        built = self.build(on_step=on_step)
        answered = {**android_root.properties(LAYOUT), **(properties or {})}
        with self._alone():
            running = self.running()
            if running is None:
                end_marked(self.folder)  # whatever it lost its state to
                self._remove()
                on_step("starting")
                running = self._started(adb, built, data_bytes, answered)
        return running

    def running(self) -> Running | None:
        """The machine, if it is up; no process is asked."""
        try:
            state = json.loads((self.folder / "state.json").read_text())
            pid = int(state["pid"])
            if not is_running(pid, state["start"]):
                return None
            return Running(pid, f"127.0.0.1:{state['port']}", int(state["adb_port"]))
        except (OSError, ValueError, KeyError, IndexError):
            return None

    def down(self) -> bool:
        """End the machine and remove what it leaves, also after a crash.

        Returns:
            Whether it was up.

        Raises:
            TransientDeviceError: it did not end.
        """
        with self._alone():
            running = self.running()
            self._end()
        return running is not None

    def sweep(self) -> None:
        """Remove what a crash left of the machine, if it is not up; a start that is under way is waited for.

        Raises:
            TransientDeviceError: a process of it did not end.
        """
        if self.running() is None and self.folder.exists():
            with self._alone():
                if self.running() is None:
                    self._end()

    def _end(self) -> None:
        end_marked(self.folder)
        left = self.running()
        if left is not None:
            raise TransientDeviceError(f"lab-{self.name}: process {left.pid} does not end; try again")
        self._end_other_server()
        self._remove()

    def _end_other_server(self) -> None:
        """End the adb server that a client started in the place of the machine's, if that one was ended before."""
        with contextlib.suppress(OSError, ValueError, KeyError, HostLacks):
            port = int(json.loads((self.folder / "state.json").read_text())["adb_port"])
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            run_process([find_adb(), "-P", str(port), "kill-server"], timeout=DOWN_SECONDS)

    def adbd_pid(self) -> int:
        """Number, on this host, of the process adbd; tests kill and stop it.

        Raises:
            TransientDeviceError: it does not run at the moment.
        """
        running = self.running()
        middle = _children(running.pid) if running else []
        for init in (pid for one in middle for pid in _children(one)):
            for pid in _children(init):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{pid}/comm").read_text().strip() == "adbd":
                        return pid
        raise TransientDeviceError(f"lab-{self.name}: adbd does not run")

    def _started(self, adb: str, built: Path, data_bytes: int, properties: Mapping[str, str]) -> Running:
        for folder in (self.data, self.properties.parent, self.folder / "home"):
            folder.mkdir(parents=True)
        self.data.chmod(0o771)
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        config = {
            "root": str(built / "root"),
            "data": str(self.data),
            "data_bytes": data_bytes,
            "vendor": str(self.properties.parent),
            "state": str(self.folder / "state.json"),
            "adb": adb,
            "adb_home": str(self.folder / "home"),
        }
        (self.folder / "config.json").write_text(json.dumps(config))
        folders = [str(Path(file).parents[1]) for file in (debian.__file__, str(dwsep_runtime.__file__))]
        command = [sys.executable, "-I", "-S", "-c", android_host.START, str(self.folder / "config.json"), *folders]
        log = self.folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd="/",
                env={**os.environ, MARK: str(self.folder)},
            )
        try:
            process.wait(timeout=UP_SECONDS)
            running = self._require_running(log)
            AdbTransport(f"lab-{self.name}", running.serial, running.adb_port).shell("true", timeout=UP_SECONDS)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._remove()
            if isinstance(error, subprocess.TimeoutExpired):
                raise TransientDeviceError(
                    f"lab-{self.name}: it did not start within {UP_SECONDS:.0f} s; try again"
                ) from error
            raise
        return running

    def _require_running(self, log: Path) -> Running:
        running = self.running()
        if running is None:
            said = log.read_text(errors="replace").strip().splitlines()
            reason = f"lab-{self.name}: it did not start: {said[-1] if said else 'it gave no reason'}"
            if REFUSED.search(reason):
                raise HostLacks(f"{reason}; {NEEDS}")
            raise TransientDeviceError(f"{reason}; try again")
        return running

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """The one process that starts or ends such a machine; what the cache folder refuses is told."""
        with working_in_cache(f"lab-{self.name}"):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.folder.with_name("android.lock")):
                yield

    def _remove(self) -> None:
        """Remove the folder, and what jobs made unreadable in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for parent, folders, _ in os.walk(self.folder):
            for name in folders:  # before they are walked
                with contextlib.suppress(OSError):
                    Path(parent, name).chmod(stat.S_IRWXU)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(folder.name))
    return found
