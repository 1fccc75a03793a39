"""The lab's pure parts: device trees, RAM disks, processes found by their mark, what QEMU's monitor says."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import platform
import shutil
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dwsep_devices import lab
from dwsep_devices.cache import locked, locked_if_free
from dwsep_devices.errors import HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_devices.lab import device_tree, guest, initrd, processes
from dwsep_devices.lab.access import write_access
from dwsep_devices.lab.android import AndroidMachine
from dwsep_devices.lab.image import Image
from dwsep_devices.lab.machine import Guest, forwarded, snapshot_key
from dwsep_devices.lab.pi import BOARDS, PiMachine
from dwsep_devices.lab.qmp import connect


def tree(model: str, *, strings_first: bool = False) -> bytes:
    """A device tree: a root with compatible and model, and a child that has a model too."""
    strings = b"compatible\0model\0"

    def property_(name: int, value: bytes) -> bytes:
        return struct.pack(">III", 3, len(value), name) + value + bytes(-len(value) % 4)

    node = struct.pack(">I4x", 1)
    child = struct.pack(">I", 1) + b"cpu\0" + property_(11, b"inner\0") + struct.pack(">I", 2)
    nothing = struct.pack(">I", 4)
    body = (
        node
        + nothing
        + property_(0, b"a\0b\0")
        + property_(11, model.encode() + b"\0")
        + child
        + struct.pack(">II", 2, 9)
    )
    reserved = bytes(16)
    at_strings, at_body = (56, 76) if strings_first else (56 + len(body), 56)
    header = struct.pack(">10I", 0xD00DFEED, 4096, at_body, at_strings, 40, 17, 16, 0, len(strings), len(body))
    blocks = [strings.ljust(20, b"\0"), body] if strings_first else [body, strings]
    return (header + reserved + b"".join(blocks)).ljust(4096, b"\0")


@pytest.mark.parametrize("strings_first", [False, True])
@pytest.mark.parametrize("before", ["", "abc", "linux,dummy-virt", "x" * 100])
@pytest.mark.parametrize("after", ["", "Raspberry Pi 4 Model B (emulated)", "Raspberry Pi 5"])
def test_the_model_of_a_device_tree_is_replaced_and_nothing_else(before, after, strings_first):
    made = device_tree.with_model(tree(before, strings_first=strings_first), after)
    assert device_tree.model_of(made) == after
    assert b"inner\0" in made
    assert len(made) == struct.unpack_from(">I", made, 4)[0] < 1024
    again = device_tree.with_model(made, before)
    assert device_tree.with_model(again, after) == made


@pytest.mark.skipif(shutil.which("dtc") is None, reason="device-tree-compiler is not installed")
def test_the_device_tree_compiler_reads_what_was_made(tmp_path):
    (tmp_path / "dtb").write_bytes(device_tree.with_model(tree("linux,dummy-virt"), "Raspberry Pi 4"))
    told = subprocess.run(["dtc", "-I", "dtb", tmp_path / "dtb"], capture_output=True, text=True, check=True)
    assert 'model = "Raspberry Pi 4";' in told.stdout
    assert 'model = "inner";' in told.stdout
    assert "linux" not in told.stdout


@pytest.mark.parametrize("given", [b"", b"\xd0\x0d\xfe\xed", bytes(100), tree("x").replace(b"model", b"other")])
def test_what_is_no_device_tree_is_refused(given):
    with pytest.raises(PermanentDeviceError, match="device tree"):
        device_tree.with_model(given, "x")


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_unpacks_an_initial_ram_disk(tmp_path):
    files = {
        "bin": (stat.S_IFDIR | 0o755, b""),
        "bin/one": (stat.S_IFREG | 0o755, b"12345"),
        "link": (stat.S_IFLNK | 0o777, b"bin/one"),
        "empty": (stat.S_IFREG | 0o600, b""),
    }
    whole = gzip.decompress(initrd.archive(files))
    subprocess.run(["cpio", "-id", "--quiet"], input=whole, cwd=tmp_path, check=True)
    assert (tmp_path / "link").read_bytes() == b"12345"
    assert stat.S_IMODE((tmp_path / "bin/one").stat().st_mode) == 0o755
    assert (tmp_path / "empty").stat().st_size == 0


def test_an_initial_ram_disk_is_the_same_each_time():
    files = {"bin": (stat.S_IFDIR | 0o755, b""), "bin/one": (stat.S_IFREG | 0o755, b"12345")}
    assert initrd.archive(files) == initrd.archive(files)
    whole = gzip.decompress(initrd.archive(files))
    assert whole.startswith(b"070701")
    assert len(whole) % 4 == 0


def test_modules_come_after_those_that_they_need(tmp_path):
    for name, needs in (("net", "failover-core"), ("failover_core", ""), ("blk", ""), ("other", "net")):
        content = b"\x7fELF\0license=GPL\0depends=" + needs.encode() + b"\0name=" + name.encode() + b"\0"
        (tmp_path / f"{name.replace('_', '-')}.ko.xz").write_bytes(lzma.compress(content))
    (tmp_path / "plain.ko").write_bytes(b"\0depends=blk\0")
    found = initrd.modules(tmp_path, ["net", "plain", "blk", "built_in"])
    assert list(found) == ["failover_core", "net", "blk", "plain"]


def test_a_module_that_is_needed_and_not_there_is_named(tmp_path):
    (tmp_path / "net.ko").write_bytes(b"\0depends=gone\0")
    with pytest.raises(PermanentDeviceError, match="net needs gone"):
        initrd.modules(tmp_path, ["net"])


def test_processes_are_found_by_their_mark_and_ended(tmp_path):
    folder, other = tmp_path / "one", tmp_path / "one-other"
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    running = [subprocess.Popen(command, env={**os.environ, processes.MARK: str(mark)}) for mark in (folder, other)]
    try:
        until = time.monotonic() + 10
        while len(processes.marked(folder)) + len(processes.marked(other)) < 2:
            assert time.monotonic() < until
        assert [pid for pid, _ in processes.marked(folder)] == [running[0].pid]
        assert processes.end_marked(folder) == 1
        assert processes.marked(folder) == []
        assert running[1].poll() is None
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_a_process_that_got_the_number_of_another_is_left_alone():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        start = processes.started_at(process.pid)
        assert start is not None
        assert processes.end(process.pid, start - 1)
        assert process.poll() is None
        assert processes.end(process.pid, start)
        assert not processes.is_running(process.pid, start)
    finally:
        process.kill()
        process.wait()


def test_ports_are_read_from_what_the_monitor_says():
    told = (
        "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
        "  TCP[HOST_FORWARD]   9       127.0.0.1 33493       10.0.2.15    22     0     0\r\n"
        "  TCP[ESTABLISHED]   12       127.0.0.1 33493       10.0.2.15    22     0     0\r\n"
        "  TCP[HOST_FORWARD]   8       127.0.0.1 42837       10.0.2.15  5555     0     0\r\n"
    )
    assert forwarded(told) == {22: 33493, 5555: 42837}
    assert forwarded("") == {}


def test_a_socket_below_a_long_path_is_reached(tmp_path):
    import socket

    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)
        try:
            server.bind("qmp")
        finally:
            os.chdir(here)
        server.listen()
        connect(folder / "qmp", 1).close()


def test_an_emulator_that_has_ended_is_not_waited_for(tmp_path):
    with pytest.raises(TransientDeviceError, match="nothing answers"):
        connect(tmp_path / "qmp", 60, alive=lambda: False)


def test_what_is_not_up_says_how_to_start_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("pi4", "pi5", "android-arm64", "android"):
        with pytest.raises(PermanentDeviceError, match=f"^lab-{name}: .* edge-dwsep lab up {name}$"):
            lab.connection(name)
        assert not lab.LABS[name].status().up
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "riscv64"), ("win32", "AMD64")])
def test_other_hosts_are_refused_with_the_reason(tmp_path, monkeypatch, system, machine):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(HostLacks, match=f"Debian, Ubuntu or the like; this is {system} on {machine}"):
        PiMachine(BOARDS["pi4"]).up()


def test_programs_that_are_missing_are_named_with_the_command_that_installs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    for name in ("apt-get", "dpkg-deb", "ssh", "ssh-keygen", "mke2fs", "debugfs"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(
        HostLacks, match=r"what is needed .*: qemu-system-aarch64; .* --no-install-recommends qemu-system-arm$"
    ):
        PiMachine(BOARDS["pi4"]).up()


def test_a_state_of_another_version_is_no_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = PiMachine(BOARDS["pi4"])
    found.folder.mkdir(parents=True)
    for text in (
        "",
        "[]",
        "{}",
        '{"pid": "x", "start": 1, "ports": {}}',
        '{"pid": 1, "start": 1, "ports": {}, "owner": 3}',
    ):
        (found.folder / "state.json").write_text(text)
        with pytest.raises(PermanentDeviceError, match="is not up"):
            found.connection()
    assert found.running() is None
    assert not found.folder.exists()


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", 'both\\"', "per%cent", "a b"])
@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
def test_ssh_reads_the_folder_of_a_machine_as_it_is_called(tmp_path, name):
    image = Image(tmp_path / "image", "key")
    image.folder.mkdir()
    (image.folder / "client_key").write_text("secret")
    (image.folder / "host_key.pub").write_text("ssh-ed25519 AAAA comment")
    folder = tmp_path / name
    folder.mkdir()
    write_access(image, BOARDS["pi4"], Guest(folder, 1, 1, {22: 2222}))
    command = ["ssh", "-F", folder / "ssh_config", "-G", "pi4"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"userknownhostsfile {folder}/known_hosts" in told
    assert f"identityfile {str(folder).replace('%', '%%')}/client_key" in told  # shown as it is written


def counting(folder: Path, *, name: str = "pi4-instructions-abc") -> subprocess.Popen[bytes]:
    """A process that stands for the emulator of a machine that counts; its state was not written yet."""
    (folder / name).mkdir(parents=True)
    (folder / f"{name}.lock").touch()
    environment = {**os.environ, processes.MARK: str(folder / name)}
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)


@pytest.mark.parametrize("end", ["status", "down"])
def test_a_counting_machine_that_is_being_started_is_left_alone_and_ended_when_its_owner_was_killed(
    tmp_path, monkeypatch, end
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = tmp_path / "edge-dwsep/lab/run"
    emulator = counting(run)
    try:
        with locked(run / "pi4-instructions-abc.lock"):
            getattr(lab.LABS["pi4"], end)()
            assert emulator.poll() is None
            assert (run / "pi4-instructions-abc.lock").exists()
        getattr(lab.LABS["pi4"], end)()
        assert processes.started_at(emulator.pid) is None
        assert [path.name for path in run.iterdir() if path.name.startswith("pi4-instructions")] == []
    finally:
        emulator.kill()
        emulator.wait()


def test_who_waits_for_a_lock_whose_file_is_removed_takes_the_new_one(tmp_path):
    path = tmp_path / "lock"
    source = (
        "import sys; from pathlib import Path; from dwsep_devices.cache import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with locked(path):
        command = [sys.executable, "-c", source, path]
        waiting = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        waits_for_lock(waiting.pid)
        path.unlink()
    try:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == b"held\n"
        with locked_if_free(path) as ours:
            assert not ours
    finally:
        waiting.communicate()
    with locked_if_free(path) as ours:
        assert ours


def waits_for_lock(pid: int) -> None:
    until = time.monotonic() + 30
    while not any(f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines() if "->" in line):
        assert time.monotonic() < until, "it does not wait"
        time.sleep(0.01)


def test_status_does_not_end_a_machine_that_another_program_starts_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = AndroidMachine()
    found.folder.mkdir(parents=True)
    environment = {**os.environ, processes.MARK: str(found.folder)}
    machine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    command = [sys.executable, "-c", "from dwsep_devices import lab; print(lab.LABS['android'].status().up)"]
    try:
        with found._alone():  # as it is by the program that starts it
            asking = subprocess.Popen(command, stdout=subprocess.PIPE)
            waits_for_lock(asking.pid)
            state = {"pid": machine.pid, "start": processes.started_at(machine.pid), "port": 1, "adb_port": 1}
            (found.folder / "state.json").write_text(json.dumps(state))
        assert asking.communicate(timeout=30)[0] == b"True\n"
        assert machine.poll() is None
        (found.folder / "state.json").unlink()
        assert not lab.LABS["android"].status().up
        assert processes.started_at(machine.pid) is None
        assert not found.folder.exists()
    finally:
        machine.kill()
        machine.wait()


def test_a_new_root_takes_the_place_of_those_that_no_machine_has(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def build_root(layout, packages, target, scratch):
        del layout, packages
        target.mkdir(parents=True)
        scratch.mkdir()

    monkeypatch.setattr("dwsep_devices.lab.android_root.build_root", build_root)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    roots = tmp_path / "edge-dwsep/lab/android"
    for name in ("used", "old", "killed.part"):
        (roots / name / "root").mkdir(parents=True)
    config = tmp_path / "edge-dwsep/lab/run/other/config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"root": str(roots / "used/root")}))
    told: list[str] = []
    for refresh in (False, True):
        asked: list[bool] = []

        def root_packages(layout, *, refresh, on_fetch, asked=asked):
            del layout, on_fetch
            asked.append(refresh)
            return []

        monkeypatch.setattr("dwsep_devices.lab.android_root.root_packages", root_packages)
        made = lab.LABS["android"].build(refresh=refresh, on_step=told.append)
        assert (made["packages"], asked) == ([], [refresh])
        assert {path.name for path in roots.iterdir() if path.is_dir()} == {"used", made["key"]}
    assert told == ["making its root"]


def test_a_snapshot_is_of_one_image_and_not_of_another_made_of_the_same(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/qemu-system-aarch64").write_text("#!/bin/sh\n")
    (tmp_path / "bin/qemu-system-aarch64").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    keys = []
    for host_key in ("one", "one", "other"):
        (tmp_path / "host_key.pub").write_text(host_key)
        keys.append(snapshot_key(Image(tmp_path, "same"), BOARDS["pi4"]))
    assert keys[0] == keys[1] != keys[2]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "edge-dwsep").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in lab.LABS:
        with pytest.raises(PermanentDeviceError, match=f"^lab-{name}: .*edge-dwsep.* cannot be used: Not a directory"):
            lab.LABS[name].down()


def test_down_all_ends_the_others_where_one_does_not_end(monkeypatch):
    from click.testing import CliRunner

    from edge_dwsep.cli.lab import down

    class Machine:
        def __init__(self, name, ends):
            self.name, self.ends = name, ends

        def down(self):
            if not self.ends:
                raise TransientDeviceError(f"{self.name} does not end")
            return True

    monkeypatch.setattr(lab, "LABS", {name: Machine(name, name != "b") for name in "abc"})
    told = CliRunner().invoke(down, ["--all"])
    assert told.output == "a, c ended\n"
    assert str(told.exception) == "b does not end"


def test_the_lab_can_be_asked_where_the_system_is_not_linux(tmp_path):
    source = (
        "import os\n"
        "for name in [name for name in dir(os) if name.startswith('ST_')]: delattr(os, name)\n"
        "from dwsep_devices import lab; print([one.status().up for one in lab.LABS.values()])"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "[False, False, False, False]\n"


def test_the_guest_has_each_package_once():
    assert len(set(guest.PACKAGES)) == len(guest.PACKAGES)
    assert all(package.islower() for package in guest.PACKAGES)
