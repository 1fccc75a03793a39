"""A device behind a transport: jobs whose leftovers are ended, checked files, one measurement at a time."""

from __future__ import annotations

__all__ = ["RemoteDevice"]

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_devices.errors import (
    DeviceBusy,
    DeviceError,
    DeviceUnsuitable,
    PermanentDeviceError,
    TransientDeviceError,
)
from dwsep_devices.lease import Lease, lease_script, parse_holder, release_script, wipe_lease_script
from dwsep_devices.profile import Profile
from dwsep_devices.push import push_file
from dwsep_devices.retries import retrying
from dwsep_devices.transport import Transport, quoted
from dwsep_runtime.errors import ProtocolError
from dwsep_runtime.spawn import RUNTIME_ENVIRONMENT, Completed

if TYPE_CHECKING:
    from dwsep_devices.probe import Facts

ASK_SECONDS = 30.0
MOST_ANSWER = 1 << 20
"""Characters that a script of ours may answer."""

LEASE_SECONDS = 120.0
"""How long a lease outlasts the call that prolonged it; the next call of a measurement comes within seconds."""

CLEAN_UP_SECONDS = 10.0
CLOSE_SECONDS = 3.0
"""How long closing waits for what was begun by :meth:`RemoteDevice.warm`, which may be taking the lease."""

FETCH_SECONDS = 3600.0

KEPT_DAYS = 30
"""Days after which a file that was pushed is removed; a model that is still measured is pushed again."""

JOB_VARIABLE = "EDGE_DWSEP_JOB"


def end_leftovers_script(lease: Lease, job: str = "") -> str:
    """A script that ends every process of a job under a lease, or of any job, and nothing else.

    It looks again after that, for they may have started others meanwhile.
    """
    return f"""for round in 1 2 3; do left=
for f in $(grep -lF {quoted(_mark(lease, job))} /proc/[0-9]*/environ 2>/dev/null); do
p=${{f#/proc/}}; p=${{p%/environ}}; kill -9 "$p" 2>/dev/null && left="$left $p"; done
[ -z "$left" ] && break; done"""


def _now() -> float:
    """Seconds that go on while this host sleeps, as the device's do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _mark(lease: Lease, job: str) -> str:
    """What the environment of a job's processes holds; under one lease there is one job at a time."""
    return f"{JOB_VARIABLE}={lease.path}/{job}"


def _old_files_script() -> str:
    """A script that removes models, data and outputs that lie below the root, ``$r``, for more than a month."""
    old = f"-type f -mtime +{KEPT_DAYS}"
    return f'find "$r/blobs" "$r/outputs" {old} -exec rm -f {{}} + 2>/dev/null'


