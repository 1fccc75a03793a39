"""Devices by ssh, on a real sshd: the whole way, and what can go wrong on it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dwsep_devices import Setup, run_job
from dwsep_devices.errors import (
    ConnectionLost,
    DeviceRefused,
    DeviceUnsuitable,
    PermanentDeviceError,
    TransientDeviceError,
)
from dwsep_devices.push import push_file
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.ssh import SshTransport
from dwsep_runtime.errors import ProtocolError, TimedOut
from tests.conftest import CommandLine, Demo
from tests.device_faults import (
    HOSTILE,
    QUICK,
    require_damaged_sent_again,
    require_endless_output_ended,
    require_full_disk_told,
    require_name_is_a_name,
    require_one_at_a_time,
    require_other_content_sent,
    require_pull_made_again,
    require_push_goes_on,
    require_run_begun_again,
    require_second_waits,
    size_of,
    written,
)
from tests.ssh_fixtures import ALIAS, SshHost, make_ssh_host, ssh_host, ssh_host_folder

__all__ = ["ssh_host"]


@contextlib.contextmanager
def opened(host: SshHost, *, root: str = "", wait: bool = True) -> Iterator[RemoteDevice]:
    profile = replace(host.profile, root=root) if root else host.profile
    transport = SshTransport("board", ALIAS, host.options)
    device = RemoteDevice(transport, profile, wait=wait)
    with contextlib.closing(device):
        yield device


@pytest.fixture
def board(ssh_host: SshHost) -> Iterator[RemoteDevice]:
    with opened(ssh_host) as device:
        yield device


@pytest.fixture
def own_folder() -> Iterator[Path]:
    with ssh_host_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def named_board(ssh_host: SshHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of settings that knows the board by the name ``board``."""
    folder = tmp_path_factory.mktemp("config")
    devices = folder / "edge-dwsep" / "devices"
    devices.mkdir(parents=True)
    kinds = folder / "edge-dwsep" / "profiles"
    kinds.mkdir()
    places = f'root = "{ssh_host.profile.root}"\nlease = "{ssh_host.profile.lease}"\n'
    (kinds / "board.toml").write_text(f'base = "generic-linux"\n{places}')
    options = ", ".join(json.dumps(option) for option in ssh_host.options)
    (devices / "board.toml").write_text(f'kind = "board"\nhost = "{ALIAS}"\noptions = [{options}]\n')
    before = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["XDG_CONFIG_HOME"]
    else:
        os.environ["XDG_CONFIG_HOME"] = before


def bytes_on(device: RemoteDevice, path: str) -> bytes:
    """What a file on the device, which is this machine, holds."""
    return Path(path).read_bytes()


# The whole way


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["w8a8.tflite", "w8a8.onnx"])
def test_int8_computes_the_same_on_the_board_as_here(
    demo: Demo, command_line: CommandLine, named_board: Path, tmp_path: Path, ending: str
) -> None:
    predictions = []
    for device in ("board", "local"):
        output = tmp_path / f"{device}.json"
        done = command_line(
            "accuracy", demo.artifact(ending), "--data", "fashion-mnist-sample", "--device", device, "--output", output
        )
        assert done.returncode == 0, done.stderr
        results = json.loads(output.read_text())
        predictions.append([run["accuracy"]["predictions"] for run in results["runs"]])
    assert predictions[0] == predictions[1]


@pytest.mark.slow
def test_several_devices_are_measured_side_by_side_and_told_apart(
    demo: Demo, command_line: CommandLine, named_board: Path, tmp_path: Path
) -> None:
    output = tmp_path / "both.json"
    artifact = demo.artifact("w8a8.tflite")
    options = ("--engine", "litert", "--mode", "rapid", "--min-seconds", 0.2, "--output", output)
    done = command_line("bench", artifact, "--device", "board", "--device", "local", *options)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert [run["device"] for run in results["runs"]] == ["board", "local"]
    assert [(one["name"], one["kind"], one["emulated"]) for one in results["devices"]] == [
        ("board", "board", False),
        ("local", "local", False),
    ]
    environment = results["runs"][0]["environment"]
    assert environment["name"] == "litert"
    assert len(environment["hash"]) >= 32
    assert results["runs"][1]["environment"] is None
    assert results["runs"][0]["latency"]["count"] >= 64


