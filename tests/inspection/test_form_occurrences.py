"""Where else the words of a span occur."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tf_tokclf.inspection.form_occurrences import FormIndex
from tf_tokclf.labels.sentence import Sentence, Span


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=6), max_size=5),
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), max_size=3),
)
@example([["a"]], [("a",), ("a", "a")])
def test_all_occurrences_are_found(sentences: list[list[str]], forms: list[tuple[str, ...]]):
    index = FormIndex(((Sentence(tuple(words)), ()) for words in sentences), forms)
    for form in forms:
        expected = sum(
            tuple(words[start : start + len(form)]) == form for words in sentences for start in range(len(words))
        )
        assert index.elsewhere(form, -1, 0).total == expected


def test_labels_of_occurrences():
    sentences = [
        (Sentence(("New", "York", "is", "new")), [Span(0, 2, "LOC")]),
        (Sentence(("New", "York", "Times")), [Span(0, 3, "ORG")]),
        (Sentence(("New", "York")), []),
        (Sentence(("in", "New", "York")), [Span(1, 3, "LOC")]),
        (Sentence(("to", "New", "York")), [Span(1, 3, "LOC")]),
    ]
    found = FormIndex(sentences, [("New", "York")]).elsewhere(("New", "York"), 0, 0, n_places=1)
    assert list(found.counts.items()) == [("LOC", 2), ("O", 1), ("part of ORG", 1)]
    assert [(one.sentence, one.start, one.label) for one in found.places] == [
        (3, 1, "LOC"),
        (2, 0, "O"),
        (1, 0, "part of ORG"),
    ]
