"""A board that several users measure on, and the scenarios whose work is done by processes of the device's own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dwsep_devices.lease import Lease, lease_script, release_script
from tests.conftest import CommandLine, Demo
from tests.integration.test_ssh import named_board
from tests.ssh_fixtures import TEST_USER, require_sshd, ssh_host

__all__ = ["named_board", "ssh_host"]

OTHER = "nobody"


@pytest.fixture
def leases() -> Iterator[tuple[Lease, Lease]]:
    """Two leases on one device, in a place that every user of it may write."""
    if os.getuid() != 0:
        pytest.skip("only root can run scripts as two other users")
    require_sshd()
    pwd.getpwnam(OTHER)
    path = f"/tmp/edge-dwsep.lease-users-{os.getpid()}"  # noqa: S108  # on the device
    yield Lease(path), Lease(path)
    shutil.rmtree(path, ignore_errors=True)


def said_to(user: str, script: str) -> str:
    """What a script prints that a user of the board runs."""
    words = ["setpriv", "--reuid", user, "--clear-groups", "sh", "-c", script]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("first", "second"), [(TEST_USER, OTHER), (OTHER, TEST_USER)])
def test_a_lease_holds_between_two_users(leases: tuple[Lease, Lease], first: str, second: str) -> None:
    mine, its = leases
    assert said_to(first, lease_script(mine, 60)) == "lease=ours"
    assert said_to(second, lease_script(its, 60)).startswith(f"lease={mine.token} ")
    said_to(second, release_script(its))
    assert said_to(second, lease_script(its, 60)).startswith(f"lease={mine.token} ")
    assert said_to(first, lease_script(mine, 60)) == "lease=ours"
    said_to(first, release_script(mine))
    assert said_to(second, lease_script(its, 60)) == "lease=ours"
    assert said_to(first, lease_script(mine, 60, instead_of=its.token)) == "lease=ours"


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario", [["--interleave", "--launches", "2"], ["--scenario", "cold-start", "--starts", "2"]], ids=" ".join
)
def test_processes_of_the_board_run_in_its_environment_and_say_so(
    demo: Demo, command_line: CommandLine, named_board: Path, tmp_path: Path, scenario: list[str]
) -> None:
    output = tmp_path / "results.json"
    files = [demo.artifact("float32.tflite"), demo.artifact("w8a8.onnx")]
    engines = ("--engine", "litert", "--engine", "onnxruntime")
    done = command_line("bench", *files, *scenario, *engines, "--device", "board", "--output", output)
    assert done.returncode == 0, done.stderr
    runs = json.loads(output.read_text())["runs"]
    assert [run["environment"]["name"] for run in runs] == ["litert", "onnxruntime"]
    assert runs[0]["environment"]["hash"] != runs[1]["environment"]["hash"]
