"""The report as Markdown, and several results in one report."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dwsep_runtime.errors import InvalidInput
from edge_dwsep.choice import choose
from edge_dwsep.cli.report import report
from edge_dwsep.report import markdown
from edge_dwsep.report.together import together
from edge_dwsep.table import milliseconds
from tests.made_results import made_results

LONGEST_COMMENT = 65_536
"""Characters that GitHub takes."""


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "").strip("|").split("|")]


def table_of(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.startswith("|")]


@pytest.fixture
def forty() -> dict[str, Any]:
    return made_results(40, threads=(1,))


def test_a_few_runs_are_one_table(forty: dict[str, Any]) -> None:
    given = {**forty, "runs": forty["runs"][:20]}
    head, _, *rows = table_of(markdown(given))
    assert head[:5] == ["run", "device", "variant", "engine", "size"]
    assert len(rows) == 20
    assert all(len(row) == len(head) for row in rows)
    latency = given["runs"][0]["latency"]
    low, high = (milliseconds(end) for end in latency["p50_interval_ms"])
    assert rows[0][5] == f"{milliseconds(latency['p50_ms'])} \\[{low}, {high}\\]"
    assert rows[3][-1].startswith("failed: operator FULLY\\_CONNECTED version 12")


def test_of_many_runs_the_front_comes_first_and_the_rest_is_folded(forty: dict[str, Any]) -> None:
    choice = choose(forty)
    text = markdown(forty, choice)
    shown, _, folded = text.partition("<details><summary>40 runs</summary>")
    assert {int(row[0]) - 1 for row in table_of(shown)[2:]} == choice.front
    assert len(table_of(folded)) == 2 + 40
    for one in choice.devices:
        assert f"> **{one.device}**: " in text


def test_a_report_of_thousands_of_runs_fits_a_comment() -> None:
    given = made_results(2000, devices=3, threads=(1, 4))
    text = markdown(given, choose(given))
    assert len(text) < LONGEST_COMMENT
    assert "1,800 more runs: see the results." in text


def test_the_plan_can_be_copied_from_a_report(forty: dict[str, Any]) -> None:
    text = markdown(forty)
    assert '```toml\nmodel = ["mobilenet_v1", "mobilenet_v2"]' in text
    assert f"weights of {forty['models'][0]['name']}".replace("_", "\\_") in text


@pytest.mark.parametrize(
    "hostile",
    [
        *("a|b", "<script>alert(1)</script>", "<!--", "](http://x)", "![](http://x/y.png)", "**b**", "`code`", "@team"),
        *("a\n\n# heading", "a\r\n- item", "&lt;", "$x$", "</details>", "\x1b[31m", "\ud800", "```\n# x"),
    ],
)
def test_names_do_not_become_markup(forty: dict[str, Any], hostile: str) -> None:
    plain = markdown(forty)
    given = copy.deepcopy(forty)
    for run in given["runs"]:
        for key in ("model", "variant", "engine"):
            run[key] += hostile
        run["warnings"] = [hostile] if run["warnings"] else []
        run["error"] = hostile if run["error"] else None
    for model in given["models"]:
        model["name"] += hostile
    given["sweep"]["name"] = given["data"]["name"] = given["command"] = hostile
    given["sweep"]["plan"]["data"] = hostile
    text = markdown(given)
    text.encode("utf-8")
    assert [line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")] == [
        line.count("|") for line in plain.splitlines() if line.startswith("|")
    ]
    text, plain = (re.sub(r"(`{3,})\w+\n.*?\n\1", "", one, flags=re.DOTALL) for one in (text, plain))
    for markup in ("<script", "<!--", "](", "![", "**b**", "`code`", "@team", "\n# heading", "\n- item", "\x1b"):
        assert markup not in re.sub(r"\\.", "", text) or plain.count(markup) == text.count(markup)
    assert text.count("<details>") == text.count("\n</details>") == plain.count("<details>")


def test_a_fence_is_longer_than_those_in_its_content(forty: dict[str, Any]) -> None:
    assert "\n````sh\necho ```x```\n````\n" in markdown({**forty, "command": "echo ```x```"})


@pytest.mark.parametrize("given", [{}, {"runs": []}, {"runs": [{}]}])
def test_results_of_little_are_written(given: dict[str, Any]) -> None:
    assert markdown(given).startswith("## Unnamed model on an unnamed device")


def test_results_come_together_and_a_run_of_both_is_taken_once(forty: dict[str, Any]) -> None:
    first = {**forty, "runs": forty["runs"][:25], "command": "edge-dwsep sweep a.toml"}
    second = {**forty, "runs": forty["runs"][15:], "command": "edge-dwsep sweep b.toml", "versions": {"keras": "3.16"}}
    both = together([("a", first), ("b", second)])
    assert [run["id"] for run in both["runs"]] == [run["id"] for run in forty["runs"]]
    assert [device["name"] for device in both["devices"]] == ["local", "pi4"]
    assert len(both["models"]) == 2
    assert both["versions"]["keras"] == f"{forty['versions']['keras']}, 3.16"
    assert both["command"] == "edge-dwsep sweep a.toml\nedge-dwsep sweep b.toml"
    assert together([("a", first)]) == first
    assert "40 runs on local and pi4" in markdown(both)


def test_other_machines_and_other_weights_of_one_name_are_told_apart(forty: dict[str, Any]) -> None:
    other = copy.deepcopy(forty)
    other["devices"][0]["cpu"] = "another CPU"
    other["models"][1]["weights_sha256"] = "00" * 32
    for run in other["runs"]:
        run["id"] = f"other {run['id']}"
    both = together([("a", forty), ("b", other)])
    assert [device["name"] for device in both["devices"]] == ["local", "pi4", "local (b)"]
    assert [model["name"] for model in both["models"]][2:] == [f"{forty['models'][1]['name']} (b)"]
    assert {run["device"] for run in both["runs"][40:]} == {"local (b)", "pi4"}
    assert len(both["runs"]) == 80


def test_accuracies_of_different_images_are_not_put_side_by_side(forty: dict[str, Any]) -> None:
    other = {**forty, "data": {"name": "others", "count": 10, "sha256": "00" * 32}}
    with pytest.raises(InvalidInput, match="count accuracy on different images"):
        together([("a", forty), ("b", other)])


@pytest.mark.parametrize(
    ("arguments", "place", "begins"),
    [
        (["--output", "page.html"], "page.html", "<!doctype html>"),
        ([], "report.html", "<!doctype html>"),
        (["--output", "comment.md"], "comment.md", "## mobilenet"),
        (["--format", "markdown"], None, "## mobilenet"),
        (["--format", "html", "--output", "-"], None, "<!doctype html>"),
    ],
)
def test_the_command_writes_what_was_asked_for(
    forty: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    place: str | None,
    begins: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results.json").write_text(json.dumps(forty))
    done = CliRunner().invoke(report, ["results.json", *arguments])
    assert done.exit_code == 0, done.output
    written = done.output if place is None else Path(place).read_text(encoding="utf-8")
    assert written.startswith(begins)
    assert place is None or done.output == f"report: {place}\n"


def test_the_command_chooses_as_the_plan_says_unless_told_otherwise(forty: dict[str, Any], tmp_path: Path) -> None:
    forty["sweep"]["plan"]["choose"] = {"pareto": ["p90"], "max_size": "1kB"}
    (tmp_path / "results.json").write_text(json.dumps(forty))
    runner = CliRunner()

    def written(*arguments: str) -> str:
        done = runner.invoke(report, [str(tmp_path), "--format", "markdown", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert "front" not in written().partition("<details>")[0]
    assert "On the front:" in written("--max-size", "1GB")


def test_a_limit_that_cannot_be_read_is_refused_before_results_are_looked_for() -> None:
    done = CliRunner().invoke(report, ["nowhere.json", "--max-size", "large"])
    assert isinstance(done.exception, InvalidInput)
    assert "--max-size 'large' cannot be read" in str(done.exception)
