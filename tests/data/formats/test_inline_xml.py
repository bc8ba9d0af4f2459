"""Texts with XML tags around their entities."""

from __future__ import annotations

from pathlib import Path

from tests.data.converting import converted


def test_tags_that_do_not_fit_are_an_error_with_its_line(tmp_path: Path):
    text = "<PER>Ada</PER> left\n" * 45 + "<PER>Bob left\n"
    result = converted(tmp_path, "a.txt", text)
    assert result.exit_code == 2
    assert "line 46: the tag <PER> is not closed" in result.messages
