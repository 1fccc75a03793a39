"""From a data set to the memory that an engine reads: fit is checked once, then chunks are written without a copy."""

from __future__ import annotations

__all__ = ["ModelInput", "only_input"]

import sys
from typing import TYPE_CHECKING, Any, Optional

from dwsep_runtime.engines.protocol import Engine, Tensor
from dwsep_runtime.errors import InvalidInput
from dwsep_runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 1 << 16
"""Values computed at a time: their float32 stay in a core's cache from one operation to the next."""


def only_input(engine: Engine) -> Tensor:
    """The input of a model that has one.

    Raises:
        InvalidInput: it has several.
    """
    if len(engine.inputs) != 1:
        raise InvalidInput(
            f"a data set feeds models of one input; this one has {len(engine.inputs)}: "
            f"{', '.join(repr(tensor.name) for tensor in engine.inputs)}"
        )
    return engine.inputs[0]


class ModelInput:
    """Writes images or other inputs as a tensor stores them.

    The values are exactly those of ``tensor.quantize(preprocessing.apply(images))``.
    """

    def __init__(self, tensor: Tensor, preprocessing: Preprocessing, data: NDArray[Any]) -> None:
        """Check that data fit.

        Args:
            tensor: the model's input.
            preprocessing: of images; what is given as float32 is taken as it is.
            data: uint8 (count, height, width, channels), or float32 (count, ...); only shape and dtype are looked at.

        Raises:
            InvalidInput: the data do not fit the tensor.
        """
        import numpy as np

        self.tensor = tensor
        self._pixels: Optional[_Pixels] = None
        shape = tuple(tensor.shape[1:])
        if data.dtype == np.uint8 and data.ndim == 4:
            preprocessing = preprocessing.for_input(tensor.shape)
            self._pixels = _Pixels(tensor, preprocessing, data.shape)
            self.shape = self._pixels.shape
            what = f"images are {self.shape} after preprocessing (resize: {preprocessing.resize})"
        elif data.dtype == np.float32 and data.ndim:
            self.shape = tuple(data.shape[1:])
            what = f"inputs are {self.shape}"
        else:
            raise InvalidInput(
                "images must be uint8 (count, height, width, channels), or inputs that are no images float32 "
                f"(count, ...); received {data.dtype} {data.shape}"
            )
        if len(shape) != len(self.shape) or any(size not in {-1, given} for size, given in zip(shape, self.shape)):
            raise InvalidInput(f"{what}, but the model's input is {shape}")

    def allocate(self, count: int) -> NDArray[Any]:
        """Memory for ``count`` inputs, of the tensor's dtype, for :meth:`write`."""
        import numpy as np

        try:
            memory = np.empty((count, *self.shape), self.tensor.dtype)
        except TypeError:
            raise InvalidInput(
                f"input {self.tensor.name!r} has dtype {self.tensor.dtype}; only numbers can be fed"
            ) from None
        if self._pixels is not None:
            self._pixels.blacken(memory)
        return memory

    def write(self, data: NDArray[Any], memory: NDArray[Any]) -> None:
        """Write data, as many as ``memory`` (the beginning of what :meth:`allocate` gave) has room for.

        Raises:
            InvalidInput: the tensor cannot hold a value.
        """
        import numpy as np

        if self._pixels is not None:
            self._pixels.write(np.ascontiguousarray(data), memory)
        else:
            memory[...] = self.tensor.quantize(np.asarray(data))


class _Pixels:
    """Writes images into the middle of memory whose frame, if there is one, is black already.

    Images are taken as rows of width x channels values, because NumPy is slow along an axis of three channels.
    """

    def __init__(self, tensor: Tensor, preprocessing: Preprocessing, images: tuple[int, ...]) -> None:
        import numpy as np

        _, height, width, channels = images
        (top, below), (left, right) = preprocessing.frame(height, width)
        self.shape = (top + height + below, left + width + right, channels)
        self._tensor, self._preprocessing = tensor, preprocessing
        self._row = width * channels
        self._rows = slice(top, top + height)
        self._values = slice(left * channels, left * channels + self._row)
        self._framed = bool(top + below + left + right)
        factors = preprocessing.factors(channels)
        self._uniform = all(bool((factor == factor[0]).all()) for factor in factors)
        self._scale, self._offset = (
            factor[:1] if self._uniform else np.resize(factor, self._row) for factor in factors
        )
        self._pairs = self._table_of_pairs(height)
        self._block = max(1, BLOCK // max(1, height * self._row))

    def blacken(self, memory: NDArray[Any]) -> None:
        import numpy as np

        if self._framed:
            black = np.zeros((1, 1, 1, self.shape[-1]), np.uint8)
            memory[...] = self._tensor.quantize(self._preprocessing.scale_pixels(black))

    def write(self, images: NDArray[np.uint8], memory: NDArray[Any]) -> None:
        pixels = images.reshape(len(images), -1, self._row)
        height, width, channels = self.shape
        inside = memory.reshape(len(memory), height, width * channels)[:, self._rows, self._values]
        for start in range(0, len(images), self._block):
            self._write(pixels[start : start + self._block], inside[start : start + self._block])

    def _write(self, pixels: NDArray[np.uint8], target: NDArray[Any]) -> None:
        import numpy as np

        if self._pairs is not None:
            found = np.take(self._pairs, pixels.reshape(-1).view(np.uint16), mode="clip")
            target[...] = found.view(target.dtype).reshape(target.shape)
            return
        real = target if target.dtype == np.float32 else np.empty(pixels.shape, np.float32)
        np.multiply(pixels, self._scale, out=real, dtype=np.float32)
        np.add(real, self._offset, out=real)
        if real is not target:
            target[...] = self._tensor.quantize(real)

    def _table_of_pairs(self, height: int) -> Optional[NDArray[np.uint16]]:
        """What two neighbouring values become, for every two, so that one look-up serves both.

        None where there is no such table: for dtypes of more than a byte, where channels have factors of their own,
        and for an odd number of values an image.
        """
        import numpy as np

        if not self._uniform or height * self._row % 2 or self._tensor.dtype not in {"int8", "uint8"}:
            return None
        every = np.arange(256, dtype=np.uint8).astype(np.float32)
        try:
            single = self._tensor.quantize(every * self._scale + self._offset).view(np.uint8)
        except InvalidInput:  # some value cannot be held; whether images have it is seen when they are written
            return None
        pairs = np.empty((256, 256, 2), np.uint8)
        first = int(sys.byteorder != "little")
        pairs[:, :, first], pairs[:, :, 1 - first] = single[np.newaxis, :], single[:, np.newaxis]
        table: NDArray[np.uint16] = pairs.reshape(-1).view(np.uint16)
        return table
