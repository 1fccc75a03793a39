"""The emulated boards: built of Debian's packages, started, reached by the user's ssh, ended, also after crashes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dwsep_devices import lab
from dwsep_devices.adb import AdbTransport
from dwsep_devices.errors import PermanentDeviceError, TransientDeviceError
from dwsep_devices.lab import machine, processes
from dwsep_devices.lab.android_arm64 import AndroidArm64
from dwsep_devices.lab.connection import LabConnection
from dwsep_devices.lab.pi import ANDROID, BOARDS, PiMachine
from dwsep_runtime.errors import UnknownName
from tests.lab_fixtures import require_lab

pytestmark = pytest.mark.slow

COUNT = """python3 -c '
import time
def f():
    total = 0
    for i in range(50000): total += i * i
times = []
for _ in range(9):
    begun = time.perf_counter_ns(); f(); times.append(time.perf_counter_ns() - begun)
print(sorted(times)[4])
'"""


@dataclass
class Built:
    """An own cache in which pi4 was built."""

    folder: Path
    manifest: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    require_lab()
    folder = tmp_path_factory.mktemp("lab cache")  # with a space, as some users have
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        begun = time.monotonic()
        try:
            manifest = lab.lab("pi4").build()
        except TransientDeviceError as error:
            if "could not be fetched" not in str(error):
                raise
            pytest.skip(str(error))
        yield Built(folder / "edge-dwsep" / "lab", manifest, time.monotonic() - begun)
        for name in ("pi4", "pi5"):
            lab.lab(name).down()


@pytest.fixture(autouse=True)
def nothing_is_left(built: Built) -> Iterator[None]:
    yield
    for folder in (built.folder / "run").glob("*/"):
        PiMachine(BOARDS["pi4"], folder.name).down()


@pytest.fixture
def pi4(built: Built) -> Iterator[PiMachine]:
    found = PiMachine(BOARDS["pi4"])
    yield found
    found.down()


