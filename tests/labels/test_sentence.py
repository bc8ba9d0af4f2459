"""Sentences, spans and their origin."""

from __future__ import annotations

import pytest

from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence, Span


def test_values():
    check_values(Span, Origin, Sentence, slots=True)
    assert len({Span(0, 1, "X"), Span(0, 1, "X")}) == 1


def test_spans_are_sorted_by_place():
    spans = [Span(1, 2, "A"), Span(0, 3, "B"), Span(0, 1, "C"), Span(0, 1, "A")]
    assert sorted(spans) == [Span(0, 1, "A"), Span(0, 1, "C"), Span(0, 3, "B"), Span(1, 2, "A")]
    assert Span(2, 5, "X").length == 3


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (0, 0), (3, 3), (2, 1)])
def test_a_span_holds_a_word(start, end):
    with pytest.raises(ValueError, match=rf"^a span needs 0 <= start < end, not {start}, {end}$"):
        Span(start, end, "X")


def test_places_are_lines_or_rows():
    line, row = Origin("a.conll", 7), Origin("a.parquet", 2, "row")
    assert (str(line), str(row)) == ("a.conll, line 7", "a.parquet, row 2")
    error = line.error("Wrong.", "Correct it.")
    assert isinstance(error, UserError)
    assert (str(error), error.line, error.row) == ("a.conll, line 7: Wrong. Correct it.", 7, None)
    assert (str(row.error("Wrong.")), row.error("Wrong.").row) == ("a.parquet, row 2: Wrong.", 2)


def test_each_word_has_one_label():
    message = "2 words but 1 label. Each word needs exactly one label."
    with pytest.raises(UserError) as error:
        Sentence(("a", "b"), ("O",))
    assert str(error.value) == message
    with pytest.raises(UserError) as error:
        Sentence(("a", "b"), ("O",), Origin("a.conll", 7))
    assert str(error.value) == f"a.conll, line 7: {message}"
    with pytest.raises(UserError):
        Sentence(("a",), ())


def test_each_word_has_one_place_in_the_text():
    with pytest.raises(ValueError, match=r"^2 words but 1 offset$"):
        Sentence(("a", "b"), text="a b", offsets=((0, 1),))
    assert len(Sentence(("a", "b"), text="a b", offsets=((0, 1), (2, 3)))) == 2


def test_what_a_source_does_not_say_is_none():
    bare = Sentence(("a", "b"))
    assert len(bare) == 2
    assert (bare.labels, bare.origin, bare.text, bare.offsets, bare.document) == (None,) * 5
