"""Requirements as JUnit XML."""

from __future__ import annotations

from xml.etree import ElementTree

from tf_tokclf.report.junit import junit_xml
from tf_tokclf.scoring.requirements import Checked, parse_requirements

NASTY = "<b>&\"'\x1b[2J\x00"


def test_each_requirement_is_a_test_case_and_values_are_escaped():
    first, second, third = parse_requirements(["f1>=0.5", f"{NASTY}.f1>=0.25", "loss<=1"])
    text = junit_xml([Checked(first, 0.75), Checked(second, 0.125), Checked(third, None, "b")], suite="s", about=NASTY)
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    assert dict(suite.attrib) == {"name": "s", "tests": "3", "failures": "2", "errors": "0"}
    shown = NASTY.replace("\x1b", "\ufffd").replace("\x00", "\ufffd")
    assert [(case.get("classname"), case.get("name")) for case in suite] == [
        (shown, "f1>=0.5"),
        (shown, f"{shown}.f1>=0.25"),
        ("b", "loss<=1"),
    ]
    messages = [[failure.get("message") for failure in case] for case in suite]
    expected = f"{shown}.f1 is 0.1250, but {shown}.f1>=0.25 is required"
    assert messages == [[], [expected], ["loss is unknown, but loss<=1 is required"]]