@pytest.mark.slow
def test_a_device_that_cannot_be_reached_leaves_the_others_measured(
    demo: Demo, command_line: CommandLine, named_board: Path
) -> None:
    dead = named_board / "edge-dwsep" / "devices" / "dead.toml"
    dead.write_text('kind = "generic-linux"\nhost = "board"\nport = 1\noptions = ["-F", "/dev/null"]\n')
    options = ("--engine", "litert", "--mode", "rapid", "--min-seconds", 0.2, "--json")
    done = command_line("bench", demo.artifact("w8a8.tflite"), "--device", "dead", "--device", "board", *options)
    runs = json.loads(done.stdout)["runs"]
    assert [(run["device"], run["status"]) for run in runs] == [("dead", "failed"), ("board", "ok")]
    assert done.returncode == 7
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_remove_leaves_nothing_on_the_device(ssh_host: SshHost, command_line: CommandLine, named_board: Path) -> None:
    shutil.copy(named_board / "edge-dwsep/devices/board.toml", named_board / "edge-dwsep/devices/leaving.toml")
    kept = ssh_host.home / "keep me"
    kept.write_text("not ours")
    with opened(ssh_host, root="~/.edge-dwsep-leaving") as device:
        device.hold()
    with (named_board / "edge-dwsep/devices/leaving.toml").open("a") as file:
        file.write('root = "~/.edge-dwsep-leaving"\n')
    assert (ssh_host.home / ".edge-dwsep-leaving").exists()
    done = command_line("devices", "remove", "leaving")
    assert done.returncode == 0, done.stderr
    assert not (ssh_host.home / ".edge-dwsep-leaving").exists()
    assert kept.read_text() == "not ours"
    assert command_line("devices", "probe", "leaving").returncode == 3


# Commands


def test_exit_codes_signals_and_output_are_the_scripts_own(board: RemoteDevice) -> None:
    lines: list[str] = []
    assert board.run(["sh", "-c", "cat; exit 7"], stdin="a\nb", timeout=10, on_line=lines.append).returncode == 7
    assert lines == ["a\n", "b\n"]
    assert board.run(["sh", "-c", "kill -11 $$"], timeout=10).returncode == -11
    assert board.run(["sh", "-c", "echo gone wrong >&2"], timeout=10).errors == ["gone wrong"]


def test_a_command_that_takes_too_long_is_ended_on_the_device_too(board: RemoteDevice) -> None:
    begun = time.monotonic()
    assert board.run(["sleep", "271828"], timeout=1).timed_out
    assert time.monotonic() - begun < 10
    assert "271828" not in board.ask("ps -eo args; true").replace("ps -eo args", "")


def test_a_broken_connection_is_no_result_and_leaves_no_process(ssh_host: SshHost, board: RemoteDevice) -> None:
    def begun(line: str) -> None:
        assert line == "begun\n"
        ssh_host.kill_sessions()

    with pytest.raises(ConnectionLost):
        board.run(["sh", "-c", "echo begun; sleep 314159"], timeout=30, on_line=begun)
    assert "314159" not in board.ask("ps -eo args; true").replace("ps -eo args", "")


def test_leftovers_of_a_broken_run_are_ended_and_nothing_else(ssh_host: SshHost, board: RemoteDevice) -> None:
    board.ask(
        f"EDGE_DWSEP_JOB={board.profile.lease}/deadbeef sleep 161803 > /dev/null 2>&1 & sleep 161804 > /dev/null 2>&1 &"
    )
    with opened(ssh_host) as later:
        later.hold()
        left = later.ask("ps -eo pid,args")
    assert "sleep 161803" not in left
    (other,) = [line.split()[0] for line in left.splitlines() if "sleep 161804" in line]
    os.kill(int(other), 9)


@pytest.mark.slow
def test_a_run_whose_connection_breaks_is_begun_again_and_never_half(
    ssh_host: SshHost, demo: Demo, board: RemoteDevice
) -> None:
    require_run_begun_again(board, demo.artifact("w8a8.tflite"), ssh_host.kill_sessions)


@pytest.mark.slow
def test_a_frozen_server_is_given_up(ssh_host: SshHost, board: RemoteDevice) -> None:
    board.ask("true")
    for number in ssh_host.sessions():
        os.kill(number, 19)
    try:
        board._sleep = lambda seconds: None
        with pytest.raises(TransientDeviceError, match="no answer within"):
            board.ask("true", timeout=1.0)
    finally:
        ssh_host.kill_sessions()


# Files


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_are_names_and_nothing_else(board: RemoteDevice, tmp_path: Path, name: str) -> None:
    require_name_is_a_name(board, tmp_path, name)


