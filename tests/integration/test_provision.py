"""Environments made on a device that is this machine behind a shell: with real packages, and with what can go wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from dwsep_devices import provision as provisioning
from dwsep_devices import run_job
from dwsep_devices.environments import ENVIRONMENTS
from dwsep_devices.errors import DeviceFull, DeviceUnsuitable, TransientDeviceError
from dwsep_devices.probe import probe
from dwsep_devices.provision import command_for, environment_facts, provision
from dwsep_devices.remote import RemoteDevice
from dwsep_devices.suitability import pythons_for
from dwsep_devices.wheels import fetch
from dwsep_runtime.errors import UnknownName
from dwsep_runtime.scenarios import ColdStart, SingleStream
from tests.shell_device import shell_device
from tests.small_models import small_onnx, small_tflite

QUICK = SingleStream(min_samples=30, min_seconds=0.05)
AARCH64 = 183
"""EM_AARCH64 (ELF for the Arm 64-bit Architecture)."""

Board = Callable[[str], RemoteDevice]


@pytest.fixture(scope="session")
def wheel_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of packages that all tests share; what is fetched is fetched once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(wheel_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(wheel_cache))


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """Opens boards, each with a folder of its own."""
    opened: list[RemoteDevice] = []

    def open_board(folder: str = "board") -> RemoteDevice:
        opened.append(shell_device(tmp_path / folder))
        return opened[-1]

    yield open_board
    for device in opened:
        device.close()


@pytest.fixture(scope="module")
def provided(tmp_path_factory: pytest.TempPathFactory, wheel_cache: Path) -> Iterator[RemoteDevice]:
    """A board with every environment, in a folder with a hostile name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(wheel_cache))
        device = shell_device(tmp_path_factory.mktemp("provided") / "it's; $(touch x) ä")
        try:
            for environment in ENVIRONMENTS:
                if pythons_for(ENVIRONMENTS[environment], device.facts()):
                    provision(device, environment)
        except TransientDeviceError as error:
            pytest.skip(str(error))
        yield device
        device.close()


def env(device: RemoteDevice) -> list[str]:
    folder = Path(device.root, "env")
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def questions(device: RemoteDevice) -> int:
    transport: Any = device.transport
    return len(transport.scripts)


