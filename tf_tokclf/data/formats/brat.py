"""brat's stand-off files: a text in NAME.txt and its character spans in NAME.ann. Each line is read as a sentence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Kind, Match, Numbered, Seen, certain, likely
from tf_tokclf.data.reading.annotated import Annotated, Annotation, SpanReader
from tf_tokclf.data.reading.base import FileReader, Problems, check_decoded, hash_files, read_lines, require_file
from tf_tokclf.data.reading.missing import NOT_ANNOTATED
from tf_tokclf.data.reading.passages import PIECES
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.labels.char_spans import CharSpan, char_spans, in_unit
from tf_tokclf.labels.sentence import Origin, Sentence, text_of

_TEXT_SPAN = re.compile(r"(T\S*)\t(\S+) ([0-9]{1,12} [0-9]{1,12}(?:;[0-9]{1,12} [0-9]{1,12})*)(?:\t(.*))?\Z")

# An attribute (A) or, in older files, a modification (M) of an annotation: "A1<TAB>Certainty T1 low".
_ATTRIBUTE = re.compile(r"[AM]\S*\t(\S+) (T\S+)(?: (\S.*))?\Z")


@dataclass(frozen=True)
class BratReader(FileReader):
    """Reads one document or a folder of documents."""

    texts: tuple[Path, ...]
    reading: TextReading

    def content_key(self) -> str:
        return hash_files(file for text in self.texts for file in (text, text.with_suffix(".ann")) if file.exists())

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for path in self.texts:
            yield from problems.readable(self._document(path, problems))

    def _document(self, path: Path, problems: Problems) -> Iterator[Sentence]:
        encoding, missing = self.options.encoding, self.reading.missing
        is_labelled = self.options.label_column_name != ""
        text = "".join(_checked_lines(path, encoding))
        origin = Origin(str(path), 1)
        spans: list[CharSpan] = []
        if path.with_suffix(".ann").exists():
            spans, discontinuous = _spans(path.with_suffix(".ann"), encoding, self.reading.reader(origin, problems))
            if discontinuous:
                problems.counts[PIECES] += discontinuous
        elif is_labelled and not missing.as_outside:
            problems.counts.note(f"texts without .ann {NOT_ANNOTATED.removeprefix('records ')}", origin)
            return
        elif is_labelled:
            problems.counts.note("texts without .ann read as O", origin)
        exact = self.reading.rules.placed(spans, text, origin, problems.counts)
        per_line = TextReading.of(
            self.options.model_copy(update={"offset_unit": "codepoint", "offset_end": "exclusive"})
        )
        line = 1
        for start, end, inside in _pieces(text, exact, problems):
            shifted = [CharSpan(s.start - start, s.end - start, s.type, s.surface) for s in inside]
            place = Origin(str(path), line)
            line += text.count("\n", start, end)
            annotation = Annotation(lambda reader, shifted=shifted: shifted)  # type: ignore[misc]
            found = Annotated(text[start:end], annotations=(annotation,), document=path.stem, is_labelled=is_labelled)
            yield from problems.readable(per_line.sentences([found], place, problems))


def open_brat(path: Path, data: DataConfig, task: Task) -> BratReader:
    """A reader of all documents in a folder, or of one document, given by its text or its annotations."""
    if path.is_dir():
        annotated = {ann.with_suffix(".txt") for ann in path.rglob("*.ann")}
        folders = {text.parent for text in annotated}
        beside = (text for folder in folders for text in folder.glob("*.txt") if not _is_about(text))
        texts = tuple(sorted(annotated.union(beside)))
    else:
        texts = (path.with_suffix(".txt"),)
    for text in texts:
        require_file(text)
    if not texts:
        hint = "brat writes NAME.txt and NAME.ann for each document."
        raise UserError("contains no .ann files.", path=path, hint=hint)
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "brat"})
    documents = counted(len(texts), "document")
    return BratReader(path, options, (f"{documents}, one sentence per line; {reading.note()}",), texts, reading)


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The name of the document, its folder, and the attributes that are the same for all spans of a line."""
    own = {"document": path.stem, "folder": path.resolve().parent.name}
    annotations = path.with_suffix(".ann")
    text = "".join(read_lines(path, data.encoding))
    problems, origin = Problems(skip=True), Origin(str(path), 1)
    attributes: dict[CharSpan, Mapping[str, str]] = {}
    if annotations.exists():
        reading = TextReading.of(data.model_copy(update={"on_error": "skip"}))
        for span, values in _attributes(annotations, data.encoding):
            attributes |= dict.fromkeys(reading.rules.placed([span], text, origin, problems.counts), values)
    line = 1
    spans = sorted(attributes, key=lambda span: (span.start, -span.end))
    for start, end, inside in _pieces(text, spans, problems):
        shared = set.intersection(*(set(attributes[span].items()) for span in inside)) if inside else ()
        yield line, {**own, **dict(shared)}
        line += text.count("\n", start, end)


