"""What all writers are told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tf_tokclf.config.schema import Task
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.labels.spans import spans_of


@dataclass(frozen=True)
class Writing:
    """How sentences are written. scheme: of their labels; None where they have none. label_names: all there
    are.
    """

    task: Task = Task.NER
    scheme: Scheme | None = Scheme.IOB2
    label_names: tuple[str, ...] = ()
    separator: str = "\t"
    offset_unit: str = "codepoint"

    @property
    def label_column(self) -> str:
        """The name of the column of labels."""
        return f"{self.task.value}_tags"

    def labels(self, sentence: Sentence) -> Sequence[str | None]:
        """The labels of a sentence, for formats with a label a word; None for a word that has none."""
        missing = set(sentence.unlabelled)
        labels = sentence.labels or ()
        return [None if position in missing else label for position, label in enumerate(labels)] if missing else labels

    def written_labels(self, sentence: Sentence) -> Sequence[str]:
        """The same for formats of text, where -100 says that a word has no label."""
        return ["-100" if label is None else label for label in self.labels(sentence)]

    def spans(self, sentence: Sentence) -> list[Span]:
        """The spans of a sentence, for formats that have spans only."""
        if sentence.labels is None:
            return []
        if self.scheme in (None, Scheme.NONE):
            problem = "The labels spell no spans, and the format has nothing else."
            raise UserError(problem, hint="Choose a format with a label a word: conll, conllu, jsonl, csv, parquet.")
        return spans_of(sentence.labels, self.scheme)


def error_at(sentence: Sentence, problem: str, hint: str | None) -> UserError:
    """The error to raise about a sentence that cannot be converted or written."""
    return sentence.origin.error(problem, hint) if sentence.origin else UserError(problem, hint=hint)


def check_writable(
    sentence: Sentence,
    word: str,
    label: str | None = None,
    *,
    without: Collection[str],
    label_without: Collection[str] = (),
    where: str,
) -> None:
    """Raise UserError if a word or its label contains a sign that cannot be written in the format.

    without: such signs. label_without: more of them, for the label alone. where: the place in the format, for people.
    """
    if any(sign in word for sign in without):
        what = f"the word {word!r}"
    elif label and any(sign in label for sign in (*without, *label_without)):
        what = f"the label {label!r} of the word {word!r}"
    else:
        return
    raise error_at(sentence, f"{what} cannot be written {where}.", "Choose jsonl, which holds any word and label.")
