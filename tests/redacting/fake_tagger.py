"""A tagger that finds words by rules instead of a model, and the command's work with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.inference.look_ahead import look_ahead
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.redacting.redact import Redacted, Redaction, redact

PEOPLE = {"ada", "grace", "lovelace", "çelik", "李", "jr", "o'brien"}
PLACES = {"london", "oslo", "new", "york"}


class Killed(Exception):
    """Represents the end of the process."""


class KillAfter:
    """Ends a job after a number of blocks."""

    def __init__(self, n_blocks: int) -> None:
        self.left = n_blocks

    def show(self, *progress: object) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


def fake_tagger(tagger: Tagger) -> Tagger:
    """A copy of a tagger that labels people and places by the lists above."""
    fake = copy(tagger)

    def tag_blocks(
        sentences: Iterable[Sentence], *, n_before: int = 0, look_ahead_words: int | None = None, **_: Any
    ) -> Iterator[list[TaggedSentence]]:
        for block, begin, end in look_ahead(sentences, 0, look_ahead_words or 100, n_before):
            yield [_tagged(sentence, tagger) for sentence in block[begin:end]]

    fake.tag_blocks = tag_blocks  # type: ignore[method-assign]
    return fake


def _tagged(sentence: Sentence, tagger: Tagger) -> TaggedSentence:
    labels, before = [], "O"
    for word in sentence.words:
        kind = "PER" if word.lower() in PEOPLE else "LOC" if word.lower() in PLACES else "O"
        labels.append("O" if kind == "O" else f"{'I' if before == kind else 'B'}-{kind}")
        before = kind
    n = len(labels)
    scores = np.zeros((n, len(tagger.labels)), np.float32)
    return TaggedSentence(sentence, tuple(labels), (1.0,) * n, 0, 0, scores, tagger.labels, (0,) * n)


def spec_of(model: Path, **options: Any) -> PredictionSpec:
    given = {"reading": {}, "threshold": None, "look_ahead": 8, "keep_errors": False, "loading": {}, **options}
    return PredictionSpec(str(model), details={}, word_splitting=None, output_format=None, **given)


def redacted(
    tagger: Tagger, model: Path, source: Path, output: Path, *, drop: bool = False, **options: Any
) -> Redacted:
    """What the command does to a file. options: of `redact` and of `Redaction`."""
    own = {name: options.pop(name) for name in ("resume", "force", "watcher") if name in options}
    spec = spec_of(model, keep_errors=drop, reading=options.pop("reading", {}))
    return redact(spec, Redaction(**options), tagger, str(source), output, **own)
