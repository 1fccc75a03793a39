"""The adb transport against the real adbd in an Android-like root, whatever breaks on the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dwsep_devices.adb import AdbTransport, find_adb
from dwsep_devices.errors import ConnectionLost, DeviceFull, PermanentDeviceError, TransientDeviceError
from dwsep_devices.lab.android import AndroidMachine, Running
from dwsep_devices.transport import quoted
from tests.android_fixtures import (
    DATA,
    android,
    android_machine,
    android_running,
    hostile_files,
    settled,
    text_of,
)

__all__ = ["android", "android_machine", "android_running"]


@contextmanager
def soon(action: object, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, action)  # type: ignore[arg-type]
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def killed_adbd(machine: AndroidMachine) -> None:
    until = time.monotonic() + 5
    while True:
        try:
            os.kill(machine.adbd_pid(), signal.SIGKILL)
        except (TransientDeviceError, ProcessLookupError):  # init has not yet started it again
            if time.monotonic() > until:
                raise
        else:
            return


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_exit_codes_are_the_scripts_own(android, code):
    assert android.shell(f"exit {code}", timeout=10).returncode == code


def test_a_program_ended_by_a_signal_has_a_negative_code(android):
    assert android.shell("sh -c 'kill -9 $$'", timeout=10).returncode == -9


def test_standard_input_and_both_outputs_arrive(android):
    lines: list[str] = []
    completed = android.shell("cat; printf 'no end'; echo bad >&2", stdin="ä\nb\n", timeout=10, on_line=lines.append)
    assert "".join(lines) == "ä\nb\nno end\n"
    assert list(completed.errors) == ["bad"]


def test_a_megabyte_of_input_arrives_whole(android):
    text = "0123456789abcdef\n" * 60_000
    said = text_of(android, "sha256sum", stdin=text)
    assert said.split()[0] == hashlib.sha256(text.encode()).hexdigest()


def test_the_machine_looks_like_a_phone(android):
    absent = "for path in /lib /lib64 /usr /tmp /etc/passwd /dev/shm; do [ ! -e $path ] || echo $path; done"
    script = f"id -u; getprop ro.build.version.sdk; {absent}"
    assert text_of(android, script).split() == ["2000", "34"]
    assert android.shell("touch /data/x 2>/dev/null || touch /x 2>/dev/null", timeout=10).returncode


def test_the_machine_has_loopback_alone(android):
    assert text_of(android, "ls /sys/class/net; cat /proc/net/route | wc -l").split()[-1] == "1"
    assert text_of(android, "ifconfig -a -S").split()[0] == "lo"


def test_sockets_that_lead_out_of_the_machine_are_filtered(android):
    assert "Seccomp:\t2" in text_of(android, "cat /proc/self/status")


def test_properties_have_defaults_and_can_be_changed(android, android_machine):
    assert text_of(android, "getprop edge.none; getprop edge.none given").split("\n")[:2] == ["", "given"]
    before = android_machine.properties.read_text()
    android_machine.properties.write_text(f"{before}edge.value=a b=c\n")
    try:
        assert text_of(android, "getprop edge.value").strip() == "a b=c"
        assert "[edge.value]: [a b=c]" in text_of(android, "getprop")
    finally:
        android_machine.properties.write_text(before)


def test_files_go_there_and_back_whatever_their_names(android, tmp_path):
    text_of(android, f"mkdir {DATA}/hostile")
    for number, path in enumerate(hostile_files(tmp_path)):
        there, back = f"{DATA}/hostile/{number} {path.name.strip('-*')}", tmp_path / "back" / path.name
        back.parent.mkdir(exist_ok=True)
        android.send(path, there, timeout=10)
        assert text_of(android, f"cat {quoted(there)}") == path.read_text() + "\n"
        android.fetch(there, back, timeout=10)
        assert back.read_bytes() == path.read_bytes()
        text_of(android, f"rm {quoted(there)}")
    text_of(android, f"rmdir {DATA}/hostile")


def test_a_relative_name_with_a_leading_dash_is_a_file(android, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-dash").write_text("dash")
    android.send(Path("-dash"), f"{DATA}/dash", timeout=10)
    android.fetch(f"{DATA}/dash", Path("-back"), timeout=10)
    assert Path("-back").read_text() == "dash"
    text_of(android, f"rm {DATA}/dash")


def test_what_cannot_be_copied_says_why(android, tmp_path):
    file = tmp_path / "model.tflite"
    file.write_bytes(b"x")
    with pytest.raises(PermanentDeviceError, match=r"^phone: .*Permission denied|^phone: .*Read-only"):
        android.send(file, "/system/model", timeout=10)
    with pytest.raises(PermanentDeviceError, match=r"^phone: .*(absent.*No such file|absent.* does not exist)"):
        android.fetch(f"{DATA}/absent", tmp_path / "a", timeout=10)
    with pytest.raises(PermanentDeviceError, match="is no file of this host"):
        android.send(tmp_path / "none", f"{DATA}/none", timeout=10)
    with pytest.raises(PermanentDeviceError, match="is a folder"):
        android.fetch(f"{DATA}/absent", tmp_path, timeout=10)


def test_adbd_killed_in_the_middle_of_a_command_is_a_lost_connection(android, android_machine):
    text_of(android, "true")
    with soon(lambda: killed_adbd(android_machine), 0.3), pytest.raises(ConnectionLost):
        android.shell("echo begun; sleep 5; echo done", timeout=20)
    settled(android)


def test_what_a_lost_connection_left_running_still_runs_and_can_be_found(android, android_machine):
    mark = "ADB_TEST_MARK=left-over"
    with soon(lambda: killed_adbd(android_machine), 0.3), pytest.raises(ConnectionLost):
        android.shell(f"trap '' HUP; {mark} sleep 60", timeout=20)
    settled(android)
    found = text_of(android, f"grep -l {mark} /proc/[0-9]*/environ 2>/dev/null || true").split()
    pids = [path.split("/")[2] for path in found]
    assert pids
    text_of(android, "".join(f"kill -9 {pid};" for pid in pids) + "true")


def test_adbd_killed_in_the_middle_of_a_push_can_be_tried_again(android, android_machine, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 400)
    text_of(android, "true")
    with soon(lambda: killed_adbd(android_machine), 0.15), pytest.raises(TransientDeviceError):
        android.send(big, f"{DATA}/big", timeout=60)
    settled(android)
    android.send(big, f"{DATA}/big", timeout=60)
    assert text_of(android, f"stat -c %s {DATA}/big; rm {DATA}/big").strip() == str(big.stat().st_size)


def test_adbd_killed_in_the_middle_of_a_pull_can_be_tried_again(android, android_machine, tmp_path):
    text_of(android, f"truncate -s 1500m {DATA}/hole")
    with soon(lambda: killed_adbd(android_machine), 0.15), pytest.raises(TransientDeviceError):
        android.fetch(f"{DATA}/hole", tmp_path / "hole", timeout=60)
    settled(android)
    text_of(android, f"rm {DATA}/hole")


def test_adbs_server_ended_in_the_middle_can_be_tried_again(android_machine, tmp_path):
    machine = AndroidMachine(f"{android_machine.name}-ended")
    running = machine.up()
    transport = AdbTransport("lab", running.serial, running.adb_port)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 20) * 400)
    kill = [find_adb(), "-P", str(running.adb_port), "kill-server"]
    try:
        text_of(transport, "true")
        ended = soon(lambda: subprocess.run(kill, capture_output=True, check=False), 0.15)
        with ended, pytest.raises(ConnectionLost):
            transport.shell("sleep 5", timeout=20)
        settled(transport)
        ended = soon(lambda: subprocess.run(kill, capture_output=True, check=False), 0.15)
        with ended, pytest.raises(TransientDeviceError):
            transport.send(big, f"{DATA}/big", timeout=20)
        settled(transport)
    finally:
        transport.close()
        machine.down()


def test_a_frozen_adbd_ends_with_the_time_limit(android, android_machine, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    text_of(android, "true")
    pid = android_machine.adbd_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert android.shell("true", timeout=0.5).timed_out
        with pytest.raises(TransientDeviceError, match=r"longer than 0.5 s"):
            android.send(file, f"{DATA}/file", timeout=0.5)
        with pytest.raises(TransientDeviceError, match=r"longer than 0.5 s"):
            android.fetch(f"{DATA}/file", tmp_path / "back", timeout=0.5)
        assert time.monotonic() - begun < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    settled(android)


def test_a_script_longer_than_adb_carries_is_refused(android):
    with pytest.raises(PermanentDeviceError, match="longer than the 60,000 that adb carries"):
        android.shell(f"true {'x' * 60_000}", timeout=5)
    text_of(android, f"true {'x' * 59_000}")


def test_a_serial_that_is_not_attached_is_named_with_those_that_are(android_running):
    transport = AdbTransport("pixel", "R58N123", android_running.adb_port)
    with pytest.raises(PermanentDeviceError, match=rf"^pixel: .*'R58N123'.*{android_running.serial} \(device\)"):
        transport.shell("true", timeout=5)


def test_without_a_serial_the_only_device_is_used(android_running):
    transport = AdbTransport("only", "", android_running.adb_port)
    assert text_of(transport, "echo here") == "here\n\n" or transport.serial == android_running.serial


def test_a_port_where_nothing_listens_is_transient(android_running):
    transport = AdbTransport("gone", "127.0.0.1:1", android_running.adb_port)
    with pytest.raises(TransientDeviceError, match=r"^gone: 127.0.0.1:1 cannot be reached"):
        transport.shell("true", timeout=5)


def test_a_server_that_the_transport_started_ends_with_it_and_no_other_does(android_running, free_port):
    transport = AdbTransport("own", android_running.serial, free_port)
    assert "here" in text_of(transport, "echo here")
    transport.close()
    transport.close()
    transport = AdbTransport("lab", android_running.serial, android_running.adb_port)
    text_of(transport, "true")
    transport.close()
    listing = [find_adb(), "-P", str(android_running.adb_port), "devices"]
    assert android_running.serial in subprocess.run(listing, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


def test_a_full_disk_is_said_to_be_full(android_machine, tmp_path):
    machine = AndroidMachine(f"{android_machine.name}-small")
    running = machine.up(data_bytes=1 << 20, properties={"ro.product.cpu.abi": "armeabi-v7a"})
    big = tmp_path / "big"
    big.write_bytes(os.urandom(1 << 21))
    try:
        transport = AdbTransport("small", running.serial, running.adb_port)
        with pytest.raises(DeviceFull, match=r"^small: .*No space left"):
            transport.send(big, f"{DATA}/big", timeout=20)
        assert text_of(transport, "getprop ro.product.cpu.abi").strip() == "armeabi-v7a"
    finally:
        machine.down()
    assert not machine.folder.exists()


def test_nothing_is_left_after_a_crash(android_machine):
    machine = AndroidMachine(f"{android_machine.name}-crash")
    running = machine.up()
    adbd = machine.adbd_pid()
    os.kill(running.pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while Path(f"/proc/{adbd}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{adbd}").exists()
    assert machine.running() is None
    assert machine.down() is False
    assert not machine.folder.exists()


def test_a_server_that_took_the_place_of_the_machines_own_ends_with_the_machine(android_machine):
    machine = AndroidMachine(f"{android_machine.name}-server")
    running = machine.up()
    adb = [find_adb(), "-P", str(running.adb_port)]
    subprocess.run([*adb, "kill-server"], check=True, capture_output=True)
    text_of(AdbTransport("lab", running.serial, running.adb_port), "true")  # starts another one
    assert machine.down()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", running.adb_port), timeout=1)


def test_a_machine_whose_state_was_lost_is_ended_too(android_machine):
    machine = AndroidMachine(f"{android_machine.name}-lost")
    machine.up()
    adbd = machine.adbd_pid()
    shutil.rmtree(machine.folder)
    assert machine.running() is None
    machine.down()
    until = time.monotonic() + 5
    while Path(f"/proc/{adbd}").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert not Path(f"/proc/{adbd}").exists()


def test_folders_that_a_job_closed_are_removed_too(android_machine):
    machine = AndroidMachine(f"{android_machine.name}-closed")
    running = machine.up()
    transport = AdbTransport("lab", running.serial, running.adb_port)
    text_of(transport, f"mkdir -p {DATA}/a/b; touch {DATA}/a/b/c; chmod 0 {DATA}/a/b {DATA}/a")
    machine.down()
    assert not machine.folder.exists()


def test_a_machine_that_is_up_is_not_started_again(android_machine, android_running: Running):
    assert AndroidMachine(android_machine.name).up() == android_running
