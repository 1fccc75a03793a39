"""The one connection that all ssh commands share, and what ssh and sftp are told, on a real sshd."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dwsep_devices.errors import ConnectionLost, DeviceRefused, PermanentDeviceError
from dwsep_devices.ssh import SshTransport
from tests.ssh_fixtures import ALIAS, SshHost, make_ssh_host, ssh_host, ssh_host_folder

__all__ = ["ssh_host"]


@pytest.fixture
def own_host() -> Iterator[SshHost]:
    with ssh_host_folder() as folder:
        host = make_ssh_host(folder)
        yield host
        host.stop()


def connections(transport: SshTransport, host: SshHost) -> int:
    """How many processes of this host hold a connection to a server, with or without a socket for others."""
    listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(f"{transport._socket()} [mux]" in line or f"-F {host.config} " in line for line in listed)


def test_commands_that_begin_at_once_share_one_connection(own_host: SshHost) -> None:
    own_host.start()
    transports = [SshTransport("board", ALIAS, own_host.options) for _ in range(4)]
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda one: codes.append(one.shell("exit 3", timeout=30).returncode), args=(transport,))
        for transport in transports
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [3, 3, 3, 3]
    assert connections(transports[0], own_host) == 1
    transports[0].disconnect()
    assert connections(transports[0], own_host) == 0


@pytest.mark.parametrize("option", ["StrictHostKeyChecking=no", "stricthostkeychecking=off"])
def test_an_unknown_host_key_is_refused_whatever_option_the_device_has(own_host: SshHost, option: str) -> None:
    (own_host.folder / "known_hosts").write_text("")
    own_host.start()
    transport = SshTransport("board", ALIAS, (*own_host.options, "-o", option))
    with pytest.raises(DeviceRefused, match="host key is not known"):
        transport.shell("true", timeout=30)


def test_the_way_to_accept_a_host_key_is_a_command_with_the_devices_options(own_host: SshHost) -> None:
    (own_host.folder / "known_hosts").write_text("")
    own_host.start()
    spaced = own_host.folder / "a config"
    spaced.symlink_to(own_host.config)
    transport = SshTransport("board", ALIAS, ("-F", str(spaced)))
    with pytest.raises(DeviceRefused, match=f"ssh -F '{spaced}' board true$"):
        transport.shell("true", timeout=30)


@pytest.mark.parametrize("host", ["{user}@::1", "{user}@[::1]"])
def test_files_go_to_an_address_of_ipv6(ssh_host: SshHost, tmp_path: Path, host: str) -> None:
    user = next(line.split()[1] for line in ssh_host.config.read_text().splitlines() if line.startswith("  User "))
    config = tmp_path / "config"
    config.write_text(ssh_host.config.read_text().replace(f"Host {ALIAS}", "Host ::1"))
    transport = SshTransport("board", host.format(user=user), ("-F", str(config)))
    local = tmp_path / "sent"
    local.write_text("content")
    there = f"/tmp/edge-dwsep-ipv6-{os.getpid()}"  # noqa: S108  # on the device
    try:
        transport.send(local, there, timeout=30)
        transport.fetch(there, tmp_path / "fetched", timeout=30)
        assert (tmp_path / "fetched").read_text() == "content"
    finally:
        transport.shell(f"rm -f {there}", timeout=30)
        transport.disconnect()


def test_a_server_without_sftp_is_told_from_a_broken_connection(own_host: SshHost, tmp_path: Path) -> None:
    settings = own_host.folder / "sshd_config"
    settings.write_text(settings.read_text().replace("Subsystem sftp internal-sftp\n", ""))
    own_host.start()
    local = tmp_path / "sent"
    local.write_text("content")
    transport = SshTransport("board", ALIAS, own_host.options)
    with pytest.raises(ConnectionLost, match="its sshd_config has: Subsystem sftp"):
        transport.send(local, "/tmp/never", timeout=30)  # noqa: S108  # on the device
    transport.disconnect()


def test_a_folder_for_sockets_that_cannot_be_made_is_told(own_host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="edsr-") as runtime:  # short, unlike those of pytest
        Path(runtime, "edge-dwsep").write_text("a file")
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with pytest.raises(PermanentDeviceError, match=r"for the sockets of ssh, cannot be made: File exists"):
            SshTransport("board", ALIAS, own_host.options).shell("true", timeout=30)
