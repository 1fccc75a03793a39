"""A real sshd on loopback that lets an unprivileged user in, with a client configuration of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dwsep_devices.profile import Profile, load_profile

TEST_USER = "edge-dwsep-test"
"""An account without a password that .ci/run makes; only root needs it, anybody else logs in as they are."""

ALIAS = "board"


@dataclass
class SshHost:
    """A running sshd.

    Attributes:
        folder: its keys and configuration.
        config: of the client; its one host is ``ALIAS``.
        home: of the user that logs in.
    """

    folder: Path
    config: Path
    home: Path
    port: int
    server: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()
    profile: Profile = field(default_factory=lambda: own_profile(uuid.uuid4().hex[:12]))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [_program("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid", TEST_USER, "--regid", TEST_USER, "--init-groups", *command]
        with (self.folder / "sshd.log").open("ab") as log:
            self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "sshd.log").read_text())

    def stop(self) -> None:
        """Stop the server and every session of it."""
        if self.server is not None:
            self.kill_sessions()
            self.server.kill()
            self.server.wait()
            self.server = None

    def sessions(self) -> list[int]:
        """Process numbers of the server's sessions: its children, and theirs that are still of sshd."""
        return [] if self.server is None else _of_sshd(self.server.pid)

    def kill_sessions(self) -> None:
        """Break every connection that stands."""
        for number in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def own_profile(name: str) -> Profile:
    """The profile of a board whose folder and lease no other session of tests has."""
    lease = f"/tmp/edge-dwsep.lease-{name}"  # noqa: S108  # on the device
    return replace(load_profile("generic-linux"), root=f"~/.edge-dwsep-{name}", lease=lease)


def _of_sshd(process: int) -> list[int]:
    """Descendants of a process that are sshd, the youngest first."""
    try:
        children = [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
        own = [child for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "sshd"]
    except FileNotFoundError:
        return []
    return [*(number for child in own for number in _of_sshd(child)), *own]


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


def require_sshd() -> None:
    if not _program("sshd"):
        pytest.skip("there is no sshd (Debian: openssh-server)")
    if os.getuid() == 0:
        try:
            pwd.getpwnam(TEST_USER)
        except KeyError:
            pytest.skip(f"root needs an account {TEST_USER} to log in to: useradd --create-home {TEST_USER}")


def make_ssh_host(folder: Path) -> SshHost:
    """Write keys and configurations; the caller starts and stops the server.

    Args:
        folder: that the unprivileged user can reach, unlike those of pytest where root runs it.
    """
    require_sshd()
    user = pwd.getpwnam(TEST_USER) if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    host_key = (folder / "host_key.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
    (folder / "sshd_config").write_text(
        f"""Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
    )
    config = folder / "config"
    config.write_text(
        f"""Host {ALIAS}
  HostName 127.0.0.1
  Port {port}
  User {user.pw_name}
  IdentityFile {folder}/client_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile /dev/null
"""
    )
    if os.getuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        for name in ("client_key", "config", "known_hosts"):  # the client's, who is root
            os.chown(folder / name, 0, 0)
    return SshHost(folder, config, Path(user.pw_dir), port, options=("-F", str(config)))


@contextlib.contextmanager
def ssh_host_folder() -> Iterator[Path]:
    """A folder for :func:`make_ssh_host`."""
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-sshd-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def ssh_host() -> Iterator[SshHost]:
    with ssh_host_folder() as place:
        host = make_ssh_host(place)
        host.start()
        yield host
        host.stop()
    for folder in (host.home / host.profile.root[2:], Path(host.profile.lease)):
        shutil.rmtree(folder, ignore_errors=True)
