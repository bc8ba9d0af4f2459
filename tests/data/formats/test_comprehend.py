"""Annotations of Amazon Comprehend beside their documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.converting import convert


def annotations(folder: Path, *rows: str, text: str = "Marie left\nIt rains\n\nTom went\n") -> Path:
    (folder / "docs.txt").write_text(text)
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    return folder / "a.csv"


BY_LINE = "File,Line,Begin Offset,End Offset,Type"


BY_DOCUMENT = "File,Begin Offset,End Offset,Type"


def test_annotations_by_line_or_by_document(tmp_path: Path):
    read = ["Marie/B-PER left/O", "It/O rains/O", "Tom/B-PER went/O"]
    assert convert(annotations(tmp_path, BY_LINE, "docs.txt,0,0,5,PER", "docs.txt,3,0,3,PER")).sentences == read
    assert convert(annotations(tmp_path, BY_DOCUMENT, "docs.txt,0,5,PER", "docs.txt,21,24,PER")).sentences == read


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("other.txt,0,0,5,PER", "a.csv, line 2: there is no document 'other.txt' in the same folder"),
        ("../docs.txt,0,0,5,PER", "a.csv, line 2: the document '../docs.txt' is not in the same folder"),
        ("docs.txt,0,x,5,PER", "a.csv, line 2: 'docs.txt,0,x,5,PER' is not an annotation"),
        ("docs.txt,0,0,5,", "a.csv, line 2: a row has no file or no type"),
        ("docs.txt,0,0,50,PER", "docs.txt, line 1: "),
        ("docs.txt,9,0,5,PER", "docs.txt: there is no line 9"),
    ],
)
def test_annotations_that_do_not_fit_their_documents(tmp_path: Path, row: str, said: str):
    result = convert(annotations(tmp_path, BY_LINE, row))
    assert result.exit_code == 2
    assert said in result.messages


def test_spans_outside_of_a_document_are_not_lost(tmp_path: Path):
    result = convert(annotations(tmp_path, BY_DOCUMENT, "docs.txt,500,505,PER"))
    assert result.exit_code == 2
    assert "docs.txt: a span begins at 500, but the document ends at" in result.messages
