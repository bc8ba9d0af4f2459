"""The probability of each span in a sentence, from the label probabilities of its words and the rules of the scheme.

A linear head gives each word a distribution over labels. Together with the transitions that the label scheme allows,
these distributions are a lattice: the probability of a legal label sequence is proportional to the product of its label
probabilities. The *probability of a span* is the share of the legal sequences that contain exactly this span. The
forward-backward algorithm (Baum et al. 1970) computes it without listing sequences; Culotta and McCallum (2004,
N04-4028) used it as the confidence of extracted fields. Spans that are not in the best sequence have a probability too,
so a low threshold finds spans that the most probable labels miss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import with_fallback
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Role, Scheme, continues, read_label
from tf_tokclf.labels.sentence import Span

# Spans with a lower probability are not candidates.
LEAST_PROBABILITY = 0.001
_LEAST_LOG_PROBABILITY = -200.0
_SENTENCES_AT_ONCE = 256


@dataclass(frozen=True)
class ScoredSpan:
    """A span and its probability."""

    span: Span
    probability: float


@dataclass(frozen=True)
class Lattice:
    """The label sequences that a scheme allows.

    start (labels,), between (labels, labels) from row to column, end (labels,): the weight of each transition, 0 if it
    is forbidden. goes_on: (labels, labels) bool, whether a transition stays in the same span. type_of: (labels,) index
    into `types`, -1 for labels outside spans.
    """

    labels: LabelSet
    start: np.ndarray
    between: np.ndarray
    end: np.ndarray
    goes_on: np.ndarray
    type_of: np.ndarray
    types: tuple[str, ...]

    @classmethod
    def of(cls, labels: LabelSet, crf: Chain | None = None) -> Lattice:
        """The lattice of a label set. All allowed transitions have the weight 1, unless a CRF has learned others.

        With a CRF, the sentences of `candidates` are the scores of its head, not its marginals.
        """
        if labels.scheme is Scheme.NONE:
            raise ValueError("labels without a scheme form no spans")
        chain = crf or Chain.of_rules(labels.names, labels.scheme)
        # Every sequence of a sentence has equally many transitions, so a common factor changes nothing.
        start, between, end = (np.exp(part - part.max(initial=-1e9)) for part in chain.parts)
        readings = [read_label(name) for name in labels.names]
        types = tuple(sorted({one.type for one in readings if one.role is not Role.OUTSIDE}))
        return cls(
            labels=labels,
            start=start,
            between=between,
            end=end,
            goes_on=np.array([[continues(a, b) for b in readings] for a in readings], bool),
            type_of=np.array([-1 if one.role is Role.OUTSIDE else types.index(one.type) for one in readings]),
            types=types,
        )

    @cached_property
    def inside(self) -> np.ndarray:
        """(labels, labels) the weights of the transitions within a span."""
        return np.where(self.goes_on, self.between, 0.0)

    @cached_property
    def across(self) -> np.ndarray:
        """(labels, labels) the weights of all other transitions."""
        return np.where(self.goes_on, 0.0, self.between)

    @cached_property
    def members(self) -> np.ndarray:
        """(labels, types) 1 where a label is of a type."""
        members: np.ndarray = (self.type_of[:, None] == np.arange(len(self.types))).astype(float)
        return members

    @cached_property
    def separable(self) -> frozenset[str]:
        """The types of which two spans may be adjacent. IO cannot separate them."""
        pairs = (self.members.T @ self.across @ self.members).diagonal()
        return frozenset(type_ for type_, weight in zip(self.types, pairs) if weight)

    def candidates(
        self, sentences: Sequence[np.ndarray], *, least: float = LEAST_PROBABILITY
    ) -> list[list[ScoredSpan]]:
        """All spans with a probability of at least `least` in each sentence, most probable first.

        sentences: log-probabilities of shape (words, labels) each. Rows of nan are words that the model did not see;
        they have the fallback label, so no span contains them. A sentence without any legal sequence has no spans.
        """
        found: list[list[ScoredSpan]] = [[] for _ in sentences]
        by_length = sorted((i for i in range(len(sentences)) if len(sentences[i])), key=lambda i: len(sentences[i]))
        for begin in range(0, len(by_length), _SENTENCES_AT_ONCE):
            group = by_length[begin : begin + _SENTENCES_AT_ONCE]
            passes = _Passes.of(self, [self._probabilities(sentences[i]) for i in group])
            for number, scored in _span_probabilities(self, passes, least):
                found[group[number]].append(scored)
        return [sorted(one, key=lambda scored: (-scored.probability, scored.span)) for one in found]

    def marginals(self, sentences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For each sentence, (words, labels) float64: the probability of each label of a word over all legal sequences.

        sentences: as for `candidates`. A sentence without any legal sequence keeps its own probabilities.
        """
        found = [np.zeros((0, len(self.labels)))] * len(sentences)
        by_length = sorted((i for i in range(len(sentences)) if len(sentences[i])), key=lambda i: len(sentences[i]))
        for begin in range(0, len(by_length), _SENTENCES_AT_ONCE):
            group = by_length[begin : begin + _SENTENCES_AT_ONCE]
            passes = _Passes.of(self, [self._probabilities(sentences[i]) for i in group])
            weights = passes.before * passes.after
            is_legal = np.isfinite(passes.total)[passes.sentence] & (weights.sum(axis=1) > 0)
            weights = np.where(is_legal[:, None], weights, passes.probabilities)
            shares = weights / weights.sum(axis=1, keepdims=True)
            borders = np.cumsum([len(sentences[i]) for i in group])[:-1]
            for i, own in zip(group, np.split(shares, borders)):
                found[i] = own
        return found

    def _probabilities(self, log_probabilities: np.ndarray) -> np.ndarray:
        known = with_fallback(log_probabilities, self.labels).astype(np.float64)
        return np.exp(np.maximum(known, _LEAST_LOG_PROBABILITY))

    def resolved(self, candidates: Sequence[ScoredSpan]) -> list[ScoredSpan]:
        """The candidates of one sentence without those that overlap a more probable one, in the order of the text.

        Spans whose probability exceeds 1/2 never overlap. If the scheme cannot separate adjacent spans of a type, only
        the most probable of them is kept.
        """
        kept: list[ScoredSpan] = []
        for one in candidates:
            if not any(self._is_conflict(one.span, other.span) for other in kept):
                kept.append(one)
        return sorted(kept, key=lambda scored: scored.span)

    def _is_conflict(self, a: Span, b: Span) -> bool:
        if a.type == b.type and a.type not in self.separable:
            return a.start <= b.end and b.start <= a.end
        return a.start < b.end and b.start < a.end


