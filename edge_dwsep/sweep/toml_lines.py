"""On which line of a TOML file each key and each item of a list stands, which ``tomllib`` does not tell.

The text must be one that ``tomllib`` reads; nothing is checked here a second time (TOML 1.0.0, https://toml.io).
"""

from __future__ import annotations

__all__ = ["Path", "toml_lines"]

import re
import sys
from collections.abc import Iterator

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Path = tuple[str | int, ...]
"""Keys from the outermost table to the innermost, and indices into lists."""

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SCALAR = re.compile(r"[^,\]}#\n]+")
BLANK = re.compile(r"[ \t\r\n]+|#[^\n]*")
LONGEST_FIRST = ('"""', "'''", '"', "'")


def toml_lines(text: str) -> dict[Path, int]:
    r"""Lines, counted from 1, by the path of keys that leads to a value or table.

    A table that is opened twice, as ``a.x = 1`` and ``a.y = 2`` do, has the line of the first.

    >>> toml_lines('[a]\nx = [\n  1,\n  2]')
    {('a',): 1, ('a', 'x'): 2, ('a', 'x', 0): 3, ('a', 'x', 1): 4}
    """
    lines: dict[Path, int] = {}
    for path, line in _Scanner(text.replace("\r\n", "\n")).everything():
        lines.setdefault(path, line)
    return lines


class _Scanner:
    """Goes once through a text that is valid TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1

    def everything(self) -> Iterator[tuple[Path, int]]:
        """Every path with its line, in the order of the text."""
        table: Path = ()
        arrays: dict[Path, int] = {}
        while self._next():
            line = self._here()
            if self._text.startswith("[[", self._at):
                self._at += 2
                keys = _within(self._keys(), arrays)
                arrays[keys] = arrays.get(keys, -1) + 1
                table = (*keys, arrays[keys])
                self._at += 2
                yield from _opened((), table, line)
            elif self._text[self._at] == "[":
                self._at += 1
                table = _within(self._keys(), arrays)
                self._at += 1
                yield from _opened((), table, line)
            else:
                yield from self._pair(table)

    def _pair(self, table: Path) -> Iterator[tuple[Path, int]]:
        line = self._here()
        keys = self._keys()
        self._at += 1  # the equals sign
        path = (*table, *keys)
        yield from _opened(table, path, line)
        yield from self._value(path)

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        self._next()
        if self._text[self._at] == "[":
            self._at += 1
            index = 0
            while self._next() != "]":
                if self._text[self._at] == ",":
                    self._at += 1
                    continue
                yield (*path, index), self._here()
                yield from self._value((*path, index))
                index += 1
            self._at += 1
        elif self._text[self._at] == "{":
            self._at += 1
            while self._next() != "}":
                if self._text[self._at] == ",":
                    self._at += 1
                    continue
                yield from self._pair(path)
            self._at += 1
        elif self._text[self._at] in "\"'":
            self._string()
        else:
            found = SCALAR.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _keys(self) -> Path:
        keys: list[str] = []
        while True:
            self._next()
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                keys.append(tomllib.loads(f"key = {self._text[start : self._at]}")["key"])
            else:
                found = BARE_KEY.match(self._text, start)
                self._at = found.end() if found else start + 1
                keys.append(self._text[start : self._at])
            if self._next() != ".":
                return tuple(keys)
            self._at += 1

    def _string(self) -> None:
        quote = next(one for one in LONGEST_FIRST if self._text.startswith(one, self._at))
        end = self._at + len(quote)
        while not self._text.startswith(quote, end):
            end += 2 if quote[0] == '"' and self._text[end] == "\\" else 1
        end += len(quote)
        if len(quote) == 3:  # up to two quotation marks may stand before the three that end it
            while self._text.startswith(quote[0], end):
                end += 1
        self._at = end

    def _next(self) -> str:
        """Pass blanks and comments; the character that follows, or nothing at the end."""
        while found := BLANK.match(self._text, self._at):
            self._at = found.end()
        return self._text[self._at : self._at + 1]

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line


def _within(keys: Path, arrays: dict[Path, int]) -> Path:
    """The keys of a header with the index of the last table where one of them is a list of tables."""
    path: Path = ()
    for key in keys[:-1]:
        path = (*path, key)
        if path in arrays:
            path = (*path, arrays[path])
    return (*path, *keys[-1:])


def _opened(outer: Path, path: Path, line: int) -> Iterator[tuple[Path, int]]:
    """Every table that a header or a dotted key opens on its way, then what it leads to."""
    for depth in range(len(outer) + 1, len(path) + 1):
        yield path[:depth], line
