"""Transport ``ssh``: the OpenSSH client that the user has, with the user's own configuration, keys and known hosts."""

from __future__ import annotations

__all__ = ["SshTransport"]

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from dwsep_devices.cache import locked
from dwsep_devices.errors import (
    ConnectionLost,
    DeviceError,
    DeviceRefused,
    HostLacks,
    PermanentDeviceError,
    TransientDeviceError,
)
from dwsep_devices.transport import quoted, run_marked
from dwsep_runtime.spawn import Completed, run_process

CONNECT_SECONDS = 15
ALIVE_SECONDS = 10
ALIVE_TIMES = 3
"""A connection whose other end has fallen silent is given up after half a minute."""

PERSIST_SECONDS = 120
"""How long a connection is kept for the next command; opening one takes a board half a second."""

OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    f"ControlPersist={PERSIST_SECONDS}",
)
"""Whatever else is configured or given: ssh heeds the first value that it is given of an option."""

DEFAULTS = (
    f"ConnectTimeout={CONNECT_SECONDS}",
    f"ServerAliveInterval={ALIVE_SECONDS}",
    f"ServerAliveCountMax={ALIVE_TIMES}",
)
"""Where the device's own options say nothing else."""

CLIENT_FAILED = 255
"""Exit code of ssh, and of sftp, for an error of the connection (man 1 ssh, "EXIT STATUS")."""

FLEETING = re.compile(
    r"Connection (?:refused|timed out|reset|closed)|No route to host|Network is unreachable|Temporary failure|"
    r"Operation timed out|Host is down|kex_exchange_identification|Broken pipe|closed by remote host|"
    r"Timeout, server .* not responding|mux_client|Session open refused|connect to host"
)
"""What OpenSSH says of failures that may pass."""


