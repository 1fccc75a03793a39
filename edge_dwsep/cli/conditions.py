"""Options that say what the device should be brought to for a measurement."""

from __future__ import annotations

__all__ = ["conditions_from", "conditions_options"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from dwsep_runtime.conditions import Conditions

Function = TypeVar("Function", bound=Callable[..., Any])


def conditions_options(function: Function) -> Function:
    """Adds ``--pin``, ``--governor``, ``--cool-down`` and ``--priority``."""
    for option in (
        click.option("--priority", is_flag=True, help="Run before other processes, where that is permitted."),
        click.option(
            "--cool-down", type=click.FloatRange(0, 150), help="Wait until the device is below so many degrees C."
        ),
        click.option("--governor", help="CPU frequency governor for the run, such as performance; restored after."),
        click.option("--pin", help="Cores to run on, such as 3 or 2,3."),
    ):
        function = option(function)
    return function


def conditions_from(pin: str | None, governor: str | None, cool_down: float | None, *, priority: bool) -> Conditions:
    """The conditions that the options ask for.

    Raises:
        InvalidInput: cores that are no numbers.
    """
    from dwsep_runtime.conditions import Conditions
    from dwsep_runtime.errors import InvalidInput

    cores: tuple[int, ...] | None = None
    if pin is not None:
        parts = pin.split(",")
        if not all(part.strip().isdigit() for part in parts):
            raise InvalidInput(f"--pin must be cores separated by commas, such as 2,3; received {pin!r}")
        cores = tuple(int(part) for part in parts)
    return Conditions(pin=cores, governor=governor, cool_down_c=cool_down, priority=priority)
