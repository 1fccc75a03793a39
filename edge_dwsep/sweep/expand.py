"""From a plan to its runs: every combination that can exist, and of the others the reason why they cannot."""

from __future__ import annotations

__all__ = ["Excluded", "Expansion", "Network", "PlannedRun", "Variant", "expand"]

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from dwsep_export.recipe import SCHEMES, Format, Io, Recipe, Scheme
from dwsep_runtime.engines import ENGINES
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.checkpoints import checkpoint, checkpoint_names
from edge_dwsep.datasets.names import DataShape
from edge_dwsep.measure import require_known_options
from edge_dwsep.models.registry import ARCHITECTURES, architecture
from edge_dwsep.sweep.plan import SweepPlan
from edge_dwsep.sweep.targets import Target
from edge_dwsep.words import in_a_line

USUAL_SIDE, USUAL_CHANNELS, USUAL_CLASSES = 224, 3, 1000
TRAINED_SIDE = 32
"""Resolution at which networks are trained on Fashion-MNIST."""

MOST_NAME = 180
"""Bytes of a network's name; those of a file are 255, and it has its recipe, format and manifest in it, too."""

DENSE_HEADS = frozenset({"mobilenet_v2"})
"""Architectures that end in a dense layer, which tflite-runtime 2.14 does not load with weights of w8-dynamic: they
have a scale a channel, FULLY_CONNECTED version 12; see dwsep_export.runtime_versions."""


@dataclass(frozen=True)
class Network:
    """A Keras model that variants are made of.

    Attributes:
        name: what it is called in results; different for each network of a sweep.
        model: as the plan names it.
        kind: "architecture", "checkpoint" or "file".
        architecture: its name in the registry; empty for a file.
        alpha: width multiplier; None for a file.
        input_shape: (height, width, channels); None for a file, which tells when it is loaded.
        classes: None for a file.
        epochs: that it is trained for; 0 for what it is.
        seed: of its weights and training; 0 where it has its weights.
        preprocessing: instead of the model's own; None where that holds.
    """

    name: str
    model: str
    kind: str
    architecture: str = ""
    alpha: float | None = None
    input_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    epochs: int = 0
    seed: int = 0
    preprocessing: Preprocessing | None = None

    @property
    def trained(self) -> bool:
        """Whether its weights are not random."""
        return self.kind != "architecture" or self.epochs > 0


@dataclass(frozen=True)
class Variant:
    """A model file to make: of a network, by a recipe."""

    network: Network
    recipe: Recipe

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.network.name} {self.recipe.name}"


@dataclass(frozen=True)
class PlannedRun:
    """A variant to be measured on a device by an engine with so many threads.

    Attributes:
        variant: what.
        device: where; its name.
        engine: by what.
        threads: of the engine.
        counts: whether its instructions are counted, instead of being timed.
    """

    variant: Variant
    device: str
    engine: str
    threads: int
    counts: bool = False


@dataclass(frozen=True)
class Excluded:
    """Combinations that were left out: which, and why."""

    what: str
    reason: str

    def to_json(self) -> dict[str, str]:
        """JSON values."""
        return {"what": self.what, "reason": self.reason}


@dataclass(frozen=True)
class Expansion:
    """What a plan comes to; networks and variants without runs are not in it."""

    networks: tuple[Network, ...]
    variants: tuple[Variant, ...]
    runs: tuple[PlannedRun, ...]
    excluded: tuple[Excluded, ...]


def expand(plan: SweepPlan, *, devices: Mapping[str, Target], data: DataShape | None = None) -> Expansion:
    """Every run of a plan, ordered by network, recipe, device, engine and threads.

    Args:
        plan: the plan.
        devices: what is known of each of its devices, by name.
        data: what the images of its data set are like; None if it has none.

    Raises:
        InvalidInput: nothing is left, a setting fits none of the models, or an engine refuses the value of an option.
        UnknownName: no model has a name, or none of the engines an option.
    """
    excluded: list[Excluded] = []
    networks = _named_apart(list(_networks(plan, data or DataShape(), excluded)))
    recipes = _recipes(plan, excluded)
    engines = _engines(plan, recipes, excluded)
    places = _places(plan, devices, excluded)
    runs = list(_runs(plan, [Variant(*pair) for pair in product(networks, recipes)], engines, places, excluded))
    if not runs:
        raise InvalidInput(f"nothing of the plan can be measured: {_reasons(excluded)}")
    require_known_options(plan.measure.engine_options, {run.engine for run in runs})
    variants = tuple(dict.fromkeys(run.variant for run in runs))
    return Expansion(tuple(dict.fromkeys(one.network for one in variants)), variants, tuple(runs), tuple(excluded))


