"""NumPy arrays inside JSON: little-endian bytes, zlib, base64."""

from __future__ import annotations

__all__ = ["decode_array", "encode_array"]

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dwsep_runtime.errors import ProtocolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENCODING = "zlib+base64"


def encode_array(array: NDArray[Any]) -> dict[str, Any]:
    """Encode an array of numbers as a JSON object; :func:`decode_array` gives it back exactly."""
    little = array.astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(zlib.compress(little.tobytes(), 6)).decode("ascii")
    return {"encoding": ENCODING, "dtype": little.dtype.str, "shape": list(array.shape), "data": data}


def decode_array(encoded: Mapping[str, Any]) -> NDArray[Any]:
    """Decode what :func:`encode_array` made.

    Raises:
        ProtocolError: the object is not such an encoding, or its data do not fit its shape.
    """
    import numpy as np

    try:
        if encoded["encoding"] != ENCODING:
            raise ProtocolError(f"array encoding {encoded['encoding']!r} is unknown; {ENCODING!r} is accepted")
        content = zlib.decompress(base64.b64decode(encoded["data"], validate=True))
        return np.frombuffer(content, np.dtype(encoded["dtype"])).reshape(encoded["shape"])
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise ProtocolError(f"an array in a result cannot be decoded: {error}") from error
