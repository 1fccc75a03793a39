"""Scenarios predict and agreement: keep every output of a model, and hold another model's outputs against them.

The reference runs first and leaves its outputs on the device; whatever is compared with it reads them there. So outputs
of any size never travel, only figures do.
"""

from __future__ import annotations

__all__ = ["agreement", "match_outputs", "predict"]

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_runtime.accuracy_scenarios import Agreement, KeptOutput, Predict
from dwsep_runtime.engines.protocol import Engine
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.golden import check_golden
from dwsep_runtime.inference_loop import InferenceLoop, OnProgress, require_finite
from dwsep_runtime.stored import load_items

if TYPE_CHECKING:
    from numpy.typing import NDArray


def predict(engine: Engine, scenario: Predict, *, on_progress: OnProgress = lambda done, total: None) -> dict[str, Any]:
    """Run images and write the outputs, dequantized: the first to ``scenario.outputs``, others beside it.

    Returns:
        JSON values: ``count``; ``outputs``, the path of the first output's file; ``kept``, each output as
        :class:`KeptOutput` reads it; ``golden`` and the loop's cost as of scenario accuracy.

    Raises:
        InvalidInput: images do not fit the model.
        PreprocessingDrift: golden images are prepared otherwise than at export.
        EngineError: an output is not a finite number; the first such output and image are named.
    """
    import numpy as np

    golden = None if scenario.golden is None else check_golden(engine, scenario.preprocessing, scenario.golden)
    images = load_items(scenario.images)
    loop = InferenceLoop(engine, images, scenario.preprocessing)
    first = Path(scenario.outputs)
    first.parent.mkdir(parents=True, exist_ok=True)
    paths = [first, *(first.with_name(f"{first.stem}-{index}{first.suffix}") for index in range(1, len(loop.outputs)))]
    files = [
        np.lib.format.open_memmap(path, "w+", np.float32, (len(images), *shape))
        for path, shape in zip(paths, loop.outputs)
    ]
    bounds = [[math.inf, -math.inf] for _ in files]
    for start, chunk in loop.chunks(on_progress):
        for tensor, file, bound, stored in zip(engine.outputs, files, bounds, chunk):
            real = tensor.dequantize(stored)
            require_finite(real, start, "nothing can be compared with them", f"values of output {tensor.name!r}")
            file[start : start + len(stored)] = real
            bound[:] = min(bound[0], float(np.min(real))), max(bound[1], float(np.max(real)))
    for file in files:
        file.flush()
    kept = [
        KeptOutput(tensor.name, file.shape[1:], str(path), *bound)
        for tensor, file, path, bound in zip(engine.outputs, files, paths, bounds)
    ]
    return {
        "count": len(images),
        "outputs": scenario.outputs,
        "kept": [output.to_json() for output in kept],
        "golden": golden,
        **loop.cost(),
    }


def agreement(
    engine: Engine, scenario: Agreement, *, on_progress: OnProgress = lambda done, total: None
) -> dict[str, Any]:
    """Run images and compare every output with the reference's for the same images.

    Differences are also told as shares of the span of the reference's output: largest value less smallest, over all
    images; of an output that is one constant, its magnitude; 1 where that is 0.

    Returns:
        JSON values: ``count``; ``outputs``, for each of the reference's: ``name`` (the reference's), ``own_name``,
        ``matched_by`` ("shape", "name" or "position"), ``shape``, ``span``, ``max_abs``, ``rms`` (root of the mean
        square), ``max_relative``, ``rms_relative``, ``cosine`` (similarity over all images; None if either is all
        zeros) and ``within``, the share of elements that differ by at most ``scenario.tolerance`` of the span;
        ``golden`` and the loop's cost as of scenario accuracy.

    Raises:
        InvalidInput: images do not fit the model, or its outputs cannot be matched with the reference's.
        PreprocessingDrift: golden images are prepared otherwise than at export.
        EngineError: an output, or the reference's, is not a finite number; the first such output and image are named.
    """
    golden = None if scenario.golden is None else check_golden(engine, scenario.preprocessing, scenario.golden)
    images = load_items(scenario.images)
    loop = InferenceLoop(engine, images, scenario.preprocessing)
    matches = match_outputs([tensor.name for tensor in engine.outputs], loop.outputs, scenario.reference)
    comparisons = []
    for kept, (own, matched_by) in zip(scenario.reference, matches):
        expected = load_items(kept.path)
        if len(expected) != len(images):
            raise InvalidInput(
                f"the reference's output {kept.name!r} is of {len(expected)} images, {len(images)} are compared"
            )
        comparisons.append((own, matched_by, _Comparison(kept, expected, scenario.tolerance)))
    for start, chunk in loop.chunks(on_progress):
        for own, _, comparison in comparisons:
            tensor = engine.outputs[own]
            real = tensor.dequantize(chunk[own])
            require_finite(real, start, "they agree with nothing", f"values of output {tensor.name!r}")
            comparison.add(real, start)
    return {
        "count": len(images),
        "outputs": [
            {"own_name": engine.outputs[own].name, "matched_by": matched_by, **comparison.figures()}
            for own, matched_by, comparison in comparisons
        ],
        "golden": golden,
        **loop.cost(),
    }


