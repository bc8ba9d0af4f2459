"""BioC: collections of documents with passages, as JSON or XML. Each passage is read as a sentence.

{"documents": [{"id": "1", "passages": [{"offset": 0, "text": "Marie left", "annotations": [
  {"infons": {"type": "PER"}, "text": "Marie", "locations": [{"offset": 0, "length": 5}]}]}]}]}
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import open_bytes
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.format import Format, Numbered, certain
from tf_tokclf.data.reading.annotated import Annotated, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes, FileReader, Problems, hash_files, require_file
from tf_tokclf.data.reading.passages import PIECES, Passage, annotated_passages
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.reading.word_records import mappings
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin, Sentence

_ENTITY = b"<!ENTITY"
_BLOCK_BYTES = 1 << 16
_TYPES = ("type", "entity_type", "label", "class")


def _fits(record: Record) -> bool:
    passages = record.get("passages")
    return (
        isinstance(passages, list)
        and bool(passages)
        and all(isinstance(p, dict) and "offset" in p and "annotations" in p for p in passages)
    )


def unwrap(value: Any) -> list[Any] | None:
    """The documents of a collection, or of a list of collections."""
    if isinstance(value, dict) and isinstance(value.get("documents"), list):
        return list(value["documents"])
    return None


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    passages, spans = [], []
    for passage in mappings(record.get("passages"), origin):
        if not isinstance(passage.get("text"), str) or not isinstance(passage.get("offset"), int):
            raise origin.error("a passage has no text or no offset.", "Check the program that wrote it.")
        passages.append(Passage(passage["offset"], passage["text"]))
        for annotation in mappings(passage.get("annotations"), origin):
            spans.append(_span(annotation, origin, changes))
    spans += [_span(annotation, origin, changes) for annotation in mappings(record.get("annotations"), origin)]
    document = None if record.get("id") is None else str(record["id"])
    found = annotated_passages(passages, spans, document, changes, is_labelled=fields.label is not None)
    yield from (one for one in found if one.text)


def _span(annotation: Record, origin: Origin, changes: Changes) -> CharSpan:
    infons = annotation.get("infons")
    infons = infons if isinstance(infons, Mapping) else {}
    type = next((str(infons[name]) for name in _TYPES if infons.get(name)), None)
    try:
        places = [(int(place["offset"]), int(place["length"])) for place in annotation["locations"]]
    except (LookupError, TypeError, ValueError):
        places = []
    if type is None or not places:
        raise origin.error(f"{str(annotation)[:60]!r} is not an annotation.", "It needs a type and locations.")
    if len(places) > 1:
        changes.note(PIECES, origin)
    surface = annotation.get("text") if len(places) == 1 and isinstance(annotation.get("text"), str) else None
    return CharSpan(places[0][0], places[-1][0] + places[-1][1], type, surface)


@dataclass(frozen=True)
class BiocXmlReader(FileReader):
    """Reads a collection in XML, document by document."""

    reading: TextReading

    def content_key(self) -> str:
        return hash_files([self.path])

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        fields = Fields("passages", None if self.options.label_column_name == "" else "annotations")
        for number, document in enumerate(_documents(self.path), 1):
            origin = Origin(str(self.path), number, "row")
            found = _read(document, fields, origin, problems.counts)
            yield from problems.readable(self.reading.sentences(found, origin, problems))


def open_bioc_xml(path: Path, data: DataConfig, task: Task) -> BiocXmlReader:
    """A reader of BioC XML."""
    require_file(path)
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "bioc-xml"})
    return BiocXmlReader(path, options, (f"one sentence per passage; {reading.note()}",), reading)


def looks_like_bioc_xml(lines: list[str]) -> bool:
    """Whether the first lines of a file start a collection.

    >>> looks_like_bioc_xml(["<?xml version='1.0'?>", "<collection><source>x</source>"])
    True
    """
    return bool(lines) and lines[0].lstrip().startswith("<") and any("<collection>" in line for line in lines)


def _documents(path: Path) -> Iterator[Record]:
    """The documents of a file, converted to the form of BioC JSON."""
    parser: Any = ElementTree.XMLPullParser(["end"])
    file, _ = open_bytes(path)
    before = b""
    with file:
        while block := file.read(_BLOCK_BYTES):
            # Declared entities could expand to any size (billion laughs). BioC does not need them.
            if _ENTITY in (before + block).replace(b"\0", b""):
                hint = "Replace the entities by their text."
                raise UserError("declares XML entities, which are not supported.", path=path, hint=hint)
            before = block[-2 * len(_ENTITY) :]
            try:
                parser.feed(block)
                elements = [element for _, element in parser.read_events()]
            except ElementTree.ParseError as error:
                raise UserError(f"is not valid XML: {error}.", path=path, hint="Correct the file.") from error
            for element in elements:
                if element.tag == "document":
                    yield _document(element)
                    element.clear()


def _document(element: ElementTree.Element) -> Record:
    passages = []
    for passage in element.iter("passage"):
        if passage.findtext("text") is not None:
            passages.append(_passage(passage, ".//annotation"))
        else:
            passages += [_passage(sentence, "annotation") for sentence in passage.iter("sentence")]
            if passages and (annotations := _annotations(passage, "annotation")):
                passages[-1]["annotations"] += annotations
    return {
        "id": element.findtext("id"),
        "infons": _infons(element),
        "passages": passages,
        "annotations": _annotations(element, "annotation"),
    }


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The id and the infons of each document."""
    yield from enumerate(_documents(path), 1)


def _infons(element: ElementTree.Element) -> dict[str, str | None]:
    return {str(infon.get("key")): infon.text for infon in element.findall("infon")}


def _annotations(element: ElementTree.Element, path: str) -> list[dict[str, Any]]:
    return [
        {
            "infons": _infons(annotation),
            "text": annotation.findtext("text"),
            "locations": [dict(location.attrib) for location in annotation.iter("location")],
        }
        for annotation in element.iterfind(path)
    ]


def _passage(element: ElementTree.Element, path: str) -> dict[str, Any]:
    annotations = _annotations(element, path)
    offset = element.findtext("offset") or "0"
    text = element.findtext("text") or ""
    return {"offset": int(offset) if offset.isdigit() else None, "text": text, "annotations": annotations}


FORMAT = JsonFormat(
    "bioc",
    _fits,
    _read,
    in_fields("passages", "annotations"),
    unwrap=unwrap,
    holds_several=True,
    description="BioC as JSON: documents with annotated passages",
)
XML_FORMAT = Format(
    "bioc-xml",
    "BioC as XML: documents with annotated passages",
    lambda seen: certain("its first lines start a <collection>", looks_like_bioc_xml(seen.lines)),
    open_bioc_xml,
    has_own_encoding=True,
    columns=column_values,
)