@pytest.mark.parametrize("root", ["~/.edge-dwsep b'$(touch pwned)", "~/-edge-dwsep", '~/é"edge-dwsep'])
def test_a_folder_may_be_called_anything(ssh_host: SshHost, tmp_path: Path, root: str) -> None:
    with opened(ssh_host, root=root) as device:
        local, digest = written(tmp_path / "f", 1000)
        assert device.push(local, f"{device.root}/f", digest)
        assert Path(device.root) == ssh_host.home / root[2:]
        device.wipe()
        assert not (ssh_host.home / root[2:]).exists()
    assert not (ssh_host.home / "pwned").exists()


def test_other_content_of_the_same_name_and_size_is_sent(board: RemoteDevice, tmp_path: Path) -> None:
    require_other_content_sent(board, tmp_path)


def test_a_file_that_was_damaged_on_the_device_is_sent_again(board: RemoteDevice, tmp_path: Path) -> None:
    require_damaged_sent_again(board, tmp_path)


def test_a_push_that_breaks_goes_on_where_it_was(ssh_host: SshHost, board: RemoteDevice, tmp_path: Path) -> None:
    require_push_goes_on(board, tmp_path, 150_000_000, lambda path: size_of(Path(path)), ssh_host.kill_sessions)


def test_a_pull_that_breaks_is_made_again_whole(ssh_host: SshHost, board: RemoteDevice, tmp_path: Path) -> None:
    require_pull_made_again(board, tmp_path, 100_000_000, ssh_host.kill_sessions)


