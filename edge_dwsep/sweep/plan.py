"""A plan of a sweep: what to make of which networks, where to measure it and how; frozen, and JSON values both ways."""

from __future__ import annotations

__all__ = ["ChoosePlan", "MeasurePlan", "SearchPlan", "SweepPlan"]

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.scenarios import MODES

if TYPE_CHECKING:
    from edge_dwsep.measure import LatencySettings

RAW_PIXELS = (1.0,)
NO_OFFSET = (0.0,)


@dataclass(frozen=True)
class MeasurePlan:
    """What is measured of each run, and how long.

    Attributes:
        mode: how long, by a name of ``dwsep_runtime.scenarios.MODES``.
        min_samples: timed inferences at least; None for the mode's.
        min_seconds: seconds of them at least; None for the mode's.
        processes: fresh processes that these are divided among; None for the mode's.
        max_warmup_seconds: the warm-up ends when times are steady, or after this long.
        precision: end early once the interval of p50 in a process is within this share of it; None to use all the time.
        accuracy: whether to classify the data; None for wherever there is data.
        profile_ops: whether to time each operator, too.
        cost: "instructions" to count them as well on devices that can; empty for none.
        timeout: seconds that a run may take besides warm-up and measurement.
        engine_options: of the engines by name; each engine takes those that it knows.
        pin: cores to run on; empty for any.
        governor: of the cores' frequency; empty to leave it.
        cool_down: degrees Celsius that the device is to be below before each run; None not to wait.
        priority: whether to run before other processes, where that is permitted.
    """

    mode: str = "quick"
    min_samples: int | None = None
    min_seconds: float | None = None
    processes: int | None = None
    max_warmup_seconds: float = 3.0
    precision: float | None = None
    accuracy: bool | None = None
    profile_ops: bool = False
    cost: str = ""
    timeout: float = 300.0
    engine_options: Mapping[str, str] = field(default_factory=dict)
    pin: tuple[int, ...] = ()
    governor: str = ""
    cool_down: float | None = None
    priority: bool = False

    def latency(self, threads: int) -> LatencySettings:
        """The settings of a run's latency with so many threads."""
        from dwsep_runtime.conditions import Conditions
        from edge_dwsep.measure import LatencySettings

        preset = MODES[self.mode]
        return LatencySettings(
            min_samples=preset.min_samples if self.min_samples is None else self.min_samples,
            min_seconds=preset.min_seconds if self.min_seconds is None else self.min_seconds,
            processes=preset.processes if self.processes is None else self.processes,
            max_warmup_seconds=self.max_warmup_seconds,
            precision=self.precision,
            threads=threads,
            options=dict(self.engine_options),
            conditions=Conditions(
                pin=self.pin or None,
                governor=self.governor or None,
                cool_down_c=self.cool_down,
                priority=self.priority,
            ),
            timeout=self.timeout,
        )


@dataclass(frozen=True)
class ChoosePlan:
    """What the choice is made by.

    Attributes:
        pareto: objectives of the front; empty for the usual ones.
        max_drop: percentage points of top-1 accuracy that may be lost against float, such as "1pp"; "" for any.
        max_p50: latency, such as "20ms".
        max_p90: latency, such as "20ms".
        max_size: of the file, such as "1MB".
        max_memory: of a run, such as "50MB".
        min_top1: accuracy, such as "90%".
    """

    pareto: tuple[str, ...] = ()
    max_drop: str = ""
    max_p50: str = ""
    max_p90: str = ""
    max_size: str = ""
    max_memory: str = ""
    min_top1: str = ""


@dataclass(frozen=True)
class SearchPlan:
    """That the plan's combinations are searched instead of all tried.

    Attributes:
        trials: combinations that are measured at most.
        seed: of the search.
    """

    trials: int = 50
    seed: int = 0


@dataclass(frozen=True)
class SweepPlan:
    """Everything that decides which runs a sweep has; where nothing is said, all that can be.

    Attributes:
        models: architectures, checkpoints or paths of .keras files.
        name: of the sweep, for people.
        alphas: width multipliers of architectures; empty for 1.0.
        resolutions: sides of their input; empty for the usual one.
        channels: of their input; None for those of the data, or 3.
        classes: of their output; None for those of the data, or 1000.
        formats: of files; empty for all.
        schemes: of quantization; empty for all.
        ios: dtypes of a tflite-w8a8 file's inputs and outputs.
        engines: empty for all that run a format without being asked for.
        threads: of the engines.
        devices: names.
        data: images to calibrate, verify and evaluate on; empty for noise.
        epochs: that architectures are trained on Fashion-MNIST; 0 for random weights.
        seed: of weights and training.
        scale: factor of 0-255 pixels, one or one a channel; empty where the model's own holds.
        offset: what is added then; empty for 0.
        pad: whether smaller images are centred in a black frame of the model's input size.
        label_offset: number of outputs before the one of label 0.
        measure: what is measured, and how long.
        choose: what the choice is made by.
        search: None to try every combination.
    """

    models: tuple[str, ...]
    name: str = ""
    alphas: tuple[float, ...] = ()
    resolutions: tuple[int, ...] = ()
    channels: int | None = None
    classes: int | None = None
    formats: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    ios: tuple[str, ...] = ("float32",)
    engines: tuple[str, ...] = ()
    threads: tuple[int, ...] = (1,)
    devices: tuple[str, ...] = ("local",)
    data: str = ""
    epochs: int = 0
    seed: int = 1
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    pad: bool = False
    label_offset: int = 0
    measure: MeasurePlan = field(default_factory=MeasurePlan)
    choose: ChoosePlan = field(default_factory=ChoosePlan)
    search: SearchPlan | None = None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From pixels to the models' input as the plan says it; None where each model's own holds."""
        if not (self.scale or self.offset or self.pad):
            return None
        return Preprocessing(
            resize="pad" if self.pad else "none", scale=self.scale or RAW_PIXELS, offset=self.offset or NO_OFFSET
        )

    @property
    def measures_accuracy(self) -> bool:
        """Whether the data is classified on the devices."""
        return bool(self.data) if self.measure.accuracy is None else self.measure.accuracy

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON values, by the keys of a plan file."""
        from edge_dwsep.sweep.plan_keys import KEYS

        told: dict[str, Any] = {}
        for key, entry in KEYS.items():
            section, _, last = key.rpartition(".")
            holder = getattr(self, section) if section else self
            value = None if holder is None else getattr(holder, entry.attribute)
            if holder is None or value == entry.default:
                continue
            table = told.setdefault(section, {}) if section else told
            table[last] = _json(value)
        if self.search is not None:
            told.setdefault("search", {})
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> SweepPlan:
        """Read what :meth:`to_json` wrote.

        Raises:
            InvalidPlan: a key or value is not accepted.
        """
        from edge_dwsep.sweep.plan_keys import Given, read_plan

        given = {}
        for key, value in told.items():
            if isinstance(value, Mapping) and key in SECTIONS:
                given[key] = Given({}, key)
                given.update({f"{key}.{name}": Given(one, f"{key}.{name}") for name, one in value.items()})
            else:
                given[key] = Given(value, key)
        return read_plan(given, known_here=False)


SECTIONS: dict[str, type] = {"measure": MeasurePlan, "choose": ChoosePlan, "search": SearchPlan}
"""The tables of a plan file, by their names."""


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def defaults_of(kind: type) -> dict[str, Any]:
    """The value of each field of a dataclass where nothing is said; fields that must be said are left out."""
    made = kind(models=()) if kind is SweepPlan else kind()
    return {one.name: getattr(made, one.name) for one in fields(made)}
