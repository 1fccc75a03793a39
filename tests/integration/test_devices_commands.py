"""``edge-dwsep devices`` as a user meets it: devices kept, looked at over a real ssh, cleared; refusals in one line."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dwsep_devices.inventory import BUILT_IN
from dwsep_devices.probe import parse_facts, probe_script
from dwsep_devices.registry import open_device
from edge_dwsep.cli import main
from tests.android_fixtures import android_machine, android_running
from tests.ssh_fixtures import TEST_USER, SshHost, ssh_host

if TYPE_CHECKING:
    from dwsep_devices.lab.android import Running

__all__ = ["android_machine", "android_running", "ssh_host"]

INVALID, DEVICE, USAGE = 3, 7, 2
LEASE = f"/tmp/edge-dwsep-commands-{os.getpid()}.lease"  # noqa: S108  # the user that logs in writes there


class Answer:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code, self.output, self.errors = code, output, errors

    @property
    def json(self) -> Any:
        return json.loads(self.output)


Command = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "edge-dwsep"


@pytest.fixture
def devices(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> Answer:
        code = main(["devices", *map(str, arguments)])
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def board(devices: Command, folder: Path, ssh_host: SshHost) -> str:
    """A device added by the command line that leads to a real sshd, with a lease of its own."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "board.toml").write_text(f'base = "generic-linux"\nlease = "{LEASE}"\n')
    user = TEST_USER if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    added = devices(
        *("add", "board", "--kind", "board", "--host", f"{user}@127.0.0.1", "--port", ssh_host.port),
        *("--identity", ssh_host.folder / "client_key", "--root", "~/.edge-dwsep-commands"),
        *("--ssh-option", f"UserKnownHostsFile={ssh_host.folder}/known_hosts"),
        *("--ssh-option", "GlobalKnownHostsFile=/dev/null", "--ssh-option", "IdentitiesOnly=yes"),
    )
    assert added.code == 0, added.errors
    return "board"


def test_a_device_is_added_listed_and_forgotten(devices: Command, folder: Path) -> None:
    added = devices("add", "pi", "--kind", "raspberry-pi-5", "--host", "pi@raspberrypi.local")
    assert added.code == 0
    assert "edge-dwsep devices doctor pi" in added.output
    listed = devices("list", "--json").json
    assert [entry["name"] for entry in listed] == ["pi", *BUILT_IN]
    assert listed[0] == {
        "name": "pi",
        "kind": "raspberry-pi-5",
        "transport": "ssh",
        "where": "pi@raspberrypi.local",
        "emulated": False,
        "error": "",
    }
    assert "pi@raspberrypi.local" in devices("list").output
    assert devices("remove", "pi", "--forget").code == 0
    assert list((folder / "devices").iterdir()) == []


def test_a_broken_file_does_not_keep_the_others_from_being_listed(devices: Command, folder: Path) -> None:
    (folder / "devices").mkdir(parents=True)
    (folder / "devices" / "broken.toml").write_text("kind = \n")
    listed = devices("list", "--json")
    assert listed.code == 0
    assert "is no TOML" in listed.json[0]["error"]
    assert devices("list").errors.startswith("broken: ")


def test_kinds_show_the_users_own(devices: Command, folder: Path) -> None:
    (folder / "profiles").mkdir(parents=True)
    (folder / "profiles" / "rig.toml").write_text('base = "generic-linux"\ntitle = "our rig"\n')
    kinds = {kind["kind"]: kind for kind in devices("kinds", "--json").json}
    assert kinds["rig"]["title"] == "our rig"
    assert kinds["rig"]["file"].endswith("rig.toml")
    assert kinds["lab-pi4"]["emulated"]
    assert "our rig" in devices("kinds").output


