"""Checked requirements as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from tf_tokclf.control_characters import plain_text
from tf_tokclf.scoring.requirements import Checked


def junit_xml(checked: Sequence[Checked], *, suite: str, about: str) -> str:
    """One test case per requirement. suite: the name of the command. about: what was scored.

    ElementTree escapes all values. Control characters, which XML does not allow, are replaced before.
    """
    counts = {"tests": str(len(checked)), "failures": str(sum(not one.is_met for one in checked)), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    cases = ElementTree.SubElement(root, "testsuite", {"name": plain_text(suite), **counts})
    for one in checked:
        of_case = {"classname": plain_text(one.subject or about), "name": plain_text(str(one.requirement))}
        case = ElementTree.SubElement(cases, "testcase", of_case)
        if not one.is_met:
            ElementTree.SubElement(case, "failure", {"message": plain_text(failure_text(one)), "type": "requirement"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def failure_text(one: Checked) -> str:
    """What is wrong, in a sentence."""
    found = "is unknown" if one.value is None else f"is {one.value:.4f}"
    return f"{one.requirement.name} {found}, but {one.requirement} is required"
