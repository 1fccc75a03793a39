"""Make a network of a sweep and keep it as a .keras file; read it again, in this process once."""

from __future__ import annotations

__all__ = ["KERAS_FILE", "keras_model", "make_network"]

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import DwsepError
from edge_dwsep.sweep.blobs import BlobFolder
from edge_dwsep.sweep.compile_data import IMAGES, LABELS
from edge_dwsep.sweep.compile_outputs import kept_array
from edge_dwsep.sweep.steps import Step, StepOutput
from edge_dwsep.words import in_a_line

if TYPE_CHECKING:
    import keras

    from edge_dwsep.model_source import ModelSource

KERAS_FILE = "model.keras"
KEPT_SECONDS = 30 * 86400.0
"""How long the state of a training is kept, finished or not: a sweep may end before it has noted the network."""

_held: dict[str, Any] = {}
"""The last network of this process, by its file's SHA-256: loading one takes a second, and each has several steps."""


def make_network(
    step: Step, inputs: Mapping[str, StepOutput], blobs: BlobFolder, on_step: Callable[[str], None]
) -> StepOutput:
    """Build, train or load a network.

    Args:
        step: says which.
        inputs: the images of a training.
        blobs: where contents are, and where the network is put.
        on_step: told how far a training is.

    Raises:
        DwsepError: it cannot be made.
    """
    from dwsep_export.quiet import load_tensorflow

    load_tensorflow()
    _forget()
    source = _source(step, inputs, blobs, on_step)
    with tempfile.TemporaryDirectory(prefix="edge-dwsep-network-") as folder:
        file = Path(folder) / KERAS_FILE
        source.model.save(file)
        sha256 = blobs.put_file(file)
    _held[sha256] = source.model
    facts = asdict(replace(source.facts, name=str(step.spec["name"])))
    told = {
        "facts": {**facts, "input_shape": list(facts["input_shape"])},
        "preprocessing": None if source.preprocessing is None else source.preprocessing.to_json(),
        "labels": list(source.labels),
        "trained": source.trained,
    }
    return StepOutput(told, {KERAS_FILE: sha256})


def keras_model(network: StepOutput, blobs: BlobFolder) -> keras.Model:
    """The Keras model that a step put out; the last one stays loaded.

    Raises:
        LostContent: its file is not there, or damaged.
    """
    sha256 = network.files[KERAS_FILE]
    if sha256 not in _held:
        from dwsep_export import load_keras_model
        from dwsep_export.quiet import load_tensorflow

        load_tensorflow()
        _forget()
        with tempfile.TemporaryDirectory(prefix="edge-dwsep-network-") as folder:
            file = Path(folder) / KERAS_FILE
            blobs.copy(sha256, file)
            _held[sha256] = load_keras_model(file)
    return _held[sha256]


def _forget() -> None:
    """Let go of the network that is held, and of Keras's numbering of names, which goes into files."""
    _held.clear()
    import keras

    keras.backend.clear_session()


def _source(
    step: Step, inputs: Mapping[str, StepOutput], blobs: BlobFolder, on_step: Callable[[str], None]
) -> ModelSource:
    import keras

    from edge_dwsep.model_source import open_model

    spec = step.spec
    if spec["model"] == "checkpoint":
        return open_model(spec["checkpoint"])
    if spec["model"] == "file":
        return _from_file(spec, blobs)
    if "training" in spec:
        return _trained(step, inputs["training"], blobs, on_step)
    keras.utils.set_random_seed(spec["seed"])
    height, width, channels = spec["input_shape"]
    return open_model(
        spec["architecture"],
        alpha=spec["alpha"],
        input_shape=(height, width, channels),
        classes=spec["classes"],
    )


def _from_file(spec: Mapping[str, Any], blobs: BlobFolder) -> ModelSource:
    from edge_dwsep.model_source import open_model

    with tempfile.TemporaryDirectory(prefix="edge-dwsep-network-") as folder:
        file = Path(folder) / KERAS_FILE
        blobs.copy(spec["files"][KERAS_FILE], file)
        try:
            return open_model(str(file))
        except DwsepError as error:
            error.args = (str(error).replace(str(file), in_a_line(spec["name"])),)
            raise


def _trained(step: Step, data: StepOutput, blobs: BlobFolder, on_step: Callable[[str], None]) -> ModelSource:
    """Train, or go on where an earlier process was ended."""
    from dwsep_devices.cache import cache_folder, locked
    from edge_dwsep.cost import model_facts
    from edge_dwsep.datasets.labelled import LabelledImages
    from edge_dwsep.model_source import ModelSource
    from edge_dwsep.training import PREPROCESSING, EpochReport, TrainingPlan, train

    plan = TrainingPlan(**step.spec["training"])
    images = LabelledImages(
        data.facts["name"],
        kept_array(data.files, IMAGES, blobs),
        kept_array(data.files, LABELS, blobs),
        tuple(data.facts["class_names"]),
    )

    def told(report: EpochReport) -> None:
        on_step(f"{step.title}: epoch {report.epoch} of {plan.epochs}, loss {report.loss:.3f}")

    state = cache_folder() / "sweep" / "training" / step.key
    state.mkdir(parents=True, exist_ok=True)
    _remove_old(state.parent)
    with locked(state / "lock"):
        model = train(plan, images, state, on_epoch=told)
    facts = model_facts(model, str(step.spec["name"]), plan.architecture, plan.alpha)
    return ModelSource(model, facts, PREPROCESSING, images.class_names, trained=True)


def _remove_old(folder: Path) -> None:
    """Remove states of trainings that nobody has gone on with for a month."""
    for state in folder.iterdir():
        if time.time() - state.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(state, ignore_errors=True)
