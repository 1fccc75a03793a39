"""Conditions of a measurement: set on a made-up /sys by real processes, which are then ended in every way."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from dwsep_runtime.conditions import Conditions, applied, cooled_down, pinned, raised_priority
from dwsep_runtime.errors import InvalidInput, UnknownName

DEADLINE = 30.0

GOVERNORS = ("schedutil\n", "ondemand\n")

START = """
import json, os, signal, sys, time
from pathlib import Path
from dwsep_runtime import conditions, guardian
root = Path(sys.argv[1])
def say(*words):
    print(*words, flush=True)
def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
def governors():
    return [path.read_text().strip() for path in sorted(root.rglob("scaling_governor"))]
"""

HOLD = """
with conditions.governor("performance", root=root) as record:
    say(record["done"], *governors(), *children())
    sys.stdin.readline()
"""

NORMAL = """
with conditions.governor("performance", root=root) as record:
    say(record["done"], record["said"], *governors())
say(*governors(), children())
"""

RAISES = """
try:
    with conditions.governor("performance", root=root):
        raise KeyError("measuring")
except KeyError as error:
    say(error, *governors(), children())
"""

GUARDIAN_KILLED = """
with conditions.governor("performance", root=root):
    os.kill(int(children()[0]), signal.SIGKILL)
say(*governors(), children())
"""

CHANGED_MEANWHILE = """
with conditions.governor("performance", root=root):
    for path in root.rglob("scaling_governor"):
        path.write_text("powersave\\n")
say(*governors())
"""

LEFT_BY_A_FORK = """
with conditions.governor("performance", root=root):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        say("after the fork left", *governors())
say(*governors()) if child else os._exit(0)
"""

SECOND = """
guardian.LOCK_SECONDS = 0.1
with conditions.governor("performance", root=root) as record:
    say(record["done"], record["said"])
"""

GONE = """
with conditions.governor("performance", root=root) as record:
    for path in root.rglob("scaling_governor"):
        path.unlink()
        path.mkdir()
say(record["said"])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, governor in enumerate(GOVERNORS):
        policy = tmp_path / f"sys/devices/system/cpu/cpufreq/policy{number}"
        policy.mkdir(parents=True)
        (policy / "scaling_governor").write_text(governor)
        (policy / "scaling_available_governors").write_text("ondemand performance powersave schedutil\n")
    return tmp_path


def governors(root: Path) -> tuple[str, ...]:
    return tuple(path.read_text() for path in sorted(root.rglob("scaling_governor")))


def run(code: str, root: Path) -> str:
    command = [sys.executable, "-c", START + code, str(root)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60, encoding="utf-8").stdout.strip()


