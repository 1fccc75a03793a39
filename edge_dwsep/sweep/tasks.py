"""The runs of a sweep under way, and what the coordinator asks of a store and of whoever started it."""

from __future__ import annotations

__all__ = ["Hooks", "RunTask", "StepStore"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_dwsep.sweep.measure_steps import Made, RunSteps
from edge_dwsep.sweep.steps import Outcome, Step, StepOutput


class StepStore(Protocol):
    """What the coordinator asks of a store."""

    def outputs(self, keys: Iterable[str]) -> dict[str, StepOutput]:
        """Outputs of those of the steps that are finished."""
        ...

    def finished(self, keys: Iterable[str]) -> set[str]:
        """Those of the steps that are finished."""
        ...

    def save_output(self, step: Step, output: StepOutput, *, seconds: float, worker: str) -> bool:
        """Keep an output; whether it was kept, and not one that was there already."""
        ...

    def forget(self, keys: Iterable[str]) -> None:
        """Forget outputs whose files are lost."""
        ...


@dataclass
class RunTask:
    """A run of the sweep under way.

    Attributes:
        position: of the run in the plan.
        device: name.
        convert: makes its file.
        verify: makes its manifest.
        steps_of: gives the steps that measure it once its artifact is known, and ``before`` is done.
        before: steps that decide which these are, such as the one that opens the data.
        made: the artifact; None until it is made.
        steps: that measure it; None until the artifact is made.
        error: why it failed, and the name of the error's class; None unless it did.
        finished: whether nothing is left to be done for it.
    """

    position: int
    device: str
    convert: Step
    verify: Step
    steps_of: Callable[[Made], RunSteps]
    before: tuple[Step, ...] = ()
    made: Made | None = None
    steps: RunSteps | None = None
    error: tuple[str, str] | None = None
    finished: bool = False

    @property
    def making(self) -> tuple[Step, ...]:
        """Steps that are done before those are known that measure it."""
        return (self.convert, self.verify, *self.before)


@dataclass(frozen=True)
class Hooks:
    """What a coordinator asks and tells.

    Attributes:
        known: asked of runs whose artifacts are known: which of them are in the store.
        finished: told of each run whose steps are all done or of which one failed, with the outputs of its steps.
        begun: told of each step that begins.
        ended: told how each step ended.
    """

    known: Callable[[Sequence[RunTask]], Sequence[RunTask]]
    finished: Callable[[RunTask, Mapping[str, StepOutput]], None]
    begun: Callable[[Step], None] = lambda step: None
    ended: Callable[[Outcome], None] = lambda outcome: None