class SshTransport:
    """See :class:`dwsep_devices.transport.Transport`. One connection serves all calls, and commands started soon after.

    Args:
        name: what the user calls the device.
        host: as for ``ssh``: a name of the user's configuration, or user@host.
        options: arguments that ``ssh`` and ``sftp`` both take: -F, -i, -J, -o.
    """

    def __init__(self, name: str, host: str, options: Sequence[str] = ()) -> None:
        if host.startswith("-") or not host.strip():
            raise PermanentDeviceError(f"{name}: host must be a name or user@name, received {host!r}")
        self.name = name
        address = re.fullmatch(r"((?:[^@]*@)?)\[([^\[\]]+)\]", host)  # ssh takes no brackets about one of IPv6
        self._host = address.group(1) + address.group(2) if address else host
        self._options = tuple(options)
        self._apart = ""
        self._open = False

    def apart(self) -> None:
        """Have a connection of one's own, new and closed in the end: one that stands knows an older configuration."""
        self._apart = uuid.uuid4().hex

    def shell(
        self,
        script: str,
        *,
        stdin: str = "",
        timeout: float,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        """Run a script by ``sh``, whatever the login shell is; see the protocol."""
        self._connect(timeout)
        try:
            return run_marked(
                self.name,
                lambda whole: [*self._client("ssh"), "-T", "--", self._host, f"exec sh -c {quoted(whole)}"],
                script,
                lambda completed: self._lost(),
                stdin=stdin,
                timeout=timeout,
                on_line=on_line,
            )
        except DeviceError:
            self._open = False
            raise

    def send(self, local: Path, remote: str, *, timeout: float) -> None:
        """Copy by ``sftp``; see the protocol."""
        with tempfile.TemporaryDirectory(prefix="edge-dwsep-send-") as folder:
            plain = Path(folder) / "content"  # sftp reads its commands line by line, and names may hold line breaks
            plain.symlink_to(local.absolute())
            self._transfer(f"put {_word(str(plain))} {_word(remote)}", local.name, timeout)

    def fetch(self, remote: str, local: Path, *, timeout: float) -> None:
        """Copy by ``sftp``; see the protocol."""
        with tempfile.TemporaryDirectory(prefix="edge-dwsep-fetch-") as folder:
            plain = Path(folder) / "content"
            plain.symlink_to(local.absolute())
            self._transfer(f"get {_word(remote)} {_word(str(plain))}", remote, timeout)

    def close(self) -> None:
        """The connection closes by itself two minutes after its last use, if it is not :meth:`apart`."""
        if self._apart:
            self.disconnect()

    def disconnect(self) -> None:
        """Close the connection now."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._control("exit")
        self._open = False

    def _client(self, program: str, master: str = "no") -> list[str]:
        ours, defaults = (
            [part for option in options for part in ("-o", option)]
            for options in ((*OPTIONS, f"ControlPath={self._socket()}", f"ControlMaster={master}"), DEFAULTS)
        )
        return [program, *ours, *self._options, *defaults]

    def _connect(self, timeout: float) -> None:
        """Start the connection that all calls share, unless it stands."""
        if self._open:
            return
        if shutil.which("ssh") is None:
            raise HostLacks(f"{self.name}: there is no ssh on the PATH; install one (Debian: openssh-client)")
        # One at a time: two that start it at once would each begin one, and one of them would never end.
        with locked(self._socket().with_suffix(".lock")):
            if not self._stands():
                self._start(timeout)
        self._open = True

    def _start(self, timeout: float) -> None:
        self._socket().unlink(missing_ok=True)  # of a connection that was killed
        command = [*self._client("ssh", master="yes"), "-f", "-N", "-T", "--", self._host]
        patience = min(timeout, 2 * CONNECT_SECONDS)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            try:
                ended = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,  # a pipe would stay open for as long as the connection
                    timeout=patience,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise TransientDeviceError(f"{self.name}: {self._host} did not answer within {patience:g} s") from None
            said.seek(0)
            errors = said.read().splitlines()
        if ended.returncode:
            raise self._refusal(Completed(ended.returncode, errors))

    def _stands(self) -> bool:
        try:
            return self._socket().exists() and self._control("check") == 0
        except subprocess.TimeoutExpired:
            return False

    def _control(self, command: str) -> int:
        return subprocess.run(
            [*self._client("ssh"), "-O", command, "--", self._host],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=CONNECT_SECONDS,
            check=False,
        ).returncode

    def _socket(self) -> Path:
        """Where clients find the connection; short, for a socket's path may have 107 characters."""
        told = "\0".join((self._host, *self._options, self._apart))
        return _private_folder() / hashlib.sha256(told.encode()).hexdigest()[:16]

    def _transfer(self, command: str, what: str, timeout: float) -> None:
        self._connect(timeout)
        try:
            ended = run_process(
                [*self._client("sftp"), "-q", "-b", "-", "--", _in_brackets(self._host)],
                stdin=f"{command}\n",
                timeout=timeout,
            )
        except OSError as error:
            raise HostLacks(f"{self.name}: sftp could not be started: {error.strerror}; install it") from error
        if ended.timed_out:
            self._open = False
            raise TransientDeviceError(f"{self.name}: copying {what!r} took longer than {timeout:.0f} s")
        if ended.returncode:
            told = self._failed_copy(ended)
            if isinstance(told, ConnectionLost) and self._stands():
                told = ConnectionLost(
                    f"{self.name}: sftp on {self._host} ended or is not there; see that its sshd_config has: "
                    "Subsystem sftp internal-sftp"
                )
            self._open = False
            raise told

    def _lost(self) -> DeviceError:
        """The error of a script without its mark; what was said meanwhile are the script's own words."""
        return ConnectionLost(f"{self.name}: the connection to {self._host} broke")

    def _failed_copy(self, completed: Completed) -> DeviceError:
        """The error of sftp; of a connection that broke it says nothing."""
        said = "\n".join(completed.errors)
        last = next((line.strip() for line in reversed(completed.errors) if line.strip()), "")
        if completed.returncode == CLIENT_FAILED or not last or FLEETING.search(said):
            return self._lost()
        return PermanentDeviceError(f"{self.name}: ssh to {self._host}: {last}")

    def _refusal(self, completed: Completed) -> DeviceError:
        """The error of a connection that could not be opened, by what the client said."""
        said = "\n".join(completed.errors)
        last = next((line.strip() for line in reversed(completed.errors) if line.strip()), "it gave no reason")
        told = f"{self.name}: ssh to {self._host}"
        kind: type[DeviceError] = PermanentDeviceError if said.strip() else ConnectionLost
        connecting = shlex.join(["ssh", *self._options, self._host, "true"])
        if "IDENTIFICATION HAS CHANGED" in said:
            removing = re.search(r"ssh-keygen -f .* -R .*", said)
            remove = removing.group(0).strip() if removing else f"ssh-keygen -R {self._host.rpartition('@')[2]}"
            kind, last = (
                DeviceRefused,
                (
                    "the host key has changed since it was accepted. If the board was set up anew, accept the new one: "
                    f"{remove} && {connecting}; otherwise another machine answers in its place"
                ),
            )
        elif "Host key verification failed" in said:
            kind, last = DeviceRefused, f"its host key is not known. Accept it by connecting once: {connecting}"
        elif "Permission denied" in said:
            kind, last = (
                DeviceRefused,
                (
                    f"login was refused ({last}). Passwords are never asked for; install your key: "
                    f"{shlex.join(['ssh-copy-id', *self._options, self._host])}"
                ),
            )
        elif FLEETING.search(said):
            kind = ConnectionLost
        elif "Could not resolve" in said:
            last = f"{last}; check the name, and that the board is on this network"
        return kind(f"{told}: {last}")


def _private_folder() -> Path:
    """A folder of this user's alone for the sockets of connections.

    Raises:
        PermanentDeviceError: the place is somebody else's.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = Path(runtime).is_absolute() and os.access(runtime, os.W_OK) and len(runtime) < 60
    folder = Path(runtime) / "edge-dwsep" if usable else Path("/tmp") / f"edge-dwsep-{os.getuid()}"  # noqa: S108
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise PermanentDeviceError(
            f"{folder}, for the sockets of ssh, cannot be made: {error.strerror}; make room for it"
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermanentDeviceError(
            f"{folder} must be a folder that you alone can enter, for the sockets of ssh; remove it, it is made anew"
        )
    return folder


def _in_brackets(host: str) -> str:
    """A host as sftp takes it, for which a path begins at a colon."""
    user, at, address = host.rpartition("@")
    return f"{user}{at}[{address}]" if ":" in address else host


def _word(text: str) -> str:
    """A word of sftp's commands, which reads quotes and backslashes, and in quotes no patterns.

    Raises:
        PermanentDeviceError: it has a line break, at which a command ends.
    """
    if "\n" in text or "\r" in text:
        raise PermanentDeviceError(f"{text!r} cannot be a path on a device: sftp takes none with a line break")
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