PI = ("--kind", "raspberry-pi-5", "--host", "pi@x")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "pi"], USAGE, "--kind is missing; give one of android-emulator-arm64"),
        (["add", "pi", "--kind", "raspbery-pi-5"], INVALID, "did you mean 'raspberry-pi-5'?"),
        (["add", "pi", "--kind", "raspberry-pi-5"], INVALID, "needs a host; add --host USER@HOST"),
        (["add", "--", "-pi", *PI], USAGE, "unexpected extra arguments"),
        (["add", *PI, "--", "-pi"], INVALID, "a device is named by at most 64 letters"),
        (["add", "a\nb", *PI], INVALID, "a device is named by at most 64 letters"),
        (["add", "$(touch x)", *PI], INVALID, "a device is named by at most 64 letters"),
        (["add", "../x", *PI], INVALID, "a device is named by at most 64 letters"),
        (["add", "π", *PI], INVALID, "a device is named by at most 64 letters"),
        (["add", "local", *PI], INVALID, "device local is built in and needs no adding"),
        (["add", "pi", "--kind", "raspberry-pi-5", "--host=-oProxyCommand=id"], INVALID, "may not begin with '-'"),
        (["add", "pi", "--kind", "raspberry-pi-5", "--host", "a b"], INVALID, "host must be USER@HOST"),
        (
            ["add", "pi", "--kind", "raspberry-pi-5", "--host", "pi@h:22"],
            INVALID,
            "host must be a host without its port",
        ),
        (["add", "pi", *PI, "--port", "0"], USAGE, "--port"),
        (["add", "pi", *PI, "--identity", "/nowhere/key"], INVALID, "--identity must be the file of a private key"),
        (["add", "pi", *PI, "--ssh-option", "-oX=y"], USAGE, "--ssh-option must be NAME=VALUE"),
        (["add", "pi", *PI, "--root", "/"], INVALID, "root must be a path whose last name has 'edge-dwsep' in it"),
        (["add", "pi", *PI, "--serial", "x"], INVALID, "is not reached by adb; leave out --serial"),
        (["add", "p", "--kind", "android-phone", "--serial=-d"], INVALID, "may not begin with '-'"),
        (["probe", "nope"], INVALID, "unknown device 'nope'"),
        (["doctor", "a\nb"], INVALID, "add it with: edge-dwsep devices add NAME --kind KIND"),
        (["provision", "local"], INVALID, "device local is this machine"),
        (["provision", "lab-pi4", "--engine", "litr"], INVALID, "unknown engine 'litr': did you mean 'litert'?"),
        (["remove", "local"], INVALID, "device local is this machine"),
        (["remove", "local", "--forget"], INVALID, "is built in and cannot be forgotten"),
        (["remove", "nope", "--forget"], INVALID, "unknown device 'nope'"),
        (["remove", "x", "--forget", "--keep"], USAGE, "--keep and --forget contradict one another"),
        (["start", "android-emulater", "--avd", "x"], INVALID, "did you mean 'android-emulator'?"),
        (["lst"], USAGE, "did you mean 'list'?"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    devices: Command, folder: Path, arguments: list[str], code: int, said: str
) -> None:
    answer = devices(*arguments)
    last = answer.errors.strip().splitlines()[-1]
    assert (answer.code, said in last) == (code, True), answer.errors
    assert code == USAGE or len(answer.errors.strip().splitlines()) == 1
    assert "Traceback" not in answer.errors
    assert not folder.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('kind = "raspberry-pi-5"\nhots = "x"', "did you mean 'host'?"),
        ('kind = "raspberry-pi-5"\nhost = "-oProxyCommand=id"', "may not begin with '-'"),
        ("\0", "is no TOML"),
    ],
)
@pytest.mark.parametrize("command", ["probe", "doctor", "provision", "remove"])
def test_a_file_that_was_edited_wrongly(devices: Command, folder: Path, command: str, content: str, said: str) -> None:
    (folder / "devices").mkdir(parents=True)
    (folder / "devices" / "pi.toml").write_text(content)
    answer = devices(command, "pi")
    assert answer.code == INVALID
    assert len(answer.errors.splitlines()) == 1
    assert said in answer.errors
    assert devices("remove", "pi", "--forget").code == 0


