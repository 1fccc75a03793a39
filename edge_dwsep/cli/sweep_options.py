"""Options that say a sweep's plan, each a key of a plan file; given beside a file, they go before it."""

from __future__ import annotations

__all__ = ["plan_from_options", "sweep_options"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from edge_dwsep.sweep.plan import SweepPlan
    from edge_dwsep.sweep.plan_keys import Given

Function = TypeVar("Function", bound=Callable[..., Any])


def _whole(text: str) -> Any:
    return int(text)


def _number(text: str) -> Any:
    return float(text)


def _plain(text: str) -> Any:
    return text


LISTS: dict[str, tuple[Callable[[str], Any], str]] = {
    "alpha": (_number, "Width multipliers of architectures. [default: 1.0]"),
    "resolution": (_whole, "Heights and widths of their input. [default: 224; with Fashion-MNIST 32]"),
    "scheme": (_plain, "float32, float16, w8-dynamic or w8a8. [default: all]"),
    "format": (_plain, "tflite or onnx. [default: both]"),
    "io": (_plain, "Inputs and outputs of tflite-w8a8: float32, int8 or uint8. [default: float32]"),
    "engine": (_plain, "litert, tflite, tflite-runtime or onnxruntime. [default: all but tflite-runtime]"),
    "threads": (_whole, "Threads of the engine. [default: 1]"),
    "device": (_plain, "Where to measure: names of `edge-dwsep devices list`. [default: local]"),
    "scale": (_number, "Factor of 0-255 pixels, or one a channel. [default: the model's own]"),
    "offset": (_number, "What is added then, or one a channel. [default: the model's own]"),
    "measure.pin": (_whole, "Cores to run on."),
    "choose.pareto": (_plain, "Objectives of the front: top1, p50, p90, p99, size, memory, instructions."),
}
"""Lists: separated by commas, and repeatable."""

ONES: dict[str, tuple[Any, str]] = {
    "name": (str, "Name of the sweep, for people."),
    "channels": (int, "Channels of architectures' input. [default: those of the data, or 3]"),
    "classes": (int, "Classes of architectures. [default: those of the data, or 1000]"),
    "data": (
        str,
        "Images to calibrate, verify and evaluate on: fashion-mnist-sample, fashion-mnist, an .npz file, or a folder.",
    ),
    "epochs": (int, "Train architectures on Fashion-MNIST for so long. [default: 0, random weights]"),
    "seed": (int, "Of weights and training. [default: 1]"),
    "label_offset": (int, "Number of outputs before the one of label 0. [default: 0]"),
    "measure.mode": (str, "How long to measure: rapid, quick or normal; see bench. [default: quick]"),
    "measure.min_samples": (int, "Inferences at least. [default: the mode's]"),
    "measure.min_seconds": (float, "Seconds at least. [default: the mode's]"),
    "measure.processes": (int, "Fresh processes to divide them among. [default: the mode's]"),
    "measure.precision": (float, "End a process early once its p50 is known within this share, such as 0.02."),
    "measure.max_warmup_seconds": (float, "Warm-up ends when times are steady, or after this long. [default: 3]"),
    "measure.cost": (str, "instructions: count them, too, on an emulated board."),
    "measure.timeout": (float, "Seconds a run may take more. [default: 300]"),
    "measure.governor": (str, "CPU frequency governor for each run."),
    "measure.cool_down": (float, "Wait before each run until the device is below so many degrees C."),
    "choose.max_drop": (str, "Most top-1 accuracy to lose against float, such as 1pp."),
    "choose.max_p50": (str, "Longest median latency, such as 20ms."),
    "choose.max_p90": (str, "Longest 90th percentile, such as 20ms."),
    "choose.max_size": (str, "Largest file, such as 1MB."),
    "choose.max_memory": (str, "Most memory of a run, such as 50MB."),
    "choose.min_top1": (str, "Least top-1 accuracy, such as 90%."),
    "search.trials": (int, "Search with so many measurements instead of trying every combination."),
}

FLAGS: dict[str, str] = {
    "pad": "Centre smaller images in a black frame of the model's input size.",
    "measure.accuracy": "Classify the data on the devices. [default: where there is data]",
    "measure.profile_ops": "Time each operator, too.",
    "measure.priority": "Run before other processes, where that is permitted.",
}
"""Each with its --no-."""

OTHERWISE = {"search.seed": "search_seed"}
"""Options that would have the name of another."""


def option_of(key: str) -> str:
    """The option that sets a key of a plan."""
    return "--" + OTHERWISE.get(key, key.rpartition(".")[2]).replace("_", "-")


def sweep_options(function: Function) -> Function:
    """Adds the argument PLAN_OR_MODEL... and an option for each key of a plan; see :func:`plan_from_options`."""
    options = [
        click.argument("plan_or_model", nargs=-1, required=False),
        *(
            click.option(option_of(key), _parameter(key), multiple=True, metavar="LIST", help=said)
            for key, (_, said) in LISTS.items()
        ),
        *(click.option(option_of(key), _parameter(key), type=kind, help=said) for key, (kind, said) in ONES.items()),
        *(
            click.option(f"{option_of(key)}/--no-{option_of(key)[2:]}", _parameter(key), default=None, help=said)
            for key, said in FLAGS.items()
        ),
        click.option(
            "--engine-option",
            _parameter("measure.engine_option"),
            multiple=True,
            metavar="NAME=VALUE",
            help="Such as xnnpack=off, delegate=PATH, optimization=basic; repeatable.",
        ),
        click.option("--search-seed", _parameter("search.seed"), type=int, help="Of --trials. [default: 0]"),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def plan_from_options(parameters: Mapping[str, Any]) -> SweepPlan:
    """The plan that a command line says.

    Args:
        parameters: values of the options that :func:`sweep_options` adds, as click gives them; others are ignored.

    Raises:
        UsageError: a plan file beside models, or several plan files.
        InvalidPlan: something is not accepted.
    """
    from edge_dwsep.sweep.plan_file import plan_from_toml
    from edge_dwsep.sweep.plan_keys import Given, read_plan

    given = dict(_given(parameters))
    words: Sequence[str] = parameters["plan_or_model"]
    files = [word for word in words if word.endswith(".toml")]
    if len(files) > 1:
        raise click.UsageError(f"one plan at a time; received {len(files)} files that end in .toml")
    if not files:
        given["model"] = Given(list(words), "MODEL")
        return read_plan(given)
    models = [word for word in words if word not in files]
    if models:
        given["model"] = Given(models, "MODEL")
    return plan_from_toml(Path(files[0]), given)


def _given(parameters: Mapping[str, Any]) -> list[tuple[str, Given]]:
    from edge_dwsep.sweep.plan_keys import Given

    given = []
    for key in (*LISTS, *ONES, *FLAGS, "measure.engine_option", "search.seed"):
        value = parameters.get(_parameter(key))
        if value is None or value == ():
            continue
        if key in LISTS:
            value = [_item(LISTS[key][0], part.strip()) for text in value for part in text.split(",")]
        given.append((key, Given(list(value) if isinstance(value, tuple) else value, option_of(key))))
    return given


def _item(convert: Callable[[str], Any], text: str) -> Any:
    """A number where one is wanted and given; otherwise the text, which reading the plan refuses by what it accepts."""
    try:
        return convert(text)
    except ValueError:
        return text


def _parameter(key: str) -> str:
    return "plan_" + key.replace(".", "_")
