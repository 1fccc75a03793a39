"""How long machines of the lab take to build and to start, beside their goals: ``python -m tests.benchmarks.lab``.

They are built in a cache of their own, from nothing.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dwsep_devices import lab
from dwsep_devices.errors import HostLacks
from tests.benchmarks.figures import tell

GOALS = {"build": 60.0, "cold": 12.0, "snapshot": 4.0, "android": 5.0}
ROUNDS = 5


def seconds(action: Callable[[], object]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def judged(name: str, taken: float, goal: float) -> bool:
    met = taken <= goal
    print(
        f"{name:58} {taken:10.2f} s {'':12} {'':7}   {f'at most {goal:g} s':22} {'met' if met else 'NOT MET'}",
        flush=True,
    )
    return met


def command(connection: lab.LabConnection, script: str) -> list[str]:
    if connection.ssh_options:
        return ["ssh", *connection.ssh_options, connection.host, script]
    return ["adb", "-P", str(connection.adb_port), "-s", connection.serial, "shell", script]


def starts(name: str, *, cold: bool) -> float:
    """Median of the seconds until a machine is up."""
    machine = lab.lab(name)
    taken = []
    for _ in range(ROUNDS):
        taken.append(seconds(lambda: machine.up(cold=cold)))
        machine.down()
    return statistics.median(taken)


def first_command(name: str) -> tuple[float, float]:
    """Seconds until a command of the user's own client was answered, from the start and from then on."""
    machine = lab.lab(name)
    begun = time.monotonic()
    connection = machine.up()
    up = time.monotonic()
    subprocess.run(command(connection, "true"), check=True, capture_output=True)
    answered = time.monotonic()
    machine.down()
    return answered - begun, answered - up


def main() -> int:
    met = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder))
        try:
            met.append(judged("pi4: build from empty caches", seconds(lab.lab("pi4").build), GOALS["build"]))
        except HostLacks as error:
            print(error)
            return 0
        tell("pi5: build, its packages and disk being there", f"{seconds(lab.lab('pi5').build):.2f} s")
        for name in ("pi4", "pi5"):
            met.append(judged(f"{name}: up, cold", starts(name, cold=True), GOALS["cold"]))
            met.append(judged(f"{name}: up, from its snapshot", starts(name, cold=False), GOALS["snapshot"]))
            whole, alone = first_command(name)
            met.append(judged(f"{name}: up and a first command by ssh", whole, GOALS["snapshot"]))
            tell(f"{name}: a command by a new ssh connection", f"{alone:.2f} s")
        for name in ("android", "android-arm64"):
            tell(f"{name}: build, shared packages being there", f"{seconds(lab.lab(name).build):.2f} s")
            met.append(judged(f"{name}: up", starts(name, cold=False), GOALS["android"]))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
