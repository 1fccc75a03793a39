"""Lines of keys in TOML: those that a person would point at, for whatever tomllib reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_dwsep.sweep.toml_lines import Path, toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CASES: dict[str, tuple[str, dict[Path, int]]] = {
    "plain": ("a = 1\n\n# b = 0\nb = 2 # c = 3\n", {("a",): 1, ("b",): 4}),
    "no end of line": ("a = 1", {("a",): 1}),
    "CR LF": ("a = 1\r\nb = 2\r\n", {("a",): 1, ("b",): 2}),
    "tables": ("[x]\na = 1\n[y.z]\na = 2\n", {("x",): 1, ("x", "a"): 2, ("y",): 3, ("y", "z"): 3, ("y", "z", "a"): 4}),
    "table with blanks": ("[ x . 'y z' ] # c\na=1", {("x",): 1, ("x", "y z"): 1, ("x", "y z", "a"): 2}),
    "dotted": ("a . b = 1\na.c = 2", {("a",): 1, ("a", "b"): 1, ("a", "c"): 2}),
    "quoted": ('"a\\nb" = 1\n\'c"\' = 2\n"" = 3', {("a\nb",): 1, ('c"',): 2, ("",): 3}),
    "list": ("a = [ # x\n 1, # 2,\n [2,\n 3],\n]\n", {
        ("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, 0): 3, ("a", 1, 1): 4,
    }),
    "inline": ("a = {b = 1, c = {d = [1]}}", {
        ("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", "d"): 1, ("a", "c", "d", 0): 1,
    }),
    "strings": ("a = \"# [b] = \\\" \"\nb = '\\'\nc = 1", {("a",): 1, ("b",): 2, ("c",): 3}),
    "long strings": (
        'a = """\nx = 1\n\\""" "" """\nb = \'\'\'\ny = 2\'\'\'\nc = """"quoted"""""\nd = 1',
        {("a",): 1, ("b",): 4, ("c",): 6, ("d",): 7},
    ),
    "lists of tables": ("[[x]]\na = 1\n[x.y]\nb = 1\n[[x]]\na = 2", {
        ("x",): 1, ("x", 0): 1, ("x", 0, "a"): 2, ("x", 0, "y"): 3, ("x", 0, "y", "b"): 4,
        ("x", 1): 5, ("x", 1, "a"): 6,
    }),
    "scalars": ("a = 1979-05-27 07:32:00 # x\nb = -inf\nc = 0xFF\nd = true\n", {
        ("a",): 1, ("b",): 2, ("c",): 3, ("d",): 4,
    }),
    "nothing": ("# only a comment\n", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_lines_by_path(case: str):
    text, expected = CASES[case]
    assert set(paths_of(tomllib.loads(text))) == set(expected)
    assert toml_lines(text) == expected


def paths_of(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every path in what tomllib read."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from paths_of(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from paths_of(one, (*path, index))


WORDS = st.text("ab#[]{}=,.\"'\\\n\t é", max_size=6)
KEYS = st.one_of(st.text("ab-_1", min_size=1, max_size=3), WORDS)
BLANKS = st.sampled_from(["", " ", "\t"])
GAPS = st.sampled_from(["", "\n", "# a = [ \"'\n", "\n\n# ]\n", "\r\n"])


def basic(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def written_key(text: str) -> str:
    bare = text.isascii() and text.replace("-", "").replace("_", "").isalnum()
    return text if bare else basic(text)


@st.composite
def strings(draw: st.DrawFn) -> str:
    text = draw(WORDS)
    styles = [basic(text), f'"""\n{basic(text)[1:-1]}"""']
    if "'" not in text:
        styles.append(f"'''{text}'''")
        if "\n" not in text:
            styles.append(f"'{text}'")
    return draw(st.sampled_from(styles))


@st.composite
def lists(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=3))
    text = "["
    for index, item in enumerate(items):
        text += draw(GAPS) + item + draw(GAPS) + ("," if index + 1 < len(items) else draw(st.sampled_from(["", ","])))
    return text + draw(GAPS) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    keys = draw(st.lists(KEYS, max_size=3, unique=True))
    return "{" + ", ".join(f"{written_key(key)}{draw(BLANKS)}={draw(BLANKS)}{draw(inner)}" for key in keys) + "}"


VALUES = st.recursive(
    st.one_of(st.integers().map(str), st.sampled_from(["true", "1.5e3", "1979-05-27T07:32:00Z", "nan"]), strings()),
    lambda inner: st.one_of(lists(inner), inline_tables(inner)),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = draw(GAPS)
    for key in draw(st.lists(KEYS, max_size=4, unique=True)):
        text += (
            f"{draw(BLANKS)}{written_key(key)}{draw(BLANKS)}={draw(BLANKS)}{draw(VALUES)}{draw(BLANKS)}\n{draw(GAPS)}"
        )
    for at in range(draw(st.integers(0, 2))):
        header = f"table-{at}"
        text += f"[{draw(BLANKS)}{header}{draw(BLANKS)}]\n{draw(GAPS)}"
        for key in draw(st.lists(KEYS, max_size=3, unique=True)):
            text += f"{written_key(key)} = {draw(VALUES)} # x = 1\n"
    return text


@settings(max_examples=60, deadline=None)
@given(documents())
def test_whatever_tomllib_reads_has_a_line_for_every_path_and_no_other(text: str):
    assert set(toml_lines(text)) == set(paths_of(tomllib.loads(text)))


@settings(max_examples=20, deadline=None)
@given(documents())
def test_a_line_is_the_one_on_which_its_key_stands(text: str):
    marked, places = text, {}
    for at, key in enumerate(("first", "last")):
        marked = f"{key}-mark = {at}\n{marked}" if key == "first" else f"{marked}\n[mark]\n{key}-mark = {at}\n"
    for number, line in enumerate(marked.replace("\r\n", "\n").split("\n"), start=1):
        places.update({key: number for key in ("first", "last") if line.startswith(f"{key}-mark = ")})
    lines = toml_lines(marked)
    assert lines["first-mark",] == places["first"] == 1
    assert lines["mark", "last-mark"] == places["last"]
