"""What can be done with a model: the scenarios by name, each a few numbers that say how.

Single-stream and offline are those of MLPerf Inference (Reddi et al. 2020, arXiv:1911.02549), with its rule that a
minimum of samples and a minimum of seconds both hold.
"""

from __future__ import annotations

__all__ = [
    "MODES",
    "SCENARIOS",
    "ColdStart",
    "FirstInference",
    "Interleaved",
    "Mode",
    "Offline",
    "ProfileOperators",
    "SingleStream",
    "Sustained",
    "Turns",
    "scenario_kind",
]

import importlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, Union

from dwsep_runtime.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from dwsep_runtime.accuracy_scenarios import Accuracy, Agreement, Predict

DAY = 86400.0


@dataclass(frozen=True)
class Mode:
    """How long to measure, by name.

    Attributes:
        min_samples: timed inferences at least.
        min_seconds: seconds of them at least.
        processes: fresh processes that the samples and seconds are divided among.
    """

    min_samples: int
    min_seconds: float
    processes: int


MODES = {
    "rapid": Mode(64, 6.0, 1),
    "quick": Mode(128, 10.0, 5),
    "normal": Mode(1024, 60.0, 10),
}
"""Samples and seconds are those of MLPerf Inference's rules for edge systems, scaled down to phones and boards."""


def _require(holds: bool, setting: str, accepted: str, received: Any) -> None:  # noqa: FBT001  # a condition
    if not holds:
        raise InvalidInput(f"{setting} must be {accepted}, received {received!r}")


def _count(setting: str, received: Any, most: int = 10**9, least: int = 1) -> None:
    whole = isinstance(received, int) and not isinstance(received, bool)
    _require(whole and least <= received <= most, setting, f"a whole number between {least} and {most}", received)


def _seed(received: Any) -> None:
    _count("seed", received, 2**63 - 1, 0)


def _number(setting: str, received: Any, least: float, most: float, unit: str = "") -> None:
    real = isinstance(received, (int, float)) and not isinstance(received, bool) and math.isfinite(received)
    _require(real and least <= received <= most, setting, f"between {least:g} and {most:g}{unit}", received)


def _seconds(setting: str, received: Any, least: float = 0.0) -> None:
    _number(setting, received, least, DAY, " s")


@dataclass(frozen=True)
class SingleStream:
    """Inferences one after another, each timed.

    Attributes:
        min_samples: timed inferences at least.
        min_seconds: seconds of timed inferences at least; both minimums hold.
        max_warmup_seconds: the warm-up ends when times are steady, or after this long.
        precision: end early once the interval's half-width is below this share of the percentile; None for never.
        percentile: the one that ``precision`` looks at.
        seed: of the random input.
    """

    min_samples: int = 128
    min_seconds: float = 10.0
    max_warmup_seconds: float = 3.0
    precision: Optional[float] = None
    percentile: float = 50.0
    seed: int = 0
    name: str = field(default="single-stream", init=False)

    def __post_init__(self) -> None:
        _count("min_samples", self.min_samples)
        _seconds("min_seconds", self.min_seconds)
        _seconds("max_warmup_seconds", self.max_warmup_seconds)
        if self.precision is not None:
            _number("precision", self.precision, 1e-4, 1.0)
        _number("percentile", self.percentile, 1.0, 99.9)
        _seed(self.seed)


@dataclass(frozen=True)
class Offline:
    """All samples at once, in batches of the job's batch size: what counts is samples a second.

    Attributes:
        min_samples: samples at least.
        min_seconds: seconds at least; both minimums hold.
        max_warmup_seconds: the warm-up ends when times are steady, or after this long.
        seed: of the random input.
    """

    min_samples: int = 128
    min_seconds: float = 10.0
    max_warmup_seconds: float = 3.0
    seed: int = 0
    name: str = field(default="offline", init=False)

    def __post_init__(self) -> None:
        _count("min_samples", self.min_samples)
        _seconds("min_seconds", self.min_seconds)
        _seconds("max_warmup_seconds", self.max_warmup_seconds)
        _seed(self.seed)


@dataclass(frozen=True)
class Sustained:
    """Inferences without a pause for minutes: how latency moves as the device heats up, and when throttling begins.

    There is no warm-up: the first seconds are part of the picture.

    Attributes:
        seconds: how long.
        window_seconds: length of the windows that latency is told of.
        seed: of the random input.
    """

    seconds: float = 300.0
    window_seconds: float = 5.0
    seed: int = 0
    name: str = field(default="sustained", init=False)

    def __post_init__(self) -> None:
        _seconds("seconds", self.seconds, 1.0)
        _seconds("window_seconds", self.window_seconds, 0.05)
        _require(
            self.window_seconds * 4 <= self.seconds,
            "window_seconds",
            f"at most a quarter of the {self.seconds:g} s",
            self.window_seconds,
        )
        _seed(self.seed)


