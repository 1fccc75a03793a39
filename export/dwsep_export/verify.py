"""Compare an artifact with the Keras model it was made from, image by image, in the engine that will run it."""

from __future__ import annotations

__all__ = ["Reference", "compare", "verify"]

import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwsep_export.errors import BrokenPromise
from dwsep_export.manifest import Parity
from dwsep_export.recipe import Format, Recipe, Scheme
from dwsep_runtime.accuracy_scenarios import Predict
from dwsep_runtime.golden import Golden, golden_images, golden_shape, prepared_sha256
from dwsep_runtime.job import Job
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.preprocessing import Preprocessing
from dwsep_runtime.spawn import run_in_process

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

ENGINES = {Format.TFLITE: "tflite", Format.ONNX: "onnxruntime"}
TIMEOUT_SECONDS = 600.0

TOLERANCES = {Scheme.FLOAT32: 1e-4, Scheme.FLOAT16: 1e-2}
"""Largest difference allowed, relative to the largest output or 1; quantized schemes have no fixed bound."""

LOW_AGREEMENT = 0.9


@dataclass(frozen=True)
class Reference:
    """Images and what the Keras model makes of them.

    Attributes:
        data: name of the data set.
        data_sha256: its hash.
        indices: int64 (count,), which of the data set's images.
        images: uint8 (count, height, width, channels), before preprocessing.
        outputs: float32 (count, outputs).
    """

    data: str
    data_sha256: str
    indices: NDArray[np.int64]
    images: NDArray[np.uint8]
    outputs: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        model: keras.Model,
        data: str,
        data_sha256: str,
        indices: NDArray[np.int64],
        images: NDArray[np.uint8],
        preprocessing: Preprocessing,
    ) -> Reference:
        """Run the Keras model on images."""
        rows = [
            np.asarray(model(preprocessing.apply(images[start : start + 64]), training=False))
            for start in range(0, len(images), 64)
        ]
        return cls(data, data_sha256, indices, images, np.concatenate(rows))


def verify(
    file: Path, recipe: Recipe, preprocessing: Preprocessing, reference: Reference
) -> tuple[Parity, Golden, list[str]]:
    """Run an artifact on the reference's images, in a process of its own, and compare.

    Args:
        file: the model file.
        recipe: what it was made by.
        preprocessing: from pixels to its input.
        reference: what to compare with.

    Returns:
        The figures, what became of the golden images, and warnings in plain words.

    Raises:
        BrokenPromise: a float32 or float16 artifact differs by more than rounding explains, or an output is not finite.
        DwsepError: the engine refuses the artifact or dies of it.
    """
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-verify-") as folder:
        images, outputs = Path(folder) / "images.npy", Path(folder) / "outputs.npy"
        np.save(images, reference.images)
        golden = _golden(preprocessing, preprocessing.apply(reference.images[:1]).shape[1:])
        scenario = Predict(str(images), str(outputs), preprocessing, golden)
        engine = ENGINES[recipe.format]
        job = Job(uuid.uuid4().hex, str(file), sha256_of(file), engine, scenario, title=file.name)
        result = run_in_process(job, timeout=TIMEOUT_SECONDS)
        predicted = np.load(outputs)
    ran = f"{engine} {result['engine']['version']}"
    parity, warnings = compare(recipe, predicted, reference, ran)
    values = tuple(tuple(row) for row in result["measured"]["golden"]["values"])
    return parity, replace(golden, values=values, engine=ran), warnings


def _golden(preprocessing: Preprocessing, input_shape: tuple[int, ...]) -> Golden:
    """Golden images as they are prepared here; what the artifact makes of them is not known yet."""
    shape = golden_shape(preprocessing, input_shape)
    return Golden(shape, prepared_sha256(preprocessing.apply(golden_images(shape))))


def compare(
    recipe: Recipe, predicted: NDArray[np.float32], reference: Reference, engine: str
) -> tuple[Parity, list[str]]:
    """Compare outputs with the reference's; see :func:`verify` for what is raised and returned.

    Args:
        recipe: what the artifact was made by.
        predicted: float32 (count, outputs), in the order of the reference's images.
        reference: what to compare with.
        engine: engine and version, for the figures.
    """
    expected = reference.outputs
    if predicted.shape != expected.shape or not np.isfinite(predicted).all():
        raise BrokenPromise(
            f"{recipe.name}: outputs {predicted.shape} are not finite numbers of shape {expected.shape}"
        )
    errors = np.abs(predicted - expected)
    same = predicted.argmax(axis=1) == expected.argmax(axis=1)
    tells_apart = len(np.unique(expected.argmax(axis=1))) > 1
    agreement = float(np.mean(same)) if tells_apart else None
    parity = Parity(
        data=reference.data,
        data_sha256=reference.data_sha256,
        count=len(expected),
        indices=tuple(int(index) for index in reference.indices),
        engine=engine,
        top1_agreement=agreement,
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean()),
    )
    bound = TOLERANCES.get(recipe.scheme, np.inf) * max(1.0, float(np.abs(expected).max()))
    if parity.max_abs_error > bound:
        raise BrokenPromise(
            f"{recipe.name}: outputs differ from the Keras model's by up to {parity.max_abs_error:.2g}, "
            f"{bound:.2g} is explained by rounding"
        )
    warnings = []
    if not tells_apart and expected.shape[1] > 1:
        warnings.append(
            f"{recipe.name}: the Keras model puts all {parity.count} images into one class, so agreement says nothing"
        )
    if agreement is not None and agreement < LOW_AGREEMENT:
        share = f"{100 * agreement:.1f} %"
        warnings.append(f"{recipe.name} agrees with the Keras model on only {share} of {parity.count} images")
    return parity, warnings