@pytest.mark.slow
class TestEveryEnvironment:
    def test_one_with_a_damaged_record_is_made_again(self, provided: RemoteDevice) -> None:
        made = provision(provided, "onnxruntime")
        Path(provided.root, "env", made.environment_hash, "environment.json").write_text("nonsense")
        assert provision(provided, "onnxruntime") == made

    @pytest.mark.parametrize(
        ("engine", "package"),
        [
            ("tflite", "ai-edge-litert"),
            ("litert", "ai-edge-litert"),
            ("onnxruntime", "onnxruntime"),
            ("tflite-runtime", "tflite-runtime"),
        ],
    )
    def test_a_job_runs_in_it(self, provided: RemoteDevice, tmp_path: Path, engine: str, package: str) -> None:
        if engine == "tflite-runtime" and not pythons_for(ENVIRONMENTS[engine], provided.facts()):
            pytest.skip("this machine has no Python that tflite-runtime has packages for")
        file = tmp_path / ("m.onnx" if engine == "onnxruntime" else "m.tflite")
        file.write_bytes(small_onnx() if engine == "onnxruntime" else small_tflite())
        result = run_job(provided, file, engine, QUICK, timeout=120)
        expected = "2.14.0" if engine == "tflite-runtime" else version(package)
        assert result["engine"]["version"] == expected
        told = result["environment"]
        assert told["packages"][package] == expected
        assert Path(provided.root, "env", told["hash"], "environment.json").exists()

    def test_a_run_may_start_others_in_it(self, provided: RemoteDevice, tmp_path: Path) -> None:
        file = tmp_path / "m.tflite"
        file.write_bytes(small_tflite())
        scenario = ColdStart(tuple(command_for(provided, "litert")), 2)
        result = run_job(provided, file, "litert", scenario, timeout=120)
        assert result["measured"]["child"]["engine"]["version"] == version("ai-edge-litert")

    def test_what_is_there_costs_one_question(self, provided: RemoteDevice, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(provisioning, "_USED", type(provisioning._USED)())
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        before = questions(provided)
        command = command_for(provided, "litert")
        assert questions(provided) == before + 1
        facts = environment_facts(provided, "litert")
        assert questions(provided) == before + 1
        assert command[0] == "env"
        assert f"{provided.root}/env/{facts['hash']}/bin/python" in command

    def test_wheels_are_not_kept_on_the_device(self, provided: RemoteDevice) -> None:
        assert [path for path in Path(provided.root, "blobs").iterdir() if path.suffix == ".whl"] == []

    def test_packages_of_the_device_stay_out(
        self, provided: RemoteDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "numpy.py").write_text("raise SystemExit('the NumPy of the device')")
        (tmp_path / "m.onnx").write_bytes(small_onnx())
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("PYTHONHOME", "/no/such/home")
        assert run_job(provided, tmp_path / "m.onnx", "onnxruntime", QUICK, timeout=120)["measured"]

    def test_no_run_writes_into_it(self, provided: RemoteDevice, tmp_path: Path) -> None:
        before = sorted(str(path) for path in Path(provided.root, "env").rglob("*"))
        (tmp_path / "m.tflite").write_bytes(small_tflite())
        run_job(provided, tmp_path / "m.tflite", "tflite", QUICK, timeout=120)
        assert sorted(str(path) for path in Path(provided.root, "env").rglob("*")) == before

    def test_one_that_is_gone_is_made_again(self, provided: RemoteDevice) -> None:
        made = provision(provided, "onnxruntime")
        python = Path(provided.root, "env", made.environment_hash, "bin/python")
        python.unlink()
        python.symlink_to("/no/such/python")  # as an upgrade of the system leaves it
        assert provision(provided, "onnxruntime") == made
        assert python.exists()


@pytest.mark.parametrize("environment", list(ENVIRONMENTS))
def test_there_are_packages_for_a_raspberry_pi(environment: str) -> None:
    kind = ENVIRONMENTS[environment]
    try:
        wheels = fetch(kind.requirements, python=(3, 11), machine="aarch64", glibc=(2, 36))
    except TransientDeviceError as error:
        pytest.skip(str(error))
    assert {wheel.name for wheel in wheels} == {requirement.partition("==")[0] for requirement in kind.requirements}
    for wheel in wheels:
        with zipfile.ZipFile(wheel.path) as archive:
            assert archive.testzip() is None
            libraries = [name for name in archive.namelist() if name.endswith(".so")]
            headers = [archive.open(name).read(20) for name in libraries]
        assert libraries
        assert {struct.unpack_from("<H", header, 18)[0] for header in headers} == {AARCH64}


def test_an_unknown_environment_is_refused(board: Board) -> None:
    with pytest.raises(UnknownName, match="did you mean 'litert'"):
        provision(board("board"), "liter")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"bits": 32}, DeviceUnsuitable, "board: environment litert cannot be made: its programs are 32-bit"),
        ({"libc": "musl 1.2.4"}, DeviceUnsuitable, "board: environment litert cannot be made: its C library is musl"),
        ({"free_bytes": 5_000_000}, DeviceFull, "board: environment litert cannot be made: it needs about 120 MB"),
    ],
)
def test_a_device_that_cannot_have_it_is_sent_nothing(
    board: Board, changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    device = board("board")
    device._facts = replace(device.facts(), **changes)
    with pytest.raises(error) as caught:
        provision(device, "litert")
    assert str(caught.value).startswith(said)
    assert not list(Path(device.root).rglob("*"))


@pytest.mark.slow
def test_an_upgrade_on_the_host_renews_it(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    device = board("board")
    first = provision(device, "litert")
    monkeypatch.setattr(provisioning, "RECIPE", "other")
    monkeypatch.setattr("dwsep_devices.install.RECIPE", "other")
    second = provision(device, "litert")
    assert second.environment_hash != first.environment_hash
    assert {first.environment_hash, second.environment_hash} <= set(env(device))  # another host may want the first
    assert second.packages == first.packages


@pytest.mark.slow
def test_one_that_is_killed_while_it_is_made_leaves_nothing_half(board: Board, tmp_path: Path) -> None:
    device = board("board")
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path; from tests.shell_device import shell_device\n"
        "from dwsep_devices.provision import provision\n"
        f"provision(shell_device(Path({str(tmp_path / 'board')!r})), 'litert')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    part, installers = list[str](), list[int]()
    deadline = time.monotonic() + 120
    while not (part and installers) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        part = [name for name in env(device) if name.endswith(".part")]
        installers = _processes_with(str(tmp_path / "board"))
    for pid in (process.pid, *installers):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    assert part
    assert not [name for name in env(device) if len(name) == 64]
    made = provision(device, "litert")
    pointers = [name for name in env(device) if name.endswith(".pointer")]
    assert env(device) == sorted([made.environment_hash, "lock", *pointers])
    assert len(pointers) == 1


def _processes_with(word: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_two_hosts_at_once_both_get_it(board: Board, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from pathlib import Path; from tests.shell_device import shell_device\n"
        "from dwsep_devices.provision import provision\n"
        f"device = shell_device(Path({str(tmp_path / 'board')!r}))\n"
        "print(provision(device, 'litert').environment_hash); device.close()"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=240)[0].strip() for process in started]
    assert told[0] == told[1] != ""
    assert [name for name in env(board("board")) if len(name) == 64] == [told[0]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "edge-dwsep-test", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            True,
            r"^board: environment litert cannot be made: it needs about 120 MB, and \d+ MB are free; make room there$",
        ),
        (
            False,
            r"^board: environment litert could not be made: the device is full \(No space left on device.*make room",
        ),
    ],
    ids=["it tells its free space", "it does not"],
)
def test_a_full_disk_is_said_and_nothing_half_remains(small_disk: Path, told: bool, said: str) -> None:
    device = shell_device(small_disk)
    facts = probe(device.ask, root=device.root)
    device._facts = replace(facts, free_bytes=facts.free_bytes if told else None)
    with pytest.raises(DeviceFull, match=said):
        provision(device, "litert")
    assert [name for name in env(device) if name != "lock"] == []
    device.close()