def _networks(plan: SweepPlan, data: DataShape, excluded: list[Excluded]) -> Iterator[Network]:
    fixed = {"alpha": plan.alphas, "resolution": plan.resolutions, "channels": plan.channels, "classes": plan.classes}
    given = [name for name, value in fixed.items() if value]
    if given and not any(model in ARCHITECTURES for model in plan.models):
        raise InvalidInput(
            f"{given[0]} is fixed in {in_a_line(plan.models[0])}; it can be chosen for {', '.join(ARCHITECTURES)} alone"
        )
    for model in plan.models:
        if model in ARCHITECTURES:
            yield from _of_architecture(model, plan, data, excluded)
            continue
        if given:
            excluded.append(
                Excluded(in_a_line(model), f"its {' and '.join(given)} cannot be chosen; it is measured as it is")
            )
        if model in checkpoint_names():
            card = checkpoint(model).card
            height, width, channels = card["input_shape"]
            yield Network(
                name=model,
                model=model,
                kind="checkpoint",
                architecture=card["architecture"],
                alpha=card["alpha"],
                input_shape=(height, width, channels),
                classes=len(card["class_names"]),
                preprocessing=plan.preprocessing,
            )
        else:
            yield Network(_shortened(Path(model).stem), model, "file", preprocessing=plan.preprocessing)


def _of_architecture(model: str, plan: SweepPlan, data: DataShape, excluded: list[Excluded]) -> Iterator[Network]:
    channels = plan.channels or data.channels or USUAL_CHANNELS
    classes = plan.classes or data.classes or USUAL_CLASSES
    usual = TRAINED_SIDE if data.trains else USUAL_SIDE
    for alpha, side in product(plan.alphas or (1.0,), plan.resolutions or (usual,)):
        reason = _unbuildable(model, alpha, side, data) or _untrainable(plan, data, side, channels, classes)
        name = f"{model}_{alpha:g}_{side}"
        if reason:
            excluded.append(Excluded(name, reason))
            continue
        yield Network(
            name=f"{name}_fashion_mnist_{plan.epochs}_epochs" if plan.epochs else name,
            model=model,
            kind="architecture",
            architecture=model,
            alpha=alpha,
            input_shape=(side, side, channels),
            classes=classes,
            epochs=plan.epochs,
            seed=plan.seed,
            preprocessing=plan.preprocessing,
        )


def _unbuildable(model: str, alpha: float, side: int, data: DataShape) -> str:
    family = architecture(model)
    if alpha < family.smallest_alpha:
        return f"alpha {alpha:g} leaves a layer without channels; use at least {family.smallest_alpha:g}"
    if side < family.total_stride:
        return f"its strides divide the input by {family.total_stride}; use a resolution of at least that"
    if data.side and side < data.side:
        return f"the images of the data have {data.side} pixels a side, which do not fit into {side}"
    return ""


def _untrainable(plan: SweepPlan, data: DataShape, side: int, channels: int, classes: int) -> str:
    if not plan.epochs:
        return ""
    if not data.trains:
        return "networks are trained on Fashion-MNIST alone: say data = fashion-mnist, or leave out epochs"
    if (side, channels, classes) != (TRAINED_SIDE, data.channels, data.classes):
        return (
            f"training is for {TRAINED_SIDE}x{TRAINED_SIDE} pixels, {data.channels} channel and {data.classes} classes"
        )
    return ""


def _named_apart(networks: list[Network]) -> list[Network]:
    """The networks with the folder before the name of files that are called the same."""
    from dataclasses import replace

    names = [network.name for network in networks]
    apart: list[Network] = []
    for network in networks:
        name = network.name
        if names.count(name) > 1 and network.kind == "file":
            name = _shortened(f"{Path(network.model).absolute().parent.name}_{name}")
        taken = {one.name for one in apart}
        number = 2
        while name in taken:
            name, number = f"{network.name}_{number}", number + 1
        apart.append(replace(network, name=name))
    return apart


def _shortened(name: str) -> str:
    """The beginning of a name that leaves room for the rest of a file's; bytes that are no text are replaced."""
    return os.fsencode(name)[:MOST_NAME].decode(errors="replace")


