"""The page of label issues: everything is escaped, and only its own script runs. The table on the terminal."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.report.issue_lists import make_issue_list
from tf_tokclf.report.label_issues import issue_table
from tf_tokclf.report.label_issues_page import write_page

HOSTILE = ("</script><script>alert(1)</script>", "\"' onload=x", "<img src=x>&amp;", "\x1b[2J\u202ex")


@pytest.fixture
def page(tmp_path: Path) -> str:
    found = make_issue_list(HOSTILE, type_="<b>'\"", place="<i>a.conll</i>")
    write_page(found, tmp_path / "issues.html")
    return (tmp_path / "issues.html").read_text(encoding="utf-8")


def test_everything_is_escaped(page: str):
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == len(re.findall("<script", page)) == 1
    assert "alert" not in scripts[0]
    for text in ("<img", "<b>", "<i>a.conll", "\x1b", "\u202e"):
        assert text not in page
    assert "&lt;img src=x&gt;" in page


def test_only_the_script_of_the_page_may_run(page: str):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert html.unescape(policy) == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r"\son\w+=\"|javascript:|https?://", page)


def test_corrections_of_the_page_are_exact(page: str):
    values = [json.loads(html.unescape(text)) for text in re.findall(r'data-correction="([^"]*)"', page)]
    assert [one["after"] and one["after"]["type"] for one in values] == ["<b>'\"", "<b>'\"", None, "PER"]
    assert values[0]["before"]["text"] == HOSTILE[3]
    assert len({one["hash"] for one in values}) == 1


def test_every_issue_has_a_group_of_choices(page: str):
    assert page.count("<fieldset>") == 4
    assert page.count('type="radio"') == 12
    assert page.count(" checked") == 4


def test_the_table_shows_the_first_issues():
    console = Console(width=100, record=True, file=StringIO())
    console.print(issue_table(make_issue_list(), 2))
    text = console.export_text()
    assert "Paris [PER] → LOC" in text
    assert "no label → saw [LOC]" in text
    assert "... and 2 more." in text
    assert "Ada Lovelace [PER]" not in text
    assert "4 issues in 1 sentence with 2 labelled spans; confident learning flags 2 of them." in " ".join(text.split())
