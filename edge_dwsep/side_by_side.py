"""Measure on several devices at once: a process for each, so that none waits for, or fails with, another."""

from __future__ import annotations

__all__ = ["interrupted_once", "measure_side_by_side"]

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from dwsep_devices import opened
from dwsep_devices.inventory import load_device, profile_of
from dwsep_export import Artifact
from dwsep_runtime.errors import DwsepError
from edge_dwsep.evaluate import Evaluation, environments_of, evaluate, failed_records
from edge_dwsep.results import new_results

Plan = Sequence[tuple[Artifact, str]]


def measure_side_by_side(
    devices: Sequence[str],
    plan: Plan,
    what: Evaluation,
    results: dict[str, Any],
    *,
    wait_for_lease: bool = True,
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Measure a plan on each of several devices; adds to ``results`` what each of them showed, in their order.

    A device that cannot be reached has all its runs recorded as failed; the others are measured all the same.

    Args:
        devices: their names.
        plan: artifact and engine of each run, on every device.
        what: latency, accuracy, or both.
        results: see :mod:`edge_dwsep.results`.
        wait_for_lease: whether to wait for a device that another measurement has.
        on_step: told of each measurement as it begins.
    """
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], {}
    told: dict[str, dict[str, Any]] = {}
    try:
        for name in devices:
            ours, its = context.Pipe(duplex=False)
            process = context.Process(
                target=_measure_on, args=(its, name, plan, what, results["settings"], wait_for_lease)
            )
            process.start()
            its.close()
            processes.append(process)
            pipes[ours] = name
        while pipes:
            for pipe in wait(list(pipes)):
                _hear(pipe, pipes, told, on_step)
        for process in processes:
            process.join()
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()  # which it takes as an interruption, and cleans up
        for process in processes:
            process.join()
    for name in devices:
        _merge(results, told.get(name) or _unmeasured(name, plan, what, "its process ended without a result"))


def _hear(
    pipe: Any, pipes: dict[Connection, str], told: dict[str, dict[str, Any]], on_step: Callable[[str], None]
) -> None:
    try:
        kind, content = pipe.recv()
    except EOFError:
        pipe.close()
        del pipes[pipe]
        return
    if kind == "step":
        name = pipes[pipe]
        on_step(content if content.startswith(f"{name}: ") else f"{name}: {content}")
    else:
        told[pipes[pipe]] = content


def _measure_on(
    pipe: Connection,
    name: str,
    plan: Plan,
    what: Evaluation,
    settings: dict[str, Any],
    wait_for_lease: bool,  # noqa: FBT001  # of a process
) -> None:
    """The life of a device's process: steps as they begin, and at last its results."""
    interrupted_once()

    def say(kind: str, content: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.send((kind, content))

    environments = environments_of(engine for _, engine in plan) if what.cost else ()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with opened(
                name,
                cost=what.cost,
                environments=environments,
                wait=wait_for_lease,
                on_step=lambda said: say("step", said),
            ) as device:
                results = new_results("", settings, [device.description])
                evaluate(device, plan, what, results, lambda step: say("step", step))
        except DwsepError as error:
            results = _unmeasured(name, plan, what, str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001  # the other devices are measured all the same
            said = f"internal error: {type(error).__name__}: {error}; name this device alone, with --debug"
            results = _unmeasured(name, plan, what, said, DwsepError.__name__)
        say("results", results)


def interrupted_once() -> None:
    """Let this process be interrupted by its parent, and clean up undisturbed after that.

    A terminal and CI send their signal to all processes of a command, and the parent then ends its children: what
    comes second would interrupt the cleaning up on the device.
    """

    def passed_over(*_: object) -> None: ...

    def interrupted(*_: object) -> None:
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, passed_over)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, passed_over)  # not ignored, which programs that are started would inherit
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, interrupted)


def _unmeasured(name: str, plan: Plan, what: Evaluation, error: str, kind: str = "DeviceError") -> dict[str, Any]:
    """Results of a device on which nothing could be measured."""
    described = _described(name)
    results = new_results("", {}, [described])
    results["runs"] = failed_records(described, plan, what, error, kind)
    return results


def _described(name: str) -> dict[str, Any]:
    """What is known of a device that was not reached."""
    try:
        profile = profile_of(load_device(name))
    except DwsepError:  # it is not known, or its file is damaged
        return {"name": name, "kind": "", "emulated": False}
    return {"name": name, "kind": profile.kind, "emulated": profile.emulated}


def _merge(results: dict[str, Any], one: dict[str, Any]) -> None:
    """Add what one device showed; comparisons keep to its own runs."""
    first = len(results["runs"])
    results["runs"].extend(one["runs"])
    results["devices"].extend(one["devices"])
    for comparison in one["comparisons"]:
        shifted = {key: comparison[key] + first for key in ("baseline", "run")}
        results["comparisons"].append({**comparison, **shifted})
    results["reference"] = results["reference"] or one["reference"]
    results["settings"] = one["settings"] or results["settings"]