class RemoteDevice:
    """See :class:`dwsep_devices.device.Device`; everything of ours on the device lies below ``root``.

    Args:
        transport: leads to the device.
        profile: what kind of device it is, and where things lie.
        wait: whether to wait while another measurement has the device.
        on_step: told who has it, and what is done that takes time, in words.
        sleep: waits so many seconds.
    """

    runtime_environment: Mapping[str, str] = RUNTIME_ENVIRONMENT

    def __init__(
        self,
        transport: Transport,
        profile: Profile,
        *,
        wait: bool = True,
        on_step: Callable[[str], None] = lambda step: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self.profile = profile
        self.name = transport.name
        self._wait, self._on_step, self._sleep = wait, on_step, sleep
        self._lease = Lease(profile.lease)
        self._held_until = 0.0
        self._left_running = True  # perhaps, by another process
        self._root, self._machine = "", ""
        self._facts: Facts | None = None
        self._commands: dict[str, list[str]] = {}
        self._lock = threading.RLock()
        self._warming: threading.Thread | None = None
        self._warm_error: DeviceError | ProtocolError | None = None
        self._closing = False

    @property
    def description(self) -> Mapping[str, Any]:
        """What is known of it before it is reached; see the protocol."""
        return {"name": self.name, "kind": self.profile.kind, "emulated": self.profile.emulated}

    @property
    def root(self) -> str:
        """The folder that is ours, absolute; made when first asked for."""
        with self._lock:
            self._raise_warm_error()
            if not self._root:
                self._root = self.answers(_make_root(self.profile.root))["root"]
            return self._root

    def facts(self) -> Facts:
        """What the device is, asked once."""
        if self._facts is None:
            from dwsep_devices.probe import probe

            self._facts = probe(self.ask, root=self.profile.root, name=self.name)
        return self._facts

    def ask(self, script: str, *, timeout: float = ASK_SECONDS, stdin: str = "", check: bool = True) -> str:
        """What a script prints that may be run again without harm; tried again when the connection fails.

        A lease that is held is prolonged first for one that may take longer than it.

        Args:
            script: for the device's shell.
            timeout: seconds a try may take.
            stdin: text for it.
            check: whether it must end with 0.

        Raises:
            TransientDeviceError: the device did not answer, however often it was asked.
            PermanentDeviceError: the script failed, or the device cannot be reached.
            ProtocolError: it answered with more than a script can have to say.
        """
        if self._held_until and timeout > LEASE_SECONDS:
            self.hold(timeout)

        def once() -> str:
            lines: list[str] = []
            taken = 0

            def take(line: str) -> None:
                nonlocal taken
                taken += len(line)
                if taken > MOST_ANSWER:
                    raise ProtocolError(f"{self.name}: the device answers with garbage: {line[:60]!r}")
                lines.append(line)

            completed = self._asked(script, stdin=stdin, timeout=timeout, on_line=take)
            if completed.timed_out:
                raise TransientDeviceError(f"{self.name}: no answer within {timeout:.0f} s")
            if check and completed.returncode:
                said = next((line.strip() for line in reversed(completed.errors) if line.strip()), "it gave no reason")
                raise PermanentDeviceError(
                    f"{self.name}: a command on the device failed ({completed.returncode}): {said}"
                )
            return "".join(lines)

        return retrying(once, sleep=self._sleep)

    def _asked(self, script: str, *, stdin: str, timeout: float, on_line: Callable[[str], None]) -> Completed:
        """Run a script once; one that takes long is ended on the device before it can be tried again."""
        if timeout <= ASK_SECONDS or not self._held_until:
            return self.transport.shell(script, stdin=stdin, timeout=timeout, on_line=on_line)
        job = uuid.uuid4().hex
        marked = f"export {quoted(_mark(self._lease, job))}\n{script}"
        with self._ending(job) as ended:
            completed = self.transport.shell(marked, stdin=stdin, timeout=timeout, on_line=on_line)
            ended.append(not completed.timed_out)
            return completed

    def answers(self, script: str, *, timeout: float = ASK_SECONDS) -> dict[str, str]:
        """The ``key=value`` lines that a script prints; whatever else the device prints is passed over.

        Raises:
            DeviceError: as :meth:`ask`.
            ProtocolError: there are none.
        """
        said = self.ask(script, timeout=timeout)
        told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        if not told:
            raise ProtocolError(f"{self.name}: the device answered {said[:60]!r}, which is no answer to what was asked")
        return told

    def runtime_command_for(self, environment: str) -> Sequence[str]:
        """Program and arguments that run a job in an environment, which is made if need be; see the protocol."""
        with self._lock:
            if environment not in self._commands:
                from dwsep_devices.provision import command_for

                self.hold()
                self._require_kind()
                self._commands[environment] = command_for(
                    self, environment, lambda step: self._on_step(f"{self.name}: {step}")
                )
            return self._commands[environment]

    def _require_kind(self) -> None:
        """Make sure that the device is what its kind says, so that no figure goes under a wrong name."""
        if self.profile.machines and self._machine not in self.profile.machines:
            raise DeviceUnsuitable(
                f"{self.name}: it is {self._machine}, and kind {self.profile.kind} is "
                f"{' or '.join(self.profile.machines)}; give the kind that it is: "
                f"edge-dwsep devices add {self.name} --replace --kind ..."
            )

    def environment_facts(self, environment: str) -> Mapping[str, Any]:
        """Name, hash and packages of an environment that was used; see the protocol."""
        from dwsep_devices.provision import environment_facts

        return environment_facts(self, environment)

    def warm(self) -> None:
        """Open the connection and take the lease meanwhile; what fails then is told to the first who needs it."""

        def begin() -> None:
            with self._lock:
                try:
                    if not self._closing:
                        self.hold()
                except (DeviceError, ProtocolError) as error:
                    self._warm_error = error

        if self._wait and self._warming is None:
            self._warming = threading.Thread(target=begin, daemon=True)
            self._warming.start()

    def _raise_warm_error(self) -> None:
        """Tell why warming failed, once, instead of failing in the same way again after as long."""
        error, self._warm_error = self._warm_error, None
        if error is not None:
            raise error

    def hold(self, seconds: float = 0.0) -> None:
        """Take or prolong the lease, and end what broken runs left on the device, if they may have.

        Args:
            seconds: how long the next call may take.

        Raises:
            DeviceBusy: another has it, and waiting is not wanted.
            DeviceError: the device cannot be reached, or cannot keep a lease.
        """
        with self._lock:
            self._raise_warm_error()
            if _now() + seconds < self._held_until and not self._left_running:
                return
            length, dead, told = seconds + LEASE_SECONDS, "", False
            while True:
                script = (
                    f"{_make_root(self.profile.root)} || exit\n{lease_script(self._lease, length, instead_of=dead)}"
                )
                if self._left_running:
                    mine = f'[ -f "$d/lease" ] && grep -q {self._lease.token} "$d/lease"'
                    script += f"{mine} && {{ {end_leftovers_script(self._lease)}\n{_old_files_script()}; }}; true"
                asked_at = _now()
                told_by_device = self.answers(script)
                self._root, self._machine = told_by_device["root"], told_by_device.get("machine", "")
                try:
                    holder = parse_holder(told_by_device.get("lease", ""))
                except ValueError as error:
                    raise PermanentDeviceError(
                        f"{self.name}: no lease can be kept in {self.profile.lease} on the device; see that it can be "
                        "written, or name another folder in the device's profile (lease)"
                    ) from error
                if holder is None:
                    self._held_until = asked_at + length - LEASE_SECONDS / 2
                    self._left_running = False
                    return
                if holder.is_dead_here:
                    dead = holder.token
                    continue
                said = f"{self.name}: in use by {holder.who}, for {holder.seconds} s more at most"
                if self._closing:
                    raise DeviceBusy(said)
                if not self._wait:
                    raise DeviceBusy(f"{said}; leave out --no-wait to wait for it")
                if not told:
                    self._on_step(f"{said}; waiting")
                    told = True
                self._sleep(1.0)

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str = "",
        timeout: float,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        """Run a command under the lease; whatever of it outlives the connection is ended. See the protocol.

        Raises:
            ConnectionLost: the connection broke; what the command said until then must not be used.
        """
        self.hold(timeout)
        job = uuid.uuid4().hex
        words = [*(f"{name}={value}" for name, value in (environment or {}).items()), _mark(self._lease, job)]
        script = f"cd {quoted(self.root)} && exec env {' '.join(quoted(word) for word in (*words, *command))}"
        with self._ending(job) as ended:
            completed = self.transport.shell(script, stdin=stdin, timeout=timeout, on_line=on_line)
            ended.append(not completed.timed_out)
            return completed

    @contextlib.contextmanager
    def _ending(self, job: str) -> Iterator[list[bool]]:
        """End what runs of a job on the device, unless the block says that it has ended."""
        ended: list[bool] = []
        try:
            yield ended
        finally:
            if not any(ended):
                self._left_running = True
                with contextlib.suppress(DeviceError, ProtocolError):
                    done = retrying(lambda: self._end(job), tries=2, sleep=self._sleep)
                    self._left_running = done.timed_out or done.returncode != 0

    def push(self, local: Path, remote: str, sha256: str) -> bool:
        """Copy a file onto the device, unless its content is there; see the protocol."""
        self.hold()
        return push_file(self, local, remote, sha256, sleep=self._sleep, before_sending=self.hold)

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the device; see the protocol."""
        part = local.with_name(f"{local.name}.part")

        def once() -> None:
            file = quoted(remote)
            told = self.answers(f"[ -f {file} ] || {{ echo is=; exit; }}; sha256sum < {file} | sed 's/^/is=/;s/ .*//'")
            if not told.get("is"):
                raise PermanentDeviceError(f"{self.name}: there is no such file on the device: {remote}")
            self.transport.fetch(remote, part, timeout=FETCH_SECONDS)
            from dwsep_runtime.model_file import sha256_of

            if sha256_of(part) != told["is"]:
                raise TransientDeviceError(f"{self.name}: {remote} arrived damaged")

        try:
            retrying(once, sleep=self._sleep)
            part.replace(local)
        except OSError as error:
            raise PermanentDeviceError(f"{self.name}: {local} could not be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)

    def wipe(self) -> None:
        """End what runs on the device and remove everything of ours from it.

        Raises:
            DeviceBusy: a measurement is running, and waiting is not wanted.
            DeviceError: it cannot be reached, or something cannot be removed.
        """
        self.hold()
        clear = f"rm -rf {quoted(self.root)} || exit"
        self.ask(f"{end_leftovers_script(self._lease)}\n{clear}\n{wipe_lease_script(self._lease)}", timeout=120)
        self._root, self._held_until, self._commands, self._left_running = "", 0.0, {}, True

    def close(self) -> None:
        """Give the lease back; the connection stays for a while, for the next command."""
        if self._warming is not None:
            self._closing = True
            self._warming.join(CLOSE_SECONDS)
            if not self._warming.is_alive():
                self._warming, self._closing, self._warm_error = None, False, None
        if self._held_until:
            self._held_until, self._left_running = 0.0, True
            with contextlib.suppress(DeviceError, ProtocolError):
                self.transport.shell(release_script(self._lease), timeout=CLEAN_UP_SECONDS)
        self.transport.close()

    def _end(self, job: str) -> Completed:
        return self.transport.shell(end_leftovers_script(self._lease, job), timeout=CLEAN_UP_SECONDS)


def _make_root(root: str) -> str:
    """A script that makes the folder and prints its absolute path as ``root=``."""
    path = f'"$HOME"/{quoted(root[2:])}' if root.startswith("~/") else quoted(root)
    return f'mkdir -p {path} && cd {path} && r=$(pwd) && echo "root=$r" && echo "machine=$(uname -m)" && cd /'
