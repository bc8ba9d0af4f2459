"""Character spans to word spans and back: exact if they fit, otherwise according to the policy."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.values import check_values
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan, SpanRules, char_spans, in_unit, nested_layers
from tf_tokclf.labels.sentence import Origin, Span
from tf_tokclf.labels.word_splitting import split_words

TEXT = "in  New York, today"  # words: in New York , today
ORIGIN = Origin("a.jsonl", 3)

POLICIES = {
    # name: (position of the span, {policy: expected words; None: left out; no entry: error})
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
    assert counts == {"spans dropped: overlap with a longer span": 2}


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
        (CharSpan(3, 6, "PER", "Adé"), "offset_unit=utf16 --set data.offset_end=exclusive"),
        (CharSpan(2, 4, "PER", "Adé"), "offset_unit=codepoint --set data.offset_end=inclusive"),
        (CharSpan(2, 5, "PER", "Bob"), "Check the offsets"),
    ],
)
def test_a_text_that_is_elsewhere_is_an_error_that_knows_the_likely_cause(span, hint):
    with pytest.raises(UserError, match=hint):
        SpanRules().word_spans([span], "😀 Adé!", split_words("😀 Adé!"), ORIGIN, Counter())


def test_an_offset_inside_a_character_is_an_error():
    with pytest.raises(UserError, match="not valid in a text"):
        SpanRules(unit="utf16").word_spans([CharSpan(1, 3, "X")], "😀 A", split_words("😀 A"), ORIGIN, Counter())


MISFIT = "Correct it, or set a policy for such spans: --set data.span_policy=expand (or contract, drop)."


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            (4, 10),
            f"the span LOC 'New Yo' (4 to 10) begins or ends inside a word. The whole words are 'New York'. {MISFIT}",
        ),
        ((5, 6), f"the span LOC 'e' (5 to 6) begins or ends inside a word. The whole words are 'New'. {MISFIT}"),
        ((3, 12), f"the span LOC ' New York' (3 to 12) has white space at its ends. {MISFIT}"),
        ((0, 3), f"the span LOC 'in ' (0 to 3) has white space at its ends. {MISFIT}"),
        ((2, 4), f"the span LOC '  ' (2 to 4) contains no word. {MISFIT}"),
        (
            (14, 20),
            "the span LOC (14 to 20) is not valid in a text of 19 characters."
            " Check the offsets, their unit, and whether their ends are inclusive.",
        ),
    ],
)
def test_a_span_that_does_not_fit_is_shown_with_what_to_do(place, message):
    with pytest.raises(UserError) as error:
        SpanRules().word_spans([CharSpan(*place, "LOC")], TEXT, split_words(TEXT), ORIGIN, Counter())
    assert str(error.value) == f"a.jsonl, line 3: {message}"


@pytest.mark.parametrize(
    ("place", "policy", "said"),
    [
        ((4, 10), "expand", "spans expanded to whole words"),
        ((4, 10), "contract", "spans contracted to whole words"),
        ((4, 10), "drop", "spans dropped: not at word borders"),
        ((5, 11), "contract", "spans dropped: not at word borders"),
        ((3, 12), "drop", "spans dropped: white space at the ends"),
        ((3, 12), "expand", "spans trimmed: white space at the ends"),
        ((3, 12), "contract", "spans trimmed: white space at the ends"),
        ((2, 4), "expand", "spans dropped: no word inside"),
    ],
)
def test_what_a_policy_did_is_counted_by_what_it_was(place, policy, said):
    counts: Counter[str] = Counter()
    for _ in range(2):
        SpanRules(policy).word_spans([CharSpan(*place, "LOC")], TEXT, split_words(TEXT), ORIGIN, counts)
    assert counts == {said: 2}


@given(st.integers(0, 12), st.integers(1, 12), st.sampled_from(["expand", "contract"]))
def test_policies_take_the_words_that_a_span_touches_or_holds(start, length, policy):
    text = "ab c  def g ij"
    words = split_words(text)
    end = min(start + length, len(text))
    inside = [at for at in range(start, end) if text[at] != " "]
    touched = [i for i, (a, b) in enumerate(words) if set(range(a, b)) & set(inside)]
    whole = [i for i, (a, b) in enumerate(words) if set(range(a, b)) <= set(inside)]
    kept = touched if policy == "expand" else whole
    found = SpanRules(policy).word_spans([CharSpan(start, end, "X")], text, words, ORIGIN, Counter())
    assert found == ([Span(kept[0], kept[-1] + 1, "X")] if kept else [])


def test_two_spans_that_overlap_are_both_shown():
    spans = [CharSpan(8, 13, "C"), CharSpan(0, 2, "A"), CharSpan(4, 12, "B")]
    with pytest.raises(UserError) as error:
        SpanRules().word_spans(spans, TEXT, split_words(TEXT), ORIGIN, Counter())
    assert str(error.value) == (
        "a.jsonl, line 3: the spans B 'New York' and C 'York,' overlap."
        " Read one layer of nested spans with --set data.layer=0 (the outermost), or keep the longest span with "
        "--set data.span_policy=expand."
    )


def test_the_kept_span_that_another_overlaps_is_the_one_shown():
    text = "a b c d e"
    for places, message in (
        ([(0, 1, "A"), (4, 9, "B"), (2, 5, "C")], "the spans C 'b c' and B 'c d e' overlap"),
        ([(0, 5, "A"), (6, 7, "B"), (4, 7, "C")], "the spans A 'a b c' and C 'c d' overlap"),
    ):
        spans = [CharSpan(*place) for place in places]
        with pytest.raises(UserError, match=message):
            SpanRules().word_spans(spans, text, split_words(text), ORIGIN, Counter())


def test_spans_side_by_side_do_not_overlap():
    spans = [CharSpan(4, 7, "A"), CharSpan(8, 12, "B"), CharSpan(12, 13, "C")]
    found = SpanRules().word_spans(spans, TEXT, split_words(TEXT), ORIGIN, Counter())
    assert found == [Span(1, 2, "A"), Span(2, 3, "B"), Span(3, 4, "C")]


def test_no_spans():
    counts: Counter[str] = Counter()
    assert SpanRules().word_spans([], TEXT, split_words(TEXT), ORIGIN, counts) == []
    assert SpanRules(layer=0).word_spans([], "", (), ORIGIN, counts) == []
    assert not counts


def test_of_two_spans_at_one_place_the_first_given_stays():
    for types in ("AB", "BA"):
        spans = [CharSpan(4, 12, type_) for type_ in types]
        found = SpanRules("expand").word_spans(spans, TEXT, split_words(TEXT), ORIGIN, Counter())
        assert found == [Span(1, 3, types[0])]


def test_of_two_wrong_spans_the_longer_is_shown():
    for places in ([(4, 6), (4, 10)], [(4, 10), (4, 6)]):
        with pytest.raises(UserError, match=r"the span LOC 'New Yo' \(4 to 10\)"):
            SpanRules().word_spans(
                [CharSpan(*place, "LOC") for place in places], TEXT, split_words(TEXT), ORIGIN, Counter()
            )


def test_an_end_inside_a_character_is_an_error_too():
    for unit, end in (("utf16", 3), ("byte", 4)):
        with pytest.raises(UserError, match=rf"X \(2 to {end}\) is not valid in a text of 4 characters"):
            SpanRules(unit=unit).word_spans([CharSpan(2, end, "X")], "A 😀!", split_words("A 😀!"), ORIGIN, Counter())
    with pytest.raises(UserError, match=r"X \(0 to 1\) is not valid in a text of 2 characters"):
        SpanRules(unit="utf16").word_spans([CharSpan(0, 1, "X")], "😀A", split_words("😀A"), ORIGIN, Counter())


def test_counts_go_on_from_text_to_text():
    counts: Counter[str] = Counter()
    spans = [CharSpan(4, 12, "A"), CharSpan(4, 12, "A"), CharSpan(4, 7, "B"), CharSpan(0, 2, "C", "at")]
    for _ in range(2):
        SpanRules("drop").word_spans(spans, TEXT, split_words(TEXT), ORIGIN, counts)
    assert counts == {
        "spans given twice": 2,
        "spans dropped: overlap with a longer span": 2,
        "spans dropped: another text at the offsets": 2,
    }


def test_each_repetition_is_counted():
    counts: Counter[str] = Counter()
    SpanRules().word_spans([CharSpan(4, 12, "A")] * 4, TEXT, split_words(TEXT), ORIGIN, counts)
    assert counts == {"spans given twice": 3}


def test_a_span_with_another_text_is_dropped_alone():
    counts: Counter[str] = Counter()
    spans = [CharSpan(0, 2, "A", "at"), CharSpan(4, 12, "B", "New\n York"), CharSpan(14, 19, "C", "now")]
    found = SpanRules("drop").word_spans(spans, TEXT, split_words(TEXT), ORIGIN, counts)
    assert found == [Span(1, 3, "B")]
    assert counts == {"spans dropped: another text at the offsets": 2}
    for policy in ("fail", "expand", "contract"):
        with pytest.raises(UserError) as error:
            SpanRules(policy).word_spans(spans, TEXT, split_words(TEXT), ORIGIN, Counter())
        assert str(error.value) == (
            "a.jsonl, line 3: the span A at 0 to 2 is 'in', not 'at'. "
            "Check the offsets, or leave such spans out: --set data.span_policy=drop."
        )


@pytest.mark.parametrize(
    ("start", "end", "unit", "ends"),
    [
        (5, 7, "codepoint", "inclusive"),
        (6, 9, "utf16", "exclusive"),
        (6, 8, "utf16", "inclusive"),
        (9, 13, "byte", "exclusive"),
        (9, 12, "byte", "inclusive"),
    ],
)
def test_the_way_of_counting_that_would_fit_is_named(start, end, unit, ends):
    text = "😀 né Adé, and so on"
    with pytest.raises(UserError) as error:
        SpanRules().word_spans([CharSpan(start, end, "PER", "Adé")], text, split_words(text), ORIGIN, Counter())
    assert str(error.value) == (
        f"a.jsonl, line 3: the span PER at {start} to {end} is {text[start:end]!r}, not 'Adé'."
        f" The offsets fit with --set data.offset_unit={unit} --set data.offset_end={ends}."
    )


def test_values():
    check_values(CharSpan, slots=True)
    check_values(SpanRules)
    assert SpanRules() == SpanRules("fail", None, "codepoint", False)
    assert sorted([CharSpan(1, 2, "B"), CharSpan(0, 3, "A")])[0].type == "A"


def test_a_bad_offset_stops_whatever_the_policy():
    for policy in ("fail", "expand", "contract", "drop"):
        for start, end in ((-1, 2), (2, 2), (3, 2), (0, 20)):
            with pytest.raises(UserError, match=rf"X \({start} to {end}\) is not valid in a text of 19 characters"):
                SpanRules(policy).word_spans([CharSpan(start, end, "X")], TEXT, split_words(TEXT), ORIGIN, Counter())


def test_the_whole_text_can_be_a_span():
    text = "Ada"
    found = SpanRules().word_spans([CharSpan(0, 3, "X")], text, split_words(text), ORIGIN, Counter())
    assert found == [Span(0, 1, "X")]


TEXTS = st.text(st.sampled_from("ab Zé,.😀\n東ก\u0e31\u0301-'"), max_size=30)


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, tuple[tuple[int, int], ...], list[Span]]:
    """A text, the offsets of its words, and word spans that are not adjacent."""
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
    st.lists(st.builds(lambda s, n, t: Span(s, s + n, t), st.integers(0, 9), st.integers(1, 4), st.sampled_from("XY")))
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
    with pytest.raises(UserError, match="Choose one of words, whitespace, characters"):
        split_words("a", "spaces")
