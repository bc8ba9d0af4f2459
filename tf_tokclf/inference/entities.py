"""Predictions with the keys of `transformers.pipeline("token-classification")`, decided word by word.

What differs from the pipeline, on purpose: words come from the model's own rule of splitting and from no
heuristic about pieces; the label scheme is the model's, BIOES and BILOU too; long texts are read in
windows to their end; `word` is the text itself, not pieces glued together (which are lower-cased in
uncased models); strategy "none" gives a record per word, not per piece.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypedDict, get_args

import numpy as np

from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence

Strategy = Literal["none", "simple", "first", "average", "max"]


class Entity(TypedDict, total=False):
    """An entity, or with the strategy "none" a word: a dictionary with the keys of `transformers.pipeline`.

    Attributes:
        entity_group: Type of the entity.
        entity: Label of the word, with the strategy "none".
        index: Number of the word in the sentence, from 1, with the strategy "none".
        score: Mean probability of the words' labels, as `transformers.pipeline` computes it.
        word: The text from `start` to `end`.
        start: Offset of the first character, in code points.
        end: Offset after the last character.
    """

    entity_group: str
    entity: str
    index: int
    score: float
    word: str
    start: int
    end: int


def check_strategy(strategy: str) -> None:
    """Raise UserError unless `strategy` is one of the pipeline's."""
    if strategy not in get_args(Strategy):
        raise UserError(
            f"there is no aggregation strategy {strategy!r}.",
            hint=f"Known are {', '.join(get_args(Strategy))}.",
        )


def aggregation_of(strategy: str) -> str:
    """Which of a word's pieces speak for it under a strategy of the pipeline; "none" and "simple" know
    nothing of words there and mean "first" here.
    """
    return strategy if strategy in ("average", "max") else "first"


def entities_of(tagged: TaggedSentence, strategy: str, ignore_labels: Collection[str]) -> list[Entity]:
    """The records that the pipeline would give for a sentence."""
    if strategy == "none":
        return _word_entities(tagged, ignore_labels)
    text, offsets = text_of(tagged.sentence)
    if tagged.label_set.scheme is Scheme.NONE:
        runs = [(i, i + 1, label) for i, label in enumerate(tagged.labels)]
    else:
        runs = [(span.start, span.end, span.type) for span in tagged.spans]
    found: list[Entity] = []
    for first, last, type in runs:
        if type in ignore_labels:
            continue
        start, end = offsets[first][0], offsets[last - 1][1]
        score = mean_score(tagged.scores[first:last])
        found.append({"entity_group": type, "score": score, "word": text[start:end], "start": start, "end": end})
    return found


def mean_score(scores: tuple[float, ...]) -> float:
    """The mean of the scores that exist, nan where there are none."""
    seen = [score for score in scores if score == score]
    return float(np.mean(seen)) if seen else float("nan")


def _word_entities(tagged: TaggedSentence, ignore_labels: Collection[str]) -> list[Entity]:
    text, offsets = text_of(tagged.sentence)
    found: list[Entity] = []
    for i, (label, score, (start, end)) in enumerate(zip(tagged.labels, tagged.scores, offsets), 1):
        if label not in ignore_labels:
            word = text[start:end]
            found.append({"entity": label, "score": score, "index": i, "word": word, "start": start, "end": end})
    return found
