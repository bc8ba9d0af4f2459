"""Input of prediction in all other formats, read by the readers of labelled data."""

from __future__ import annotations

from collections.abc import Iterator

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.records.base import Frame


class SentenceRecords:
    """Sentences from the readers of labelled data, for formats to whose records no predictions can be added."""

    unit = "line"

    def __init__(self, name: str, path: str, data: DataConfig, task: Task) -> None:
        self.name = name
        self.note = "only the words are read"
        self._path = path
        self._data = data.model_copy(update={"label_column_name": ""})  # read words only, so that no record is left out
        self._task = task

    def frames(self) -> Iterator[Frame]:
        """The sentences."""
        # Most inputs are other formats, and importing pyarrow would take a tenth of the time of a short prediction.
        from tf_tokclf.data.splits import read_sentences

        for number, sentence in enumerate(read_sentences(self._path, self._data, task=self._task), 1):
            yield sentence.origin.number if sentence.origin else number, sentence

    def parse(self, source: Sentence, origin: Origin) -> Sentence:
        """The sentence itself."""
        return source
