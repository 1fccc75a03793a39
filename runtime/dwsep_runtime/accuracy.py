"""Scenarios accuracy and predict: run images one by one, count what is right or keep what came out."""

from __future__ import annotations

__all__ = ["accuracy", "predict"]

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from dwsep_runtime.accuracy_scenarios import Accuracy, Predict
from dwsep_runtime.arrays import encode_array
from dwsep_runtime.engines.protocol import Engine
from dwsep_runtime.errors import EngineError, InvalidInput
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP_K = 5
CHUNK = 256
"""Images preprocessed at a time, so that a large set needs little memory."""

Progress = Callable[[int, int], None]


def accuracy(engine: Engine, scenario: Accuracy, *, on_progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Classify labelled images and count.

    Of equal outputs the one with the lower index ranks first, as with ``argmax``.

    Args:
        engine: a loaded classifier; its first output is (1, outputs).
        scenario: where images and labels are.
        on_progress: called now and then with the images done and in all.

    Returns:
        JSON values: ``count``, ``top1_correct``, ``top5_correct``, ``classes``; encoded ``predictions`` int32
        (count,), as labels; encoded ``confusion`` int64 (classes, classes), rows true and columns predicted.

    Raises:
        InvalidInput: images do not fit the model, or a label is no class of it.
    """
    import numpy as np

    images, labels = _load(scenario.images), _load(scenario.labels)
    if labels.ndim != 1 or len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(
            f"labels must be integers ({len(images)},), one an image; received {labels.dtype} {labels.shape}"
        )
    predictions = np.empty(len(images), np.int32)
    top5_correct = 0
    classes = 0
    for index, outputs in enumerate(_outputs(engine, images, scenario.preprocessing)):
        if not np.isfinite(outputs).all():
            raise EngineError(f"the model's outputs for image {index} are not finite numbers; it has no accuracy")
        if not index:
            classes = len(outputs) - scenario.label_offset
            _require_labels_below(classes, labels)
        order = np.argsort(-outputs.astype(np.float64), kind="stable")[:TOP_K] - scenario.label_offset
        predictions[index] = order[0]
        top5_correct += int(labels[index] in order)
        if index % CHUNK == 0:
            on_progress(index, len(images))
    on_progress(len(images), len(images))
    known = predictions >= 0
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels[known], predictions[known]), 1)
    return {
        "count": len(images),
        "classes": classes,
        "top1_correct": int(np.count_nonzero(predictions == labels)),
        "top5_correct": top5_correct,
        "predictions": encode_array(predictions),
        "confusion": encode_array(confusion),
    }


def predict(engine: Engine, scenario: Predict, *, on_progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Run images and write the first output of each, dequantized, to ``scenario.outputs``.

    Returns:
        JSON values: ``count`` and ``outputs``, the path of the file written.

    Raises:
        InvalidInput: images do not fit the model.
    """
    import numpy as np

    images = _load(scenario.images)
    rows = []
    for index, outputs in enumerate(_outputs(engine, images, scenario.preprocessing)):
        rows.append(engine.outputs[0].dequantize(outputs))
        if index % CHUNK == 0:
            on_progress(index, len(images))
    np.save(scenario.outputs, np.stack(rows))
    return {"count": len(images), "outputs": scenario.outputs}


def _load(path: str) -> NDArray[Any]:
    import numpy as np

    try:
        loaded: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read as a .npy file: {error}") from error
    if not loaded.size:
        raise InvalidInput(f"{path} holds no items; at least one image is needed")
    return loaded


def _outputs(engine: Engine, images: NDArray[Any], preprocessing: Preprocessing) -> Iterator[NDArray[Any]]:
    """The first output of each image, flattened, as the engine stores it."""
    import numpy as np

    if len(engine.inputs) != 1:
        raise InvalidInput(f"images need a model of one input; this one has {len(engine.inputs)}")
    tensor = engine.inputs[0]
    preprocessing = preprocessing.for_input(tensor.shape)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InvalidInput(
            f"images must be uint8 (count, height, width, channels), received {images.dtype} {images.shape}"
        )
    for start in range(0, len(images), CHUNK):
        real = preprocessing.apply(np.asarray(images[start : start + CHUNK]))
        if len(tensor.shape) != 4 or real.shape[1:] != tuple(tensor.shape[1:]):
            raise InvalidInput(
                f"images are {real.shape[1:]} after preprocessing (resize: {preprocessing.resize}), "
                f"but the model's input is {tuple(tensor.shape[1:])}"
            )
        stored = tensor.quantize(real)
        for row in range(len(stored)):
            engine.set_inputs([stored[row : row + 1]])
            engine.invoke()
            yield engine.get_outputs()[0].reshape(-1)


def _require_labels_below(classes: int, labels: NDArray[Any]) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            f"labels run from {low} to {high}, but the model has {classes} classes: labels must be in 0..{classes - 1}"
        )
