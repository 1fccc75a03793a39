"""An engine that computes a Python function, for tests of what is done around engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dwsep_runtime.engines.protocol import Tensor


class FunctionEngine:
    """Outputs what a function makes of its one input, batch of 1 in front."""

    def __init__(
        self,
        function: Callable[[Any], list[Any]],
        shape: tuple[int, ...],
        *,
        names: tuple[str, ...] = ("y",),
        output: Tensor | None = None,
    ) -> None:
        self.inputs: tuple[Tensor, ...] = (Tensor("x", shape, "float32"),)
        self.outputs = tuple(output or Tensor(name, (), "float32") for name in names)
        self.function = function
        self.fed: list[Any] = []
        self.count = 0

    def allocate(self) -> None:
        """Nothing to get ready."""

    def arena_bytes(self) -> int | None:
        return None

    def set_inputs(self, arrays: list[Any]) -> None:
        self.fed = arrays

    def invoke(self) -> None:
        self.count += 1

    def get_outputs(self) -> list[Any]:
        return self.function(self.fed[0])