def test_a_config_folder_that_cannot_be_written(
    devices: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    answer = devices("add", "pi", *PI)
    assert answer.code == DEVICE
    assert answer.errors.count("\n") == 1
    assert "could not be written: Not a directory; set XDG_CONFIG_HOME" in answer.errors
    assert devices("list").code == 0


def test_devices_load_no_tensorflow(folder: Path) -> None:
    code = (
        "import json, sys; from edge_dwsep.cli import main; main(['devices', 'add', 'pi', '--kind', 'raspberry-pi-5',"
        "'--host', 'x']); main(['devices', 'list']); main(['devices', 'probe', 'local']);"
        "print(json.dumps([name for name in ('tensorflow', 'keras', 'onnxruntime', 'ai_edge_litert', 'numpy')"
        " if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []


SHELLS = {"sh": ["sh"], "dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"], "mksh": ["mksh"]}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_probe_runs_on_every_shell(shell: str, tmp_path: Path) -> None:
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"there is no {SHELLS[shell][0]}")
    run = subprocess.run(
        [*SHELLS[shell], "-c", probe_script(f"{tmp_path}/it's; $(here)/edge-dwsep")],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    facts = parse_facts(run.stdout)
    assert run.stderr == ""
    assert facts.machine == os.uname().machine
    assert facts.kernel == os.uname().release
    assert facts.bits == (64 if sys.maxsize > 2**32 else 32)
    assert facts.page_size == os.sysconf("SC_PAGE_SIZE")
    assert facts.cores >= 1
    assert facts.memory_bytes > 0
    assert facts.free_bytes
    assert abs(facts.free_bytes - shutil.disk_usage(tmp_path).free) < 2e9
    assert all(python.path.startswith("/") for python in facts.pythons)


def test_the_probe_needs_hardly_anything(tmp_path: Path) -> None:
    for name in ("uname", "sed", "head", "grep"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    run = subprocess.run(
        ["/bin/sh", "-c", probe_script()], capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=True
    )
    facts = parse_facts(run.stdout)
    assert facts.machine == os.uname().machine
    assert facts.page_size == os.sysconf("SC_PAGE_SIZE")
    assert (facts.pythons, facts.free_bytes) == ((), None)


def test_probe_and_doctor_over_ssh(devices: Command, board: str, ssh_host: SshHost) -> None:
    told = devices("probe", board, "--json")
    assert told.code == 0, told.errors
    assert told.json["name"] == "board"
    assert told.json["machine"] == os.uname().machine
    assert set(told.json["environments"]) == {"litert", "onnxruntime", "tflite-runtime"}
    assert "C library" in devices("probe", board).output
    examined = devices("doctor", board, "--json")
    by_title = {check["title"]: check for check in examined.json}
    assert by_title["login"]["state"] == by_title["folder and file transfer"]["state"] == "ok"
    assert by_title["folder and file transfer"]["found"] == f"{ssh_host.home}/.edge-dwsep-commands"
    assert not (ssh_host.home / ".edge-dwsep-commands").exists()


def test_a_changed_host_key_is_refused_with_what_mends_it(devices: Command, board: str, ssh_host: SshHost) -> None:
    open_device(board).transport.disconnect()  # type: ignore[attr-defined]
    known = ssh_host.folder / "known_hosts"
    before = known.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh_host.folder / "other")], check=True)
    try:
        known.write_text(f"{before.split()[0]} {(ssh_host.folder / 'other.pub').read_text()}")
        checks = {check["title"]: check for check in devices("doctor", board, "--json").json}
        assert checks["host key"]["state"] == "fail"
        assert f'ssh-keygen -f "{known}" -R "[127.0.0.1]:{ssh_host.port}" && ssh ' in checks["host key"]["mend"]
        assert checks["login"]["state"] == "not tried"
        assert devices("doctor", board).code == DEVICE
        assert devices("probe", board).code == DEVICE
        known.write_text("")
        checks = {check["title"]: check for check in devices("doctor", board, "--json").json}
        assert "not known" in checks["host key"]["found"]
        assert checks["host key"]["mend"].endswith("127.0.0.1 true")
    finally:
        known.write_text(before)


def test_remove_leaves_nothing_on_the_device_nor_in_the_list(devices: Command, board: str, ssh_host: SshHost) -> None:
    ours = ssh_host.home / ".edge-dwsep-commands"
    with_files = open_device(board)
    with_files.run(["sh", "-c", "mkdir blobs; echo x > blobs/x"], timeout=30)
    with_files.close()
    assert (ours / "blobs" / "x").exists()
    kept = devices("remove", board, "--keep")
    assert kept.code == 0, kept.errors
    assert not ours.exists()
    assert devices("list", "--json").json[0]["name"] == board
    assert devices("remove", board).output.endswith("board is forgotten\n")
    assert devices("list", "--json").json[0]["name"] == "local"
    assert not ours.exists()
    assert not Path(LEASE).exists()