def test_a_pull_of_what_is_not_there_leaves_nothing(board: RemoteDevice, tmp_path: Path) -> None:
    with pytest.raises(PermanentDeviceError, match="no such file"):
        board.pull(f"{board.root}/absent", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_nothing_is_half_written(ssh_host: SshHost, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can mount the small file system of this test")
    small = ssh_host.home / "edge-dwsep-small"
    small.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs", str(small)], check=True)
    try:
        with opened(ssh_host, root="~/edge-dwsep-small/edge-dwsep") as device:
            require_full_disk_told(device, tmp_path)
    finally:
        subprocess.run(["umount", str(small)], check=True)
        small.rmdir()


def test_what_was_brought_long_ago_is_removed_and_nothing_else(ssh_host: SshHost, board: RemoteDevice) -> None:
    root = board.root
    board.ask(f"mkdir -p {root}/blobs {root}/outputs/x && cd {root} && touch -d '40 days ago' blobs/old outputs/x/old")
    board.ask(f"cd {root} && touch -d '20 days ago' blobs/new outputs/x/new && touch -d '40 days ago' kept")
    board.close()
    with opened(ssh_host) as later:
        later.hold()
        found = later.ask(f"cd {root} && ls blobs/old blobs/new outputs/x/* kept 2>/dev/null; true").split()
    assert found == ["blobs/new", "kept", "outputs/x/new"]


# Being let in


def test_an_unknown_host_key_is_refused_with_the_way_to_accept_it(own_folder: Path) -> None:
    host = make_ssh_host(own_folder)
    (host.folder / "known_hosts").write_text("")
    host.start()
    try:
        with (
            opened(host) as device,
            pytest.raises(DeviceRefused, match=r"host key is not known\. Accept it by connecting"),
        ):
            device.hold()
    finally:
        host.stop()


def test_a_changed_host_key_is_refused_with_the_way_to_accept_it(own_folder: Path, tmp_path: Path) -> None:
    host = make_ssh_host(own_folder)
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    kind, key, *_ = other.with_suffix(".pub").read_text().split()
    (host.folder / "known_hosts").write_text(f"[127.0.0.1]:{host.port} {kind} {key}\n")
    host.start()
    try:
        with opened(host) as device, pytest.raises(DeviceRefused, match=r"has changed.*ssh-keygen .*-R .*127.0.0.1"):
            device.hold()
    finally:
        host.stop()


def test_a_key_that_is_not_accepted_is_refused(own_folder: Path) -> None:
    host = make_ssh_host(own_folder)
    (host.folder / "authorized_keys").write_text("")
    host.start()
    try:
        with opened(host) as device, pytest.raises(DeviceRefused, match=r"login was refused .*ssh-copy-id"):
            device.hold()
    finally:
        host.stop()


def test_a_server_that_is_down_is_tried_several_times(ssh_host: SshHost) -> None:
    waits: list[float] = []
    transport = SshTransport("board", ALIAS, (*ssh_host.options, "-o", "Port=1"))
    device = RemoteDevice(transport, ssh_host.profile, sleep=waits.append)
    with pytest.raises(TransientDeviceError, match=r"Connection refused \(tried 4 times\)"):
        device.hold()
    assert waits == pytest.approx([0.3, 0.9, 2.7])


@pytest.mark.parametrize(
    ("forced", "error", "said"),
    [
        ("echo hello", ConnectionLost, "the connection ended in the middle of a command"),
        ("yes garbage", ProtocolError, "answers with garbage: 'garbage"),
        ("head -c 2000000000 /dev/zero", ProtocolError, "garbage|million characters"),
        ("exit 3", ConnectionLost, "the connection to board broke"),
    ],
)
def test_a_device_that_answers_with_something_else(
    own_folder: Path, forced: str, error: type[Exception], said: str
) -> None:
    host = make_ssh_host(own_folder)
    with (host.folder / "sshd_config").open("a") as file:
        file.write(f"ForceCommand {forced}\n")
    host.start()
    try:
        with opened(host) as device:
            device._sleep = lambda seconds: None
            with pytest.raises((error, ConnectionLost), match=said):
                device.hold()
    finally:
        host.stop()


@pytest.mark.slow
def test_a_run_that_prints_without_end_is_ended(demo: Demo, board: RemoteDevice) -> None:
    require_endless_output_ended(board, demo.artifact("w8a8.tflite"))
    board._commands["litert"] = ["sleep", "100"]
    with pytest.raises(TimedOut):
        run_job(board, demo.artifact("w8a8.tflite"), "litert", QUICK, Setup(), timeout=1)


# Leases


def test_one_measurement_at_a_time(ssh_host: SshHost, board: RemoteDevice) -> None:
    with opened(ssh_host) as other:
        require_one_at_a_time(board, other)


def test_a_second_run_waits_for_the_first(ssh_host: SshHost, board: RemoteDevice) -> None:
    with opened(ssh_host) as other:
        require_second_waits(board, other)


def test_the_lease_of_a_process_that_died_here_is_taken_over(ssh_host: SshHost, board: RemoteDevice) -> None:
    with opened(ssh_host) as dead:
        lease = dead._lease
        who = lease.owner.partition(":")[0]
        dead._lease = replace(lease, owner=f"{who}:{2**22 - 1}:1")
        dead.hold()
        board._wait = False
        board.hold()


def test_a_lease_of_an_earlier_start_of_the_device_holds_no_more(ssh_host: SshHost, board: RemoteDevice) -> None:
    with opened(ssh_host) as other:
        other.hold()
        path = Path(board.profile.lease) / "lease"
        token, end, _, owner = path.read_text().split()
        path.write_text(f"{token} {end} xanother-boot {owner}\n")
        board._wait = False
        board.hold()


def test_a_push_needs_no_more_than_a_transport(board: RemoteDevice, tmp_path: Path) -> None:
    local, digest = written(tmp_path / "empty", 0)
    assert push_file(board, local, f"{board.root}/empty", digest, sleep=time.sleep)
    assert bytes_on(board, f"{board.root}/empty") == b""


def test_a_device_of_another_kind_is_not_measured_under_its_name(ssh_host: SshHost) -> None:
    with opened(ssh_host) as device:
        device.profile = replace(device.profile, kind="raspberry-pi-5", machines=("aarch64",))
        with pytest.raises(DeviceUnsuitable, match=r"it is x86_64, and kind raspberry-pi-5 is aarch64; give the kind"):
            device.runtime_command_for("litert")


def test_devices_that_are_not_known_are_told_before_any_is_measured(
    demo: Demo, command_line: CommandLine, named_board: Path
) -> None:
    done = command_line("bench", demo.artifact("w8a8.tflite"), "--device", "board", "--device", "nobody")
    assert done.returncode == 3
    assert "unknown device 'nobody'" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_dead_device_is_told_once_and_given_up(demo: Demo, command_line: CommandLine, named_board: Path) -> None:
    off = named_board / "edge-dwsep" / "devices" / "off.toml"
    off.write_text('kind = "generic-linux"\nhost = "127.0.0.1"\nport = 1\noptions = ["-F", "/dev/null"]\n')
    files = [demo.artifact(ending) for ending in ("w8a8.tflite", "float32.tflite", "float16.tflite")]
    done = command_line("bench", *files, "--engine", "litert", "--device", "off", "--json")
    assert done.returncode == 7
    errors = [run["error"] for run in json.loads(done.stdout)["runs"]]
    assert [error.startswith("not tried") for error in errors] == [False, False, True]
    assert all("Connection refused (tried 4 times)" in error for error in errors)
    assert done.stderr.count("Connection refused") == 1
