"""A classifier for concurrent requests, whose texts are labelled in common batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from tf_tokclf.errors import UserError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.records.base import Details, Record
from tf_tokclf.records.jsonl import json_record
from tf_tokclf.serving.batching import Abandoned, Batcher
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.metrics import Metrics
from tf_tokclf.serving.schema import Inputs, PredictOptions

# Numbers of words and of texts in the batches for warm-up.
_WARM_UP_WORDS = (4, 12, 30)
_WARM_UP_TEXTS = (1, 8)
# A batch can be abandoned after each block of this many words. Most batches have fewer.
_WORDS_AT_ONCE = 2048
# Up to this size, the texts and records of a request take less than half a millisecond. Passing them to another thread
# and back would take longer.
_SMALL_CHARACTERS = 2000
_SMALL_WORDS = 200


class Service:
    """Labels the inputs of requests.

    on_failure: called if the thread that runs the model has ended. All later requests are refused.
    """

    def __init__(self, tagger: Tagger, model_name: str, limits: Limits) -> None:
        self.tagger = tagger
        # A request may have a threshold of its own, so those of the model are applied last.
        self._plain = tagger.without_thresholds()
        self.model_name = model_name
        self.limits = limits
        self.metrics = Metrics(model_name)
        self._batcher: Batcher[Sentence, TaggedSentence] = Batcher(
            self._tag,
            max_items=limits.max_batch_texts,
            max_wait_s=limits.max_wait_s,
            max_waiting=limits.max_waiting_texts,
            watch=self.metrics.count_batch,
            on_failure=self._fail,
        )
        self.on_failure: Callable[[], None] | None = None
        self.metrics.watch_waiting(lambda: self.n_waiting)

    @property
    def n_waiting(self) -> int:
        """Number of texts that wait for the model."""
        return self._batcher.n_waiting

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the thread that runs the model; None while it runs."""
        return self._batcher.failure

    def _fail(self) -> None:
        if self.on_failure:
            self.on_failure()

    @property
    def is_stuck(self) -> bool:
        """Whether the model has worked on a batch for more than twice the timeout."""
        return self._batcher.busy_s > 2 * self.limits.timeout_s

    def start(self) -> None:
        """Warm up the model, since its first passes take longest, and start to accept requests."""
        for n_texts in _WARM_UP_TEXTS:
            for n_words in _WARM_UP_WORDS:
                self._tag([[Sentence(("a",) * n_words)] * n_texts])
        self._batcher.start()

    def close(self) -> None:
        """Accept no more requests and finish those that wait."""
        self._batcher.close()

    def sentences_of(self, inputs: Inputs) -> list[Sentence]:
        """The inputs of a request as sentences. Texts are split into words with the rule of the model."""
        items: Sequence[str | list[str]] = [inputs] if isinstance(inputs, str) else inputs
        rule = self.tagger.info.word_splitting
        return [text_sentence(item, rule) if isinstance(item, str) else Sentence(tuple(item)) for item in items]

    async def tag(self, inputs: Inputs) -> list[TaggedSentence]:
        """Label the inputs. Raises Busy, Closed, Abandoned or WorkFailed."""
        is_small = _n_characters(inputs) <= _SMALL_CHARACTERS
        sentences = self.sentences_of(inputs) if is_small else await asyncio.to_thread(self.sentences_of, inputs)
        if not sentences:
            return []
        tagged = await asyncio.wrap_future(self._batcher.submit(sentences))
        self.metrics.texts.inc(len(sentences))
        self.metrics.words.inc(sum(map(len, sentences)))
        return tagged

    async def predict(self, inputs: Inputs, options: PredictOptions) -> list[dict[str, Any]]:
        """The records that `tf-tokclf predict` would write for the inputs."""
        if options.threshold is not None and self.tagger.labels.outside is None:
            raise UserError("threshold applies to spans, but the labels of this model form no spans.")
        tagged = await self.tag(inputs)
        n_words = sum(len(one.sentence) for one in tagged)
        is_small = n_words <= _SMALL_WORDS and not options.top_k and not self.tagger.thresholds
        return self._records(tagged, options) if is_small else await asyncio.to_thread(self._records, tagged, options)

    def _records(self, tagged: list[TaggedSentence], options: PredictOptions) -> list[dict[str, Any]]:
        if options.threshold is None:
            tagged = self.tagger.at_thresholds(tagged)
        return [_record(one, options) for one in tagged]

    def _tag(self, requests: list[Sequence[Sentence]]) -> list[list[TaggedSentence]]:
        # If the model reads neighbouring sentences as context, these are never from another request.
        sentences = [replace(one, document=str(number)) for number, own in enumerate(requests) for one in own]
        tagged = chain.from_iterable(self._blocks(sentences))
        return [list(islice(tagged, len(own))) for own in requests]

    def _blocks(self, sentences: list[Sentence]) -> Iterator[list[TaggedSentence]]:
        """Label the sentences block by block. Raises Abandoned if this takes longer than the timeout."""
        until = time.monotonic() + self.limits.timeout_s
        for block in self._plain.tag_blocks(sentences, look_ahead_words=_WORDS_AT_ONCE):
            yield block
            if time.monotonic() > until:
                raise Abandoned


def _n_characters(inputs: Inputs) -> int:
    if isinstance(inputs, str):
        return len(inputs)
    return sum(len(item) if isinstance(item, str) else sum(map(len, item)) for item in inputs)


def _record(tagged: TaggedSentence, options: PredictOptions) -> dict[str, Any]:
    if options.threshold is not None:
        tagged = tagged.without_spans_below(options.threshold)
    details = Details(top_k=options.top_k, offset_unit=options.offset_unit)
    record = json_record(Record(_ORIGIN, None, tagged.sentence), tagged, details)
    unwanted = [*(() if options.words else _OF_WORDS), *(() if options.spans else ("spans",))]
    return {name: value for name, value in record.items() if name not in unwanted}


_ORIGIN = Origin("a request", 1)
_OF_WORDS = ("words", "labels", "scores")
