"""Rasa's training examples, as JSON, YAML or Markdown.

{"rasa_nlu_data": {"common_examples": [{"text": "show me chinese food", "intent": "search", "entities": [
  {"start": 8, "end": 15, "value": "chinese", "entity": "cuisine"}]}]}}

nlu:
- intent: search
  examples: |
    - show me [chinese](cuisine) food

## intent:search
- show me [chinese](cuisine:asian) food
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.config.yaml_text import parsed_yaml
from tf_tokclf.data.formats.format import Format, Numbered, likely
from tf_tokclf.data.reading.annotated import Annotated, Annotation, Fields, JsonFormat, Record, in_fields
from tf_tokclf.data.reading.base import Changes, FileReader, Problems, check_decoded, read_lines
from tf_tokclf.data.reading.text_records import char_spans_in, text_in
from tf_tokclf.data.reading.texts import TextReading
from tf_tokclf.data.reading.word_records import mappings
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.labels.char_spans import CharSpan
from tf_tokclf.labels.sentence import Origin, Sentence

# [chinese](cuisine), [chinese](cuisine:asian), [chinese]{"entity": "cuisine", "role": "x"}
_ENTITY = re.compile(r"\[([^\[\]]+)\](?:\(([^()]+)\)|(\{[^{}]*\}))")
_EXAMPLE = re.compile(r"\s*[-*+]\s+(.*)")
_HEADING = re.compile(r"\s*##\s*(.*)")

# The line of an example, its intent, and its text with the markup of entities.
Example = tuple[int, str, str]


def _fits(record: Record) -> bool:
    entities = record.get("entities", [])
    return (
        isinstance(record.get("text"), str)
        and "intent" in record
        and isinstance(entities, list)
        and all(isinstance(one, dict) and {"start", "end", "entity"} <= one.keys() for one in entities)
    )


def unwrap(value: Any) -> list[Any] | None:
    """The examples in a file of training data."""
    data = value.get("rasa_nlu_data") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        return None
    lists = (data.get(name) for name in ("common_examples", "intent_examples", "entity_examples"))
    return [example for one in lists if isinstance(one, list) for example in one]


def _read(record: Record, fields: Fields, origin: Origin, changes: Changes) -> Iterator[Annotated]:
    # `value` may be a synonym and not the text itself. An example without entities omits the field.
    entities = [{k: v for k, v in one.items() if k != "value"} for one in mappings(record.get("entities"), origin)]
    annotation = Annotation(partial(char_spans_in, entities))
    yield Annotated(
        text_in(record, fields.word, origin), annotations=(annotation,), is_labelled=fields.label is not None
    )


@dataclass(frozen=True)
class RasaTextReader(FileReader):
    """Reads examples in YAML or Markdown. Each example is a sentence."""

    reading: TextReading

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        for number, _, marked in _examples(self.path, self.options.encoding):
            yield from problems.readable(self._sentence(marked, Origin(str(self.path), number), problems))

    def _sentence(self, marked: str, origin: Origin, problems: Problems) -> Iterator[Sentence | None]:
        text, spans = entities_in(marked, origin)
        is_labelled = self.options.label_column_name != ""
        found = Annotated(text, annotations=(Annotation.of_spans(spans),), is_labelled=is_labelled)
        yield self.reading.sentence(found, origin, problems)


def open_rasa(path: Path, data: DataConfig, task: Task) -> RasaTextReader:
    """A reader of Rasa's YAML or Markdown."""
    reading = TextReading.of(data)
    options = data.model_copy(update={"format": "rasa-text"})
    return RasaTextReader(path, options, (f"one sentence per example; {reading.note()}",), reading)


def looks_like_rasa(lines: list[str]) -> bool:
    """Whether the first lines of a file are Rasa's YAML or Markdown.

    >>> looks_like_rasa(["nlu:", "- intent: greet"]), looks_like_rasa(["## intent:greet", "- hello"])
    (True, True)
    """
    return any(re.match(r"nlu:\s*$|\s*##\s*(?:intent|synonym|lookup|regex)\s*:", line) for line in lines)


