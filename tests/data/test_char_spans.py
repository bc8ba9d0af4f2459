"""Spans of characters to words and back: exact where they fit, by the policy where they do not."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.data.char_spans import CharSpan, SpanRules, char_spans, in_unit, nested_layers
from tf_tokclf.data.sentence import Origin, Span
from tf_tokclf.data.word_splitting import split_words
from tf_tokclf.errors import UserError

TEXT = "in  New York, today"  # words: in New York , today
ORIGIN = Origin("a.jsonl", 3)

POLICIES = {
    # a span's place: what each policy makes of it (None: left out), and what is counted
    "exact": ((4, 12), dict.fromkeys(("fail", "expand", "contract", "drop"), (1, 3))),
    "cuts the last word": ((4, 10), {"expand": (1, 3), "contract": (1, 2), "drop": None}),
    "cuts both words": ((5, 11), {"expand": (1, 3), "contract": None, "drop": None}),
    "inside a word": ((5, 6), {"expand": (1, 2), "contract": None, "drop": None}),
    "white space before": ((3, 12), {"expand": (1, 3), "contract": (1, 3), "drop": None}),
    "white space after": ((0, 3), {"expand": (0, 1), "contract": (0, 1), "drop": None}),
    "white space only": ((2, 4), {"expand": None, "contract": None, "drop": None}),
}


@pytest.mark.parametrize(
    ("place", "policy", "expected"),
    [
        pytest.param(place, policy, outcomes.get(policy, UserError), id=f"{name}, {policy}")
        for name, (place, outcomes) in POLICIES.items()
        for policy in ("fail", "expand", "contract", "drop")
    ],
)
def test_policies(place, policy, expected):
    counts: Counter[str] = Counter()
    rules = SpanRules(policy)
    spans = [CharSpan(*place, "LOC")]
    if expected is UserError:
        with pytest.raises(UserError, match=r"a\.jsonl, line 3: the span LOC"):
            rules.word_spans(spans, TEXT, split_words(TEXT), ORIGIN, counts)
        return
    found = rules.word_spans(spans, TEXT, split_words(TEXT), ORIGIN, counts)
    assert found == ([Span(*expected, "LOC")] if expected else [])
    assert sum(counts.values()) == (0 if place == (4, 12) else 1)


@pytest.mark.parametrize("policy", ["expand", "contract", "drop"])
def test_of_overlapping_spans_the_longest_stays_and_the_others_are_counted(policy):
    counts: Counter[str] = Counter()
    spans = [CharSpan(4, 7, "A"), CharSpan(4, 12, "B"), CharSpan(8, 13, "C")]
    assert SpanRules(policy).word_spans(spans, TEXT, split_words(TEXT), ORIGIN, counts) == [Span(1, 3, "B")]
    assert counts == {"spans dropped: they overlap longer ones": 2}


@pytest.mark.parametrize(("layer", "types"), [(0, "B"), (1, "AC"), (2, "")])
def test_a_layer_of_nested_spans_can_be_chosen(layer, types):
    spans = [CharSpan(4, 7, "A"), CharSpan(4, 12, "B"), CharSpan(8, 12, "C")]
    found = SpanRules(layer=layer).word_spans(spans, TEXT, split_words(TEXT), ORIGIN, Counter())
    assert "".join(span.type for span in found) == types


def test_a_span_given_twice_is_one():
    counts: Counter[str] = Counter()
    spans = [CharSpan(4, 12, "A")] * 2
    assert SpanRules().word_spans(spans, TEXT, split_words(TEXT), ORIGIN, counts) == [Span(1, 3, "A")]
    assert counts == {"spans given twice": 1}


@pytest.mark.parametrize(("unit", "start", "end"), [("codepoint", 2, 5), ("utf16", 3, 6), ("byte", 5, 9)])
@pytest.mark.parametrize("inclusive", [False, True])
def test_units_and_ends(unit, start, end, inclusive):
    text = "😀 Adé!"
    span = CharSpan(start, end - inclusive, "PER", "Adé")
    rules = SpanRules(unit=unit, inclusive_end=inclusive)
    assert rules.word_spans([span], text, split_words(text), ORIGIN, Counter()) == [Span(1, 2, "PER")]


@pytest.mark.parametrize(
    ("span", "hint"),
    [
        (CharSpan(3, 6, "PER", "Adé"), "offset_unit utf16 and offset_end exclusive"),
        (CharSpan(2, 4, "PER", "Adé"), "offset_unit codepoint and offset_end inclusive"),
        (CharSpan(2, 5, "PER", "Bob"), "Check the offsets"),
    ],
)
def test_a_text_that_is_elsewhere_is_an_error_that_knows_the_likely_cause(span, hint):
    with pytest.raises(UserError, match=hint):
        SpanRules().word_spans([span], "😀 Adé!", split_words("😀 Adé!"), ORIGIN, Counter())


def test_an_offset_inside_a_character_is_an_error():
    with pytest.raises(UserError, match="no place in a text"):
        SpanRules(unit="utf16").word_spans(
            [CharSpan(1, 3, "X")], "😀 A", split_words("😀 A"), ORIGIN, Counter()
        )


TEXTS = st.text(st.sampled_from("ab Zé,.😀\n東ก\u0e31\u0301-'"), max_size=30)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, tuple[tuple[int, int], ...], list[Span]]:
    """A text, its words, and spans of words that lie apart."""
    text = draw(TEXTS)
    offsets = split_words(text, draw(st.sampled_from(["words", "whitespace", "characters"])))
    bounds = sorted(draw(st.sets(st.integers(0, len(offsets)))))
    spans = [Span(a, b, draw(st.sampled_from("XY"))) for a, b in zip(bounds[::2], bounds[1::2])]
    return text, offsets, spans


@given(texts_with_spans(), st.sampled_from(["codepoint", "utf16", "byte"]), st.booleans())
def test_spans_of_words_come_back_from_characters_unchanged(case, unit, inclusive):
    text, offsets, spans = case
    written = [
        CharSpan(in_unit(s.start, text, unit), in_unit(s.end, text, unit) - inclusive, s.type, s.surface)
        for s in char_spans(spans, text, offsets)
    ]
    counts: Counter[str] = Counter()
    rules = SpanRules(unit=unit, inclusive_end=inclusive)
    assert rules.word_spans(written, text, offsets, ORIGIN, counts) == spans
    assert not counts


@given(TEXTS, st.sampled_from(["words", "whitespace", "characters"]))
def test_words_hold_every_sign_of_a_text_but_white_space(text, rule):
    words = [text[start:end] for start, end in split_words(text, rule)]
    assert "".join(words) == "".join(text.split())
    assert all(words)
    assert not any(char.isspace() for word in words for char in word)


@given(
    st.lists(
        st.builds(
            lambda s, n, t: Span(s, s + n, t), st.integers(0, 9), st.integers(1, 4), st.sampled_from("XY")
        )
    )
)
def test_layers_hold_each_span_once_and_none_overlap(spans):
    layers = nested_layers(spans)
    assert sorted(span for layer in layers for span in layer) == sorted(spans)
    for layer in layers:
        assert all(a.end <= b.start for a, b in pairwise(layer))


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("Don't stop_it 3.5%", "words", "Don|'|t|stop_it|3|.|5|%"),
        ("naïve cafe\u0301 हिन्दी", "words", "naïve|cafe\u0301|हिन्दी"),
        ("東京 is big", "words", "東|京|is|big"),
        ("กั้น", "words", "กั้|น"),
        ("a-b c", "whitespace", "a-b|c"),
        ("ab c", "characters", "a|b|c"),
    ],
)
def test_word_splitting(text, rule, words):
    assert [text[start:end] for start, end in split_words(text, rule)] == words.split("|")


def test_an_unknown_rule_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="Known are words, whitespace, characters"):
        split_words("a", "spaces")
