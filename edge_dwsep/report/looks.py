"""How schemes and engines look in every picture: a color and a sign for a scheme, a shape for an engine."""

from __future__ import annotations

__all__ = ["Looks"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Look = TypeVar("Look")

SCHEMES = {
    "float32": ("#0072b2", "none"),
    "float16": ("#56b4e9", "horizontal"),
    "w8-dynamic": ("#009e73", "vertical"),
    "w8a8": ("#e69f00", "plus"),
    "w8-weight-only": ("#cc79a7", "cross"),
    "w8a16": ("#d55e00", "dot"),
    "w4-weight-only": ("#f0e442", "rising"),
    "mixed": ("#999999", "falling"),
}
"""Fill of a mark: the palette of Okabe and Ito, "Color Universal Design" (2008), with a grey in place of black, which
would vanish on a dark page; and the sign inside of it, for who sees or prints no color. A further scheme takes the
first pair that is free."""

ENGINES = {"litert": "circle", "tflite": "square", "onnxruntime": "diamond", "tflite-runtime": "triangle"}
"""Outline of a mark. A further engine takes the first shape that is free."""

SHAPES = (*ENGINES.values(), "hexagon")


@dataclass(frozen=True)
class Looks:
    """Which color and sign each scheme has, and which shape each engine; the known ones have theirs on every page."""

    schemes: dict[str, tuple[str, str]]
    engines: dict[str, str]

    @classmethod
    def of(cls, schemes: Iterable[str], engines: Iterable[str]) -> Looks:
        """Give every scheme and engine a look.

        >>> Looks.of(["w8a8"], ["litert", "mine"]).engines
        {'litert': 'circle', 'mine': 'square'}
        """
        return cls(_given(schemes, SCHEMES, tuple(SCHEMES.values())), _given(engines, ENGINES, SHAPES))


def _given(names: Iterable[str], known: dict[str, Look], looks: Sequence[Look]) -> dict[str, Look]:
    wanted = list(dict.fromkeys(names))
    taken = {known[name] for name in wanted if name in known}
    free = [look for look in looks if look not in taken] or list(looks)
    strange = [name for name in wanted if name not in known]
    given = {name: free[at % len(free)] for at, name in enumerate(strange)}
    ordered = [*(name for name in known if name in wanted), *strange]
    return {name: known[name] if name in known else given[name] for name in ordered}