def _examples(path: Path, encoding: str) -> Iterator[Example]:
    is_markdown = any(_HEADING.match(line) for line in read_lines(path, encoding))
    return _markdown_examples(path, encoding) if is_markdown else _yaml_examples(path, encoding)


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The intent of each example."""
    for number, intent, _ in _examples(path, data.encoding):
        yield number, {"intent": intent}


def _yaml_examples(path: Path, encoding: str) -> Iterator[Example]:
    lines = list(read_lines(path, encoding))
    for number, line in enumerate(lines, 1):
        check_decoded(line, Origin(str(path), number), encoding)
    try:
        value = parsed_yaml("".join(lines))
    except yaml.YAMLError as error:
        raise UserError(f"is not valid YAML: {first_line(error)}.", path=path, hint="Correct the file.") from error
    groups = value.get("nlu") if isinstance(value, dict) else None
    if not isinstance(groups, list):
        raise UserError("has no list of examples (nlu).", path=path, hint="Check the program that wrote it.")
    at = 0
    for group in groups:
        if not isinstance(group, dict) or "intent" not in group:
            continue
        for example in _group_examples(group.get("examples")):
            # The YAML parser does not keep line numbers, so the example is searched for after the previous one.
            at = next((i for i in range(at, len(lines)) if example in lines[i]), at)
            yield at + 1, str(group["intent"]), example


def _group_examples(examples: Any) -> Iterator[str]:
    if isinstance(examples, str):
        yield from (found[1].strip() for line in examples.splitlines() if (found := _EXAMPLE.match(line)))
    for example in examples if isinstance(examples, list) else ():
        text = example.get("text") if isinstance(example, dict) else example
        if isinstance(text, str):
            yield re.sub(r"^\s*[-*+]\s+", "", text.strip())


def _markdown_examples(path: Path, encoding: str) -> Iterator[Example]:
    intent: str | None = None
    for number, line in enumerate(read_lines(path, encoding), 1):
        check_decoded(line, Origin(str(path), number), encoding)
        if heading := _HEADING.match(line):
            kind, _, name = heading[1].partition(":")
            intent = name.strip() if kind.strip().lower().startswith("intent") else None
        elif intent is not None and (found := _EXAMPLE.match(line)):
            yield number, intent, found[1].strip()


def entities_in(marked: str, origin: Origin) -> tuple[str, list[CharSpan]]:
    """A text without the markup of its entities, and the spans that were marked.

    >>> entities_in("show me [chinese](cuisine:asian) food", Origin("nlu.md", 2))
    ('show me chinese food', [CharSpan(start=8, end=15, type='cuisine', surface='chinese')])
    """
    pieces: list[str] = []
    spans: list[CharSpan] = []
    at = length = 0
    for found in _ENTITY.finditer(marked):
        before, surface = marked[at : found.start()], found[1]
        start = length + len(before)
        spans.append(CharSpan(start, start + len(surface), _type(found, origin), surface))
        pieces += [before, surface]
        length, at = start + len(surface), found.end()
    return "".join([*pieces, marked[at:]]), spans


def _type(found: re.Match[str], origin: Origin) -> str:
    if found[2]:
        return found[2].partition(":")[0].strip()
    try:
        entity = json.loads(found[3]).get("entity")
    except ValueError:
        entity = None
    if not isinstance(entity, str):
        raise origin.error(f"{found[0][:60]!r} has no entity type.", 'Write it as [words]{"entity": "type"}.')
    return entity


FORMAT = JsonFormat(
    "rasa",
    _fits,
    _read,
    in_fields("text", "entities"),
    unwrap=unwrap,
    description="Rasa NLU's JSON: examples with character spans",
)
TEXT_FORMAT = Format(
    "rasa-text",
    "Rasa NLU's YAML and Markdown: examples with entities in brackets",
    lambda seen: likely("a line begins a list of examples (nlu: or ## intent:)", looks_like_rasa(seen.lines)),
    open_rasa,
    columns=column_values,
)
