"""The page of label issues in a real browser: it works with the keyboard, and axe-core finds no serious problem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser import Browser, axe
from tests.report.issue_lists import make_issue_list
from tests.report.test_run_page_in_browser import OVERFLOW, VIEWS, VIOLATIONS
from tf_tokclf.report.label_issues_page import write_page

# Keeps what would be downloaded.
KEEP = "URL.createObjectURL = (blob) => { window.kept = blob; return '#'; }; 0"


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("issues") / "issues.html"
    write_page(make_issue_list(), path)
    return path


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_axe_finds_no_serious_problem(browser: Browser, page: Path, width: int, scheme: str):
    script = axe()
    browser.show(width, scheme)
    browser.open(page.as_uri())
    browser.look(f"{script};0")
    assert [one for one in browser.look(VIOLATIONS) if one[1] in ("serious", "critical")] == []
    assert browser.look(OVERFLOW) <= 0


def test_decisions_are_made_with_the_keyboard_and_downloaded(browser: Browser, page: Path):
    browser.show(1200, "light")
    browser.open(page.as_uri())
    status = "document.getElementById('status').textContent"
    assert browser.look(status) == "0 accepted, 0 rejected, 4 undecided"
    # The arrow keys move within the group of an issue: from Undecided back to Reject, and on to Accept.
    browser.look("document.querySelector('input[name=issue-1]:checked').focus()")
    browser.press("ArrowUp", 38)
    browser.press("ArrowUp", 38)
    browser.look("document.querySelector('input[name=issue-3]:checked').focus()")
    browser.press("ArrowUp", 38)
    assert browser.look(status) == "1 accepted, 1 rejected, 2 undecided"
    browser.look(KEEP)
    browser.look("document.getElementById('download').focus()")
    browser.press("Enter", 13)
    lines = browser.look("window.kept.text()").splitlines()
    found = make_issue_list()
    expected = [("accept", found.issues[0]), ("reject", found.issues[2])]
    assert [json.loads(line) for line in lines] == [
        {"decision": decision, **issue.correction(found.data)} for decision, issue in expected
    ]
