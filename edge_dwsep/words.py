"""Texts of others, such as names of files, as a message of one line can hold them."""

from __future__ import annotations

__all__ = ["in_a_line"]

from pathlib import PurePath


def in_a_line(text: str | PurePath) -> str:
    r"""The text itself where a terminal prints it as it is, otherwise as Python writes it, with escapes.

    >>> in_a_line("plan.toml"), in_a_line("a" + chr(10) + "b")
    ('plan.toml', "'a\\nb'")
    """
    plain = str(text)
    return plain if plain.isprintable() else ascii(plain)
