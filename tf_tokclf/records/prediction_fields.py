"""Predictions as fields and columns, for all output formats."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from tf_tokclf.labels.char_spans import in_unit
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import Details

SENTENCE_COLUMNS = ("predicted_words", "predicted_labels", "predicted_scores", "predicted_spans")


WORD_COLUMNS = ("predicted_label", "predicted_score")


TOP_COLUMN = "predicted_top"
SELECTION_COLUMN = "predicted_selection"


def added_names(wanted: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """The names of new columns. If one of them is taken, all get the same number as a suffix.

    >>> added_names(["predicted_labels", "predicted_scores"], ["text", "predicted_labels"])
    {'predicted_labels': 'predicted_labels_2', 'predicted_scores': 'predicted_scores_2'}
    """
    endings = ("", *(f"_{number}" for number in range(2, len(taken) + 3)))
    ending = next(ending for ending in endings if not any(f"{name}{ending}" in taken for name in wanted))
    return {name: f"{name}{ending}" for name in wanted}


def span_records(tagged: TaggedSentence, details: Details) -> list[dict[str, Any]]:
    """A record per predicted span: type, score, words [first_word, end_word), characters [start, end), and text.

    If the input has no text, the characters are those of the words joined by spaces. The score is the smallest
    probability among the labels of the span's words, or the probability of the span (`TaggedSentence.span_score`).
    Spans for review are in the list too if the details ask for it.
    """
    text, offsets = text_of(tagged.sentence)
    unit = details.offset_unit
    records = []
    for span in sorted((*tagged.spans, *tagged.review)) if details.review else tagged.spans:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        records.append(
            {
                "type": span.type,
                "score": rounded(tagged.span_score(span)),
                "first_word": span.start,
                "end_word": span.end,
                "start": in_unit(start, text, unit),
                "end": in_unit(end, text, unit),
                "text": text[start:end],
                **({"review": span in tagged.review} if details.review else {}),
            }
        )
    return records


def prediction_fields(tagged: TaggedSentence, details: Details) -> dict[str, Any]:
    """The fields that are added to a record of the input."""
    fields: dict[str, Any] = {}
    if tagged.sentence.text is not None:
        fields["predicted_words"] = tagged.sentence.words
    fields["predicted_labels"] = tagged.labels
    fields["predicted_scores"] = [rounded(score) for score in tagged.scores]
    fields["predicted_spans"] = span_records(tagged, details)
    if details.top_k:
        fields[TOP_COLUMN] = top_labels(tagged, details.top_k)
    return fields


def top_labels(tagged: TaggedSentence, k: int) -> list[list[dict[str, Any]]]:
    """The `k` most probable labels of each word."""
    return [[{"label": label, "score": rounded(score)} for label, score in one] for one in tagged.top(k)]


def labelled_sentence(tagged: TaggedSentence) -> Any:
    """The sentence with its predicted labels, for the writers of labelled data."""
    return replace(tagged.sentence, labels=tagged.labels)


def rounded(score: float) -> float | None:
    """A probability in the output; None for words that the model did not see."""
    return round(score, 6) if score == score else None


def column_score(score: float) -> str:
    """A probability in a column of text; `_` for words that the model did not see."""
    return f"{score:.6f}" if score == score else "_"