@contextlib.contextmanager
def started(code: str, root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", START + code, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def held(stdout: IO[str] | None) -> int:
    """Number of the guardian, once the governor is set."""
    assert stdout
    done, *now, guardian = stdout.readline().split()
    assert (done, now) == ("True", ["performance", "performance"])
    return int(guardian)


@contextlib.contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def end_by_sigkill(process: subprocess.Popen[str], guardian: int) -> None:
    os.kill(process.pid, signal.SIGKILL)


def end_session_as_a_lost_terminal_does(process: subprocess.Popen[str], guardian: int) -> None:
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.killpg(process.pid, number)


def end_whole_session_by_sigkill(process: subprocess.Popen[str], guardian: int) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def end_after_signals_to_the_guardian(process: subprocess.Popen[str], guardian: int) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        os.kill(guardian, number)
    os.kill(process.pid, signal.SIGTERM)


def end_by_closing_its_input(process: subprocess.Popen[str], guardian: int) -> None:
    assert process.stdin
    process.stdin.close()


@pytest.mark.parametrize(
    "end",
    [
        end_by_sigkill,
        end_session_as_a_lost_terminal_does,
        end_whole_session_by_sigkill,
        end_after_signals_to_the_guardian,
        end_by_closing_its_input,
    ],
    ids=lambda end: end.__name__,
)
def test_governors_come_back_however_the_process_ends(
    root: Path, end: Callable[[subprocess.Popen[str], int], None]
) -> None:
    with started(HOLD, root) as process:
        guardian = held(process.stdout)
        assert is_running(guardian)
        end(process, guardian)
        process.wait(DEADLINE)
        until(lambda: governors(root) == GOVERNORS)
        until(lambda: not is_running(guardian))


def test_the_guardian_keeps_no_pipe_of_a_dead_process_open(root: Path) -> None:
    with started(HOLD, root) as process:
        guardian = held(process.stdout)
        with stopped(guardian):
            process.kill()
            assert not process.communicate(timeout=DEADLINE)[0]
            assert is_running(guardian)
        until(lambda: not is_running(guardian))
    assert governors(root) == GOVERNORS


def test_a_run_that_follows_a_killed_one_does_not_take_its_governor_for_the_device_s(root: Path) -> None:
    with started(HOLD, root) as process:
        guardian = held(process.stdout)
        with stopped(guardian):
            process.kill()
            process.wait(DEADLINE)
            assert run(SECOND, root) == "False not set: another measurement on this device has it"
        until(lambda: not is_running(guardian))
    assert run(SECOND, root) == "True set for 2 of 2 clocks"
    assert governors(root) == GOVERNORS


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (NORMAL, "True set for 2 of 2 clocks performance performance\nschedutil ondemand []"),
        (RAISES, "'measuring' schedutil ondemand []"),
        (GUARDIAN_KILLED, "schedutil ondemand []"),
        (CHANGED_MEANWHILE, "schedutil ondemand"),
        (LEFT_BY_A_FORK, "after the fork left performance performance\nschedutil ondemand"),
    ],
    ids=["normal", "exception", "guardian killed", "changed meanwhile", "left by a fork"],
)
def test_governors_come_back_when_the_block_is_left_and_no_process_remains(root: Path, code: str, said: str) -> None:
    assert run(code, root) == said
    assert governors(root) == GOVERNORS


def test_what_could_not_be_put_back_is_said(root: Path) -> None:
    assert run(GONE, root) == "set for 2 of 2 clocks; 2 could not be put back"


def test_cores_without_policies_are_found(tmp_path: Path) -> None:
    path = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    path.parent.mkdir(parents=True)
    path.write_text("ondemand")
    assert run(NORMAL, tmp_path) == "True set for 1 of 1 clocks performance\nondemand []"
    assert path.read_text() == "ondemand"


def test_a_governor_that_the_kernel_refuses_is_said(root: Path) -> None:
    """As a clock does that refuses a write: what is read back is another governor."""
    path = next(root.rglob("policy1/scaling_governor"))
    path.unlink()
    path.symlink_to("/dev/null")
    assert run(NORMAL, root).startswith("False the system refused it for 1 of 2 clocks")


def test_an_unknown_governor_is_refused_with_those_that_every_clock_offers(root: Path) -> None:
    next(root.rglob("policy0/scaling_available_governors")).write_text("performance schedutil powersave\n")
    with (
        pytest.raises(InvalidInput, match=r"'ondemand' is not .*; available are performance, powersave, schedutil"),
        applied(Conditions(governor="ondemand"), root=root),
    ):
        pass
    assert governors(root) == GOVERNORS


def test_what_the_device_lacks_is_said_and_no_error(tmp_path: Path) -> None:
    asked = Conditions(governor="performance", cool_down_c=40)
    with applied(asked, root=tmp_path, temperature=lambda: None) as records:
        assert [(record["condition"], record["asked"], record["done"], record["said"]) for record in records] == [
            ("governor", "performance", False, "this device has no cpufreq"),
            ("cool-down", 40, False, "this device tells no temperature"),
        ]


def test_nothing_asked_is_nothing_done(root: Path) -> None:
    with applied(Conditions(), root=root) as records:
        assert records == []
        assert governors(root) == GOVERNORS


