"""The doctor: what it finds on a device that is this machine's shell, and on devices that fail in one thing each."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dwsep_devices.doctor import Check, diagnose
from dwsep_devices.errors import ConnectionLost, DeviceError, DeviceRefused, PermanentDeviceError
from dwsep_devices.inventory import KnownDevice, add_device
from dwsep_devices.lease import Lease, lease_script
from dwsep_devices.probe import SCRIPT
from dwsep_runtime.spawn import Completed, run_process

FACTS = {
    "machine": "aarch64",
    "bits": "64",
    "glibc": "glibc 2.36",
    "python": "3.11.2|64|1|glibc 2.36|/usr/bin/python3",
    "page_size": "16384",
    "nproc": "4",
    "df": "/dev/root 60000000 1000000 50000000 2% /",
    "core": "0|2400000||0x00000000414fd0b1|performance",
    "product": "Raspberry Pi 5",
    "probed": "whole",
}


class ShellHere:
    """Runs scripts by this machine's shell with a home of their own; facts and failures are made up."""

    def __init__(
        self, home: Path, facts: Mapping[str, str], refuse: DeviceError | None, damage: Callable[[str], str]
    ) -> None:
        self.name = "board"
        self._home, self._facts, self._refuse, self._damage = home, facts, refuse, damage
        self.closed = False

    def shell(
        self,
        script: str,
        *,
        stdin: str = "",
        timeout: float,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> Completed:
        if self._refuse:
            raise self._refuse
        if SCRIPT.splitlines()[2] in script:
            for key, value in self._facts.items():
                on_line(f"{key}={value}\n")
            return Completed(0, [])
        return run_process(
            ["sh", "-c", self._damage(script)],
            stdin=stdin,
            timeout=timeout,
            environment={"HOME": str(self._home)},
            on_line=on_line,
        )

    def send(self, local: Path, remote: str, *, timeout: float) -> None:  # noqa: ARG002  # the protocol's
        shutil.copyfile(local, self._damage(remote))

    def fetch(self, remote: str, local: Path, *, timeout: float) -> None:  # noqa: ARG002  # the protocol's
        shutil.copyfile(remote, local)

    def close(self) -> None:
        self.closed = True


Diagnose = Callable[..., dict[str, Check]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def examined(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Diagnose:
    """Adds a device and gives the checks of a diagnosis by their titles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    kinds = tmp_path / "edge-dwsep" / "profiles"
    kinds.mkdir(parents=True)
    lease = f'lease = "{tmp_path}/edge-dwsep.lease"\n'
    (kinds / "pi.toml").write_text(f'base = "raspberry-pi-5"\n{lease}')
    (kinds / "phone.toml").write_text(f'base = "android-phone"\nroot = "{home}/edge-dwsep"\n{lease}')
    add_device(KnownDevice("board", "pi", host="pi@board", port=2222))
    monkeypatch.setattr("dwsep_devices.adb.find_adb", lambda: "/usr/bin/adb")

    def examine(
        facts: Mapping[str, str] | None = None,
        *,
        refuse: DeviceError | None = None,
        damage: Callable[[str], str] = lambda text: text,
        has: Callable[[str], str | None] = lambda program: f"/usr/bin/{program}",
        now: float | None = None,
    ) -> dict[str, Check]:
        transport = ShellHere(home, {**FACTS, **(facts or {})}, refuse, damage)
        clock = {} if now is None else {"now": lambda: now}
        checks = diagnose("board", connect=lambda known, profile: transport, which=has, **clock)
        assert len({check.title for check in checks}) == len(checks)
        for check in checks:
            assert check.found
            assert check.found.isprintable()
            assert check.mend or check.state != "fail", check
        return {check.title: check for check in checks}

    return examine


def states(checks: dict[str, Check]) -> dict[str, str]:
    return {title: check.state for title, check in checks.items() if check.state != "ok"}


def test_a_board_that_is_ready(examined: Diagnose, home: Path) -> None:
    checks = examined()
    assert states(checks) == {}
    assert list(checks)[:8] == [
        *("ssh client", "sftp client", "pip", "connection", "host key", "login", "shell", "folder and file transfer"),
    ]
    assert checks["folder and file transfer"].found == f"{home}/.edge-dwsep"
    assert checks["machine"].found == "aarch64, glibc 2.36"
    assert list(home.iterdir()) == []


AFTER_LOGIN = dict.fromkeys(
    (
        *("shell", "folder and file transfer", "clock", "lease", "facts"),
        *("machine", "memory pages", "free space", "governor", "python", "engines"),
    ),
    "not tried",
)


@pytest.mark.parametrize(
    ("refuse", "title", "mend"),
    [
        (ConnectionLost("board: Connection refused"), "connection", "ssh -v -o Port=2222 pi@board true"),
        (PermanentDeviceError("board: Could not resolve"), "connection", "ssh -v -o Port=2222 pi@board true"),
        (DeviceRefused("board: its host key is not known."), "host key", "ssh -o Port=2222 pi@board true"),
        (
            DeviceRefused("board: the host key has changed"),
            "host key",
            "ssh-keygen -R '[board]:2222' && ssh -o Port=2222 pi@board true",
        ),
        (
            DeviceRefused('board: the host key has changed: ssh-keygen -f "/known" -R "[b]:22" && ssh b true'),
            "host key",
            'ssh-keygen -f "/known" -R "[b]:22" && ssh -o Port=2222 pi@board true',
        ),
        (DeviceRefused("board: login was refused"), "login", "ssh-copy-id -o Port=2222 pi@board"),
    ],
)
def test_a_board_that_does_not_let_in(examined: Diagnose, refuse: DeviceError, title: str, mend: str) -> None:
    checks = examined(refuse=refuse)
    reach = ["connection", "host key", "login"]
    later = dict.fromkeys(reach[reach.index(title) + 1 :], "not tried")
    assert states(checks) == {title: "fail", **later, **AFTER_LOGIN}
    assert checks[title].mend == mend
    assert not checks[title].found.startswith("board: ")


def test_a_host_without_ssh(examined: Diagnose) -> None:
    checks = examined(has=lambda program: None)
    assert checks["ssh client"].mend == "sudo apt install openssh-client"
    assert checks["connection"].found == "needs: ssh client"
    assert checks["python"].state == "not tried"


@pytest.mark.parametrize(
    ("facts", "bad", "mend"),
    [
        ({"core": "0|2400000|||ondemand"}, {"governor": "warn"}, "echo performance | sudo tee"),
        ({"machine": "x86_64"}, {"machine": "fail", "memory pages": "fail"}, "edge-dwsep devices kinds"),
        ({"df": "/dev/root 1 1 700000 2% /"}, {"free space": "warn"}, "edge-dwsep devices remove board --keep"),
        ({"bits": "32", "python": "3.9.2|32|1||/usr/bin/python3"}, {"machine": "fail", "python": "fail"}, "rpi-imager"),
        ({"python": ""}, {"python": "fail"}, "sudo apt install python3"),
        ({"python": "3.8.1|64|1|glibc 2.36|/usr/bin/python3"}, {"python": "fail"}, "sudo apt install python3"),
        ({"python": "3.13.5|64|1|glibc 2.41|/usr/bin/python3"}, {"engines: tflite-runtime": "warn"}, ""),
        (
            {"probed": ""},
            {"facts": "fail", "machine": "not tried", "engines": "not tried"},
            "edge-dwsep devices doctor",
        ),
    ],
)
def test_facts_that_keep_a_board_from_measuring(
    examined: Diagnose, facts: dict[str, str], bad: dict[str, str], mend: str
) -> None:
    checks = examined(facts)
    found = states(checks)
    assert {title: found.get(title) for title in bad} == bad
    others = {title for title, state in found.items() if state != "not tried" and not title.startswith("engines")}
    assert others <= set(bad)
    assert mend in checks[next(iter(bad))].mend


def test_a_full_board_can_have_no_engine(examined: Diagnose) -> None:
    checks = examined({"df": "/dev/root 1 1 1000 2% /"})
    assert checks["free space"].state == "fail"
    assert checks["engines: litert"].state == checks["engines: onnxruntime"].state == "fail"
    assert checks["engines: litert"].mend == "edge-dwsep devices remove board --keep"


def test_a_shell_without_a_program(examined: Diagnose) -> None:
    checks = examined(damage=lambda text: text.replace("command -v $tool", "[ $tool != stat ]"))
    assert states(checks)["shell"] == "fail"
    assert checks["shell"].found == "it lacks stat"
    assert "sudo apt install" in checks["shell"].mend
    assert checks["clock"].state == "not tried"


def test_a_shell_that_answers_garbage(examined: Diagnose) -> None:
    checks = examined(damage=lambda text: "echo This account is not available.")
    assert states(checks)["shell"] == "fail"


def test_a_folder_that_cannot_be_made(examined: Diagnose, home: Path) -> None:
    (home / ".edge-dwsep").write_text("a file")
    checks = examined()
    assert states(checks) == {"folder and file transfer": "fail"}
    assert (home / ".edge-dwsep").read_text() == "a file"


def test_a_folder_that_nothing_runs_from(examined: Diagnose) -> None:
    checks = examined(damage=lambda text: text.replace("chmod 700", "chmod 600"))
    assert states(checks) == {"folder and file transfer": "fail"}
    assert "mounted noexec" in checks["folder and file transfer"].found
    assert "remount,exec" in checks["folder and file transfer"].mend


@pytest.mark.parametrize("off", [-86_400.0, 86_400.0])
def test_a_clock_that_is_wrong(examined: Diagnose, off: float) -> None:
    import time

    checks = examined(now=time.time() + off)
    assert states(checks) == {"clock": "warn"}
    assert "sudo timedatectl set-ntp true" in checks["clock"].mend


def test_a_board_in_use(examined: Diagnose, tmp_path: Path) -> None:
    other = Lease(f"{tmp_path}/edge-dwsep.lease", owner="anna@desk:1:1")
    run_process(["sh", "-c", lease_script(other, 100)], timeout=10)
    checks = examined()
    assert states(checks) == {"lease": "warn"}
    assert checks["lease"].found.startswith("in use by anna@desk")


def test_a_place_where_no_lease_can_be_kept(examined: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "edge-dwsep.lease").write_text("a file")
    checks = examined()
    assert states(checks) == {"lease": "fail"}
    assert checks["lease"].mend.endswith(f"'sudo rm -rf {tmp_path}/edge-dwsep.lease'")


def test_a_phone(examined: Diagnose) -> None:
    add_device(KnownDevice("board", "phone", serial="A1"), replace=True)
    android = {"android": "14", "sdk": "34", "page_size": "4096", "core": "0|1|||schedutil", "python": ""}
    checks = examined(android)
    assert states(checks) == {"governor": "warn"}
    assert "python" not in checks
    assert checks["bundle"].found == "made of Debian's packages"
    without_apt = examined(android, has=lambda program: None)["bundle"]
    assert without_apt.state == ("ok" if platform.machine() == "aarch64" else "fail")
    refused = examined(android, refuse=DeviceRefused("board: A1 has not authorized this host"))
    assert states(refused)["login"] == "fail"
    assert "adb kill-server" in refused["login"].mend


def test_an_emulator_added_as_a_phone_is_told(examined: Diagnose) -> None:
    add_device(KnownDevice("board", "phone", serial="emulator-5554"), replace=True)
    checks = examined({"android": "14", "sdk": "34", "page_size": "4096", "qemu": "1"})
    assert states(checks) == {"kind": "fail"}
    assert checks["kind"].mend == (
        "edge-dwsep devices add board --replace --kind android-emulator-arm64 --serial emulator-5554"
    )


def test_this_machine() -> None:
    checks = {check.title: check for check in diagnose("local")}
    assert checks["engine litert"].state == checks["engine onnxruntime"].state == "ok"
    assert "login" not in checks
