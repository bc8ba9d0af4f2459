"""Hypothesis strategies for labels and spans."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tf_tokclf.labels.schemes import RULES, Scheme, label_for
from tf_tokclf.labels.sentence import Span

TYPES = ("LOC", "loc", "art-other", "O", "ORG")
SPAN_SCHEMES = tuple(RULES)


def label_lists(scheme: Scheme, types: Sequence[str] = TYPES[:3]) -> st.SearchStrategy[list[str]]:
    """Labels of the scheme in any order, valid or not."""
    labels = ["O", *(label_for(prefix, type_) for prefix in RULES[scheme].prefixes for type_ in types)]
    return st.lists(st.sampled_from(sorted(labels)), max_size=12)


@st.composite
def span_lists(draw: st.DrawFn, *, touching_twins: bool = True) -> tuple[list[Span], int]:
    """Spans without overlaps, and a sentence length. touching_twins: adjacent spans may have the same type."""
    spans: list[Span] = []
    at = 0
    for gap, length, type_ in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(TYPES)), max_size=5)
    ):
        twin = gap == 0 and bool(spans) and spans[-1].type == type_
        start = at + gap + (1 if twin and not touching_twins else 0)
        spans.append(Span(start, start + length, type_))
        at = start + length
    return spans, at + draw(st.integers(0, 2))
