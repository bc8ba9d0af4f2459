"""CoNLL-U, parsed by the library conllu. The label can be any field, such as UPOS, or a key in FEATS or MISC."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.formats.format import Format, Match, Numbered, Seen, certain
from tf_tokclf.data.reading.base import FileReader, Problems, check_decoded, read_lines
from tf_tokclf.data.reading.guessing import looks_like_tags, types_in
from tf_tokclf.data.writing.base import Writing, check_writable
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.sentence import Origin, Sentence, text_of

if TYPE_CHECKING:
    from conllu.models import TokenList

FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_CONLLU_LINE = re.compile(r"\d+(?:[-.]\d+)?\t[^\t]+(?:\t[^\t]*){4}\t(?:\d+|_)(?:\t[^\t]*){3}$")
_SAMPLED_SENTENCES = 200
_NO_SPAN = ("", "O", "_")
_SPAN_KEYS = ("ner", "entity", "ne", "bio", "name")


@dataclass(frozen=True)
class ConlluReader(FileReader):
    """Reads a CoNLL-U file. label: a field, or `misc.KEY` or `feats.KEY`."""

    word: str
    label: str
    missing: str

    @property
    def has_tags(self) -> bool:
        """Whether the labels are span labels."""
        return self.missing == OUTSIDE_LABEL

    def sentences(self, problems: Problems) -> Iterator[Sentence]:
        document, n_documents = None, 0
        for origin, tokens in parsed_sentences(self.path, self.options.encoding, problems):
            if "newdoc" in tokens.metadata or "newdoc id" in tokens.metadata:
                n_documents += 1
                document = tokens.metadata.get("newdoc id") or f"{self.path.name}#{n_documents}"
            yield self._sentence(tokens, origin, document, problems)

    def _sentence(self, tokens: TokenList, origin: Origin, document: str | None, problems: Problems) -> Sentence:
        words = [token for token in tokens if isinstance(token["id"], int)]
        if others := [token for token in tokens if not isinstance(token["id"], int)]:
            problems.counts["multi-word ranges and empty nodes left out"] += len(others)
            n_labels = sum(value_of(token, self.label) not in _NO_SPAN for token in others) if self.has_tags else 0
            if n_labels:
                problems.counts.note("labels of multi-word ranges and empty nodes left out", origin, n_labels)
        labels = tuple(value_of(token, self.label) or self.missing for token in words) if self.label else None
        forms = tuple(value_of(token, self.word) or "_" for token in words)
        text = tokens.metadata.get("text")
        offsets = _offsets(forms, text) if text else None
        return Sentence(forms, labels, origin, text=text if offsets else None, offsets=offsets, document=document)


def open_conllu(path: Path, data: DataConfig, task: Task) -> ConlluReader:
    """A reader for a file. The field with the labels is detected, unless an option names it."""
    keys: dict[str, Counter[str]] = defaultdict(Counter)
    n = 0
    for n, (_, tokens) in enumerate(parsed_sentences(path, data.encoding, Problems(skip=True)), 1):
        for token in tokens:
            for key, value in (token.get("misc") or {}).items() if isinstance(token["id"], int) else ():
                keys["" if value is None else key][key if value is None else value] += 1
        if n == _SAMPLED_SENTENCES:
            break
    if not n:
        next(parsed_sentences(path, data.encoding, Problems()), None)  # raises the error of the first sentence
        hint = "CoNLL-U has ten columns separated by tabs."
        raise UserError("contains no sentences in CoNLL-U.", path=path, hint=hint)
    word = _field(data.text_column_name, path) or "form"
    if data.label_column_name == "":
        options = data.model_copy(update={"format": "conllu", "text_column_name": word})
        return ConlluReader(path, options, (f"words in {word.upper()}, no labels",), word, "", "")
    label = _field(data.label_column_name, path) or _guess(keys, task, path)
    field, _, key = label.partition(".")
    is_tags = field == "misc" and looks_like_tags(keys[key])
    options = data.model_copy(update={"format": "conllu", "label_column_name": label, "text_column_name": word})
    notes = (f"words in {word.upper()}, labels in {label.upper() if '.' not in label else label}",)
    return ConlluReader(path, options, notes, word, label, OUTSIDE_LABEL if is_tags else "_")


def parsed_sentences(path: Path, encoding: str, problems: Problems) -> Iterator[tuple[Origin, TokenList]]:
    """The sentences of a file as parsed by the library, each with the number of its first line."""
    for first, lines in _blocks(path, encoding):
        try:
            for number, line in enumerate(lines, first):
                _check(line, path, number, encoding)
            parsed = _parsed("".join(lines))
        except UserError as error:
            problems.report(error)
        # The library raises errors of its own and some of Python's.
        except Exception as error:
            origin = Origin(str(path), first + _first_bad_line(lines))
            shown = first_line(error)[:120]
            problems.report(
                origin.error(f"is not valid CoNLL-U: {shown}.", "Correct this line, or the sentence that starts here.")
            )
        else:
            for tokens in parsed:
                yield Origin(str(path), first), tokens


def _parsed(text: str) -> Sequence[TokenList]:
    import conllu

    return conllu.parse(text, fields=FIELDS, field_parsers={"misc": lambda line, i: _misc(line[i])})


def _first_bad_line(lines: Sequence[str]) -> int:
    """The index of the first line that cannot be parsed by itself; 0 if every line can."""
    for number, line in enumerate(lines):
        try:
            _parsed(line)
        except Exception:  # the library raises errors of many types
            return number
    return 0


def _misc(text: str) -> dict[str, str | None] | None:
    """The keys of MISC with their values (None if there is no value). Spaces are accepted instead of `|`.

    >>> _misc("SpaceAfter=No name=I-PER"), _misc("B-PER"), _misc("Gloss=to go|NER=O")
    ({'SpaceAfter': 'No', 'name': 'I-PER'}, {'B-PER': None}, {'Gloss': 'to go', 'NER': 'O'})
    """
    if text == "_":
        return None
    found: dict[str, str | None] = {}
    for part in text.split("|"):
        pieces = part.split(" ")
        for piece in pieces if all("=" in piece[1:-1] for piece in pieces) else [part]:
            key, equals, value = piece.partition("=")
            found[key] = value if equals else None
    return found


def value_of(token: Mapping[str, Any], field: str) -> str:
    """The text of a field, or of a key such as `misc.NER`; empty if missing. For MISC as a whole, the values without a
    key if there are any.
    """
    name, _, key = field.partition(".")
    value = token.get(name)
    if key:
        fields = value or {}
        value = fields[key] if key in fields else next((fields[k] for k in fields if k.lower() == key.lower()), None)
    if isinstance(value, Mapping):
        bare = [k for k, v in value.items() if v is None]
        return "|".join(bare or (f"{k}={v}" for k, v in value.items()))
    return "" if value is None else str(value)


def _blocks(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    first, lines = 1, list[str]()
    for number, line in enumerate(read_lines(path, encoding), 1):
        if not line.isspace():
            lines.append(line.rstrip("\r\n") + "\n")
        elif lines:
            yield first, lines
            lines = []
        if line.isspace():
            first = number + 1
    if lines:
        yield first, lines


def _check(line: str, path: Path, number: int, encoding: str) -> None:
    check_decoded(line, Origin(str(path), number), encoding)
    if not line.startswith("#") and (n := line.count("\t") + 1) != len(FIELDS):
        hint = "CoNLL-U has ten columns separated by tabs. For other columns, choose the format conll."
        problem = f"the line has {counted(n, 'column')} instead of {len(FIELDS)}."
        raise UserError(problem, path=path, line=number, hint=hint)


def _field(column: str | int | None, path: Path) -> str | None:
    if column is None:
        return None
    if isinstance(column, int) and 0 <= column < len(FIELDS):
        return FIELDS[column]
    name, dot, key = str(column).partition(".")
    if name.lower() not in FIELDS or (dot and name.lower() not in ("feats", "misc", "deps")):
        hint = f"The fields are {', '.join(FIELDS)}. Keys are written misc.KEY or feats.KEY."
        raise UserError(f"there is no field {column!r}.", path=path, hint=hint)
    return name.lower() + dot + key


def _guess(keys: Mapping[str, Counter[str]], task: Task, path: Path) -> str:
    """The field of labels: a key of MISC with span labels, or MISC itself if it contains bare labels, otherwise UPOS.

    Raises UserError if a key may contain entities in another notation, such as `Entity=(1-person`.
    """
    if task is Task.POS:
        return "upos"
    tags = [key for key, values in keys.items() if looks_like_tags(values)]
    known = [key for key in tags if key.lower() in _SPAN_KEYS]
    typed = [key for key in tags if types_in(keys[key])]
    for key in (*known, *typed):
        return f"misc.{key}" if key else "misc"
    if unread := next((key for key in keys if key.lower() in _SPAN_KEYS and key.lower() != "name"), None):
        shown = ", ".join(f"{unread}={value}" for value, _ in keys[unread].most_common(3))
        raise UserError(
            f"MISC may contain labels, but cannot be interpreted: {shown}.",
            path=path,
            hint="Give each word a label such as B-PER, or read the parts of speech: --label-column-name upos.",
        )
    return "upos"


def _offsets(forms: tuple[str, ...], text: str) -> tuple[tuple[int, int], ...] | None:
    """The positions of the words in the text; None if a word is not found, as with multi-word ranges."""
    found, at = [], 0
    for form in forms:
        at += len(text[at:]) - len(text[at:].lstrip())
        if not text.startswith(form, at):
            return None
        found.append((at, at + len(form)))
        at += len(form)
    return tuple(found)


def _recognise(seen: Seen) -> Match | None:
    words = [line for line in seen.lines if not line.startswith("#")]
    has_columns = bool(words) and all(_CONLLU_LINE.match(line.rstrip("\r\n")) for line in words)
    return certain("its lines have the ten columns of CoNLL-U", has_columns)


def write(sentences: Iterable[Sentence], writing: Writing) -> Iterator[str]:
    """Write CoNLL-U with labels in UPOS if they have no scheme, otherwise as NER=... in MISC."""
    in_upos = writing.scheme is Scheme.NONE
    before: str | None = None
    for sentence in sentences:
        if not sentence.words:
            continue
        if sentence.document is not None and sentence.document != before:
            before = sentence.document
            yield f"# newdoc id = {before}\n"
        text, offsets = text_of(sentence)
        yield f"# text = {' '.join(text.splitlines())}\n"
        for i, word in enumerate(sentence.words):
            label = sentence.labels[i] if sentence.labels else "_"
            in_misc = "" if in_upos else "|"  # separates the entries of MISC
            check_writable(sentence, word, label, without="\t\n\r", label_without=in_misc, where="as CoNLL-U")
            misc = [] if in_upos or sentence.labels is None else [f"NER={label}"]
            if i + 1 < len(offsets) and offsets[i][1] == offsets[i + 1][0]:
                misc.append("SpaceAfter=No")
            fields = [
                str(i + 1),
                word,
                "_",
                label if in_upos else "_",
                "_",
                "_",
                "_",
                "_",
                "_",
                "|".join(misc) or "_",
            ]
            yield "\t".join(fields) + "\n"
        yield "\n"


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The values in comments, which hold until the next comment with the same key."""
    kept: dict[str, Any] = {}
    for origin, tokens in parsed_sentences(path, data.encoding, Problems(skip=True)):
        kept |= {key: value for key, value in tokens.metadata.items() if value is not None}
        yield origin.number, dict(kept)


FORMAT = Format(
    "conllu",
    "CoNLL-U: ten columns, labels in MISC or UPOS",
    _recognise,
    open_conllu,
    suffixes=(".conllu",),
    write=write,
    columns=column_values,
)