@dataclass(frozen=True)
class _Passes:
    """The forward and the backward pass over sentences of similar length, each word's row scaled to the sum 1.

    Rows of all sentences are concatenated (`rows`). probabilities, before, after: (rows, labels). before: the weight of
    all sequences that reach a word (with its label), with the factor exp(log_before). after: that of all that continue
    after it, with exp(log_after). is_first, is_last: (rows,) bool. sentence, word: (rows,). total: (sentences,) the
    logarithm of the weight of all sequences.
    """

    probabilities: np.ndarray
    before: np.ndarray
    log_before: np.ndarray
    after: np.ndarray
    log_after: np.ndarray
    is_first: np.ndarray
    is_last: np.ndarray
    sentence: np.ndarray
    word: np.ndarray
    total: np.ndarray

    @classmethod
    def of(cls, lattice: Lattice, sentences: Sequence[np.ndarray]) -> _Passes:
        lengths = np.array([len(one) for one in sentences])
        n_words = int(lengths.max())
        padded = np.zeros((n_words, *(len(sentences), sentences[0].shape[1])))
        for i, one in enumerate(sentences):
            padded[: len(one), i] = one
        before, log_before = _forward(lattice, padded)
        after, log_after = _backward(lattice, padded, lengths)
        here = np.arange(n_words)[:, None] < lengths
        sentence, word = np.nonzero(here.T)
        last = (lengths - 1, np.arange(len(sentences)))
        with np.errstate(divide="ignore"):
            total = np.log(before[last] @ lattice.end) + log_before[last]
        rows = (word, sentence)
        return cls(
            probabilities=padded[rows],
            before=before[rows],
            log_before=log_before[rows],
            after=after[rows],
            log_after=log_after[rows],
            is_first=word == 0,
            is_last=word == lengths[sentence] - 1,
            sentence=sentence,
            word=word,
            total=total,
        )


