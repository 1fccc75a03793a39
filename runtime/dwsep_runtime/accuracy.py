"""Scenario accuracy: classify labelled images one by one and count what is right."""

from __future__ import annotations

__all__ = ["accuracy", "require_labels_below"]

from typing import TYPE_CHECKING, Any

from dwsep_runtime.accuracy_scenarios import Accuracy
from dwsep_runtime.arrays import encode_array
from dwsep_runtime.engines.protocol import Engine
from dwsep_runtime.errors import InvalidInput, NotAClassifier
from dwsep_runtime.golden import check_golden
from dwsep_runtime.inference_loop import InferenceLoop, OnProgress, require_finite
from dwsep_runtime.stored import load_items

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP_K = 5


def accuracy(
    engine: Engine, scenario: Accuracy, *, on_progress: OnProgress = lambda done, total: None
) -> dict[str, Any]:
    """Classify labelled images and count.

    Of equal outputs the one with the lower index ranks first, as with ``argmax``.

    Args:
        engine: a loaded classifier; its one output is (1, outputs).
        scenario: where images and labels are.
        on_progress: called now and then with the images done and in all.

    Returns:
        JSON values: ``count``, ``top1_correct``, ``top5_correct``, ``classes``; encoded ``predictions`` int32
        (count,), as labels, of which whoever knows the labels makes a confusion matrix; ``golden``, see
        :func:`check_golden`, None without golden images; and what :meth:`InferenceLoop.cost` tells.

    Raises:
        InvalidInput: images do not fit the model, or a label is no class of it.
        NotAClassifier: the model has several outputs, or one that is no vector of classes.
        PreprocessingDrift: golden images are prepared otherwise than at export.
        EngineError: an output is not a finite number.
    """
    import numpy as np

    golden = None if scenario.golden is None else check_golden(engine, scenario.preprocessing, scenario.golden)
    images, labels = load_items(scenario.images), load_items(scenario.labels)
    if labels.ndim != 1 or len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(
            f"labels must be integers ({len(images)},), one an image; received {labels.dtype} {labels.shape}"
        )
    loop = InferenceLoop(engine, images, scenario.preprocessing)
    classes = _classes(loop, scenario.label_offset)
    require_labels_below(classes, labels)
    wanted = np.asarray(labels, np.int64) + scenario.label_offset
    predictions = np.empty(len(images), np.int32)
    top5_correct = 0
    for start, (stored,) in loop.chunks(on_progress):
        require_finite(stored, start, "it has no accuracy")
        scores = stored.reshape(len(stored), -1)
        chunk = slice(start, start + len(scores))
        predictions[chunk] = scores.argmax(axis=1)
        top5_correct += int(np.count_nonzero(_ranks(scores, wanted[chunk]) < TOP_K))
    predictions -= scenario.label_offset
    return {
        "count": len(images),
        "classes": classes,
        "top1_correct": int(np.count_nonzero(predictions == labels)),
        "top5_correct": top5_correct,
        "predictions": encode_array(predictions),
        "golden": golden,
        **loop.cost(),
    }


def _ranks(scores: NDArray[Any], outputs: NDArray[Any]) -> NDArray[Any]:
    """How many outputs rank before ``outputs``, one index a row of ``scores``; of equal ones the lower does."""
    import numpy as np

    own = np.take_along_axis(scores, outputs[:, np.newaxis], axis=1)
    ranks: NDArray[Any] = np.count_nonzero(scores > own, axis=1)
    equal = scores == own
    if np.count_nonzero(equal) > len(scores):
        earlier = np.arange(scores.shape[1]) < outputs[:, np.newaxis]
        ranks += np.count_nonzero(equal & earlier, axis=1)
    return ranks


def _classes(loop: InferenceLoop, label_offset: int) -> int:
    shapes = loop.outputs
    if len(shapes) != 1 or sum(size > 1 for size in shapes[0]) != 1:
        listed = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise NotAClassifier(
            f"the model's outputs ({listed}) are not one vector of classes, so it has no top-1 accuracy; compare it "
            "with another artifact's outputs: give --reference FILE"
        )
    outputs = int(max(shapes[0]))
    if label_offset >= outputs:
        raise InvalidInput(f"label offset {label_offset} leaves no class of the model's {outputs} outputs")
    return outputs - label_offset


def require_labels_below(classes: int, labels: NDArray[Any]) -> None:
    """Make sure that labels are numbers of a model's classes.

    Raises:
        InvalidInput: one is not.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            f"labels run from {low} to {high}, but the model has {classes} classes: labels must be in 0..{classes - 1}"
        )
