"""Texts and annotations of brat in two files."""

from __future__ import annotations

from pathlib import Path

from tests.data.converting import case
from tests.data.sample_files import SAMPLES, read


def test_brat_lines_are_sentences_unless_a_span_goes_on():
    first, second = read("brat", layer=0)
    assert first.text + second.text == (SAMPLES / "brat/nested_and_over_a_line.txt").read_text(encoding="utf-8")
    assert first.labels == ("B-PER", "I-PER", "B-LOC", "I-LOC", "O")
    assert (second.words, second.origin.number, second.document) == (("Bye",), 4, "nested_and_over_a_line")


def test_the_inner_layer_of_nested_spans():
    assert read("brat", layer=1)[0].labels == ("B-TITLE", "O", "O", "O", "O")


def test_a_text_of_brat_without_its_annotations_is_reported(tmp_path: Path):
    result = case("brat_noann")
    assert result.sentences == ["Tom/B-Per left/O"]
    assert "1 text without .ann left out: not annotated" in result.messages
    assert "(first: d.txt, line 1)" in result.messages
    assert case("brat_noann", "--unannotated", "outside").sentences[0] == "He/O saw/O New/O York/O"
