"""Options that several commands share."""

from __future__ import annotations

__all__ = [
    "Seconds",
    "architecture_options",
    "data_option",
    "device_options",
    "engine_option",
    "engine_options_from",
    "given_command",
    "input_shape",
    "json_option",
    "preprocessing_from",
    "preprocessing_options",
    "threads_option",
]

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dwsep_runtime.preprocessing import Preprocessing

Function = TypeVar("Function", bound=Callable[..., Any])

OF_USER = re.compile(r"(://[^:/?#\s]*:)\S*@")
OF_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s]*", re.IGNORECASE)
"""Passwords in URLs of databases and servers."""


class Seconds(click.FloatRange):
    """A number of seconds, at most a day."""

    def __init__(self, least: float = 0.0) -> None:
        super().__init__(least, 86400.0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no number, which compares with no bound."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, nothing else.")


def device_options(function: Function) -> Function:
    """Adds ``--device``, given as ``devices``, and ``--no-wait``."""
    for option in (
        click.option("--no-wait", is_flag=True, help="Fail rather than wait for a device that is in use."),
        click.option(
            "--device",
            "devices",
            multiple=True,
            default=("local",),
            show_default=True,
            help="Where to run: a name of `edge-dwsep devices list`; several, repeated, run side by side.",
        ),
    ):
        function = option(function)
    return function


engine_option = click.option(
    "--engine",
    "engines",
    multiple=True,
    help="litert, tflite, tflite-runtime or onnxruntime; repeatable. [default: all for the format but tflite-runtime]",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Threads of the engine."
)


def data_option(what: str, *, required: bool = False) -> Callable[[Function], Function]:
    """The option ``--data``, explained by ``what``."""
    sources = "fashion-mnist-sample (in the package), fashion-mnist, an .npz file with images and labels, or a folder"
    return click.option("--data", required=required, help=f"{what}: {sources}.")


def architecture_options(function: Function) -> Function:
    """Adds ``--alpha``, ``--resolution``, ``--channels`` and ``--classes``."""
    for option in (
        click.option("--classes", type=int, help="For an architecture. [default: 1000]"),
        click.option("--channels", type=int, help="Channels of the input, for an architecture. [default: 3]"),
        click.option(
            "--resolution", type=int, help="Height and width of the input, for an architecture. [default: 224]"
        ),
        click.option("--alpha", type=float, help="Width multiplier, for an architecture. [default: 1.0]"),
    ):
        function = option(function)
    return function


def input_shape(resolution: int | None, channels: int | None) -> tuple[int, int, int] | None:
    """(height, width, channels) as the options say it, or None if neither was given."""
    if resolution is None and channels is None:
        return None
    side = 224 if resolution is None else resolution
    return side, side, 3 if channels is None else channels


def preprocessing_options(function: Function) -> Function:
    """Adds ``--scale``, ``--offset`` and ``--pad``."""
    for option in (
        click.option("--pad", is_flag=True, help="Centre smaller images in a black frame of the model's input size."),
        click.option("--offset", help="What is added then: a number, or one a channel, such as -1. [default: 0]"),
        click.option(
            "--scale", help="Factor of 0-255 pixels: a number, or one a channel, such as 0.00784. [default: 1]"
        ),
    ):
        function = option(function)
    return function


def given_command() -> str:
    """The command line as it was given, to be given again, but without passwords: results and reports keep it."""
    import shlex

    words = (OF_QUERY.sub(r"\1***", OF_USER.sub(r"\1***@", word)) for word in sys.argv[1:])
    return shlex.join(["edge-dwsep", *words])


def preprocessing_from(scale: str | None, offset: str | None, *, pad: bool) -> Preprocessing | None:
    """Preprocessing as options say it, or None if none was given.

    Raises:
        InvalidInput: not numbers, or numbers that contradict one another.
    """
    if scale is None and offset is None and not pad:
        return None
    from dwsep_runtime.preprocessing import Preprocessing

    return Preprocessing(
        resize="pad" if pad else "none",
        scale=_numbers("--scale", scale or "1"),
        offset=_numbers("--offset", offset or "0"),
    )


def engine_options_from(given: Sequence[str]) -> dict[str, str]:
    """Options of engines from words such as "xnnpack=off".

    Raises:
        UsageError: a word without an equals sign, or a name given twice.
    """
    options: dict[str, str] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise click.UsageError(f"--engine-option must be NAME=VALUE, such as xnnpack=off; received {word!r}")
        if name in options:
            raise click.UsageError(f"--engine-option {name} is given twice; give one value")
        options[name] = value
    return options


def _numbers(option: str, text: str) -> tuple[float, ...]:
    from dwsep_runtime.errors import InvalidInput

    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(math.isfinite(number) for number in numbers):
        raise InvalidInput(f"{option} must be a number, or one a channel separated by commas; received {text!r}")
    return numbers
