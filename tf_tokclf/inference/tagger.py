"""A loaded classifier that labels a stream of sentences, in order and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.encoding.encoder import Encoder, Windows
from tf_tokclf.encoding.model_folders import reference_text
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.errors import UserError
from tf_tokclf.forward_pass import ForwardPass, HiddenStates, Replaced
from tf_tokclf.inference.engines import open_model
from tf_tokclf.inference.entities import (
    Entities,
    EntitiesOfTexts,
    Strategy,
    aggregation_of,
    check_strategy,
    entities_of,
)
from tf_tokclf.inference.look_ahead import LOOK_AHEAD_WORDS, look_ahead
from tf_tokclf.inference.prefetch import in_thread
from tf_tokclf.inference.thresholding import Thresholding
from tf_tokclf.inference.word_scores import PaddedRows, batches_of_rows, score_windows
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import decode, log_marginals
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.scoring.calibration import temper

if TYPE_CHECKING:
    from tf_tokclf.encoding.thresholds_file import Thresholds
    from tf_tokclf.encoding.word_tokenizer import WordTokenizer


@dataclass(frozen=True)
class Block:
    """Sentences that are labelled together: those from `begin` to `end`; the others are context.

    windows: the windows of the sentences to label. positions: (words,) the position of each word's first subword token
    in its window, or -1.
    """

    sentences: list[Sentence]
    begin: int
    end: int
    windows: Windows
    positions: np.ndarray


class Share(Protocol):
    """The share of a tagger in labelling the same sentences as other taggers, and a way to merge the scores."""

    rank: int
    n_workers: int

    def merged(self, scores: np.ndarray, own: slice) -> np.ndarray:
        """`scores` (words, labels) with the rows `own` from this tagger and all other rows from the other taggers."""


class Tagger:
    """A trained token classifier with its tokenizer. `tf_tokclf.load` returns one.

    Calling it gives the entities of a text or of many texts, with the keys of `transformers.pipeline`. Several threads
    can use the same tagger.
    """

    def __init__(
        self,
        forward_pass: ForwardPass,
        tokenizer: WordTokenizer,
        info: ModelInfo,
        *,
        batch_size: int | None = None,
        decoding: str | None = None,
        aggregation: str = "first",
        aggregation_strategy: Strategy | None = None,
        share: Share | None = None,
        thresholds: Thresholds | None = None,
        crf: Callable[[], Chain] | None = None,
    ) -> None:
        """crf: returns the transitions of a CRF that is being trained. The default is that of `info`."""
        self.forward_pass = forward_pass
        self._share = share
        self._crf = crf
        self.tokenizer = tokenizer
        self.info = info
        self.batch_size = batch_size
        self.decoding = decoding or info.decoding
        self.aggregation = aggregation
        check_strategy(aggregation_strategy or "first")
        self.aggregation_strategy = aggregation_strategy
        self.thresholds = thresholds
        self._thresholding = _thresholding_of(thresholds, info)
        self._encoder = Encoder(tokenizer, info.reading, n_embeddings=forward_pass.facts.vocabulary_size)

    def __repr__(self) -> str:
        type_, labels = self.forward_pass.facts.model_type, counted(len(self.labels.names), "label")
        return f"<Tagger: {type_}, {labels} in scheme {self.labels.scheme.value}, {self.decoding} decoding>"

    @property
    def model(self) -> Any:
        """The Keras model. Raises AttributeError if another library than TensorFlow computes the forward pass."""
        model = getattr(self.forward_pass, "model", None)
        if model is None:
            engine = self.forward_pass.facts.engine
            problem = f"{engine} computes this classifier, so there is no Keras model."
            raise AttributeError(f'{problem} Load it with engine="tensorflow".')
        return model

    @classmethod
    def load(
        cls,
        reference: str | Path,
        *,
        engine: Literal["auto", "tensorflow", "onnx"] = "auto",
        revision: str | None = None,
        precision: str | None = None,
        batch_size: int | None = None,
        decoding: str | None = None,
        aggregation: str = "first",
        aggregation_strategy: Strategy | None = None,
        trust_remote_code: bool = False,
        thresholds: bool = True,
    ) -> Tagger:
        """Load a classifier.

        Args:
            reference: The folder of a run, a model folder, a Hub id, or `package:NAME/PATH`.
            engine: The library that computes the scores: `"tensorflow"`, or `"onnx"` for ONNX Runtime and an ONNX file
                that `tf-tokclf export` wrote. `"auto"` uses an ONNX file in float32 that was exported from the weights
                in the folder, or any ONNX file in a folder without weights, and otherwise TensorFlow.
            revision: Branch, tag or commit on the Hub.
            precision: For TensorFlow `"float32"`, `"mixed_float16"`, `"mixed_bfloat16"`, or `"auto"` for what is fast
                on this machine. For ONNX that of the file: `"float32"`, `"float16"`, `"int8"` or `"int4"`. The default
                is `"float32"`, or for an export without weights the file that its record names.
            batch_size: Largest number of windows per forward pass. The default depends on the device.
            decoding: `"argmax"` for the best label of each word, or `"viterbi"` for the best sequence that the label
                scheme allows. The default is the decoding of the training.
            aggregation: How the scores of a word's subword tokens become the word's score: `"first"`, `"average"` or
                `"max"`.
            aggregation_strategy: The default of calls.
            trust_remote_code: Whether to run Python code that comes with the model.
            thresholds: Whether spans are chosen by the thresholds that `tf-tokclf thresholds` stored with the model, if
                there are any. `decoding` then has no effect.

        Raises:
            UserError: There is no such model, or it cannot be used.
        """
        model = open_model(
            reference_text(reference),
            engine=engine,
            revision=revision,
            precision=precision,
            trust_remote_code=trust_remote_code,
            thresholds=thresholds,
            aggregation=aggregation,
        )
        return cls(
            model.forward_pass,
            model.tokenizer,
            model.info,
            batch_size=batch_size,
            decoding=decoding,
            aggregation=aggregation,
            aggregation_strategy=aggregation_strategy,
            thresholds=model.thresholds,
        )

    def without_thresholds(self) -> Tagger:
        """A copy that does not use thresholds."""
        other = copy(self)
        other.thresholds = other._thresholding = None
        return other

    def with_review(self, review_from: float) -> Tagger:
        """A copy that also finds the spans below their thresholds with a probability from `review_from` on."""
        other = copy(self)
        other._thresholding = self._thresholding and replace(self._thresholding, review_from=review_from)
        return other

    def at_thresholds(self, sentences: Sequence[TaggedSentence]) -> list[TaggedSentence]:
        """Sentences that a copy without thresholds labelled, with the spans that reach this tagger's thresholds."""
        return self._thresholding.applied(sentences) if self._thresholding else list(sentences)

    def with_forward(self, forward: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]) -> Tagger:
        """A copy that calls `forward`, a function like `ForwardPass`, instead of the model.

        Only one thread calls it at a time.
        """
        other = copy(self)
        other.forward_pass = Replaced(replace(self.forward_pass.facts, lanes=1), forward)
        return other

    @property
    def labels(self) -> LabelSet:
        """The labels of the model and their scheme."""
        return self.info.labels

    # A str is also a sequence of str; the first matching overload is the intended one.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        inputs: str,
        *,
        aggregation_strategy: Strategy | None = None,
        ignore_labels: Sequence[str] = ("O",),
        is_split_into_words: Literal[False] = False,
        batch_size: int | None = None,
    ) -> Entities: ...

    @overload
    def __call__(
        self,
        inputs: Sequence[str],
        *,
        aggregation_strategy: Strategy | None = None,
        ignore_labels: Sequence[str] = ("O",),
        is_split_into_words: Literal[False] = False,
        batch_size: int | None = None,
    ) -> EntitiesOfTexts: ...

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        inputs: Sequence[str],
        *,
        aggregation_strategy: Strategy | None = None,
        ignore_labels: Sequence[str] = ("O",),
        is_split_into_words: Literal[True],
        batch_size: int | None = None,
    ) -> Entities: ...

    @overload
    def __call__(
        self,
        inputs: Sequence[Sequence[str]],
        *,
        aggregation_strategy: Strategy | None = None,
        ignore_labels: Sequence[str] = ("O",),
        is_split_into_words: Literal[True],
        batch_size: int | None = None,
    ) -> EntitiesOfTexts: ...

    @overload
    def __call__(
        self,
        inputs: Iterator[str],
        *,
        aggregation_strategy: Strategy | None = None,
        ignore_labels: Sequence[str] = ("O",),
        is_split_into_words: Literal[False] = False,
        batch_size: int | None = None,
    ) -> Iterator[Entities]: ...

    def __call__(
        self,
        inputs: str | Iterable[str] | Iterable[Sequence[str]],
        *,
        aggregation_strategy: Strategy | None = None,
        ignore_labels: Sequence[str] = ("O",),
        is_split_into_words: bool = False,
        batch_size: int | None = None,
    ) -> Entities | EntitiesOfTexts | Iterator[Entities]:
        """Find the entities of texts, with the keys of `transformers.pipeline`.

        Args:
            inputs: A text, a list of texts, or an iterator of texts.
            aggregation_strategy: `"none"`, `"simple"`, `"first"`, `"average"` or `"max"`, as in the pipeline.
                The default is the strategy that `load` was given, otherwise whole spans.
            ignore_labels: Labels and types that are left out.
            is_split_into_words: Whether each input is a list of words. `start` and `end` are then positions in the
                words joined by spaces.
            batch_size: Largest number of windows per forward pass.

        Returns:
            A list of entities for one input, a list of such lists for several, an iterator of lists for an iterator.
            Notebooks show these lists as texts with their entities in colour.
        """
        strategy = aggregation_strategy or self.aggregation_strategy
        check_strategy(strategy or "first")
        aggregation = aggregation_of(strategy) if strategy else self.aggregation

        def labelled(items: Iterable[Any]) -> Iterator[Entities]:
            sentences = (self._sentence_of(item, is_split_into_words=is_split_into_words) for item in items)
            blocks = self.tag_blocks(sentences, aggregation=aggregation, batch_size=batch_size)
            for tagged in chain.from_iterable(blocks):
                yield entities_of(tagged, strategy or "first", ignore_labels)

        if not isinstance(inputs, str) and not _has_order(inputs):
            raise _refusal(inputs, is_split_into_words=is_split_into_words)
        if isinstance(inputs, str) or (is_split_into_words and _is_words(inputs)):
            return next(labelled([inputs]))
        return labelled(inputs) if isinstance(inputs, Iterator) else EntitiesOfTexts(labelled(inputs))

    def _sentence_of(self, item: Any, *, is_split_into_words: bool) -> Sentence:
        if is_split_into_words and _has_order(item):
            words = tuple(item)
            if all(isinstance(word, str) for word in words):
                return Sentence(words)
        if isinstance(item, str) and not is_split_into_words:
            return text_sentence(item, self.info.word_splitting)
        raise _refusal(item, is_split_into_words=is_split_into_words)

    def tag(self, sentences: Iterable[Sentence]) -> Iterator[TaggedSentence]:
        """Label any number of sentences in constant memory, in their order."""
        for block in self.tag_blocks(sentences):
            yield from block

    def tag_blocks(
        self,
        sentences: Iterable[Sentence],
        *,
        n_before: int = 0,
        look_ahead_words: int | None = None,
        overlap: bool = False,
        aggregation: str | None = None,
        batch_size: int | None = None,
    ) -> Iterator[list[TaggedSentence]]:
        """Like `tag`, in lists of sentences that were labelled together.

        n_before: number of sentences at the start that are only context. The end of a list depends only on the
        sentences from its start on. overlap: read, tokenise and label the next sentences while the caller processes a
        list. aggregation, batch_size: override those of the tagger.
        """
        ahead = look_ahead(
            sentences, self.info.reading.context_sentences, look_ahead_words or LOOK_AHEAD_WORDS, n_before
        )
        prepared: Iterator[Block] = (self._prepared(*block) for block in ahead)
        score = partial(
            self._scores,
            aggregation=aggregation or self.aggregation,
            batch_size=batch_size or self.batch_size,
        )
        scored = ((block, score(block)) for block in (in_thread(prepared) if overlap else prepared))
        for block, scores in in_thread(scored) if overlap else scored:
            yield self._decoded(block, scores)

    @property
    def has_hidden_states(self) -> bool:
        """Whether `sentence_vectors` is possible."""
        return isinstance(self.forward_pass, HiddenStates)

    def sentence_vectors(self, sentences: Sequence[Sentence]) -> np.ndarray:
        """(sentences, width) float32: the mean of the encoder's last hidden states over the subword tokens of each
        sentence, without special tokens; zeros for sentences of which the model sees no token.

        Each sentence is read alone. Raises ValueError unless `has_hidden_states`.
        """
        encoder, facts = self.forward_pass, self.forward_pass.facts
        if not isinstance(encoder, HiddenStates):
            raise ValueError(f"{facts.engine} returns no hidden states")
        # With names of documents that are all different, no sentence is the context of another.
        windows = self._encoder.windows([s.words for s in sentences], [str(i) for i in range(len(sentences))])
        sums: np.ndarray | None = None
        n_tokens = np.zeros(len(sentences), np.int64)
        for rows in batches_of_rows(windows, self.batch_size, facts):
            pad_id, longest = self.tokenizer.pad_token_id or 0, self.info.reading.max_length
            batch = PaddedRows.of(windows, rows, facts, pad_id, longest)
            chosen = batch.word >= 0
            states = encoder.hidden_states(batch.input_ids, batch.lengths, batch.positions(chosen))
            if sums is None:
                sums = np.zeros((len(sentences), states.shape[1]), np.float32)
            of_sentence = windows.sentence[batch.rows][batch.row[chosen]]
            np.add.at(sums, of_sentence, states)
            np.add.at(n_tokens, of_sentence, 1)
        if sums is None:
            return np.zeros((len(sentences), 1), np.float32)
        return sums / np.maximum(n_tokens, 1)[:, None].astype(np.float32)

    def _prepared(self, sentences: list[Sentence], begin: int, end: int) -> Block:
        windows = self._encoder.windows([s.words for s in sentences], [s.document for s in sentences])
        wanted = windows.rows((windows.sentence >= begin) & (windows.sentence < end))
        return Block(sentences, begin, end, wanted, wanted.positions(_word_offsets(sentences)))

    def _scores(self, block: Block, *, aggregation: str, batch_size: int | None) -> np.ndarray:
        """(words, labels) float32: the logarithms of the head's probabilities, nan for words that the model does not
        see.
        """
        offsets = _word_offsets(block.sentences)
        first, last = self._own_part(offsets, block.begin, block.end)
        windows = block.windows.rows((block.windows.sentence >= first) & (block.windows.sentence < last))
        scores = np.full((int(offsets[-1]), len(self.labels)), np.nan, dtype=np.float32)
        for batch in score_windows(
            self.forward_pass,
            windows,
            batch_size=batch_size,
            pad_id=self.tokenizer.pad_token_id or 0,
            aggregation=aggregation,
            longest=self.info.reading.max_length,
        ):
            scores[offsets[batch.sentence] + batch.word] = batch.log_probabilities
        if self._share:
            scores = self._share.merged(scores, slice(offsets[first], offsets[last]))
        return scores

    def _own_part(self, offsets: np.ndarray, begin: int, end: int) -> tuple[int, int]:
        """The range of sentences in [begin, end) for this tagger. All taggers get about the same number of words."""
        if self._share is None:
            return begin, end
        share, n_words = self._share, offsets[end] - offsets[begin]
        places = offsets[begin] + n_words * np.array([share.rank, share.rank + 1]) // share.n_workers
        first, last = begin + np.searchsorted(offsets[begin:end], places)
        return int(first), int(last)

    def _decoded(self, block: Block, scores: np.ndarray) -> list[TaggedSentence]:
        begin, end = block.begin, block.end
        offsets = _word_offsets(block.sentences)
        first = offsets[begin]
        starts = offsets[begin : end + 1] - first
        ids, log_probabilities = self._labelled(scores[first : offsets[end]], starts)
        tagged = []
        for i, sentence in enumerate(block.sentences[begin:end], begin):
            words = slice(offsets[i], offsets[i + 1])
            own = slice(words.start - first, words.stop - first)
            n_pieces, positions = block.windows.n_pieces[words], block.positions[words]
            one = self._tagged(sentence, ids[own], log_probabilities[own], n_pieces, positions)
            tagged.append(one if self.info.crf is None else replace(one, head_scores=scores[words]))
        return self.at_thresholds(tagged)

    def _labelled(self, scores: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The label id of each word, and (words, labels) log-probabilities: those of the head, or the marginals of a
        CRF, at the model's temperature.
        """
        crf = self._crf() if self._crf else self.info.crf
        marginals = scores if crf is None else log_marginals(scores, starts, self.labels, crf)
        temperature = self.info.temperature
        tempered = marginals if temperature == 1.0 else temper(marginals, temperature)
        by_sequence = crf is not None and self.decoding == "viterbi"
        ids = decode(scores if by_sequence else tempered, starts, self.labels, decoding=self.decoding, crf=crf)
        return ids, tempered

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


def _thresholding_of(thresholds: Thresholds | None, info: ModelInfo) -> Thresholding | None:
    if thresholds is None:
        return None
    by_type = {name: one.threshold for name, one in thresholds.types.items()}
    return Thresholding(info.labels, by_type, crf=info.crf)


def _has_order(value: object) -> bool:
    """Whether `value` has items in a meaningful order. A set has no order, and a dict would give its keys."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, bytearray, memoryview, Mapping, Set))


def _refusal(value: Any, *, is_split_into_words: bool) -> UserError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    problem = f"{shown} ({type(value).__name__}) is not a {'list of words' if is_split_into_words else 'text'}."
    if isinstance(value, (bytes, bytearray)):
        hint = 'Decode it first: value.decode("utf-8").'
    elif isinstance(value, str):
        hint = "Split it into words, or leave out is_split_into_words."
    elif is_split_into_words:
        hint = "Pass a list of words, or a list or an iterator of such lists."
    else:
        hint = "Pass a text, or a list or an iterator of texts. For lists of words, pass is_split_into_words=True."
    return UserError(problem, hint=hint)


def _is_words(value: Any) -> bool:
    """Whether `value` is a list of words, not a list of lists."""
    if not _has_order(value) or isinstance(value, Iterator):
        return False
    words = list(value)
    return bool(words) and all(isinstance(word, str) for word in words)


def _word_offsets(sentences: Sequence[Sentence]) -> np.ndarray:
    """(sentences + 1,) the first word of each sentence, and the number of words."""
    n_words = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    return np.concatenate([[0], np.cumsum(n_words)])
