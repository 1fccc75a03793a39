"""Options of an architecture's input as one shape."""

from __future__ import annotations

__all__ = ["input_shape"]

RESOLUTION, CHANNELS = 224, 3


def input_shape(resolution: int | None, channels: int | None) -> tuple[int, int, int] | None:
    """(height, width, channels), or None if neither option was given."""
    if resolution is None and channels is None:
        return None
    side = RESOLUTION if resolution is None else resolution
    return side, side, CHANNELS if channels is None else channels