def test_pinning_and_priority_last_as_long_as_the_block(tmp_path: Path) -> None:
    cores, nice = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    core = max(cores)
    with applied(Conditions(pin=(core,), priority=True), root=tmp_path) as (pin, priority):
        assert os.sched_getaffinity(0) == {core}
        assert pin == {"condition": "pin", "asked": [core], "done": True, "said": f"on core {core}"}
        assert priority["done"] == (os.getpriority(os.PRIO_PROCESS, 0) == -10)
    assert os.sched_getaffinity(0) == cores
    assert os.getpriority(os.PRIO_PROCESS, 0) == nice


def test_a_priority_that_is_not_permitted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    with raised_priority() as record:
        assert not record["done"]
        assert record["said"] == "not permitted (Operation not permitted); needs root or a limit on nice"


def test_an_unknown_core_is_refused_with_those_that_may_be_used() -> None:
    usable = ", ".join(str(core) for core in sorted(os.sched_getaffinity(0)))
    with pytest.raises(InvalidInput, match=f"cannot pin to core 4095: this process may use {usable}"), pinned((4095,)):
        pass


@pytest.mark.parametrize(
    ("readings", "timeout", "done", "waited", "said"),
    [
        ([39.0], 300, True, 0, "39 C after 0 s"),
        ([55.5, 47.0, 40.0], 300, True, 4, "40 C after 4 s"),
        ([60.0], 5, False, 5, "still 60 C after 5 s"),
        ([60.0], 0, False, 0, "still 60 C after 0 s"),
        ([60.0, None], 300, False, 2, "this device tells no temperature"),
    ],
)
def test_cooling_down_ends_when_cool_or_when_time_is_up(
    readings: list[float | None], timeout: float, done: bool, waited: float, said: str
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    told = itertools.chain(readings, itertools.repeat(readings[-1]))
    record = cooled_down(40, timeout, temperature=lambda: next(told), clock=lambda: now, sleep=sleep)
    assert record == {
        "condition": "cool-down",
        "asked": 40,
        "done": done,
        "said": said,
        "waited_seconds": waited,
    }


def test_the_temperature_is_the_hottest_that_the_device_tells(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("38500\n")
    with applied(Conditions(cool_down_c=39.0), root=tmp_path) as (record,):
        assert record["said"] == "38.5 C after 0 s"


@pytest.mark.parametrize(
    "conditions",
    [Conditions(), Conditions((0, 2), "performance", 45.5, 60.0, priority=True)],
)
def test_conditions_survive_json(conditions: Conditions) -> None:
    assert Conditions.from_json(conditions.to_json()) == conditions
    assert Conditions.from_json({}) == Conditions()


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"governer": "x"}, UnknownName, "unknown conditions key 'governer': did you mean 'governor'"),
        ({"pin": []}, InvalidInput, r"pin must be one or more numbers of cores, none twice, received \(\)"),
        ({"pin": [0, 0]}, InvalidInput, "none twice"),
        ({"pin": [-1]}, InvalidInput, "numbers of cores"),
        ({"pin": [True]}, InvalidInput, "numbers of cores"),
        ({"pin": 0}, InvalidInput, "received 0"),
        ({"governor": "../x"}, InvalidInput, "governor must be a name such as 'performance', received '../x'"),
        ({"governor": ""}, InvalidInput, "received ''"),
        ({"cool_down_c": 500}, InvalidInput, "cool_down_c must be between 0 and 120 C, received 500"),
        ({"cool_down_c": float("nan")}, InvalidInput, "received nan"),
        ({"cool_down_c": "40"}, InvalidInput, "received '40'"),
        ({"cool_down_seconds": -1}, InvalidInput, "cool_down_seconds must be between 0 and 86400 s, received -1"),
        ({"priority": 1}, InvalidInput, "priority must be true or false, received 1"),
        ([], InvalidInput, "conditions must be a JSON object"),
    ],
)
def test_wrong_conditions_are_refused(values: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Conditions.from_json(values)
