"""spaCy's DocBin files: entities, a span group, or parts of speech. Needs spaCy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.compressed import uncompressed
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.format import Format, Numbered
from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import FileReader, Problems, require_file
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Origin, Sentence, text_of
from tf_tokclf.optional_packages import install_hint

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span


@dataclass(frozen=True)
class DocBinReader(FileReader):
    """Reads a file of documents. group: name of a span group; None for entities. field: token attribute for parts of
    speech.
    """

    reading: TextReading
    group: str | None
    field: str | None

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for row, doc in enumerate(_docs(self.path), 1):
            origin = Origin(str(self.path), row, "row")
            pieces = list(doc.sents) if doc.has_annotation("SENT_START") else [doc[:]]
            for piece in pieces:
                document = f"{self.path.stem}#{row}"
                yield from problems.readable(self._sentence(doc, piece, origin, document, problems))

    def _sentence(
        self, doc: Doc, piece: Span, origin: Origin, document: str, problems: Problems
    ) -> Iterator[Sentence | None]:
        words = [token for token in piece if not token.is_space]
        start = piece.start_char
        text = doc.text[start : piece.end_char]
        offsets = [(token.idx - start, token.idx - start + len(token)) for token in words]
        if self.field and self.is_labelled:
            labels = tuple(getattr(token, self.field) or "_" for token in words)
            forms = tuple(token.text for token in words)
            yield Sentence(forms, labels, origin, text=text, offsets=tuple(offsets), document=document)
            return
        tokens = tuple(CharSpan(*place, "token") for place in offsets)
        annotations = () if self._is_unannotated(doc) else (Annotation(lambda _: self._spans(doc, piece)),)
        found = Annotated(text, tokens=tokens, annotations=annotations, document=document, is_labelled=self.is_labelled)
        yield self.reading.sentence(found, origin, problems)

    @property
    def is_labelled(self) -> bool:
        """Whether labels are read, and not only words."""
        return self.options.label_column_name != ""

    def _spans(self, doc: Doc, piece: Span) -> list[CharSpan]:
        start = piece.start_char
        return [
            CharSpan(span.start_char - start, span.end_char - start, span.label_)
            for span in (doc.spans[self.group] if self.group else doc.ents)
            if piece.start <= span.start < piece.end
        ]

    def _is_unannotated(self, doc: Doc) -> bool:
        return self.group not in doc.spans if self.group else not doc.has_annotation("ENT_IOB")


def open_docbin(path: Path, data: DataConfig, task: Task) -> DocBinReader:
    """A reader for a file; checks the span group and chooses the attribute of parts of speech."""
    require_file(path)
    docs = list(_docs(path))
    if not docs:
        raise UserError("contains no documents.", path=path, hint="Check the program that wrote it.")
    group = data.layer if isinstance(data.layer, str) else None
    groups = list(dict.fromkeys(name for doc in docs for name in doc.spans))
    if group and group not in groups:
        known = f"The span groups are {', '.join(groups)}." if groups else "The file contains only entities."
        raise UserError(f"there is no span group {group!r}.", path=path, hint=known)
    field = None
    if task is Task.POS:
        field = "tag_" if str(data.label_column_name).lower() in ("xpos", "tag", "tag_") else "pos_"
    numbered = data.model_copy(update={"layer": None if group else data.layer, "offset_unit": "codepoint"})
    reading = TextReading.of(numbered.model_copy(update={"offset_end": "exclusive"}))
    options = data.model_copy(update={"format": "docbin"})
    what = f"labels in {field}" if field else f"spans in group {group!r}" if group else "spans in the entities"
    note = f"spaCy's tokens without white space; {what}"
    return DocBinReader(path, options, (note,), reading, group, field)


def spacy_module() -> Any:
    """Import spaCy, which is an optional dependency."""
    try:
        import spacy
    except ImportError as error:
        raise UserError("spaCy is not installed.", hint=f"{install_hint('spacy')}, or use a JSON format.") from error
    return spacy


def _docs(path: Path) -> Iterator[Doc]:
    spacy = spacy_module()
    from spacy.tokens import DocBin

    try:
        docs = list(DocBin().from_disk(uncompressed(path)).get_docs(spacy.blank("xx").vocab))
    # A damaged file can raise errors in zlib, msgpack, numpy or spaCy.
    except Exception as error:
        problem = f"is not a DocBin file: {first_line(error)}."
        raise UserError(problem, path=path, hint="Check the program that wrote it.") from error
    yield from docs


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """For each document: its categories under `cats`, its user data, and its extension attributes."""
    for row, doc in enumerate(_docs(path), 1):
        own = {key: value for key, value in doc.user_data.items() if isinstance(key, str)}
        # spaCy stores doc._.domain under ("._.", "domain", None, None); the key of a token or span has positions.
        extensions = {
            key[1]: value
            for key, value in doc.user_data.items()
            if isinstance(key, tuple) and key[0] == "._." and key[2:] == (None, None)
        }
        yield row, {"cats": doc.cats, **own, **extensions}


def write(sentences: Iterable[Sentence], path: Path, writing: Writing) -> None:
    """spaCy's DocBin with one document per sentence. Labels without a scheme become tags."""
    spacy = spacy_module()
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as DocSpan

    vocab = spacy.blank("xx").vocab
    bin = DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE", "TAG", "POS"])
    for sentence in sentences:
        _, offsets = text_of(sentence)
        followed = [end < start for (_, end), (start, _) in pairwise(offsets)]
        tags = list(sentence.labels or ()) if writing.scheme is Scheme.NONE else None
        doc = Doc(vocab, words=list(sentence.words), spaces=[*followed, False][: len(offsets)], tags=tags)
        if tags is None:
            doc.ents = [DocSpan(doc, span.start, span.end, span.type) for span in writing.spans(sentence)]
        bin.add(doc)
    bin.to_disk(path)


FORMAT = Format(
    "docbin",
    "spaCy's DocBin (needs spaCy)",
    open=open_docbin,
    suffixes=(".spacy",),
    write_to=write,
    has_spans_only=True,
    has_own_encoding=True,
    columns=column_values,
)