def ssh(connection: LabConnection, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = ["ssh", *connection.ssh_options, "-o", "BatchMode=yes", connection.host, script]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def left(built: Built) -> list[str]:
    return [path.name for path in (built.folder / "run").iterdir() if not path.name.endswith(".lock")]


def emulators(folder: Path) -> list[int]:
    """Processes that work in a folder or below it."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").resolve().is_relative_to(folder):
                found.append(int(entry.name))
    return found


def answers(transport: AdbTransport) -> bool:
    with contextlib.suppress(TransientDeviceError):
        return transport.shell("true", timeout=10).returncode == 0
    return False


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def command_line(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edge_dwsep", "lab", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_it_was_built_of_is_recorded(built):
    packages = {one["name"]: one for one in built.manifest["packages"]}
    assert {"libc6", "openssh-server", "python3.11", "busybox-static"} <= set(packages)
    assert all(len(one["sha256"]) == 64 and one["version"] for one in packages.values())
    assert not list((built.folder / "images").glob("part-*"))


def test_what_is_built_is_not_built_again(built):
    told: list[str] = []
    begun = time.monotonic()
    assert lab.lab("pi4").build(on_step=told.append) == built.manifest
    assert time.monotonic() - begun < 2
    assert told == []


@pytest.mark.parametrize("cold", [False, True])
def test_it_is_a_raspberry_pi_to_ssh(pi4, cold):
    connection = pi4.up(cold=cold)
    asked = ssh(connection, "uname -m; id -un; pwd; tr -d '\\0' </proc/device-tree/model; echo; date +%s; python3 -V")
    *lines, clock, python = asked.stdout.splitlines()
    assert lines == ["aarch64", "pi", "/home/pi", "Raspberry Pi 4 Model B (emulated)"], asked.stderr
    assert abs(int(clock) - time.time()) < 5
    assert python.startswith("Python 3.11")


def test_it_has_what_scripts_on_a_device_use(pi4):
    tools = "cat chmod df find flock grep gzip kill mkdir mv nice ps rm sed setsid sftp-server sha256sum sh stat su tar"
    asked = ssh(
        pi4.up(),
        f"PATH=$PATH:/usr/lib/openssh; for tool in {tools}; do command -v $tool >/dev/null || echo $tool; done",
    )
    assert (asked.returncode, asked.stdout) == (0, "")


def test_its_disk_holds_environments_and_its_memory_is_a_boards(pi4):
    asked = ssh(
        pi4.up(), "df --output=avail -B1M ~ | tail -n 1; grep MemTotal /proc/meminfo; touch ~/x && stat -c %U ~/x"
    )
    free, memory, owner = asked.stdout.splitlines()
    assert int(free) > 3000
    assert 1_900_000 < int(memory.split()[1]) <= 2 << 20
    assert owner == "pi"


def test_python_starts_from_compiled_files(pi4):
    asked = ssh(pi4.up(), "python3 -v -c 'import json' 2>&1 | grep 'code object from' | grep -vc '[.]pyc'")
    assert asked.stdout.strip() == "0"


def test_files_go_there_and_back_by_sftp(pi4, tmp_path):
    connection = pi4.up()
    (tmp_path / "sent").write_bytes(os.urandom(3_000_000))
    batch = f'put "{tmp_path / "sent"}" a\nget a "{tmp_path / "back"}"\n'
    command = ["sftp", "-q", "-b", "-", *connection.ssh_options, connection.host]
    subprocess.run(command, input=batch, text=True, timeout=120, check=True, capture_output=True)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()


def test_another_host_key_is_refused(pi4, tmp_path):
    connection = pi4.up()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    (pi4.folder / "known_hosts").write_text(f"pi4 {(tmp_path / 'key.pub').read_text()}")
    asked = ssh(connection, "true")
    assert asked.returncode == 255
    assert "Host key verification failed" in asked.stderr


def test_an_unknown_host_key_is_refused(pi4):
    connection = pi4.up()
    (pi4.folder / "known_hosts").write_text("")
    assert "Host key verification failed" in ssh(connection, "true").stderr


def test_only_its_own_key_is_let_in(pi4, tmp_path):
    connection = pi4.up()
    (pi4.folder / "client_key").unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", pi4.folder / "client_key"], check=True)
    assert "Permission denied" in ssh(connection, "true").stderr


def test_it_listens_on_loopback_alone_and_nothing_leads_out(pi4):
    pi4.up()
    running = pi4.running()
    assert running is not None
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = [line.split()[3] for line in listening.splitlines() if f"pid={running.guest.pid}," in line]
    assert sorted(ours) == sorted(f"127.0.0.1:{port}" for port in running.guest.ports.values())
    reach = "python3 -c 'import socket; socket.create_connection((\"10.0.2.2\", 22), 2)'"
    assert pi4.as_root(f"{reach} 2>&1; true").splitlines()[-1].split(":")[0] in {
        "TimeoutError",
        "ConnectionRefusedError",
    }


def test_up_again_is_the_same_machine(pi4):
    first, before = pi4.up(), pi4.running()
    assert pi4.up() == first
    assert pi4.running() == before


def test_down_leaves_nothing(built, pi4):
    pi4.up()
    assert emulators(built.folder)
    assert pi4.down()
    assert not pi4.down()
    assert (left(built), emulators(built.folder)) == ([], [])
    with pytest.raises(
        PermanentDeviceError, match=r"^lab-pi4: the lab machine pi4 is not up; start it with: edge-dwsep lab up pi4"
    ):
        lab.connection("pi4")


def test_a_machine_starts_from_what_was_built_and_not_from_what_another_left(pi4):
    ssh(pi4.up(), "echo changed >~/file; sync")
    pi4.as_root("echo changed >/etc/file; rm /usr/bin/awk; sync")
    pi4.down()
    assert ssh(pi4.up(), "ls ~; ls /etc/file; command -v awk").stdout == "/usr/bin/awk\n"


def test_an_emulator_that_was_killed_is_noticed_and_started_again(built, pi4):
    pi4.up()
    running = pi4.running()
    assert running is not None
    processes.end(running.guest.pid, running.guest.start)
    with pytest.raises(PermanentDeviceError, match="is not up"):
        pi4.connection()
    assert pi4.running() is None
    assert left(built) == []
    assert ssh(pi4.up(), "echo here").stdout == "here\n"


def test_a_machine_whose_state_was_lost_is_found_and_ended(built, pi4):
    pi4.up()
    (pi4.folder / "state.json").write_text("{")
    orphans = emulators(pi4.folder)
    assert len(orphans) == 1
    assert not pi4.down()
    assert (left(built), emulators(built.folder)) == ([], [])


@pytest.mark.parametrize("after", ["qmp", "serial.log", "ssh_config"])
def test_up_killed_at_any_moment_is_mended_by_the_next(built, pi4, after):
    process = command_line("up", "pi4", *(["--cold"] if after == "serial.log" else []))
    wait_for((pi4.folder / after).exists)
    process.kill()
    process.communicate()
    lab.lab("pi4").status()
    assert (left(built) == ["pi4"]) == bool(emulators(built.folder)) == lab.lab("pi4").status().up
    assert ssh(pi4.up(), "echo here").stdout == "here\n"
    assert len(emulators(built.folder)) == 1


def test_a_build_killed_in_the_middle_is_mended_by_the_next(built, pi4):
    shutil.rmtree(built.folder / "snapshots")
    (image,) = (built.folder / "images").iterdir()
    shutil.rmtree(image)
    for moment in ("images/part-*/root", "run/pi4.building/qmp"):
        process = command_line("build", "pi4")
        wait_for(lambda moment=moment: list(built.folder.glob(moment)))  # type: ignore[misc]
        process.kill()
        process.communicate()
    lab.lab("pi4").status()
    assert emulators(built.folder) == []
    assert lab.lab("pi4").build() == built.manifest
    assert (left(built), emulators(built.folder)) == ([], [])
    assert [path.name for path in (built.folder / "images").iterdir()] == [image.name]
    assert ssh(pi4.up(), "echo here").stdout == "here\n"


def test_interrupted_up_leaves_nothing(built, pi4):
    process = command_line("up", "pi4", "--cold")
    wait_for((pi4.folder / "qmp").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    process.communicate()
    assert (left(built), emulators(built.folder)) == ([], [])


def test_a_damaged_snapshot_is_no_obstacle(built, pi4):
    (snapshot,) = (built.folder / "snapshots").glob("pi4-*")
    whole = (snapshot / "state").read_bytes()
    (snapshot / "state").write_bytes(whole[:1000])
    assert ssh(pi4.up(), "echo here").stdout == "here\n"
    pi4.down()
    pi4.up()
    assert (snapshot / "state").stat().st_size > len(whole) // 2


def test_two_boards_run_side_by_side_and_two_commands_at_once_start_one_machine(built, pi4):
    processes_ = [command_line("up", name, "--json") for name in ("pi4", "pi5", "pi4")]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in processes_]
    assert answers[0]["ssh_options"] == answers[2]["ssh_options"] != answers[1]["ssh_options"]
    assert len(emulators(built.folder)) == 2
    connections = {name: lab.connection(name) for name in ("pi4", "pi5")}
    dot = {name: "asimddp" in ssh(connection, "cat /proc/cpuinfo").stdout for name, connection in connections.items()}
    assert dot == {"pi4": False, "pi5": True}
    shown = command_line("status", "--json")
    status = {one["name"]: one["up"] for one in json.loads(shown.communicate(timeout=60)[0])}
    assert [status[name] for name in ("pi4", "pi5")] == [True, True]
    ended = command_line("down", "--all")
    assert (ended.communicate(timeout=60)[0], ended.returncode) == ("pi4, pi5 ended\n", 0)
    assert (left(built), emulators(built.folder)) == ([], [])


def test_instructions_are_counted_the_same_whatever_the_load(built):
    counts = []
    hogs: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(2):
            with lab.instruction_machine("pi4") as connection:
                counts += [int(ssh(connection, COUNT).stdout) for _ in range(2)]
            hogs += [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert max(counts) - min(counts) < 0.001 * min(counts)
    assert (left(built), emulators(built.folder)) == ([], [])


def test_a_counting_machine_does_not_outlive_its_owner(built):
    source = (
        "import os, signal\nfrom dwsep_devices import lab\n"
        "with lab.instruction_machine('pi4') as connection: os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == -signal.SIGKILL
    assert len(emulators(built.folder)) == 1
    assert not lab.lab("pi4").status().up
    assert (left(built), emulators(built.folder)) == ([], [])


def test_a_counting_machine_is_prepared_once(built):
    calls = []

    def prepare(connection: LabConnection) -> None:
        calls.append(ssh(connection, "echo installed >~/file").returncode)

    def fail(connection: LabConnection) -> None:
        raise ZeroDivisionError

    for prepared in ("a", "a", "b"):
        with lab.instruction_machine("pi4", prepared=prepared, prepare=prepare) as connection:
            assert ssh(connection, "cat ~/file; echo changed >~/file").stdout == "installed\n"
    with lab.instruction_machine("pi4") as connection:
        assert ssh(connection, "ls ~").stdout == ""
    assert calls == [0, 0]
    with pytest.raises(ZeroDivisionError), lab.instruction_machine("pi4", prepared="c", prepare=fail):
        pass
    assert (left(built), emulators(built.folder)) == ([], [])


def test_a_counting_machine_has_one_core_and_does_not_outlive_its_block(built):
    with lab.instruction_machine("pi4") as connection:
        assert ssh(connection, "nproc").stdout == "1\n"
        assert len(emulators(built.folder)) == 1
    assert not list((built.folder / "run").glob("*-instructions-*"))
    assert (left(built), emulators(built.folder)) == ([], [])


@pytest.mark.skipif(shutil.which("adb") is None, reason="adb is not installed")
def test_adbd_for_arm64_runs_in_an_android_like_root(built, tmp_path):
    found = lab.lab("android-arm64")
    connection = found.up()
    adb = ["adb", "-P", str(connection.adb_port), "-s", connection.serial]
    try:

        def shell(script: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([*adb, "shell", script], capture_output=True, text=True, timeout=60, check=False)

        asked = shell(
            "id -u; uname -m; getprop ro.product.cpu.abi; echo $0; ls -d /lib /usr /tmp /etc/passwd /dev/shm; exit 7"
        )
        assert asked.returncode == 7
        assert asked.stdout.split() == ["2000", "aarch64", "arm64-v8a", "/bin/sh"], asked.stdout
        assert shell("touch /system/x").returncode != 0
        assert shell("printf abc | sha256sum").stdout.split()[0] == hashlib.sha256(b"abc").hexdigest()
        (tmp_path / "sent").write_bytes(os.urandom(1_000_000))
        for arguments in (
            ("push", tmp_path / "sent", "/data/local/tmp/x"),
            ("pull", "/data/local/tmp/x", tmp_path / "back"),
        ):
            subprocess.run([*adb, *arguments], capture_output=True, timeout=60, check=True)
        assert (tmp_path / "back").read_bytes() == (tmp_path / "sent").read_bytes()
        AndroidArm64(ANDROID).as_root("kill $(pidof adbd)")  # it starts again by itself
        transport = AdbTransport("lab-android-arm64", connection.serial, connection.adb_port)
        wait_for(lambda: answers(transport))
    finally:
        assert found.down()
    assert (left(built), emulators(built.folder)) == ([], [])


def test_a_qemu_without_the_cpu_is_told(built, tmp_path):
    board = machine.Board("pi9", "Raspberry Pi 9", "cortex-a9999", 1)
    with pytest.raises(PermanentDeviceError, match="cannot be a cortex-a9999"):
        PiMachine(board).up()
    assert left(built) == []


def test_an_unknown_machine_is_told_by_name():
    with pytest.raises(UnknownName, match="did you mean 'pi4'"):
        lab.connection("pi")
    with pytest.raises(UnknownName, match="unknown board"), lab.instruction_machine("android"):
        pass
