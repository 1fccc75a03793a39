"""Data sets as files on the device: .npy arrays, read where they lie and not into memory."""

from __future__ import annotations

__all__ = ["load_items"]

from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_items(path: str) -> NDArray[Any]:
    """Map a .npy file of at least one item.

    Raises:
        InvalidInput: there is no such file, or it is damaged, no .npy file, or empty.
    """
    import numpy as np

    try:
        loaded: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read as a .npy file: {error}") from error
    if not loaded.size:
        raise InvalidInput(f"{path} holds no items; at least one image is needed")
    return loaded
