"""Checkpoints trained by this project: weights, each with a card that says how they came about."""

from __future__ import annotations

__all__ = ["CARD_SUFFIX", "Checkpoint", "checkpoint", "checkpoint_names", "read_card"]

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import InvalidInput, InvalidModel, UnknownName
from dwsep_runtime.model_file import sha256_of
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    import keras

CARD_SUFFIX = ".card.json"


@dataclass(frozen=True)
class Checkpoint:
    """Trained weights.

    Attributes:
        name: what users call it.
        file: the .keras file.
        card: how it was made and how well it does, JSON values.
    """

    name: str
    file: Path
    card: dict[str, Any]

    @property
    def preprocessing(self) -> Preprocessing:
        """From pixels to the model's input, as in training."""
        return Preprocessing.from_json(self.card["preprocessing"])

    def load(self) -> keras.Model:
        """The model with its weights.

        The network is built by its architecture and only the weights are taken from the file: how Keras writes down
        a network changes between its versions, and older ones refuse files of newer ones.

        Raises:
            InvalidModel: the file is not the one that the card describes.
        """
        if not self.file.exists() or sha256_of(self.file) != self.card["file"]["sha256"]:
            raise InvalidModel(f"checkpoint {self.file} is not the file its card describes; reinstall the package")
        from edge_dwsep.models import build

        model = build(
            self.card["architecture"],
            alpha=self.card["alpha"],
            input_shape=tuple(self.card["input_shape"]),
            classes=len(self.card["class_names"]),
        )
        model.load_weights(self.file)
        return model


def checkpoint_names() -> list[str]:
    """Names of the checkpoints that come with the package."""
    return sorted(path.name.removesuffix(CARD_SUFFIX) for path in _folder().glob(f"*{CARD_SUFFIX}"))


def checkpoint(name: str) -> Checkpoint:
    """Find a checkpoint.

    Raises:
        UnknownName: no checkpoint has that name.
    """
    if name not in checkpoint_names():
        raise UnknownName("checkpoint", name, checkpoint_names())
    return read_card(_folder() / f"{name}{CARD_SUFFIX}")


def read_card(path: Path) -> Checkpoint:
    """The checkpoint that a card describes; its file lies beside the card.

    Raises:
        InvalidInput: the card cannot be read.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        return Checkpoint(card["name"], path.with_name(card["file"]["name"]), card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"card {path} cannot be read: {error}") from error


def _folder() -> Path:
    return Path(str(resources.files(__name__)))
