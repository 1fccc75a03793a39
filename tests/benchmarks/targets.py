"""What a device behind ssh or adb adds, on loopback: ``python -m tests.benchmarks.targets``.

An sshd of this benchmark's own and the lab's Android-like root, both on this machine, so that what they add is all that
differs from measuring here.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dwsep_devices import lab, open_device
from dwsep_devices.adb import find_adb
from dwsep_devices.remote import RemoteDevice
from dwsep_runtime.model_file import sha256_of
from tests.benchmarks.figures import HEADER, milliseconds, paired, show
from tests.benchmarks.networks import networks
from tests.ssh_fixtures import ALIAS, SshHost, make_ssh_host, ssh_host_folder

BENCHES = 7
PUSHES = 9
PAIRS = 11
MOST_SECONDS = 1.5
MOST_PUSH = 1.3
MOST_UNCHANGED = 0.3
MOST_APART = 0.02
PUSHED_BYTES = 100_000_000
"""Large enough that bytes and not commands take the time; the largest model of a phone."""


def bench(device: str, file: Path, *options: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a run that are neither warm-up nor measurement, and its latency."""
    program = str(Path(sys.executable).with_name("edge-dwsep"))
    command = [program, "bench", str(file), "--engine", "litert", "--device", device, "--json", *options]
    started = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if not run.stdout:
        raise SystemExit(run.stderr)
    (record,) = json.loads(run.stdout)["runs"]
    if record["status"] != "ok":
        raise SystemExit(record["error"])
    latency = dict(record["latency"])
    return seconds - latency["measured_seconds"] - sum(warmup["seconds"] for warmup in latency["warmups"]), latency


def around(device: str, file: Path) -> bool:
    options = ("--processes", "1", "--min-seconds", "1")
    bench(device, file, *options)  # provisions
    taken = statistics.median(bench(device, file, *options)[0] for _ in range(BENCHES))
    here = statistics.median(bench("local", file, *options)[0] for _ in range(BENCHES))
    name = f"{device}: seconds of bench around it, beside local's"
    goal = f"ours at most {MOST_SECONDS:g} s"
    return show(name, f"{taken:.2f} s", f"{here:.2f} s", taken / here, goal, met=taken <= MOST_SECONDS)


def p50(device: str, size: str) -> bool:
    """In pairs on one core, because this machine's speed moves by more than what is looked for."""
    file = networks(size)["tflite"]
    core = str(max(os.sched_getaffinity(0)))
    options = ("--processes", "1", "--min-seconds", "2", "--pin", core)
    there, here, ratio = paired(
        lambda: float(bench(device, file, *options)[1]["p50_ms"]) * 1e6,
        lambda: float(bench("local", file, *options)[1]["p50_ms"]) * 1e6,
        PAIRS,
    )
    goal = f"within {100 * MOST_APART:g} %"
    name = f"{device}: p50 beside local's, {size}"
    return show(name, milliseconds(there), milliseconds(here), ratio, goal, met=abs(ratio - 1) <= MOST_APART)


def pushes(device: RemoteDevice, bare: Callable[[Path, str], list[str]]) -> list[bool]:
    with tempfile.NamedTemporaryFile() as file:
        local = Path(file.name)
        file.write(os.urandom(PUSHED_BYTES))
        file.flush()
        digest = sha256_of(local)
        there = f"{device.root}/blobs/{digest}"

        def ours() -> float:
            device.ask(f"rm -f {there}")
            begun = time.perf_counter()
            device.push(local, there, digest)
            return time.perf_counter() - begun

        def peer() -> float:
            device.ask(f"rm -f {there}.bare")
            begun = time.perf_counter()
            subprocess.run(bare(local, f"{there}.bare"), check=True, capture_output=True)
            return time.perf_counter() - begun

        ours()
        taken, its, ratio = paired(ours, peer, PUSHES)
        program = Path(bare(local, there)[0]).name
        name = f"{device.name}: push of {PUSHED_BYTES / 1e6:.0f} MB beside bare {program}"
        met = [show(name, f"{taken:.3f} s", f"{its:.3f} s", ratio, f"at most {MOST_PUSH:g}", met=ratio <= MOST_PUSH)]
        ours()
        again = statistics.median(_seconds(lambda: device.push(local, there, digest)) for _ in range(PUSHES))
        name = f"{device.name}: the same again, unchanged"
        goal = f"at most {MOST_UNCHANGED:g} s"
        limit = f"{MOST_UNCHANGED:g} s"
        met.append(show(name, f"{again:.3f} s", limit, again / MOST_UNCHANGED, goal, met=again <= MOST_UNCHANGED))
        device.ask(f"rm -f {there} {there}.bare")
        return met


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


@contextlib.contextmanager
def known_board(host: SshHost) -> Iterator[None]:
    """Settings in which the sshd is called ``board``."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "edge-dwsep"
        for kind in ("devices", "profiles"):
            (settings / kind).mkdir(parents=True)
        places = f'root = "{host.profile.root}"\nlease = "{host.profile.lease}"\n'
        (settings / "profiles" / "board.toml").write_text(f'base = "generic-linux"\n{places}')
        options = json.dumps(list(host.options))
        (settings / "devices" / "board.toml").write_text(f'kind = "board"\nhost = "{ALIAS}"\noptions = {options}\n')
        os.environ["XDG_CONFIG_HOME"] = folder
        yield


def over_ssh() -> list[bool]:
    with ssh_host_folder() as folder:
        host = make_ssh_host(folder)
        host.start()
        try:
            with known_board(host), contextlib.closing(open_device("board")) as device:
                if not isinstance(device, RemoteDevice):
                    raise SystemExit("board is no remote device")
                met = pushes(device, lambda file, there: ["scp", *host.options, "-q", str(file), f"{ALIAS}:{there}"])
                device.close()
                met += [around("board", networks("0.1 ms")["tflite"]), p50("board", "0.1 ms"), p50("board", "1 ms")]
                device.wipe()
                return met
        finally:
            host.stop()


def over_adb() -> list[bool]:
    machine = lab.lab("android")
    was_up = machine.status().up
    connection = machine.up()
    try:
        with contextlib.closing(open_device("lab-android")) as device:
            if not isinstance(device, RemoteDevice):
                raise SystemExit("lab-android is no remote device")
            client = [find_adb(), "-P", str(connection.adb_port), "-s", connection.serial]
            met = pushes(device, lambda file, there: [*client, "push", str(file), there])
        met += [around("lab-android", networks("0.1 ms")["tflite"])]
        return [*met, p50("lab-android", "0.1 ms"), p50("lab-android", "1 ms")]
    finally:
        if not was_up:
            machine.down()


def main() -> bool:
    print(HEADER)
    return all([*over_ssh(), *over_adb()])


if __name__ == "__main__":
    sys.exit(not main())