def match_outputs(
    names: Sequence[str], shapes: Sequence[tuple[int, ...]], reference: Sequence[KeptOutput]
) -> list[tuple[int, str]]:
    """Which output of a model is which of the reference's, whatever their order.

    Axes of length 1 are left out of account, since formats keep or drop them. Outputs whose shape occurs once are
    matched by it; those that share a shape by their names where these are the same (``NAME:0`` is ``NAME``), otherwise
    by their order.

    Args:
        names: of the model's outputs.
        shapes: of them, without the batch.
        reference: the reference's outputs.

    Returns:
        For each of the reference's outputs the index of the model's, and "shape", "name" or "position".

    Raises:
        InvalidInput: not as many outputs of each shape on both sides.
    """
    own = [_bare(shape) for shape in shapes]
    theirs = [_bare(output.shape) for output in reference]
    if sorted(own) != sorted(theirs):
        raise InvalidInput(
            f"outputs cannot be matched: the model's are {_listed(names, shapes)}, the reference's "
            f"{_listed([output.name for output in reference], [output.shape for output in reference])}; "
            "give a reference of the same outputs"
        )
    found: list[tuple[int, str]] = []
    for index, shape in enumerate(theirs):
        candidates = [position for position, bare in enumerate(own) if bare == shape]
        peers = [position for position, bare in enumerate(theirs) if bare == shape]
        by_name = {_plain(names[position]): position for position in candidates}
        if len(candidates) == 1:
            found.append((candidates[0], "shape"))
        elif set(by_name) == {_plain(reference[peer].name) for peer in peers} and len(by_name) == len(candidates):
            found.append((by_name[_plain(reference[index].name)], "name"))
        else:
            found.append((candidates[peers.index(index)], "position"))
    return found


def _bare(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _plain(name: str) -> str:
    return name.removesuffix(":0")


def _listed(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in zip(names, shapes))


class _Comparison:
    """Sums over chunks what one output's figures are made of."""

    def __init__(self, kept: KeptOutput, expected: NDArray[Any], tolerance: float) -> None:
        self._kept, self._expected = kept, expected
        self._span = kept.maximum - kept.minimum or abs(kept.maximum) or 1.0
        self._allowed = tolerance * self._span
        self._count = self._within = 0
        self._largest = self._squares = self._product = self._own_norm = self._their_norm = 0.0

    def add(self, real: NDArray[Any], start: int) -> None:
        """Count a chunk: float32 (items, ...), the first of them image ``start``."""
        import numpy as np

        own = real.reshape(-1).astype(np.float64)
        expected = self._expected[start : start + len(real)]
        whose = f"values of the reference's output {self._kept.name!r}"
        require_finite(expected, start, "nothing agrees with them", whose)
        theirs = np.asarray(expected, np.float64).reshape(-1)
        difference = np.abs(own - theirs)
        self._count += difference.size
        self._within += int(np.count_nonzero(difference <= self._allowed))
        self._largest = max(self._largest, float(difference.max(initial=0.0)))
        self._squares += float(difference @ difference)
        self._product += float(own @ theirs)
        self._own_norm += float(own @ own)
        self._their_norm += float(theirs @ theirs)

    def figures(self) -> dict[str, Any]:
        """The figures as JSON values."""
        rms = math.sqrt(self._squares / self._count)
        norms = math.sqrt(self._own_norm) * math.sqrt(self._their_norm)
        return {
            "name": self._kept.name,
            "shape": list(self._kept.shape),
            "span": self._span,
            "max_abs": self._largest,
            "rms": rms,
            "max_relative": self._largest / self._span,
            "rms_relative": rms / self._span,
            "cosine": min(1.0, max(-1.0, self._product / norms)) if norms else None,
            "within": self._within / self._count,
        }