def _recipes(plan: SweepPlan, excluded: list[Excluded]) -> list[Recipe]:
    formats = [Format(name) for name in plan.formats] or list(Format)
    recipes: list[Recipe] = []
    for format in formats:
        schemes = [Scheme(name) for name in plan.schemes] or list(SCHEMES[format])
        for scheme in schemes:
            if scheme not in SCHEMES[format]:
                carried = ", ".join(one.value for one in SCHEMES[format])
                what = f"{format.value}-{scheme.value}"
                excluded.append(Excluded(what, f"{format.value} does not carry {scheme.value}; it carries {carried}"))
                continue
            takes_io = Recipe(format, scheme).takes_io
            recipes.extend(Recipe(format, scheme, Io(io)) for io in plan.ios if takes_io)
            if not takes_io:
                recipes.append(Recipe(format, scheme))
    if not any(recipe.takes_io for recipe in recipes):
        excluded.extend(
            Excluded(f"io {io}", "integer inputs and outputs go with tflite-w8a8 alone")
            for io in plan.ios
            if io != Io.FLOAT32.value
        )
    return recipes


def _engines(plan: SweepPlan, recipes: Sequence[Recipe], excluded: list[Excluded]) -> dict[str, list[str]]:
    """Engines to run each format with."""
    formats = list(dict.fromkeys(recipe.format.value for recipe in recipes))
    chosen = {
        format: [
            name
            for name, kind in ENGINES.items()
            if kind.format == format and (name in plan.engines if plan.engines else kind.default)
        ]
        for format in formats
    }
    for name in plan.engines:
        runs = ENGINES[name].format
        # Who names engines alone leaves it to them which formats they take.
        unable = [one for one in formats if one != runs and (plan.formats or not chosen[one] or runs not in formats)]
        excluded.extend(Excluded(f"{name} with {one}", f"it runs .{runs} files") for one in unable)
    return chosen


def _places(plan: SweepPlan, devices: Mapping[str, Target], excluded: list[Excluded]) -> list[tuple[Target, list[int]]]:
    """Devices with the numbers of threads that each has cores for."""
    places = []
    for name in plan.devices:
        device = devices[name]
        fit = [count for count in plan.threads if not device.cores or count <= device.cores]
        excluded.extend(
            Excluded(f"{count} threads on {name}", f"it has {device.cores} core{'s' * (device.cores > 1)}")
            for count in plan.threads
            if count not in fit
        )
        if plan.measure.cost and not device.counts:
            excluded.append(
                Excluded(f"{plan.measure.cost} on {name}", "emulated boards alone count them; it is timed only")
            )
        places.append((device, fit))
    if plan.measure.cost and not any(device.counts for device, _ in places):
        raise InvalidInput(
            f"cost = {plan.measure.cost}: none of the devices counts them ({', '.join(plan.devices)}); "
            "emulated boards do: lab-pi4, lab-pi5"
        )
    return places


def _runs(
    plan: SweepPlan,
    variants: Sequence[Variant],
    engines: Mapping[str, Sequence[str]],
    places: Sequence[tuple[Target, Sequence[int]]],
    excluded: list[Excluded],
) -> Iterator[PlannedRun]:
    told: set[tuple[str, str]] = set()

    def leave_out(what: str, reason: str) -> None:
        if (what, reason) not in told:
            told.add((what, reason))
            excluded.append(Excluded(what, reason))

    for variant in variants:
        network, recipe = variant.network, variant.recipe
        if recipe.scheme.needs_calibration and network.trained and not plan.data:
            leave_out(variant.name, f"{recipe.scheme.value} needs images to calibrate on; give data")
            continue
        for (device, threads), engine in product(places, engines[recipe.format.value]):
            lacking = device.lacks.get(ENGINES[engine].environment)
            if lacking:
                leave_out(f"{engine} on {device.name}", lacking)
            elif _refuses(engine, variant):
                leave_out(f"{variant.name} by {engine}", _refuses(engine, variant))
            else:
                for count in threads:
                    yield PlannedRun(variant, device.name, engine, count, bool(plan.measure.cost) and device.counts)


def _refuses(engine: str, variant: Variant) -> str:
    """Why an engine is known not to run a variant; empty if it is not known to refuse it."""
    dynamic = variant.recipe.scheme is Scheme.W8_DYNAMIC
    if engine == "tflite-runtime" and dynamic and variant.network.architecture in DENSE_HEADS:
        return "its dense layer is FULLY_CONNECTED version 12, which needs TensorFlow Lite 2.17; this is 2.14"
    return ""


def _reasons(excluded: Sequence[Excluded]) -> str:
    if not excluded:
        return "no engine of the plan runs a format of it"
    return "; ".join(f"{one.what}: {one.reason}" for one in excluded[:3])
