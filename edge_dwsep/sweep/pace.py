"""How long a sweep still takes, by what its steps took so far."""

from __future__ import annotations

__all__ = ["Pace", "in_words"]

from collections.abc import Callable, Mapping, Sequence

from edge_dwsep.sweep.steps import Outcome, Step

FORGET = 0.8
"""Weight of what was known before, when another step of the kind has ended."""


class Pace:
    """Seconds of steps by kind and device, learnt as they end.

    Args:
        history: seconds that steps took in earlier sweeps, by kind and device.
        otherwise: seconds of a step of which nothing is known.
        compiling: steps that compile at once.
    """

    def __init__(
        self, history: Mapping[tuple[str, str], float], otherwise: Callable[[Step], float], compiling: int
    ) -> None:
        self._history = dict(history)
        self._otherwise = otherwise
        self._compiling = compiling
        self._seen: dict[tuple[str, str], float] = {}

    def ended(self, outcome: Outcome) -> None:
        """Learn from a step that ended."""
        if outcome.output is None:
            return
        of = outcome.step.kind.value, outcome.step.device
        before = self._seen.get(of)
        self._seen[of] = outcome.seconds if before is None else FORGET * before + (1 - FORGET) * outcome.seconds

    def seconds(self, step: Step) -> float:
        """Seconds that a step is expected to take."""
        of = step.kind.value, step.device
        # What is measured takes as long as it is told to, which this sweep may tell otherwise than those before.
        known = self._seen.get(of, None if step.device else self._history.get(of))
        return self._otherwise(step) if known is None else known

    def left(self, steps: Sequence[Step]) -> float:
        """Seconds until steps are done, those of several devices side by side and this machine's own at the end."""
        compiling = sum(self.seconds(step) for step in steps if not step.device) / self._compiling
        devices: dict[str, float] = {}
        for step in steps:
            if step.device:
                devices[step.device] = devices.get(step.device, 0.0) + self.seconds(step)
        here = devices.pop("local", 0.0)
        return max([compiling + here, *devices.values()])


def in_words(seconds: float) -> str:
    """A time to wait, as people say it.

    >>> in_words(8), in_words(100), in_words(8000)
    ('10 s', '2 min', '2 h 13 min')
    """
    if seconds < 57.5:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