def test_a_device_in_use_is_not_cleared(devices: Command, board: str) -> None:
    holder = open_device(board)
    holder.run(["true"], timeout=30)
    try:
        answer = devices("remove", board, "--no-wait")
        assert answer.code == DEVICE
        assert "in use by" in answer.errors
        assert devices("list", "--json").json[0]["name"] == board
        assert devices("probe", board).code == 0
        checks = {check["title"]: check["state"] for check in devices("doctor", board, "--json").json}
        assert checks["lease"] == "warn"
    finally:
        holder.close()
    assert devices("remove", board, "--no-wait").code == 0


def test_a_device_that_is_off_is_not_forgotten_unless_that_is_said(devices: Command) -> None:
    devices("add", "off", "--kind", "raspberry-pi-4", "--host", "pi@127.0.0.1", "--port", "9")
    answer = devices("remove", "off")
    assert answer.code == DEVICE
    assert answer.errors.startswith("edge-dwsep: off: ")
    assert answer.errors.strip().endswith("without contacting it: edge-dwsep devices remove off --forget")
    assert devices("list", "--json").json[0]["name"] == "off"
    assert devices("remove", "off", "--forget").code == 0


def test_a_lab_machine_that_is_not_up(devices: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answer = devices("probe", "lab-pi4")
    assert answer.code == DEVICE
    assert "edge-dwsep lab up pi4" in answer.errors
    checks = {check["title"]: check for check in devices("doctor", "lab-pi4", "--json").json}
    assert checks["lab machine"]["state"] == "fail"
    assert checks["lab machine"]["mend"] == "edge-dwsep lab up pi4"
    assert checks["connection"]["state"] == "not tried"


def test_a_phone_by_adb(devices: Command, android_running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(android_running.adb_port))
    added = devices("add", "phone", "--kind", "android-emulator-x86_64", "--json")
    assert added.code == 0, added.errors
    assert added.json["serial"] == android_running.serial
    told = devices("probe", "phone", "--json").json
    assert told["libc"] == "bionic"
    assert told["android_sdk"] >= 30
    assert told["machine"] == os.uname().machine
    checks = {check["title"]: check for check in devices("doctor", "phone", "--json").json}
    assert [title for title, check in checks.items() if check["state"] not in {"ok", "warn"}] == []
    assert checks["folder and file transfer"]["found"] == "/data/local/tmp/edge-dwsep"
    assert devices("remove", "phone").code == 0


def test_an_android_device_that_is_not_there(
    devices: Command, android_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(android_running.adb_port))
    devices("add", "phone", "--kind", "android-phone", "--serial", "39281FDJG001AB")
    answer = devices("probe", "phone")
    assert answer.code == DEVICE
    assert android_running.serial in answer.errors
    checks = {check["title"]: check for check in devices("doctor", "phone", "--json").json}
    assert (checks["connection"]["state"], checks["login"]["state"]) == ("fail", "not tried")


def test_a_started_emulator_becomes_a_device_of_its_kind(
    devices: Command, android_running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(android_running.adb_port))
    monkeypatch.setattr("dwsep_devices.emulator.start_emulator", lambda avd, on_step: android_running.serial)
    started = devices("start", "android-emulator", "--avd", "Pixel_8_API_35", "--json")
    assert started.code == 0, started.errors
    assert started.json["kind"] == "android-emulator-x86_64"
    listed = devices("list", "--json").json[0]
    assert (listed["name"], listed["where"], listed["emulated"]) == ("Pixel_8_API_35", android_running.serial, True)
    assert devices("start", "android-emulator", "--avd", "Pixel_8_API_35").code == 0
    devices("add", "pi", *PI)
    refused = devices("start", "android-emulator", "--avd", "Pixel_8_API_35", "--name", "pi")
    assert refused.code == INVALID
    assert "device pi is a raspberry-pi-5; give the emulator another name" in refused.errors
    assert devices("start", "android-emulator", "--avd", "a b").code == INVALID
