"""Texts of others, such as names of files, as a message of one line can hold them."""

from __future__ import annotations

__all__ = ["escaped", "in_a_line", "in_markdown"]

import re
from pathlib import PurePath

SPECIAL = re.compile(r"([\\`*_\[\]<|~&$]|^[#>+-])")
WORD_JOINER = "\N{WORD JOINER}"


def in_a_line(text: str | PurePath) -> str:
    r"""The text itself where a terminal prints it as it is, otherwise as Python writes it, with escapes.

    >>> in_a_line("plan.toml"), in_a_line("a" + chr(10) + "b")
    ('plan.toml', "'a\\nb'")
    """
    plain = str(text)
    return plain if plain.isprintable() else ascii(plain)


def escaped(text: str) -> str:
    r"""A message of one line, with an escape for each character that a terminal does not print.

    >>> escaped("a" + chr(10) + "b" + chr(27) + "[31m")
    'a\\nb\\x1b[31m'
    """
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def in_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is: no markup, no HTML, no mention of an account.

    >>> in_markdown("a|b <script> @team")
    'a\\|b \\<script> @\u2060team'
    """
    return SPECIAL.sub(r"\\\1", in_a_line(text)).replace("@", f"@{WORD_JOINER}")
