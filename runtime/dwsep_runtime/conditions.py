"""Conditions asked for a measurement: set before it, put back after it, and said where the device lacks them."""

from __future__ import annotations

__all__ = ["Conditions", "Record", "applied", "cooled_down", "governor", "pinned", "raised_priority"]

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Callable, Optional

from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.state import SYSTEM, device_state

PRIORITY = -10
"""Nice value: above everything that a device runs by default (0), below what the system itself may need (-20)."""

POLL_SECONDS = 2.0
"""Between two looks at the temperature: asking Android for it costs some 50 ms of work, which warms the device."""

MAX_SECONDS = 86_400.0
COOL_DOWN_RANGE_C = (0.0, 120.0)
"""Below it a device in a room never comes; above it none works."""

Record = dict[str, Any]
"""What became of a condition: ``condition``, ``asked`` (what for), ``done`` (bool) and ``said`` (plain words)."""


@dataclass(frozen=True)
class Conditions:
    """What is asked of the device for a measurement; nothing by default.

    Attributes:
        pin: numbers of the cores to run on.
        governor: name of the cpufreq governor, such as "performance".
        cool_down_c: degrees Celsius to be reached before the measurement begins.
        cool_down_seconds: how long to wait for it at most.
        priority: whether to run before other processes.
    """

    pin: Optional[tuple[int, ...]] = None
    governor: Optional[str] = None
    cool_down_c: Optional[float] = None
    cool_down_seconds: float = 300.0
    priority: bool = False

    def __post_init__(self) -> None:
        pin = self.pin
        if pin is not None and not (
            isinstance(pin, tuple) and pin and len(set(pin)) == len(pin) and all(_is_count(core) for core in pin)
        ):
            raise InvalidInput(f"pin must be one or more numbers of cores, none twice, received {pin!r}")
        name = self.governor
        if name is not None and not (isinstance(name, str) and name.replace("_", "").isalnum()):
            raise InvalidInput(f"governor must be a name such as 'performance', received {name!r}")
        low, high = COOL_DOWN_RANGE_C
        if self.cool_down_c is not None and not _is_between(self.cool_down_c, low, high):
            raise InvalidInput(f"cool_down_c must be between {low:g} and {high:g} C, received {self.cool_down_c!r}")
        if not _is_between(self.cool_down_seconds, 0, MAX_SECONDS):
            raise InvalidInput(
                f"cool_down_seconds must be between 0 and {MAX_SECONDS:g} s, received {self.cool_down_seconds!r}"
            )
        if not isinstance(self.priority, bool):
            raise InvalidInput(f"priority must be true or false, received {self.priority!r}")

    def to_json(self) -> dict[str, Any]:
        """The conditions as a JSON object; :meth:`from_json` reads it."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**values, "pin": None if self.pin is None else list(self.pin)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Conditions:
        """Read conditions; keys left out take their defaults.

        Raises:
            UnknownName: a key that is none of the attributes.
            InvalidInput: a value of the wrong type or out of range.
        """
        if not isinstance(values, Mapping):
            raise InvalidInput(f"conditions must be a JSON object, received {values!r}")
        known = {item.name for item in fields(cls)}
        for key in values:
            if key not in known:
                raise UnknownName("conditions key", str(key), known)
        pin = values.get("pin")
        return cls(**{**values, "pin": tuple(pin) if isinstance(pin, list) else pin})


@contextlib.contextmanager
def applied(
    conditions: Conditions,
    *,
    root: Path = SYSTEM,
    temperature: Optional[Callable[[], Optional[float]]] = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[list[Record]]:
    """Set all conditions for as long as the ``with`` block lasts; enter it before the engine is loaded.

    The governor comes first, because what guards it is forked from this process while it is small and has one thread;
    the wait for the temperature comes last, so that the measurement begins cool.

    Args:
        conditions: what is asked.
        root: where sys is found.
        temperature: degrees Celsius now, None where the device does not tell; by default the hottest of its sensors.
        clock: seconds that never go back.
        sleep: waits for the given seconds.

    Yields:
        A record of each condition that was asked for. What the device lacks or forbids is said there, and no error.

    Raises:
        InvalidInput: a core or governor that is not one of the device's.
    """
    records: list[Record] = []
    with contextlib.ExitStack() as stack:
        if conditions.governor is not None:
            records.append(stack.enter_context(governor(conditions.governor, root=root)))
        if conditions.pin is not None:
            records.append(stack.enter_context(pinned(conditions.pin)))
        if conditions.priority:
            records.append(stack.enter_context(raised_priority()))
        if conditions.cool_down_c is not None:
            records.append(
                cooled_down(
                    conditions.cool_down_c,
                    conditions.cool_down_seconds,
                    temperature=temperature or (lambda: device_state(root)["temperature_c"]),
                    clock=clock,
                    sleep=sleep,
                )
            )
        yield records


@contextlib.contextmanager
def pinned(cores: tuple[int, ...]) -> Iterator[Record]:
    """Keep this thread, and those it starts from here on, on the given cores.

    On leaving, this thread may run where it could before; threads that an engine started stay.

    Raises:
        InvalidInput: a core that this process may not use.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield _record("pin", list(cores), "this system does not let a process choose its cores")
        return
    before = os.sched_getaffinity(0)
    unknown = sorted(set(cores) - before)
    if unknown or not cores:
        usable = ", ".join(str(core) for core in sorted(before))
        raise InvalidInput(f"cannot pin to core {_joined(unknown) or 'none'}: this process may use {usable}")
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        yield _record("pin", list(cores), f"the system refused: {error.strerror}")
        return
    try:
        yield _record("pin", list(cores), f"on core {_joined(sorted(cores))}", done=True)
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def governor(name: str, *, root: Path = SYSTEM) -> Iterator[Record]:
    """Let the cpufreq governor of every core be this one; the governors of before come back however the process ends.

    They do so also if another program has changed them meanwhile: :func:`dwsep_runtime.guardian.restored` says how.
    A governor's own settings, such as the speed set for "userspace", are not looked after.

    Args:
        name: such as "performance".
        root: where sys is found.

    Raises:
        InvalidInput: a governor that the device does not offer for every core.
    """
    files = _governor_files(root)
    if not files:
        yield _record("governor", name, "this device has no cpufreq")
        return
    offered = _offered(files)
    if offered and name not in offered:
        raise InvalidInput(f"governor {name!r} is not available here; available are {', '.join(sorted(offered))}")
    if not all(os.access(path, os.W_OK) for path in files):
        yield _record("governor", name, "it may not be set by this user; run as root")
        return
    with contextlib.ExitStack() as stack:
        try:
            from dwsep_runtime.guardian import restored

            restoration = stack.enter_context(restored(files))
        except OSError as error:
            yield _record("governor", name, f"not set: {error.strerror or error}")
            return
        refused = [path for path in files if not _set(path, name)]
        record = _record("governor", name, f"set for {len(files)} of {len(files)} clocks", done=True)
        if refused:
            record = _record("governor", name, f"the system refused it for {len(refused)} of {len(files)} clocks")
        yield record
        stack.close()
        if restoration.failed:
            record["said"] += f"; {len(restoration.failed)} could not be put back"


