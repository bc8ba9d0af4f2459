"""What all writers are told."""

from __future__ import annotations

from dataclasses import dataclass

from tf_tokclf.config.schema import Task
from tf_tokclf.data.schemes import Scheme, spans_of
from tf_tokclf.data.sentence import Sentence, Span
from tf_tokclf.errors import UserError


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

    def spans(self, sentence: Sentence) -> list[Span]:
        """The spans of a sentence, for formats that have spans only."""
        if sentence.labels is None:
            return []
        if self.scheme in (None, Scheme.NONE):
            problem = "The labels spell no spans, and the format has nothing else."
            raise UserError(problem, hint="Choose a format with a label a word: conll, conllu, jsonl, csv, parquet.")
        return spans_of(sentence.labels, self.scheme)
