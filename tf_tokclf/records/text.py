"""Plain text, one sentence per line, as input of prediction."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.reading.base import check_decoded
from tf_tokclf.labels.sentence import Origin, Sentence
from tf_tokclf.labels.word_splitting import text_sentence
from tf_tokclf.records.base import Frame

log = logging.getLogger(__name__)


class TextRecords:
    """One sentence per line. An empty line is an empty sentence."""

    name = "text"
    unit = "line"

    def __init__(self, lines: Iterator[str], place: str, data: DataConfig, task: Task) -> None:
        self._lines = lines
        self._data = data
        self.note = f"one sentence per line, split into words with --word-splitting {data.word_splitting}"

    def frames(self) -> Iterator[Frame]:
        """The lines without their line ends."""
        for number, line in enumerate(self._lines, 1):
            yield number, line.removesuffix("\n").removesuffix("\r")

    def parse(self, source: str, origin: Origin) -> Sentence:
        """The words of a line."""
        check_decoded(source, origin, self._data.encoding)
        if origin.number == 1 and _is_json_object(source):
            log.warning("the first line is a JSON object, but it is read as text. For JSON lines, pass --format jsonl")
        return text_sentence(source, self._data.word_splitting, origin)


def _is_json_object(line: str) -> bool:
    if not line.lstrip("\ufeff \t").startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
