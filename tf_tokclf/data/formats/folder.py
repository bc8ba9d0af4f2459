"""A folder of files of one format, read in the order of their names. Each file of running text is a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Kind, possible
from tf_tokclf.data.reading.base import Problems, Reader
from tf_tokclf.labels.sentence import Sentence

_RUNNING_TEXT = ("conll", "conllu", "text")


@dataclass(frozen=True)
class FolderReader:
    """Reads all files of a folder. not_read: what else the folder contains, to add to the note."""

    path: Path
    readers: tuple[Reader, ...]
    names: tuple[str, ...]
    not_read: str = ""

    @property
    def place(self) -> str:
        return str(self.path)

    @property
    def options(self) -> DataConfig:
        return self.readers[0].options

    @property
    def notes(self) -> tuple[str, ...]:
        each = ", one document per file" if self._are_documents else ""
        return (f"{counted(len(self.readers), 'file')}{each}{self.not_read}", *self.readers[0].notes)

    @property
    def _are_documents(self) -> bool:
        return self.options.format in _RUNNING_TEXT

    @property
    def label_names(self) -> tuple[str, ...] | None:
        return self.readers[0].label_names

    def content_key(self) -> str:
        return " ".join(f"{name} {reader.content_key()}" for name, reader in zip(self.names, self.readers))

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for name, reader in zip(self.names, self.readers):
            for sentence in reader.sentences(problems):
                named = sentence.document is not None or not self._are_documents
                yield sentence if named else replace(sentence, document=name)


FORMAT = Format(
    "folder",
    "a folder of files of one format, read file by file",
    lambda seen: possible("it is a folder", seen.is_folder),
    kind=Kind.FOLDER,
)
