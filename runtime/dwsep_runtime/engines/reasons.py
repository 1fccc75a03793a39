"""What an engine says in an error, made fit for a user's line: its reason, without places in its own sources."""

from __future__ import annotations

__all__ = ["plain_reason"]

import re

LONGEST = 300
"""Characters of a reason that are kept."""

LINK = "└"
"""Stands before each cause in LiteRT's messages, the innermost last."""

PLACES = (
    r"^CompiledModel error: code=\d+, message=",
    r"ERROR: \[[^\]]*:\d+\]",
    r"\[ONNXRuntimeError\] : \d+ : \w+ : ",
    r"Load model from .*? failed: ?",
    r"Error in execution: ",
    r"\S*/\S*\.(?:cc|h|cpp):\d+:? (?:[\w:*&<>~ ,]*::\w+\([^)]*\)(?: const)?(?: \[[^\]]*\])? )?",
)
"""What stands around a reason: codes, the names of sources with their lines and functions, paths on the device."""

FAILED_NODE = r"Non-zero status code returned while running (\w+) node\. Name:'[^']*' Status Message: "
NEXT_SENTENCE = r"(?<=[^\s.])\.?(?=(?:Node number|Tensor) \d)"


def plain_reason(error: BaseException) -> str:
    """The reason that an engine's error gives, in one line of at most 300 characters or so.

    >>> plain_reason(RuntimeError("CompiledModel error: code=3, message=ERROR: [./litert/cc/a.h:21] └ No such buffer"))
    'No such buffer'
    >>> plain_reason(RuntimeError("tflite/kernels/add.cc:96 NumInputs(node) != 2 (3 != 2)Node number 0 (ADD) failed."))
    'NumInputs(node) != 2 (3 != 2). Node number 0 (ADD) failed.'
    """
    if isinstance(error, UnicodeDecodeError):
        return f"a name in it is not text ({error})"
    # Names in a model may hold what a terminal would obey.
    said = "".join(sign if sign.isprintable() else "?" for sign in " ".join(str(error).split()))
    for place in PLACES:
        said = re.sub(place, "", said)
    links = [link.strip() for link in said.split(LINK)]
    said = next((link for link in reversed(links) if link), "")
    # TensorFlow Lite prints one sentence right after another.
    said = re.sub(NEXT_SENTENCE, ". ", re.sub(FAILED_NODE, r"\1: ", said))
    said = said if len(said) <= LONGEST else f"{said[:LONGEST].rstrip()}..."
    return said or f"it gave no reason ({type(error).__name__}), perhaps for want of memory"