def _attributes(path: Path, encoding: str) -> Iterator[tuple[CharSpan, Mapping[str, str]]]:
    """The text-bound annotations of a file with their attributes. A binary attribute has the value `true`."""
    spans: dict[str, CharSpan] = {}
    attributes: dict[str, dict[str, str]] = defaultdict(dict)
    for line in read_lines(path, encoding):
        if found := _TEXT_SPAN.match(line.rstrip("\r\n")):
            places = re.split("[ ;]", found[3])
            spans[found[1]] = CharSpan(int(places[0]), int(places[-1]), found[2])
        elif found := _ATTRIBUTE.match(line.rstrip("\r\n")):
            attributes[found[2]][found[1]] = found[3] or "true"
    return ((span, attributes[id]) for id, span in spans.items())


def _is_about(text: Path) -> bool:
    """Whether a file beside the documents only describes them."""
    return text.name.upper().startswith(("README", "LICENSE", "LICENCE", "."))


def _pieces(text: str, spans: list[CharSpan], problems: Problems) -> Iterator[tuple[int, int, list[CharSpan]]]:
    """The lines of a text with their spans, in order. A line is joined to the previous one if it is empty, so that no
    text is lost, or if a span extends into it.
    """
    rest = iter([*spans, None])
    span = next(rest)
    start, inside, reach = 0, list[CharSpan](), 0
    for found in re.finditer(r"[^\n]*\n\s*|[^\n]+\Z", text):
        end = found.end()
        while span is not None and span.start < end:
            inside.append(span)
            reach = max(reach, span.end)
            span = next(rest)
        if reach > end:
            problems.counts["lines joined to the next because of a span that continues there"] += 1
            continue
        yield start, end, inside
        start, inside = end, []
    if inside:
        yield start, len(text), inside


def _spans(path: Path, encoding: str, reader: SpanReader) -> tuple[list[CharSpan], int]:
    """The text-bound annotations of a file, and the number of discontinuous ones."""
    spans, discontinuous = [], 0
    for number, line in enumerate(_checked_lines(path, encoding), 1):
        line = line.rstrip("\r\n")
        if not line.startswith("T"):
            continue
        match = _TEXT_SPAN.match(line)
        if not match:
            hint = "The form is T1<TAB>TYPE START END<TAB>TEXT."
            error = UserError(f"is not an annotation: {line[:60]!r}.", path=path, line=number, hint=hint)
            reader.drop(error, "spans dropped: invalid line in the .ann file")
            continue
        places = [int(place) for place in re.split("[ ;]", match[3])]
        in_pieces = ";" in match[3]
        discontinuous += in_pieces
        spans.append(CharSpan(places[0], places[-1], match[2], None if in_pieces else match[4]))
    return spans, discontinuous


def _checked_lines(path: Path, encoding: str) -> Iterator[str]:
    for number, line in enumerate(read_lines(path, encoding), 1):
        check_decoded(line, Origin(str(path), number), encoding)
        yield line


def _recognise(seen: Seen) -> Match | None:
    if seen.is_folder:
        return likely("the folder contains .ann files", any(seen.path.rglob("*.ann")))
    annotations = seen.path.with_suffix(".ann")
    is_there = seen.path.suffix == ".txt" and annotations.exists()
    return certain(f"its annotations are in {annotations.name} beside it", is_there)


def _pair(path: Path, data: DataConfig) -> Iterator[Path]:
    """The annotation file of a text, or the text of an annotation file."""
    other = {".txt": ".ann", ".ann": ".txt"}.get(path.suffix)
    if other:
        yield path.with_suffix(other)


def write(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """Write a folder with NAME.txt and NAME.ann for each document, one sentence per line."""
    folder.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    for document, members in groupby(sentences, key=lambda sentence: sentence.document):
        name = (document or "text").replace("/", "_")
        while name in names:
            name += "+"
        names.add(name)
        _write_document(members, folder / name, writing)


def _write_document(sentences: Iterator[Sentence], path: Path, writing: Writing) -> None:
    at, number = 0, 0
    with (
        path.with_name(f"{path.name}.txt").open("w", encoding="utf-8", newline="") as text_file,
        path.with_name(f"{path.name}.ann").open("w", encoding="utf-8", newline="") as spans_file,
    ):
        for sentence in sentences:
            text, offsets = text_of(sentence)
            text += "" if text.endswith("\n") else "\n"
            text_file.write(text)
            for span in char_spans(writing.spans(sentence), text, offsets):
                number += 1
                start, end = (at + in_unit(place, text, writing.offset_unit) for place in (span.start, span.end))
                surface = " ".join((span.surface or "").splitlines())
                spans_file.write(f"T{number}\t{span.type} {start} {end}\t{surface}\n")
            at += in_unit(len(text), text, writing.offset_unit)


FORMAT = Format(
    "brat",
    "brat: a text and its annotations in two files",
    _recognise,
    open_brat,
    Kind.FOLDER,
    suffixes=(".ann",),
    write_to=write,
    files=("*.txt", "*.ann"),
    has_spans_only=True,
    read_beside=_pair,
    columns=column_values,
)
