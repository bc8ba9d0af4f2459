"""What predictions say, as fields and columns of any format."""

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


def added_names(wanted: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """What new columns are called beside those that are there: all get a number where one of the names is taken.

    >>> added_names(["predicted_labels", "predicted_scores"], ["text", "predicted_labels"])
    {'predicted_labels': 'predicted_labels_2', 'predicted_scores': 'predicted_scores_2'}
    """
    endings = ("", *(f"_{number}" for number in range(2, len(taken) + 3)))
    ending = next(ending for ending in endings if not any(f"{name}{ending}" in taken for name in wanted))
    return {name: f"{name}{ending}" for name in wanted}


def span_records(tagged: TaggedSentence, details: Details) -> list[dict[str, Any]]:
    """A record per predicted span: type, score, words [first_word, end_word), characters [start, end) of the
    text, or of the words joined by blanks where there is none, and what stands there.

    A score is the smallest probability among the labels of the span's words.
    """
    text, offsets = text_of(tagged.sentence)
    unit = details.offset_unit
    records = []
    for span in tagged.spans:
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
            }
        )
    return records


def prediction_fields(tagged: TaggedSentence, details: Details) -> dict[str, Any]:
    """What enriched records have more than those of the input."""
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
    """For each word its likeliest labels."""
    return [[{"label": label, "score": rounded(score)} for label, score in one] for one in tagged.top(k)]


def labelled_sentence(tagged: TaggedSentence) -> Any:
    """The sentence as the writers of labelled data take it."""
    return replace(tagged.sentence, labels=tagged.labels)


def rounded(score: float) -> float | None:
    """A probability as it is written; None where the model saw nothing to have one of."""
    return round(score, 6) if score == score else None


def column_score(score: float) -> str:
    return f"{score:.6f}" if score == score else "_"
