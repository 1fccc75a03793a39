"""Separable architectures in Keras, and the checkpoints trained by this project."""

from edge_dwsep.models.registry import ARCHITECTURES, Architecture, architecture, build

__all__ = ["ARCHITECTURES", "Architecture", "architecture", "build"]
