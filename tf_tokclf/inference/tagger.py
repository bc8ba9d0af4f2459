"""A loaded classifier that labels sentences: any number of them, in order, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_tokclf.data.decoding import decode
from tf_tokclf.data.encoding import Encoder
from tf_tokclf.data.labels import LabelSet
from tf_tokclf.data.model_folders import local_model_folder, model_config
from tf_tokclf.data.model_info import ModelInfo, read_model_info
from tf_tokclf.data.schemes import spans_of
from tf_tokclf.data.sentence import Sentence, Span
from tf_tokclf.data.tokenizers import load_tokenizer
from tf_tokclf.model.backend import keras
from tf_tokclf.model.forward import forward_function, score_windows
from tf_tokclf.model.loading import load_classifier, saved_labels
from tf_tokclf.model.precision import choose_precision

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Sentences are sorted by length inside a look-ahead of so many words, which bounds the memory.
LOOK_AHEAD_WORDS = 32_768


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence with a predicted label for each word.

    scores: the probability of each word's label, nan where the model never saw the word: one of the n_empty that have
    no piece, or of the n_truncated past the limit under `truncate`. log_probabilities: (words, labels) float32, a view
    that is good until the next sentence is asked for. positions: where in its window each word's first piece stood,
    None for words the model never saw.
    """

    sentence: Sentence
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    n_empty: int
    n_truncated: int
    log_probabilities: np.ndarray
    label_set: LabelSet
    positions: tuple[int | None, ...]

    @cached_property
    def spans(self) -> list[Span]:
        """The predicted spans, read as conlleval reads invalid sequences."""
        return spans_of(self.labels, self.label_set.scheme)

    def span_score(self, span: Span) -> float:
        """How sure the model is of `span`: the smallest probability among its words' labels, nan if it saw none."""
        seen = [score for score in self.scores[span.start : span.end] if score == score]
        return min(seen, default=float("nan"))


class Tagger:
    """A token classifier with its tokenizer and its reading of sentences.

    decoding: "argmax", or "viterbi" for sequences that the scheme allows only. aggregation: which of a word's pieces
    speak for it: "first", "average" or "max".
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: PreTrainedTokenizerFast,
        info: ModelInfo,
        *,
        batch_size: int = 32,
        decoding: str = "argmax",
        aggregation: str = "first",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.info = info
        self.batch_size = batch_size
        self.decoding = decoding
        self.aggregation = aggregation
        self._encoder = Encoder(tokenizer, info.reading)
        self._forward = forward_function(model)

    @classmethod
    def load(
        cls,
        reference: str | Path,
        *,
        revision: str | None = None,
        precision: str = "float32",
        batch_size: int = 32,
        decoding: str = "argmax",
        aggregation: str = "first",
        trust_remote_code: bool = False,
    ) -> Tagger:
        """The classifier that `reference` names: a run, a model folder, a Hub id or package:NAME/PATH."""
        folder = local_model_folder(str(reference), revision=revision)
        tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
        info = read_model_info(folder, saved_labels(folder), tokenizer)
        chosen = choose_precision(precision, model_type=model_config(folder).get("model_type", ""))
        model = load_classifier(folder, precision=chosen, trust_remote_code=trust_remote_code)
        return cls(model, tokenizer, info, batch_size=batch_size, decoding=decoding, aggregation=aggregation)

    @property
    def labels(self) -> LabelSet:
        """The labels it chooses from."""
        return self.info.labels

    def tag(self, sentences: Iterable[Sentence]) -> Iterator[TaggedSentence]:
        """Each sentence with its labels, once and in the order given."""
        margin = self.info.reading.context_sentences
        for sentences_with_margin, begin, end in _look_ahead(sentences, margin):
            yield from self._tag_batch(sentences_with_margin, begin, end)

    def _tag_batch(self, sentences: Sequence[Sentence], begin: int, end: int) -> Iterator[TaggedSentence]:
        n_words = np.array([len(sentence) for sentence in sentences])
        offsets = np.concatenate([[0], np.cumsum(n_words)])
        windows = self._encoder.windows([s.words for s in sentences], [s.document for s in sentences])
        scores = np.full((int(offsets[-1]), len(self.labels)), np.nan, dtype=np.float32)
        wanted = windows.rows((windows.sentence >= begin) & (windows.sentence < end))
        for batch in score_windows(
            self._forward,
            wanted,
            batch_size=self.batch_size,
            pad_id=self.tokenizer.pad_token_id or 0,
            aggregation=self.aggregation,
        ):
            scores[offsets[batch.sentence] + batch.word] = batch.log_probabilities
        scores = _tempered(scores, self.info.temperature)
        positions = wanted.positions(offsets)
        inside = slice(offsets[begin], offsets[end])
        ids = decode(scores[inside], offsets[begin : end + 1] - offsets[begin], self.labels, decoding=self.decoding)
        for i, sentence in enumerate(sentences[begin:end], begin):
            words = slice(offsets[i], offsets[i + 1])
            own_ids = ids[words.start - offsets[begin] : words.stop - offsets[begin]]
            yield self._tagged(sentence, own_ids, scores[words], windows.n_pieces[words], positions[words])

    def _tagged(
        self,
        sentence: Sentence,
        ids: np.ndarray,
        log_probabilities: np.ndarray,
        n_pieces: np.ndarray,
        positions: np.ndarray,
    ) -> TaggedSentence:
        names = self.labels.names
        n_empty = int((n_pieces == 0).sum())
        chosen = np.exp(log_probabilities[np.arange(len(ids)), ids])
        return TaggedSentence(
            sentence=sentence,
            labels=tuple(names[i] for i in ids),
            scores=tuple(chosen.tolist()),
            n_empty=n_empty,
            n_truncated=int(np.isnan(chosen).sum()) - n_empty,
            log_probabilities=log_probabilities,
            label_set=self.labels,
            positions=tuple(None if position < 0 else position for position in positions.tolist()),
        )


def _tempered(log_probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Log-probabilities of the logits divided by `temperature` (Guo et al. 2017, arXiv:1706.04599)."""
    if temperature == 1.0 or not len(log_probabilities):
        return log_probabilities
    scaled = log_probabilities / temperature
    top = scaled.max(axis=1, keepdims=True)
    return scaled - top - np.log(np.exp(scaled - top).sum(axis=1, keepdims=True))


def _look_ahead(sentences: Iterable[Sentence], margin: int) -> Iterator[tuple[list[Sentence], int, int]]:
    """Runs of sentences of a bounded number of words, with `margin` sentences more on each side where there are any.

    Yields the sentences and the half-open run of them that is to be labelled.
    """
    before: list[Sentence] = []
    run: list[Sentence] = []
    n_words = 0
    source = iter(sentences)
    for sentence in source:
        run.append(sentence)
        n_words += max(len(sentence), 1)
        if n_words < LOOK_AHEAD_WORDS:
            continue
        ahead = [s for _, s in zip(range(margin), source)]
        yield [*before, *run, *ahead], len(before), len(before) + len(run)
        before = [*before, *run][-margin:] if margin else []
        run, n_words = ahead, sum(max(len(s), 1) for s in ahead)
    if run:
        yield [*before, *run], len(before), len(before) + len(run)

