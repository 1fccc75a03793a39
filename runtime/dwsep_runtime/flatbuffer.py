"""Reading of flatbuffers (format: "FlatBuffers internals"), the format of .tflite files, without a generated schema."""

from __future__ import annotations

__all__ = ["Flatbuffer"]

import struct


class Flatbuffer:
    """Reads tables and vectors by field number, raising struct.error for what lies outside the content.

    Attributes:
        content: the whole flatbuffer; its root table stands at ``offset(0)``.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    def offset(self, position: int) -> int:
        """The position that the unsigned offset stored at ``position`` points to."""
        return position + int(struct.unpack_from("<I", self.content, position)[0])

    def field(self, table: int, number: int) -> int:
        """Position of a table's field, or 0 where it is absent."""
        vtable = table - struct.unpack_from("<i", self.content, table)[0]
        if vtable < 0:
            raise struct.error("vtable before the file")
        size = struct.unpack_from("<H", self.content, vtable)[0]
        entry = 4 + 2 * number
        if entry >= size:
            return 0
        stored = int(struct.unpack_from("<H", self.content, vtable + entry)[0])
        return table + stored if stored else 0

    def scalar(self, table: int, number: int, form: str) -> int:
        """A table's integer field, of a form that ``struct`` knows (such as "<b"); 0 where it is absent."""
        field = self.field(table, number)
        return int(struct.unpack_from(form, self.content, field)[0]) if field else 0

    def unsigned(self, table: int, number: int) -> int:
        """A table's uint32 field; 0 where it is absent."""
        return self.scalar(table, number, "<I")

    def vector(self, table: int, number: int, item_size: int) -> tuple[int, int]:
        """Position of a vector's first item and the count of items; (0, 0) where it is absent."""
        field = self.field(table, number)
        if not field:
            return 0, 0
        start = self.offset(field)
        count = int(struct.unpack_from("<I", self.content, start)[0])
        if start + 4 + count * item_size > len(self.content):
            raise struct.error("vector beyond the file")
        return start + 4, count

    def tables(self, table: int, number: int) -> list[int]:
        """Positions of the tables in a vector of tables."""
        start, count = self.vector(table, number, 4)
        return [self.offset(start + 4 * item) for item in range(count)]

    def integers(self, table: int, number: int) -> tuple[int, ...]:
        """The items of a vector of int32."""
        start, count = self.vector(table, number, 4)
        return tuple(int(item) for item in struct.unpack_from(f"<{count}i", self.content, start))

    def text(self, table: int, number: int) -> str:
        """A table's string; empty where it is absent."""
        start, count = self.vector(table, number, 1)
        return self.content[start : start + count].decode("utf-8", "replace")
