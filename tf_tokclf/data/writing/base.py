"""Settings and helpers shared by all writers."""

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
    """How sentences are written. scheme: of their labels; None without labels. label_names: all labels."""

    task: Task = Task.NER
    scheme: Scheme | None = Scheme.IOB2
    label_names: tuple[str, ...] = ()
    separator: str = "\t"
    offset_unit: str = "codepoint"

    @property
    def label_column(self) -> str:
        """The name of the label column."""
        return f"{self.task.value}_tags"

    def labels(self, sentence: Sentence) -> Sequence[str | None]:
        """The labels of a sentence, for formats with one label per word; None for a word without a label."""
        missing = set(sentence.unlabelled)
        labels = sentence.labels or ()
        return [None if position in missing else label for position, label in enumerate(labels)] if missing else labels

    def written_labels(self, sentence: Sentence) -> Sequence[str]:
        """The labels of a sentence for text formats, with -100 for a word without a label."""
        return ["-100" if label is None else label for label in self.labels(sentence)]

    def spans(self, sentence: Sentence) -> list[Span]:
        """The spans of a sentence, for formats that contain only spans."""
        if sentence.labels is None:
            return []
        if self.scheme in (None, Scheme.NONE):
            problem = "the labels form no spans, but the format contains only spans."
            hint = "Choose a format with one label per word: conll, conllu, jsonl, csv or parquet."
            raise UserError(problem, hint=hint)
        return spans_of(sentence.labels, self.scheme)


def error_at(sentence: Sentence, problem: str, hint: str | None) -> UserError:
    """The error for a sentence that cannot be converted or written, with its place if known."""
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
    """Raise UserError if a word or its label contains a character that cannot be written in the format.

    without: such characters. label_without: further ones for labels. where: the place in the format, for the message.
    """
    if any(sign in word for sign in without):
        what = f"the word {word!r}"
    elif label and any(sign in label for sign in (*without, *label_without)):
        what = f"the label {label!r} of the word {word!r}"
    else:
        return
    raise error_at(sentence, f"{what} cannot be written {where}.", "Write jsonl, which can contain any word and label.")
