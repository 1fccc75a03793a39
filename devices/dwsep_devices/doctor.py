"""What keeps a device from measuring, and the command that mends it: a row of checks, each needing some before it."""

from __future__ import annotations

__all__ = ["Check", "Step", "diagnose"]

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dwsep_devices import doctor_checks as checks
from dwsep_devices.doctor_visit import Check, Visit
from dwsep_devices.errors import DeviceError
from dwsep_devices.inventory import KnownDevice, load_device, profile_of
from dwsep_devices.profile import Profile
from dwsep_devices.registry import transport_to
from dwsep_devices.transport import Transport
from dwsep_runtime.errors import DwsepError


@dataclass(frozen=True)
class Step:
    """A question to a device.

    Attributes:
        title: of its check.
        needs: titles of the checks without which it cannot be asked.
        look: finds the answer: a check, or several of other titles.
    """

    title: str
    needs: tuple[str, ...]
    look: Callable[[Visit], Iterator[Check]]


CLIENT: dict[str, tuple[Step, ...]] = {
    "ssh": (
        Step("ssh client", (), checks.ssh_client),
        Step("sftp client", (), checks.sftp_client),
    ),
    "adb": (Step("adb", (), checks.adb_client),),
}
PIP = Step("pip", (), checks.pip)
LAB = Step("lab machine", (), checks.lab_machine)
REACH: dict[str, tuple[Step, ...]] = {
    "ssh": (
        Step("connection", ("ssh client", "lab machine"), checks.connection),
        Step("host key", ("connection",), checks.host_key),
        Step("login", ("host key",), checks.login),
    ),
    "adb": (
        Step("connection", ("adb", "lab machine"), checks.connection),
        Step("login", ("connection",), checks.authorization),
    ),
}
ASK = (
    Step("shell", ("login",), checks.shell),
    Step("folder and file transfer", ("shell", "sftp client"), checks.folder),
    Step("clock", ("shell",), checks.clock),
    Step("lease", ("shell",), checks.lease),
    Step("facts", ("shell",), checks.facts),
)
JUDGE = (
    Step("machine", ("facts",), checks.machine),
    Step("memory pages", ("facts",), checks.pages),
    Step("free space", ("facts",), checks.space),
    Step("governor", ("facts",), checks.governor),
)
PYTHON: dict[str, Step] = {
    "ssh": Step("python", ("facts",), checks.python),
    "adb": Step("bundle", ("facts",), checks.bundle),
}
ENGINES = Step("engines", ("facts",), checks.engines)


def diagnose(
    name: str,
    *,
    connect: Callable[[KnownDevice, Profile], Transport] = transport_to,
    which: Callable[[str], str | None] = shutil.which,
    now: Callable[[], float] = time.time,
) -> list[Check]:
    """Check everything between this host and a device that can measure.

    Args:
        name: of the device.
        connect: gives what leads to it.
        which: finds a program of this host.
        now: seconds since 1970.

    Returns:
        The checks in the order they were made; one that needs another which failed is "not tried".

    Raises:
        InvalidInput: the device is not known, or what is kept of it is not accepted.
    """
    known = load_device(name)
    profile = profile_of(known)
    visit = Visit(known, profile, connect=connect, which=which, now=now, token=uuid.uuid4().hex)
    done: list[Check] = []
    with contextlib.closing(visit):
        for step in steps(profile):
            done += _made(step, visit, done)
    return done


def steps(profile: Profile) -> tuple[Step, ...]:
    """What is asked of a kind of device, in order."""
    if profile.transport == "local":
        return (Step("facts", (), checks.facts), *JUDGE, Step("engines", ("facts",), checks.engines_here))
    transport, lab = profile.transport, (LAB,) if profile.lab else ()
    return (*CLIENT[transport], PIP, *lab, *REACH[transport], *ASK, *JUDGE, PYTHON[transport], ENGINES)


def _made(step: Step, visit: Visit, done: list[Check]) -> list[Check]:
    states = {check.title: check.state for check in done}
    missing = [need for need in step.needs if states.get(need, "ok") in {"fail", "not tried"}]
    if missing:
        return [Check(step.title, "not tried", f"needs: {', '.join(missing)}")]
    try:
        return list(step.look(visit))
    except DeviceError as error:
        return [Check(step.title, "fail", visit.said(error), f"edge-dwsep devices doctor {visit.name}")]
    except DwsepError as error:  # an answer that makes no sense
        return [Check(step.title, "fail", visit.said(error), visit.there("echo ok"))]