@contextlib.contextmanager
def raised_priority() -> Iterator[Record]:
    """Let this thread, and those it starts from here on, run before processes of ordinary priority."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except OSError as error:
        yield _record("priority", PRIORITY, f"not permitted ({error.strerror}); needs root or a limit on nice")
        return
    try:
        yield _record("priority", PRIORITY, f"nice value {PRIORITY} instead of {before}", done=True)
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def cooled_down(
    below_c: float,
    timeout_s: float,
    *,
    temperature: Callable[[], Optional[float]],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Record:
    """Wait until the device is as cool as asked, or the time is up.

    Args:
        below_c: degrees Celsius to be reached.
        timeout_s: seconds to wait at most.
        temperature: degrees Celsius now, or None.
        clock: seconds that never go back.
        sleep: waits for the given seconds.

    Returns:
        A record with ``waited_seconds`` besides; not done where time ran out or no temperature is told.
    """
    started = clock()
    while True:
        celsius = temperature()
        waited = clock() - started
        if celsius is None:
            record = _record("cool-down", below_c, "this device tells no temperature")
        elif celsius <= below_c:
            record = _record("cool-down", below_c, f"{celsius:g} C after {waited:.0f} s", done=True)
        elif waited >= timeout_s:
            record = _record("cool-down", below_c, f"still {celsius:g} C after {waited:.0f} s")
        else:
            sleep(min(POLL_SECONDS, timeout_s - waited))
            continue
        return {**record, "waited_seconds": waited}


def _record(condition: str, asked: object, said: str, *, done: bool = False) -> Record:
    return {"condition": condition, "asked": asked, "done": done, "said": said}


def _governor_files(root: Path) -> list[Path]:
    """One for each clock: policies where the kernel has them, else cores."""
    cpu = root / "sys/devices/system/cpu"
    policies = sorted(cpu.glob("cpufreq/policy*/scaling_governor"))
    return policies or sorted(cpu.glob("cpu[0-9]*/cpufreq/scaling_governor"))


def _offered(files: list[Path]) -> set[str]:
    """Governors that every clock offers; empty where one does not tell."""
    offers = []
    for path in files:
        try:
            offers.append(set((path.parent / "scaling_available_governors").read_text(encoding="utf-8").split()))
        except OSError:
            return set()
    return set.intersection(*offers)


def _set(path: Path, name: str) -> bool:
    try:
        path.write_text(name + "\n", encoding="utf-8")
        return path.read_text(encoding="utf-8").strip() == name
    except OSError:
        return False


def _joined(cores: list[int]) -> str:
    return ", ".join(str(core) for core in cores)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_between(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
