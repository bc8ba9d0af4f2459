"""Convert labels to spans and spans to labels, in every scheme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import (
    CLOSING_ROLES,
    CONTINUING_ROLES,
    OPEN_ROLES,
    OUTSIDE,
    OUTSIDE_LABEL,
    RULES,
    STARTING_ROLES,
    Begins,
    PrefixReading,
    Role,
    Rules,
    Scheme,
    continues,
    label_for,
    read_label,
    read_label_strictly,
    split_label,
)
from tf_tokclf.labels.sentence import Span
from tf_tokclf.labels.validation import violations


def spans_of(labels: Sequence[str], scheme: Scheme, *, strict: bool = False) -> list[Span]:
    """The spans that a label sequence encodes, in order.

    By default, invalid sequences are read like conlleval reads them (seqeval's default mode), so they contain spans
    too. strict: only spans whose first and last label the scheme allows at that place. The strict mode equals
    seqeval's for IOB2, BIOES and BILOU, and for valid IOB1. If IOB1 does not allow a `B-`, seqeval keeps the rest of
    the span, while this function drops the span. A bare prefix (`B`) gives a span with an empty type; seqeval calls
    the type `_`. Scores are computed from seqeval's own spans (`scoring.entities`), not from these.

    >>> spans_of(["B-LOC", "I-LOC", "I-PER"], Scheme.IOB2)
    [Span(start=0, end=2, type='LOC'), Span(start=2, end=3, type='PER')]
    >>> spans_of(["B-LOC", "I-LOC", "I-PER"], Scheme.IOB2, strict=True)
    [Span(start=0, end=2, type='LOC')]
    """
    if scheme is Scheme.NONE:
        return []
    readings = [read_label_strictly(x, scheme) for x in labels] if strict else [read_label(x) for x in labels]
    rules = RULES[scheme]
    spans = []
    start, keep, before = 0, False, OUTSIDE
    for position, here in enumerate((*readings, OUTSIDE)):
        if continues(before, here):
            before = here
            continue
        if keep and not (strict and rules.ends_marked and before.role not in CLOSING_ROLES):
            spans.append(Span(start, position, before.type))
        start = position
        keep = here.role is not Role.OUTSIDE and not (strict and _starts_badly(before, here, rules))
        before = here
    return spans


def _starts_badly(before: PrefixReading, here: PrefixReading, rules: Rules) -> bool:
    if rules.begins is Begins.ALWAYS:
        return here.role not in STARTING_ROLES
    return here.role is Role.BEGIN and (before.role is Role.OUTSIDE or before.type != here.type)


@dataclass(frozen=True)
class SpanTable:
    """Spans of many sentences as arrays: half-open word positions over all sentences, and indices into `types`.

    Tables that were built with the same `names` use the same type indices, so their rows can be compared.
    """

    starts: np.ndarray
    ends: np.ndarray
    type_ids: np.ndarray
    types: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.starts)


def span_table(
    label_ids: np.ndarray,
    sentence_starts: np.ndarray,
    names: Sequence[str],
    scheme: Scheme,
    strict: bool = False,
) -> SpanTable:
    """`spans_of` for many sentences at once (0.16 s instead of 0.9 s for 100,000 sentences of 25 words).

    label_ids: (words,) indices into `names`, the sentences concatenated. sentence_starts: (sentences,) the position of
    each sentence's first word; empty sentences are allowed.

    >>> table = span_table(np.array([0, 1, 1]), np.array([0, 2]), ["B-LOC", "I-LOC"], Scheme.IOB2)
    >>> table.starts.tolist(), table.ends.tolist(), [table.types[i] for i in table.type_ids]
    ([0, 2], [2, 3], ['LOC', 'LOC'])
    """
    n_words = len(label_ids)
    none = np.empty(0, np.int64)
    if scheme is Scheme.NONE:
        return SpanTable(none, none, none, ())
    readings = [read_label_strictly(x, scheme) if strict else read_label(x) for x in names]
    types = tuple(sorted({r.type for r in readings}))
    if n_words == 0:
        return SpanTable(none, none, none, types)
    id_by_type = {type_: i for i, type_ in enumerate(types)}
    roles = np.array([r.role for r in readings], np.int8)[label_ids]
    type_ids = np.array([id_by_type[r.type] for r in readings], np.int64)[label_ids]

    opens_sentence = np.zeros(n_words, bool)
    opens_sentence[sentence_starts[sentence_starts < n_words]] = True
    same_type = np.empty(n_words, bool)
    same_type[0] = False
    np.equal(type_ids[1:], type_ids[:-1], out=same_type[1:])
    same_type &= ~opens_sentence
    goes_on = same_type & _is_role(roles, CONTINUING_ROLES)
    goes_on[1:] &= _is_role(roles, OPEN_ROLES)[:-1]

    firsts = np.flatnonzero(~goes_on)
    ends = np.append(firsts[1:], n_words)
    keep = roles[firsts] != Role.OUTSIDE
    if strict:
        rules = RULES[scheme]
        if rules.ends_marked:
            keep &= _is_role(roles, CLOSING_ROLES)[ends - 1]
        if rules.begins is Begins.ALWAYS:
            keep &= _is_role(roles, STARTING_ROLES)[firsts]
        else:
            # O and bare prefixes both have an empty type, so equal types alone do not prove that a span precedes.
            touches = same_type[firsts] & (roles[firsts - 1] != Role.OUTSIDE)
            keep &= (roles[firsts] != Role.BEGIN) | touches
    firsts, ends = firsts[keep], ends[keep]
    return SpanTable(firsts, ends, type_ids[firsts], types)


def _is_role(roles: np.ndarray, wanted: frozenset[Role]) -> np.ndarray:
    table = np.zeros(len(Role), bool)
    table[list(wanted)] = True
    flags: np.ndarray = table[roles]
    return flags


def labels_of(spans: Iterable[Span], n_words: int, scheme: Scheme) -> list[str]:
    """Encode spans as labels. Raises UserError for adjacent spans of one type in IO, which cannot separate them.

    >>> labels_of([Span(0, 2, "LOC"), Span(2, 3, "LOC")], 4, Scheme.BIOES)
    ['B-LOC', 'E-LOC', 'S-LOC', 'O']
    """
    if scheme is Scheme.NONE:
        raise UserError("Spans need a label scheme.", hint="Choose one, such as IOB2.")
    labels = [OUTSIDE_LABEL] * n_words
    before: Span | None = None
    for span in sorted(spans):
        if span.end > n_words or (before and span.start < before.end):
            raise ValueError(f"{span} overlaps {before} or ends after the last of {counted(n_words, 'word')}")
        touches = before is not None and before.end == span.start and before.type == span.type
        roles = _roles(span.length, RULES[scheme], touches=touches)
        if touches and roles[0] is Role.INSIDE:
            raise UserError(
                f"{scheme} cannot separate the two adjacent {span.type} spans at word {span.start + 1}.",
                hint="Choose a scheme that marks the start of spans, such as IOB2.",
            )
        letters = RULES[scheme].letters
        labels[span.start : span.end] = [label_for(letters[role], span.type) for role in roles]
        before = span
    return labels


def _roles(length: int, rules: Rules, *, touches: bool) -> list[Role]:
    """The roles of a span's words. touches: whether a span of the same type ends directly before this one."""
    if length == 1 and Role.SINGLE in rules.letters:
        return [Role.SINGLE]
    marked = rules.begins is Begins.ALWAYS or (rules.begins is Begins.BETWEEN and touches)
    roles = [Role.BEGIN if marked else Role.INSIDE] + [Role.INSIDE] * (length - 1)
    if rules.ends_marked:
        roles[-1] = Role.END
    return roles


def convert_labels(labels: Sequence[str], source: Scheme, target: Scheme) -> list[str]:
    """Encode the same spans in another scheme. Raises UserError for invalid labels; repair them first.

    >>> convert_labels(["B-LOC", "I-LOC", "B-LOC"], Scheme.IOB2, Scheme.BILOU)
    ['B-LOC', 'L-LOC', 'U-LOC']
    """
    if source is target:
        return list(labels)
    if Scheme.NONE in (source, target):
        raise UserError(f"Labels cannot be converted from {source} to {target}: labels without a scheme have no spans.")
    faults = violations(labels, source)
    if faults:
        raise UserError(
            f"Word {faults[0].position + 1}: {faults[0].message}",
            hint="Repair the labels first (conlleval or discard).",
        )
    return labels_of(spans_of(labels, source), len(labels), target)


def translated_labels(labels: Sequence[str], source: Scheme, target: Scheme) -> list[str]:
    """Encode the spans of valid or invalid labels in another scheme.

    IO cannot separate adjacent spans of one type, so they are joined. Labels without a scheme stay unchanged.

    >>> translated_labels(["I-LOC", "S-LOC"], Scheme.BIOES, Scheme.IO)
    ['I-LOC', 'I-LOC']
    """
    if source is target or Scheme.NONE in (source, target):
        return list(labels)
    spans = spans_of(labels, source)
    if RULES[target].begins is not Begins.NEVER:
        return labels_of(spans, len(labels), target)
    translated = [OUTSIDE_LABEL] * len(labels)
    for span in spans:
        translated[span.start : span.end] = [label_for(RULES[target].letters[Role.INSIDE], span.type)] * span.length
    return translated


def repair_labels(labels: Sequence[str], scheme: Scheme, method: Literal["conlleval", "discard"]) -> list[str]:
    """Valid labels for all spans that conlleval finds, or (discard) only for the valid spans.

    >>> [repair_labels(["O", "I-LOC"], Scheme.IOB2, method) for method in ("conlleval", "discard")]
    [['O', 'B-LOC'], ['O', 'O']]
    """
    if scheme is Scheme.NONE:
        return list(labels)
    return labels_of(spans_of(labels, scheme, strict=method == "discard"), len(labels), scheme)


def continuation_label(label: str, scheme: Scheme) -> str:
    """The label for a word's second and later subword tokens: inside the span that the word belongs to.

    >>> [continuation_label(label, Scheme.BILOU) for label in ("O", "B-LOC", "U-LOC")]
    ['O', 'I-LOC', 'I-LOC']
    """
    if scheme is Scheme.NONE or read_label(label).role is Role.OUTSIDE:
        return label
    return label_for(RULES[scheme].letters[Role.INSIDE], split_label(label)[1])
