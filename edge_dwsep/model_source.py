"""What a user means by MODEL: an architecture, a checkpoint, or a .keras file."""

from __future__ import annotations

__all__ = ["ModelSource", "open_model"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dwsep_export import ModelFacts
from dwsep_runtime.errors import InvalidInput, UnknownName
from dwsep_runtime.preprocessing import Preprocessing
from edge_dwsep.checkpoints import checkpoint, checkpoint_names
from edge_dwsep.models import ARCHITECTURES, build

if TYPE_CHECKING:
    import keras

MOBILENET_SCALE, MOBILENET_OFFSET = 1 / 127.5, -1.0
"""Pixels to [-1, 1], as the MobileNet papers' networks were trained."""


@dataclass(frozen=True)
class ModelSource:
    """A Keras model and what is known of it.

    Attributes:
        model: the network.
        facts: for manifests.
        preprocessing: None where the user has to say it.
        labels: names of outputs; empty if unknown.
        trained: False for an architecture with random weights.
    """

    model: keras.Model
    facts: ModelFacts
    preprocessing: Preprocessing | None
    labels: tuple[str, ...]
    trained: bool


def open_model(
    name: str,
    *,
    alpha: float | None = None,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> ModelSource:
    """Build or load a model.

    Args:
        name: an architecture, a checkpoint, or the path of a .keras file.
        alpha: width multiplier, for an architecture; 1.0 unless given.
        input_shape: (height, width, channels), for an architecture; (224, 224, 3) unless given.
        classes: for an architecture; 1000 unless given.

    Raises:
        UnknownName: none of the three; the message suggests the nearest.
        InvalidInput: an option is out of its range, or given for a model that has it fixed.
        DwsepError: the file cannot be loaded.
    """
    from edge_dwsep.cost import model_facts

    if name in ARCHITECTURES:
        shape = input_shape or (224, 224, 3)
        width = 1.0 if alpha is None else alpha
        model = build(name, alpha=width, input_shape=shape, classes=1000 if classes is None else classes)
        preprocessing = Preprocessing(
            resize="pad", height=shape[0], width=shape[1], scale=(MOBILENET_SCALE,), offset=(MOBILENET_OFFSET,)
        )
        facts = model_facts(model, f"{name}_{width:g}_{shape[0]}", name, width)
        return ModelSource(model, facts, preprocessing, (), trained=False)
    fixed = {"alpha": alpha, "input shape": input_shape, "classes": classes}
    given = [option for option, value in fixed.items() if value is not None]
    known = name in checkpoint_names() or name.endswith(".keras")
    if known and given:
        raise InvalidInput(f"{given[0]} is fixed in {name}; it can be chosen for {', '.join(ARCHITECTURES)} alone")
    if name in checkpoint_names():
        found = checkpoint(name)
        model = found.load()
        facts = model_facts(model, name, found.card["architecture"], found.card["alpha"])
        return ModelSource(model, facts, found.preprocessing, tuple(found.card["class_names"]), trained=True)
    if name.endswith(".keras"):
        from dwsep_export import load_keras_model

        path = Path(name)
        model = load_keras_model(path)
        return ModelSource(model, model_facts(model, path.stem), None, (), trained=True)
    raise UnknownName("model", name, [*ARCHITECTURES, *checkpoint_names(), "FILE.keras"])
