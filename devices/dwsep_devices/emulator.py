"""Emulators of the user's own Android SDK: started without a window, and waited for until Android runs in them."""

from __future__ import annotations

__all__ = ["find_emulator", "start_emulator"]

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dwsep_devices.adb import AdbTransport
from dwsep_devices.errors import DeviceError, HostLacks, PermanentDeviceError, TransientDeviceError
from dwsep_runtime.spawn import run_process

ROOTS = ("ANDROID_HOME", "ANDROID_SDK_ROOT")
PORTS = range(5554, 5586, 2)
"""Console ports that adb looks for emulators at; adbd's is one above."""

BOOT_SECONDS = 300.0
POLL_SECONDS = 0.5
LIST_SECONDS = 30.0
ASK_SECONDS = 10.0


def find_emulator() -> str:
    """The SDK's program ``emulator``: below ``$ANDROID_HOME`` or ``$ANDROID_SDK_ROOT``, then on the PATH.

    Raises:
        HostLacks: there is none.
    """
    for name in ROOTS:
        root = os.environ.get(name, "")
        found = shutil.which(str(Path(root, "emulator", "emulator"))) if root else None
        if found:
            return found
    on_path = shutil.which("emulator")
    if on_path:
        return on_path
    raise HostLacks(
        "local: no Android emulator is installed: neither ANDROID_HOME nor ANDROID_SDK_ROOT nor the PATH leads to "
        "one; install it with: sdkmanager emulator"
    )


def start_emulator(
    avd: str,
    *,
    boot_seconds: float = BOOT_SECONDS,
    on_step: Callable[[str], None] = lambda step: None,
) -> str:
    """Start an emulator and wait until Android has started in it; it stays until it is ended.

    Args:
        avd: name of the virtual device, as ``emulator -list-avds`` lists it.
        boot_seconds: to wait for at most.
        on_step: told what is waited for.

    Returns:
        Its serial, such as "emulator-5554". ``adb -s SERIAL emu kill`` ends it.

    Raises:
        HostLacks: no SDK is installed here.
        PermanentDeviceError: there is no such virtual device, or the emulator ended.
        TransientDeviceError: it did not start in time, and was ended.
    """
    emulator = find_emulator()
    known = _avds(emulator)
    if avd not in known:
        raise PermanentDeviceError(
            f"local: there is no virtual device {avd!r}; there are: {', '.join(known) or 'none'}; "
            "make one with: avdmanager create avd"
        )
    port = _free_port()
    serial = f"emulator-{port}"
    command = [emulator, "-avd", avd, "-no-window", "-no-audio", "-no-boot-anim", "-port", str(port)]
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise HostLacks(f"local: {emulator} could not be started: {error.strerror}") from error
        try:
            on_step(f"start {avd} as {serial}")
            _await_boot(process, serial, avd, time.monotonic() + boot_seconds)
        except BaseException as error:
            ended = process.poll() is not None
            _end(process)
            if ended and isinstance(error, TransientDeviceError):
                log.seek(0)
                said = [line.strip() for line in log if line.strip()] or ["it gave no reason"]
                raise PermanentDeviceError(
                    f"{serial}: the emulator of {avd} ended as it started: {said[-1][:200]}"
                ) from error
            raise
    process.returncode = 0  # it is left running on purpose, which is nothing to be warned of
    return serial


def _avds(emulator: str) -> list[str]:
    lines: list[str] = []
    done = run_process([emulator, "-list-avds"], timeout=LIST_SECONDS, on_line=lines.append)
    if done.returncode or done.timed_out:
        said = [line for line in done.errors if line.strip()] or ["it gave no reason"]
        raise PermanentDeviceError(f"local: {emulator} does not list its virtual devices: {said[-1]}")
    # Versions 30 and later mix messages into the list.
    return [line.strip() for line in lines if line.strip() and not line.startswith(("INFO", "WARNING", "ERROR"))]


def _free_port() -> int:
    """The first console port that neither the emulator's console nor its adbd is taken at."""
    for port in PORTS:
        with contextlib.suppress(OSError):
            for taken in (port, port + 1):
                socket.create_server(("127.0.0.1", taken)).close()
            return port
    raise TransientDeviceError(f"local: all emulator ports from {PORTS[0]} to {PORTS[-1]} are taken; end an emulator")


def _await_boot(process: subprocess.Popen[bytes], serial: str, avd: str, until: float) -> None:
    transport = AdbTransport(serial, serial)
    reason = "adb does not list it yet"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise TransientDeviceError(f"{serial}: the emulator of {avd} ended")
        said: list[str] = []
        try:
            transport.shell("getprop sys.boot_completed", timeout=ASK_SECONDS, on_line=said.append)
        except HostLacks:
            raise
        except DeviceError as error:  # not listed, offline: it starts
            reason = str(error)
        else:
            if "".join(said).strip() == "1":
                return
            reason = "Android has not started in it yet"
        time.sleep(POLL_SECONDS)
    raise TransientDeviceError(
        f"{serial}: the emulator of {avd} was not ready in time ({reason}) and was ended; "
        "without KVM it takes many minutes"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    import signal

    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
