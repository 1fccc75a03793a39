"""The forms of a comparison: terminal, Markdown, JUnit XML, whatever names hold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edge_dwsep.gate import Gate, compare_results, rule_from
from edge_dwsep.gate.junit import junit_of
from edge_dwsep.gate.markdown import markdown_of
from edge_dwsep.gate.text import print_gate, text_of
from edge_dwsep.words import in_markdown
from tests.weighed_runs import results, run

RULES = ("p50>+5%", "size>+2%")
HOSTILE = "a|b\n<script>alert(1)</script> `x` @team [l](u) \x00\x1b[31m\ud800 \N{RIGHT-TO-LEFT OVERRIDE}&amp;"


def gate(name: str = "w8a8", rules: Sequence[str] = RULES) -> Gate:
    """One rule regressed, one met, one that cannot be told, a run without counterpart, and another engine version."""
    base = [run(name, 2.0), run("float32", 3.0), run("gone")]
    head = [run(name, 2.5, engine_version="2.4.0"), run("float32", 3.05, (2.5, 3.5))]
    for one in (base[1], head[1]):
        one["latency"]["processes"] = one["latency"]["processes"][:1]
    return compare_results(results(*base), results(*head), [rule_from(rule) for rule in rules], ["engine"])


def test_the_terminal_shows_each_run_with_its_figures_and_verdicts() -> None:
    lines = text_of(gate()).splitlines()
    assert lines[0].split() == ["figure", "base", "head", "change", "[95", "%]", "p", "rule", "verdict"]
    assert lines[1] == "w8a8 on litert"
    assert lines[2].split() == ["p50", "2.00", "ms", "2.50", "ms", "+25.0", "%", "p50>+5%", "regressed"]
    assert lines[3].split()[-2:] == ["size>+2%", "ok"]
    assert "differs, as allowed: litert was version 2.3.0 and is 2.4.0" in lines
    assert (
        "in BASE alone, so nothing is known of them in HEAD: gone on litert; --allow missing passes over them" in lines
    )
    assert lines[-1] == "regressed: 1 regressed, 1 cannot tell, 2 ok"


def test_reasons_are_told_once_however_many_runs_they_hold_for() -> None:
    runs = [run(str(at), None) for at in range(6)]
    told = text_of(compare_results(results(*runs), results(*runs), [rule_from("p50>+5%")]))
    assert told.count("was not measured on both sides") == 1
    assert "p50>+5% of 0 on litert, 1 on litert, 2 on litert and 3 more: p50 was not measured on both sides" in told


def test_without_rules_every_figure_is_shown_with_what_it_shows() -> None:
    lines = text_of(gate(rules=())).splitlines()
    assert "rule" not in lines[0]
    words = {line.split()[0]: line.split("]")[-1].split() for line in lines[2:9] if line.startswith("  ")}
    assert words["p90"] == ["slower"]
    assert text_of(gate(rules=())).count("the same") == 2


def test_colours_are_for_terminals_alone() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=200)
    print_gate(screen, gate())
    assert "\x1b[1;31mregressed" in screen.file.getvalue()  # type: ignore[attr-defined] # a StringIO
    assert "\x1b" not in text_of(gate())


def test_markdown_is_a_table_of_as_many_columns_in_every_row() -> None:
    lines = markdown_of(gate()).splitlines()
    assert lines[0] == "### HEAD against BASE: regressed"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 4
    assert {line.replace(r"\|", "").count("|") for line in table} == {9}
    assert "| **regressed** |" in table[2]
    assert "- regressed: 1 regressed, 1 cannot tell, 2 ok" in lines


@pytest.mark.parametrize("form", [markdown_of, junit_of, text_of])
def test_hostile_names_are_text_in_every_form(form: object) -> None:
    written = form(gate(HOSTILE))  # type: ignore[operator] # one of three functions
    written.encode("utf-8")
    assert not any(ord(one) < 32 and one != "\n" for one in written)
    if form is markdown_of:
        rows = [line for line in written.splitlines() if "script" in line and line.startswith("|")]
        assert len(rows) == 2
        assert all(r"\<script>" in row and r"\|" in row and "@team" not in row for row in rows)
    if form is text_of:
        assert "\x1b" not in written
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in written


@given(st.text(max_size=40))
def test_escaped_text_is_one_line_and_no_markup(text: str) -> None:
    told = in_markdown(text)
    assert "\n" not in told
    for mark in "`*_[]<|":
        assert told.count(mark) == told.count(f"\\{mark}")


ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "disabled", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id"},
    "testcase": {"name", "assertions", "time", "classname", "status", "file", "line"},
    "failure": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testsuite", "testcase", "system-out", "system-err"},
    "testcase": {"skipped", "error", "failure", "system-out", "system-err", "properties"},
    "failure": set(),
    "skipped": set(),
    "system-out": set(),
}
"""What junit-10.xsd of jenkinsci/xunit-plugin lets each element hold."""


@pytest.mark.parametrize("name", ["w8a8", HOSTILE])
def test_junit_has_the_elements_attributes_and_counts_of_the_schema(name: str) -> None:
    root = ET.fromstring(junit_of(gate(name)))  # noqa: S314  # our own document
    for element in root.iter():
        assert set(element.attrib) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN[element.tag]
        if element.tag in {"testsuite", "testcase"}:
            assert element.get("name")
        if element.tag.startswith("testsuite"):
            assert int(element.get("tests", "")) == len(element.findall(".//testcase"))
            assert int(element.get("failures", "")) == len(element.findall(".//failure"))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "0")
    assert [suite.get("skipped") for suite in root] == ["0", "1", "1"]


def test_junit_says_what_regressed_by_how_much_and_what_cannot_be_told() -> None:
    root = ET.fromstring(junit_of(gate()))  # noqa: S314  # our own document
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == failure.text == "p50: 2.00 ms -> 2.50 ms, +25.0 %"
    skipped = [one.get("message") or "" for one in root.iter("skipped")]
    assert skipped[0].startswith("cannot tell: p50: 3.00 ms -> 3.05 ms, +1.7 % [")
    assert skipped[1] == "cannot tell: it is in BASE alone"


def test_junit_without_rules_has_no_tests() -> None:
    assert ET.fromstring(junit_of(gate(rules=()))).get("tests") == "0"  # noqa: S314  # our own document
