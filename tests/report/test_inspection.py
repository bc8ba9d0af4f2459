"""An inspection on the terminal: alignment, hidden characters, nothing that commands the terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tf_tokclf.inspection.problem import Example
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.report.inspection import labelled_lines, visible

LABELS = LabelSet(("O", "B-LOC", "I-LOC"), Scheme.IOB2)


def lines(words: str, labels: str, width: int = 80) -> list[str]:
    example = Example("x", tuple(words.split(" ")), tuple(labels.split()))
    return [line.plain for line in labelled_lines(example, LABELS, width)]


def test_labels_stand_under_their_words():
    assert lines("to New York now", "O B-LOC I-LOC O") == [
        "to New   York  now",
        "   B-LOC I-LOC",
    ]  # fmt: skip


@pytest.mark.parametrize("words", ["在 东京都千代田区 吃 饭", "ที่ เชียงใหม่ วันนี้ ครับ", "e\u0301 Cafe\u0301s 👩‍🚒 x"])
def test_labels_stand_under_wide_and_combining_words(words):
    upper, lower = lines(words, "O B-LOC O O")
    first = words.split(" ")[0]
    assert cell_len(lower[: lower.index("B-LOC")]) == cell_len(first) + 1
    assert upper.startswith(first)


def test_long_sentences_are_broken_at_the_width():
    broken = lines("a " * 30 + "Rome", "O " * 30 + "B-LOC", width=20)
    assert all(cell_len(line) <= 20 for line in broken)
    assert "".join(broken).count("a") == 30
    assert broken[-2].split()[-1] == "Rome"


def test_a_word_wider_than_the_terminal_is_cut():
    assert lines("x" * 50, "B-LOC", width=10) == ["x" * 10, "B-LOC"]


def test_lines_without_labels_have_no_line_below():
    assert lines("a b", "O O") == ["a b"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a<1B>[31mb"),
        ("a\u202eb", "a<202E>b"),
        ("a\nb\tc", "a<0A>b<09>c"),
        ("soft\u00adhyphen", "soft<AD>hyphen"),
        ("\x9b2J", "<9B>2J"),
        ("می\u200cروم", "می\u200cروم"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("ที่", "ที่"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_its_number(text, shown):
    assert visible(text) == shown
