"""The steps that measure a run on a device, and the key of the run: the hash of all that they depend on."""

from __future__ import annotations

__all__ = [
    "Evaluated",
    "Made",
    "Measuring",
    "RunNames",
    "RunSteps",
    "device_identity",
    "latency_settings_of",
    "made_from",
    "steps_of_run",
]

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

from dwsep_runtime.engines import ENGINES
from dwsep_runtime.harness import harness_sha256
from edge_dwsep.measure import LatencySettings, known_options
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.errors import LostContent
from edge_dwsep.sweep.steps import Step, StepKind, StepOutput
from edge_dwsep.sweep.versions import RECORD_VERSION
from edge_dwsep.words import in_a_line

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Measuring:
    """What is measured of every run of a sweep.

    Attributes:
        latency: how; threads are each run's own.
        accuracy_timeout: seconds that a run of it may take.
        label_offset: number of outputs before the one of label 0.
        profile_ops: whether operators are timed.
        cost: "instructions" to count them instead of time; else empty.
        wait: whether to wait for a device that is in use.
        again: empty, or a word that has never been used, to measure anew what is in the store.
    """

    latency: LatencySettings
    accuracy_timeout: float = 3600.0
    label_offset: int = 0
    profile_ops: bool = False
    cost: str = ""
    wait: bool = True
    again: str = ""


@dataclass(frozen=True)
class Made:
    """An artifact as the steps that made it tell of it.

    Attributes:
        convert: key of the step that made the file.
        verify: key of the step that made the manifest.
        sha256: of the file.
        manifest_sha256: of the manifest.
        manifest: JSON values.
    """

    convert: str
    verify: str
    sha256: str
    manifest_sha256: str
    manifest: Mapping[str, Any]

    @property
    def file_name(self) -> str:
        """Name of the model file."""
        return str(self.manifest["file"]["name"])


@dataclass(frozen=True)
class RunNames:
    """What tells a run from the others of its sweep on one device: network, recipe, engine and threads."""

    model: str
    variant: str
    engine: str
    threads: int


@dataclass(frozen=True)
class Evaluated:
    """What accuracy is counted on.

    Attributes:
        data: key of the step that opened the data set.
        data_sha256: of the images and labels.
        reference: key of the step that ran the Keras model.
        reference_sha256: of its predictions.
    """

    data: str
    data_sha256: str
    reference: str
    reference_sha256: str


@dataclass(frozen=True)
class RunSteps:
    """The steps of one run.

    Attributes:
        key: of the run; the hash of what its steps depend on.
        push: brings the file to the device; None where it needs no bringing.
        launches: one a round.
        others: accuracy, operators, count; steps that several runs share are equal.
    """

    key: str
    push: Step | None
    launches: tuple[Step, ...]
    others: tuple[Step, ...]

    @property
    def measuring(self) -> tuple[Step, ...]:
        """All steps whose outputs make up the record."""
        return (*self.launches, *self.others)


def made_from(verify: Step, convert: Step, outputs: Mapping[str, StepOutput], blobs: BlobFolder) -> Made | None:
    """What was made of a variant; None if it was not, or its manifest is lost or that of another file."""
    verified, converted = outputs.get(verify.key), outputs.get(convert.key)
    if verified is None or converted is None:
        return None
    try:
        manifest = json.loads(blobs.read(verified.files[MANIFEST]))
    except LostContent:
        return None
    if manifest["file"]["sha256"] not in converted.files.values():
        return None
    return Made(convert.key, verify.key, manifest["file"]["sha256"], verified.files[MANIFEST], manifest)


@cache
def device_identity(name: str) -> dict[str, Any]:
    """JSON values that tell a device from others, without reaching it; for this machine, its name and processor.

    Raises:
        UnknownDevice: no device has that name.
        InvalidInput: what is kept of it is not accepted.
    """
    if name == "local":
        from dwsep_runtime.state import device_facts

        facts = device_facts()
        return {
            "name": name,
            "kind": "local",
            "host": platform.node(),
            "cpu": facts.get("cpu"),
            "cores": os.cpu_count(),
            "emulated": False,
            "transport": "local",
        }
    from dwsep_devices.inventory import load_device, profile_of

    known = load_device(name)
    profile = profile_of(known)
    return {
        "name": name,
        "kind": known.kind,
        "where": known.where,
        "emulated": profile.emulated,
        "transport": profile.transport,
    }