@dataclass(frozen=True)
class FirstInference:
    """Load, allocate and run once, telling how long each took: one start of scenario cold-start.

    Attributes:
        seed: of the random input.
    """

    seed: int = 0
    name: str = field(default="first-inference", init=False)

    def __post_init__(self) -> None:
        _seed(self.seed)


@dataclass(frozen=True)
class ColdStart:
    """Start a process, load, allocate and run the first inference, several times, each in a fresh process.

    Attributes:
        command: program and arguments on the device that run a job.
        starts: how many.
        seed: of the random input.
    """

    command: tuple[str, ...]
    starts: int = 10
    seed: int = 0
    name: str = field(default="cold-start", init=False)

    def __post_init__(self) -> None:
        words = self.command
        listed = isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words)
        _require(listed and len(words) > 0, "command", "a list of a program and its arguments", words)
        object.__setattr__(self, "command", tuple(words))
        _count("starts", self.starts, 10_000)
        _seed(self.seed)


@dataclass(frozen=True)
class Turns:
    """One of several processes that take turns: it runs as many inferences as each line of its input says.

    Attributes:
        max_warmup_seconds: the warm-up ends when times are steady, or after this long.
        seed: of the random input.
    """

    max_warmup_seconds: float = 0.5
    seed: int = 0
    name: str = field(default="turns", init=False)

    def __post_init__(self) -> None:
        _seconds("max_warmup_seconds", self.max_warmup_seconds)
        _seed(self.seed)


@dataclass(frozen=True)
class Interleaved:
    """Several jobs in processes that take turns on the same core, in several launches of fresh processes.

    Attributes:
        contenders: ``{"job": job as JSON with scenario turns, "command": program and arguments}`` each.
        launches: how often all processes are started anew.
        rounds: turns of each process in a launch.
        turn_seconds: how long a turn should last.
    """

    contenders: tuple[dict[str, Any], ...]
    launches: int = 10
    rounds: int = 20
    turn_seconds: float = 0.02
    name: str = field(default="interleaved", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "contenders", tuple(self.contenders))
        _require(
            len(self.contenders) >= 2 and all({*one} == {"job", "command"} for one in self.contenders),
            "contenders",
            "at least two objects of job and command",
            len(self.contenders),
        )
        _count("launches", self.launches, 1000)
        _count("rounds", self.rounds, 10_000)
        _number("turn_seconds", self.turn_seconds, 1e-4, 60.0, " s")


@dataclass(frozen=True)
class ProfileOperators:
    """Time, operator by operator.

    Attributes:
        seconds: to spend on it, roughly.
        seed: of the random input.
    """

    seconds: float = 5.0
    seed: int = 0
    name: str = field(default="profile-operators", init=False)

    def __post_init__(self) -> None:
        _seconds("seconds", self.seconds, 0.1)
        _seed(self.seed)


if TYPE_CHECKING:
    Scenario = Union[
        SingleStream,
        Offline,
        Sustained,
        FirstInference,
        ColdStart,
        Turns,
        Interleaved,
        ProfileOperators,
        Accuracy,
        Agreement,
        Predict,
    ]

SCENARIOS = {
    "single-stream": "dwsep_runtime.scenarios:SingleStream",
    "offline": "dwsep_runtime.scenarios:Offline",
    "sustained": "dwsep_runtime.scenarios:Sustained",
    "cold-start": "dwsep_runtime.scenarios:ColdStart",
    "first-inference": "dwsep_runtime.scenarios:FirstInference",
    "interleaved": "dwsep_runtime.scenarios:Interleaved",
    "turns": "dwsep_runtime.scenarios:Turns",
    "profile-operators": "dwsep_runtime.scenarios:ProfileOperators",
    "accuracy": "dwsep_runtime.accuracy_scenarios:Accuracy",
    "agreement": "dwsep_runtime.accuracy_scenarios:Agreement",
    "predict": "dwsep_runtime.accuracy_scenarios:Predict",
}
"""Where each scenario's class is; it is imported when a job asks for it, because every start waits for it."""


def scenario_kind(name: str) -> type[Any]:
    """The class of a scenario.

    Raises:
        UnknownName: no scenario has that name.
    """
    if name not in SCENARIOS:
        raise UnknownName("scenario", name, SCENARIOS)
    module, _, attribute = SCENARIOS[name].partition(":")
    kind: type[Any] = getattr(importlib.import_module(module), attribute)
    return kind
