"""Reading of protocol buffers (format: "Protocol Buffers: Encoding"), the format of .onnx files, without a schema."""

from __future__ import annotations

__all__ = ["fields", "integers", "varint"]

import struct
from collections.abc import Iterator
from typing import Union

VARINT_BYTES = 10
"""The most that a 64-bit number takes."""

FIXED_BYTES = {1: 8, 5: 4}
"""Lengths of the wire types of fixed size."""

Value = Union[int, memoryview]


def varint(content: Union[bytes, memoryview], position: int) -> tuple[int, int]:
    """The number that begins at a position, and the position after it.

    Raises:
        IndexError: the number does not end within the content or within ten bytes.
    """
    value = shift = 0
    while shift < 7 * VARINT_BYTES:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise IndexError("a varint longer than ten bytes")


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message in order: number, and an integer or the bytes of what has a length or a fixed size.

    Raises:
        IndexError: the message is cut short.
        struct.error: it has a wire type that no version of the format gives to ONNX files.
    """
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        wire_type = tag & 7
        if wire_type == 0:
            value, position = varint(message, position)
            yield tag >> 3, value
            continue
        if wire_type == 2:
            length, position = varint(message, position)
        elif wire_type in FIXED_BYTES:
            length = FIXED_BYTES[wire_type]
        else:
            raise struct.error(f"wire type {wire_type}")
        if position + length > len(message):
            raise IndexError("a field beyond its message")
        yield tag >> 3, message[position : position + length]
        position += length


def integers(value: Value) -> list[int]:
    """The items that one occurrence of a repeated integer field holds: one, or many packed together."""
    if isinstance(value, int):
        return [value]
    items, position = [], 0
    while position < len(value):
        item, position = varint(value, position)
        items.append(item)
    return items
