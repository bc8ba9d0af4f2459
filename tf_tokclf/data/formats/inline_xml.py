"""One text per line, with its entities in XML tags.

<PER>Marie Curie</PER> lived in <LOC>Paris</LOC>.
<ENAMEX TYPE="PERSON">Tom</ENAMEX> left.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.format import Format, likely
from tf_tokclf.data.reading.annotated import Annotated, Annotation
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.reading.text_lines import LineReader
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.writing.base import Writing, error_at
from tf_tokclf.data.writing.texts import texts_with_spans
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin, Sentence

_TAG = re.compile(r"""<(/?)([A-Za-z][\w.-]*)(?:\s+type\s*=\s*["']([^"'<>]+)["'])?\s*>""", re.IGNORECASE)
_PAIR = re.compile(r"<([A-Za-z][\w.-]*)(?:\s[^<>]*)?>[^<>]*</\1>")


@dataclass(frozen=True)
class InlineXmlReader(LineReader):
    """Reads a file of this format."""

    def sentence(self, line: str, origin: Origin, problems: Problems) -> Sentence | None:
        text, spans = spans_in_tags(line, origin)
        is_labelled = self.options.label_column_name != ""
        found = Annotated(text, annotations=(Annotation.of_spans(spans),), is_labelled=is_labelled)
        return self.reading.sentence(found, origin, problems)


def open_inline_xml(path: Path, data: DataConfig, task: Task) -> InlineXmlReader:
    """A reader of texts with tags."""
    # This reader computes the offsets itself, so the settings about offsets do not apply.
    counted = {"offset_unit": "codepoint", "offset_end": "exclusive"}
    reading = TextReading.of(data.model_copy(update=counted))
    options = data.model_copy(update={"format": "inline-xml"})
    return InlineXmlReader(path, options, (f"one text per line, spans in tags; {reading.note()}",), reading)


def looks_like_inline_xml(lines: list[str]) -> bool:
    """Whether the first lines of a file contain pairs of tags around words, and no other tags.

    >>> looks_like_inline_xml(["<PER>Ada</PER> left", "It rains"]), looks_like_inline_xml(["a < b", "x > y"])
    (True, False)
    """
    if any("\t" in line for line in lines):
        return False
    rest = [_PAIR.sub("", line) for line in lines]
    return any(_PAIR.search(line) for line in lines) and not any(_TAG.search(line) for line in rest)


def spans_in_tags(line: str, origin: Origin) -> tuple[str, list[CharSpan]]:
    """A text without its tags, and the spans that the tags marked.

    >>> spans_in_tags('<ENAMEX TYPE="PERSON">Ada &amp; Bob</ENAMEX> left', Origin("a.txt", 1))
    ('Ada & Bob left', [CharSpan(start=0, end=9, type='PERSON', surface=None)])
    """
    pieces: list[str] = []
    spans: list[CharSpan] = []
    open_tags: list[tuple[str, str, int]] = []
    at = length = 0
    for found in _TAG.finditer(line):
        piece = html.unescape(line[at : found.start()])
        pieces.append(piece)
        length, at = length + len(piece), found.end()
        if not found[1]:
            open_tags.append((found[2], found[3] or found[2], length))
            continue
        if not open_tags or open_tags[-1][0] != found[2]:
            raise origin.error(f"the tag {found[0]} has no opening tag.", "Correct the tags.")
        _, type, start = open_tags.pop()
        if start < length:
            spans.append(CharSpan(start, length, type))
    if open_tags:
        raise origin.error(f"the tag <{open_tags[-1][0]}> is not closed.", "Correct the tags.")
    return "".join([*pieces, html.unescape(line[at:])]), spans


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """One text per line."""
    for sentence in sentences:
        plain = Writing(writing.task, writing.scheme, writing.label_names)
        ((text, spans, _),) = texts_with_spans([sentence], plain)
        pieces, at = [], 0
        for span in spans:
            if not re.fullmatch(r"[A-Za-z][\w.-]*", span.type):
                problem = f"{span.type!r} cannot be the name of a tag."
                raise error_at(sentence, problem, "Write another format, such as jsonl.")
            inside = html.escape(text[span.start : span.end], quote=False)
            pieces += [html.escape(text[at : span.start], quote=False), f"<{span.type}>{inside}</{span.type}>"]
            at = span.end
        yield " ".join("".join([*pieces, html.escape(text[at:], quote=False)]).splitlines()) + "\n"


FORMAT = Format(
    "inline-xml",
    "texts with XML tags around their entities, one text per line",
    lambda seen: likely("each tag in its first lines is closed on the same line", looks_like_inline_xml(seen.lines)),
    open_inline_xml,
    write=write,
    has_spans_only=True,
)
