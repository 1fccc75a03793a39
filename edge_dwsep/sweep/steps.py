"""Steps of a sweep and what they put out: the values that the graph, its executors and the store hand one another."""

from __future__ import annotations

__all__ = ["Executor", "Outcome", "Step", "StepKind", "StepOutput"]

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, Protocol

from edge_dwsep.sweep.versions import KIND_VERSIONS


class StepKind(str, Enum):
    """What a step does, in the order of a sweep.

    DATA opens a data set; NETWORK builds, loads or trains a Keras model; REFERENCE runs it on the data; LOWER makes the
    float graph of a format; CALIBRATE records its activation ranges; CONVERT makes a recipe's file; VERIFY compares it
    with Keras and writes its manifest. On a device, REACH opens it, PUSH brings a file there, LAUNCH times a run in one
    process, ACCURACY classifies, OPERATORS times each operator, COUNT counts instructions.
    """

    DATA = "data"
    NETWORK = "network"
    REFERENCE = "reference"
    LOWER = "lower"
    CALIBRATE = "calibrate"
    CONVERT = "convert"
    VERIFY = "verify"
    REACH = "reach"
    PUSH = "push"
    LAUNCH = "launch"
    ACCURACY = "accuracy"
    OPERATORS = "operators"
    COUNT = "count"


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        kind: what.
        spec: JSON values that decide, together with the outputs of ``needs``, what comes out.
        needs: key of the step whose output is taken, by the role it plays, such as {"network": "3f..."}.
        title: for people.
        device: name of the device that it runs on; empty for whatever host there is.
        asides: JSON values that the work needs but that do not decide what comes out: paths, time limits.
        by_content: whether ``spec`` itself names the contents that are taken, by hash; how they were made does not
            matter then, and ``needs`` decides nothing.
    """

    kind: StepKind
    spec: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    device: str = ""
    asides: Mapping[str, Any] = field(default_factory=dict)
    by_content: bool = False

    @cached_property
    def key(self) -> str:
        """SHA-256, hexadecimal, of everything that decides the output, the version of the code included."""
        decisive = {
            "kind": self.kind.value,
            "version": KIND_VERSIONS[self.kind.value],
            "spec": self.spec,
            "needs": {} if self.by_content else dict(self.needs),
        }
        text = json.dumps(decisive, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class StepOutput:
    """What came out of a step.

    Attributes:
        facts: JSON values.
        files: SHA-256 of each file by its name; the contents lie in a :class:`~edge_dwsep.sweep.blobs.BlobFolder`.
    """

    facts: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes:
        step: which.
        output: None if it failed.
        error: one line; empty if it did not fail.
        error_class: name of the error's class; empty if it did not fail.
        seconds: that it took.
        worker: who did it, such as a host and process.
    """

    step: Step
    output: StepOutput | None
    error: str = ""
    error_class: str = ""
    seconds: float = 0.0
    worker: str = ""


class Executor(Protocol):
    """Carries steps out, several at a time; those of one device one after another."""

    def submit(self, step: Step, inputs: Mapping[str, StepOutput]) -> None:
        """Begin a step as soon as there is room; ``inputs`` are the outputs of what it needs, by role."""
        ...

    def wait(self, timeout: float) -> Sequence[Outcome]:
        """Steps that ended since it was last asked; waits up to ``timeout`` seconds for one if there is none."""
        ...

    def identity(self, device: str) -> Mapping[str, Any]:
        """JSON values that tell one device from another, so that what was measured on it is taken for no other's.

        Raises:
            UnknownDevice: no device has that name.
        """
        ...

    def close(self) -> None:
        """End what is running, and clean up on devices."""
        ...
