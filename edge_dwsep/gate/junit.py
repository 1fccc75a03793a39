"""A comparison as JUnit XML: a test suite for each run, a test case for each rule.

The form is that of Jenkins' schema (jenkinsci/xunit-plugin, junit-10.xsd), which GitLab, GitHub's actions and others
read: a rule that cannot be judged is a test that was skipped, since XML of JUnit knows no third verdict.
"""

from __future__ import annotations

__all__ = ["junit_of"]

import re
from xml.etree import ElementTree as ET

from edge_dwsep.gate.compare import Gate
from edge_dwsep.gate.rows import Row, rows
from edge_dwsep.gate.rules import Verdict

FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any form (section 2.2)."""

MISSING = "runs of BASE alone"


def junit_of(gate: Gate) -> str:
    """The comparison as an XML document.

    Without rules there are no test cases: nothing was tested.
    """
    root = ET.Element("testsuites", name=_text(f"edge-dwsep compare {gate.base} {gate.head}"))
    by_run: dict[str, list[Row]] = {}
    for row in rows(gate) if gate.rules else []:
        by_run.setdefault(row.run, []).append(row)
    for run, own in by_run.items():
        suite = ET.SubElement(root, "testsuite", name=_text(run))
        for row in own:
            _add_case(suite, row)
    if gate.rules and gate.only_base:
        _add_missing(ET.SubElement(root, "testsuite", name=MISSING), gate)
    for suite in [*root, root]:
        suite.set("tests", str(len(suite.findall(".//testcase"))))
        suite.set("failures", str(len(suite.findall(".//failure"))))
        suite.set("errors", "0")
        if suite is not root:  # the schema has no such attribute for all together
            suite.set("skipped", str(len(suite.findall(".//skipped"))))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_missing(suite: ET.Element, gate: Gate) -> None:
    for name in gate.only_base:
        case = ET.SubElement(suite, "testcase", classname=MISSING, name=_text(name))
        if not gate.missing_allowed:
            ET.SubElement(case, "skipped", message="cannot tell: it is in BASE alone")


def _add_case(suite: ET.Element, row: Row) -> None:
    case = ET.SubElement(suite, "testcase", classname=_text(row.run), name=row.rule)
    judgement = row.judgement
    if judgement is None:
        return
    figures = f"{row.metric}: {row.base} -> {row.head}, {row.change}" if row.base else ""
    said = "; ".join(part for part in (figures, row.reason) if part)
    if judgement.verdict is Verdict.REGRESSED:
        failure = ET.SubElement(case, "failure", type="regressed", message=_text(said))
        failure.text = _text(said)
    elif judgement.verdict is Verdict.CANNOT_TELL:
        ET.SubElement(case, "skipped", message=_text(f"cannot tell: {said}"))
    else:
        ET.SubElement(case, "system-out").text = _text(said)


def _text(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