def steps_of_run(
    run: RunNames, made: Made, identity: Mapping[str, Any], what: Measuring, evaluated: Evaluated | None
) -> RunSteps:
    """The steps that measure one run.

    Args:
        run: which.
        made: the artifact.
        identity: of the device.
        what: is measured.
        evaluated: what accuracy is counted on; None where there is nothing.
    """
    engine, threads = run.engine, run.threads
    device = str(identity["name"])
    settings = replace(what.latency, threads=threads)
    title = f"{in_a_line(run.model)} {run.variant} on {engine}"
    needs = {"convert": made.convert, "verify": made.verify}
    common = {
        "device": dict(identity),
        "engine": engine,
        "environment": _environment(engine, str(identity["transport"])),
        "harness_sha256": harness_sha256(),
        "artifact_sha256": made.sha256,
        "again": what.again,
    }
    asides = {"wait": what.wait, "timeout": settings.timeout}

    def step(kind: StepKind, said: str, spec: Mapping[str, Any], more: Mapping[str, str] | None = None) -> Step:
        whole = {**common, **spec}
        return Step(kind, whole, {**needs, **(more or {})}, said, device, asides, by_content=True)

    timed = {key: value for key, value in settings.to_json().items() if key != "timeout"}
    launches: list[Step] = []
    others: list[Step] = []
    if what.cost:
        counted = {"settings": {key: timed[key] for key in ("threads", "batch", "options", "memory_limit_bytes")}}
        count = step(StepKind.COUNT, f"count {what.cost} of {title}", counted)
        others.append(replace(count, asides={**asides, "cost": what.cost}))
    else:
        rounds = settings.processes
        for at in range(rounds):
            said = f"time {title}{_threads(threads)}" + (f", round {at + 1} of {rounds}" if rounds > 1 else "")
            launches.append(step(StepKind.LAUNCH, said, {"settings": timed, "round": at}))
    if what.profile_ops and not what.cost:
        said = f"take {title}{_threads(threads)} apart"
        others.append(step(StepKind.OPERATORS, said, {"settings": timed}))
    if evaluated is not None:
        counted_on = {
            "data_sha256": evaluated.data_sha256,
            "reference_sha256": evaluated.reference_sha256,
            "preprocessing": made.manifest["preprocessing"],
            "label_offset": what.label_offset,
            "options": known_options(engine, settings.options),
        }
        more = {"data": evaluated.data, "reference": evaluated.reference}
        accuracy = step(StepKind.ACCURACY, f"classify with {title}", counted_on, more)
        others.append(replace(accuracy, asides={**asides, "timeout": what.accuracy_timeout}))
    push = None
    # What counts is a machine of its own, which gets its file with the run.
    if device != "local" and not all(one.asides.get("cost") for one in (*launches, *others)):
        spec = {"device": dict(identity), "artifact_sha256": made.sha256}
        said = f"bring {in_a_line(made.file_name)} to {device}"
        push = Step(StepKind.PUSH, spec, needs, said, device, asides, by_content=True)
    # A record tells of the manifest, too: another preprocessing needs no other times.
    decisive = [RECORD_VERSION, run.model, run.variant, made.manifest_sha256]
    decisive += [one.key for one in (*launches, *others)]
    key = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    return RunSteps(key, push, tuple(launches), tuple(others))


def latency_settings_of(step: Step) -> LatencySettings:
    """The settings of a step that times, as they were when it was made."""
    from dwsep_runtime.conditions import Conditions

    given = dict(step.spec["settings"])
    known = asdict(LatencySettings())
    conditions = Conditions.from_json(given.pop("conditions", {}))
    return LatencySettings(
        **{key: value for key, value in given.items() if key in known},
        conditions=conditions,
        timeout=float(step.asides["timeout"]),
    )


def _threads(threads: int) -> str:
    return f", {threads} threads" if threads > 1 else ""


@cache
def _environment(engine: str, transport: str) -> str:
    """What this host wants of an engine's environment: packages and their versions, in one word."""
    from dwsep_devices.provision import pointer_name

    return pointer_name(ENGINES[engine].environment, android=transport == "adb")
