"""Sentences with a label after each word."""

from __future__ import annotations

from pathlib import Path

from tests.data.converting import converted


def test_one_of_two_labels(tmp_path: Path):
    text = "Marie|NNP|B-PER left|VBD|O\n"
    assert converted(tmp_path, "a.iob", text).sentences == ["Marie/B-PER left/O"]
    assert converted(tmp_path, "a.iob", text, "--task", "pos").sentences == ["Marie/NNP left/VBD"]
