"""Predictions per word with the keys of `transformers.pipeline("token-classification")`.

Intended differences from the pipeline:

- words are found by the model's rule for splitting text, not by a heuristic from subword tokens;
- the label scheme is that of the model, including BIOES and BILOU;
- long texts are read to their end, in windows;
- `word` is the original text, not joined subword tokens, which are lower-cased in uncased models;
- the strategy "none" gives a record per word, not per subword token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, TypedDict, get_args

import numpy as np

from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme, split_label
from tf_tokclf.labels.sentence import Span, text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.report.marked_text import MarkedText, TextSpan, marked_html

Offsets = tuple[tuple[int, int], ...]
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


class Entities(list[Entity]):
    """The entities of a text: a list, which notebooks show as the text with its entities in colour.

    Attributes:
        text: The text to which `start` and `end` refer.
        types: All types of the model. Each has its own colour.
    """

    def __init__(self, entities: Iterable[Entity] = (), *, text: str = "", types: tuple[str, ...] = ()) -> None:
        super().__init__(entities)
        self.text = text
        self.types = types

    def _repr_html_(self) -> str:
        """The text with its entities in colour. All text is escaped."""
        return marked_html([_marked(self)], self.types)


class EntitiesOfTexts(list[Entities]):
    """The entities of several texts: a list, which notebooks show as the texts with their entities in colour."""

    def _repr_html_(self) -> str:
        """The texts with their entities in colour. All text is escaped."""
        return marked_html([_marked(one) for one in self], self[0].types if self else ())


def _marked(entities: Entities) -> MarkedText:
    """The text with its entities, or with the strategy "none" with its words that have a label."""
    spans = []
    # In the order of the text, also if the list was sorted by score.
    for one in sorted(entities, key=lambda entity: entity["start"]):
        label = one["entity_group"] if "entity_group" in one else one["entity"]
        type_ = label if label in entities.types or "entity_group" in one else split_label(label)[1]
        spans.append(TextSpan(one["start"], one["end"], type_ or "_", label or "_"))
    return MarkedText(entities.text, spans)


def check_strategy(strategy: str) -> None:
    """Raise UserError unless `strategy` is an aggregation strategy of the pipeline."""
    if strategy not in get_args(Strategy):
        raise UserError(
            f"there is no aggregation strategy {strategy!r}.",
            hint=f"Choose one of {', '.join(get_args(Strategy))}.",
        )


def aggregation_of(strategy: str) -> str:
    """How the scores of subword tokens are aggregated with a strategy of the pipeline.

    "none" and "simple" do not aggregate words in the pipeline. Here they mean "first".
    """
    return strategy if strategy in ("average", "max") else "first"


def entities_of(tagged: TaggedSentence, strategy: str, ignore_labels: Collection[str]) -> Entities:
    """The records of a sentence, like in the pipeline."""
    text, offsets = text_of(tagged.sentence)
    found = (_word_entities if strategy == "none" else _span_entities)(tagged, text, offsets, ignore_labels)
    return Entities(found, text=text, types=tagged.label_set.types)


def _span_entities(tagged: TaggedSentence, text: str, offsets: Offsets, ignore_labels: Collection[str]) -> list[Entity]:
    if tagged.label_set.scheme is Scheme.NONE:
        runs = [Span(i, i + 1, label) for i, label in enumerate(tagged.labels)]
    else:
        runs = tagged.spans
    found: list[Entity] = []
    for span in runs:
        if span.type in ignore_labels:
            continue
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        is_scored = tagged.span_scores is not None
        score = tagged.span_score(span) if is_scored else mean_score(tagged.scores[span.start : span.end])
        found.append({"entity_group": span.type, "score": score, "word": text[start:end], "start": start, "end": end})
    return found


def mean_score(scores: tuple[float, ...]) -> float:
    """The mean of the scores that are not nan; nan if there are none."""
    seen = [score for score in scores if score == score]
    return float(np.mean(seen)) if seen else float("nan")


def _word_entities(tagged: TaggedSentence, text: str, offsets: Offsets, ignore_labels: Collection[str]) -> list[Entity]:
    found: list[Entity] = []
    for i, (label, score, (start, end)) in enumerate(zip(tagged.labels, tagged.scores, offsets), 1):
        if label not in ignore_labels:
            word = text[start:end]
            found.append({"entity": label, "score": score, "index": i, "word": word, "start": start, "end": end})
    return found