def _scaled(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the sum 1, and the logarithms of the sums; rows of zeros stay as they are, with -inf."""
    sums = weights.sum(axis=-1)
    with np.errstate(divide="ignore"):
        return weights / np.where(sums > 0, sums, 1.0)[..., None], np.log(sums)


def _forward(lattice: Lattice, padded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """padded: (words, sentences, labels), 0 after the end of a sentence."""
    before, logs = np.zeros_like(padded), np.full(padded.shape[:2], -np.inf)
    before[0], logs[0] = _scaled(lattice.start * padded[0])
    for word in range(1, len(padded)):
        before[word], gained = _scaled((before[word - 1] @ lattice.between) * padded[word])
        logs[word] = logs[word - 1] + gained
    return before, logs


def _backward(lattice: Lattice, padded: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    after, logs = np.zeros_like(padded), np.full(padded.shape[:2], -np.inf)
    for word in range(len(padded) - 1, -1, -1):
        is_last = word == lengths - 1
        if word + 1 < len(padded):
            after[word], gained = _scaled((padded[word + 1] * after[word + 1]) @ lattice.between.T)
            logs[word] = logs[word + 1] + gained
        after[word, is_last], logs[word, is_last] = _scaled(np.broadcast_to(lattice.end, after[word, is_last].shape))
    return after, logs


def _span_probabilities(lattice: Lattice, passes: _Passes, least: float) -> Iterator[tuple[int, ScoredSpan]]:
    """Sentence and span of all spans with at least this probability.

    Open spans grow word by word from all their possible first words at once. A span whose beginning is less probable
    than `least` is not continued, because no longer one can be more probable.
    """
    opened, log_opened = _openings(lattice, passes)
    closing, log_closing = _closings(lattice, passes)
    total = passes.total[passes.sentence]
    first = np.flatnonzero(np.isfinite(total))
    at, weights, logs = first, opened[first], log_opened[first]
    while len(at):
        scale = np.exp(_finite(logs + log_closing[at] - total[first]))
        ends = (weights * closing[at]) @ lattice.members * scale[:, None]
        rows, types = np.nonzero((ends >= least) & (ends > 0))
        columns = (
            passes.sentence[first[rows]],
            passes.word[first[rows]],
            passes.word[at[rows]] + 1,
            types,
            np.minimum(ends[rows, types], 1.0),
        )
        for sentence, start, end, type_, probability in zip(*(column.tolist() for column in columns)):
            yield sentence, ScoredSpan(Span(start, end, lattice.types[type_]), probability)
        goes_on = ~passes.is_last[at]
        first, at = first[goes_on], at[goes_on] + 1
        weights, gained = _scaled((weights[goes_on] @ lattice.inside) * passes.probabilities[at])
        logs = logs[goes_on] + gained
        scale = np.exp(_finite(logs + passes.log_after[at] - total[first]))
        most = ((weights * passes.after[at]) @ lattice.members * scale[:, None]).max(axis=1, initial=0.0)
        # A margin for rounding, so that a span with exactly this probability is not lost.
        kept = most > max(least * (1 - 1e-9) - 1e-12, 0)
        first, at, weights, logs = first[kept], at[kept], weights[kept], logs[kept]


def _openings(lattice: Lattice, passes: _Passes) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels) the weight of all sequences in which a span begins at a word, and the logarithm of its factor."""
    previous = np.maximum(np.arange(len(passes.word)) - 1, 0)
    arriving = passes.before[previous] @ lattice.across
    arriving[passes.is_first] = lattice.start
    weights, gained = _scaled(np.where(lattice.type_of >= 0, arriving * passes.probabilities, 0.0))
    return weights, gained + np.where(passes.is_first, 0.0, passes.log_before[previous])


def _closings(lattice: Lattice, passes: _Passes) -> tuple[np.ndarray, np.ndarray]:
    """(rows, labels) the weight of all continuations if a span ends at a word, and the logarithm of its factor."""
    following = np.minimum(np.arange(len(passes.word)) + 1, len(passes.word) - 1)
    leaving = (passes.probabilities[following] * passes.after[following]) @ lattice.across.T
    leaving[passes.is_last] = lattice.end
    weights, gained = _scaled(leaving)
    return weights, gained + np.where(passes.is_last, 0.0, passes.log_after[following])


def _finite(logs: np.ndarray) -> np.ndarray:
    """Logarithms without nan, which inf - inf gives, and not too large for `exp`."""
    finite: np.ndarray = np.minimum(np.nan_to_num(logs, nan=-np.inf, posinf=700.0), 700.0)
    return finite
