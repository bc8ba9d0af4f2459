"""Divide labelled data into files for training, validation and test, as `fit` would draw them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import SUFFIXES, name_without_compression
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.convert import Conversion, converted, label_names
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.drawing import draw
from tf_tokclf.data.formats.docbin import spacy_module
from tf_tokclf.data.formats.format import Format, Kind
from tf_tokclf.data.formats.registry import all_formats, formats_by_name
from tf_tokclf.data.inputs import source_files
from tf_tokclf.data.reading.base import located
from tf_tokclf.data.split_names import SPLITS
from tf_tokclf.data.splits import Split, load_split, scheme_of
from tf_tokclf.data.write import write_sentences
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, check_replaceable, whole_folder
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.spans import spans_of


@dataclass(frozen=True)
class Part:
    """What one of the files contains. n_documents: None if the data has no documents. types: the number of spans of
    each type; without spans, the number of words with each label.
    """

    file: str
    n_sentences: int
    n_documents: int | None
    n_words: int
    types: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Division:
    """Data that was divided into files. drawn: how each drawn part was drawn. has_spans: whether the labels form spans.
    notes: about reading, drawing and writing.
    """

    format: str
    has_spans: bool
    parts: Mapping[str, Part]
    drawn: Mapping[str, str]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "format": self.format,
            "drawn": dict(self.drawn),
            "splits": {name: {**vars(part), "types": dict(part.types)} for name, part in self.parts.items()},
            "notes": list(self.notes),
        }


def divide(
    source: str,
    folder: Path,
    data: DataConfig,
    fractions: Mapping[str, float],
    *,
    task: Task = Task.NER,
    part: str | None = None,
    to_format: str | None = None,
    separator: str = "\t",
    force: bool = False,
) -> Division:
    """Draw splits from `source` (a file, a folder, or the split `part` of a data set) and write each to a file in
    `folder`, all of them or none.

    fractions: "validation", "test" -> share of the sentences; 0 for no such split. to_format: None for that of the
    source. force: replace files of an earlier call. Raises UserError if the data cannot be divided or written.
    """
    names = [name for name in SPLITS if fractions.get(name)]
    data = data.model_copy(update={f"{name}_fraction": fractions[name] for name in names})
    _check_fractions(fractions)
    check_no_input(folder, source_files(source, data))
    format = _format(source, data, task, part, to_format)
    ending = _ending(source, format)
    # Folders of a split can contain anything, so they are never replaced.
    _check_folder(folder, () if format.files else tuple(f"{name}{ending}" for name in SPLITS), force=force)
    split = load_split(source, data, task=task, part=part)
    scheme = scheme_of([split], data)[0] if split.has_labels else None
    drawing = draw(split, data, names)
    parts = drawing.parts(split, Cache.of(data))
    writing = Writing(task, scheme, label_names(split, scheme, scheme), separator)
    written, changes = {}, []
    with whole_folder(folder, unique=True) as partial:
        for name in (name for name in SPLITS if name in parts):
            done = Conversion(format.name, scheme, scheme, (), 0, ())
            sentences = converted(parts[name], data, done, must_understand=format.has_spans_only)
            write_sentences(sentences, partial / f"{name}{ending}", format.name, writing)
            written[name] = _described(parts[name], f"{name}{ending}", scheme)
            changes += [f"{name}: {line}" for line in done.summary()[1:]]
    how = {name: drawing.how(name) for name in parts if name in drawing.names}
    return Division(
        format.name,
        scheme not in (None, Scheme.NONE),
        written,
        how,
        (*split.notes, *_skipped(split), *drawing.notes(), *changes),
    )


def _check_fractions(fractions: Mapping[str, float]) -> None:
    if not any(fractions.values()):
        raise UserError(
            "both shares are 0, so there is nothing to draw.", hint="Give --validation-fraction or --test-fraction."
        )
    if sum(fractions.values()) >= 1:
        shares = " and ".join(f"{share:g}" for share in fractions.values())
        raise UserError(f"the shares {shares} leave no sentences for training.", hint="Make them smaller.")


def _check_folder(folder: Path, replaceable: Collection[str], *, force: bool) -> None:
    """Raise UserError if the folder contains anything but the files `replaceable`, or these without `force`."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError("exists, and is not a folder.", path=folder, hint="Name another folder.")
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    if others := [entry.name for entry in entries if entry.name not in replaceable or not entry.is_file()]:
        shown = ", ".join(others[:5])
        raise UserError(f"contains other files: {shown}.", path=folder, hint="Name a new or empty folder.")
    if entries and not force:
        names = ", ".join(entry.name for entry in entries)
        raise UserError(f"contains {names}.", path=folder, hint="Pass --force to replace the files.")
    check_replaceable(folder)


def _format(source: str, data: DataConfig, task: Task, part: str | None, to_format: str | None) -> Format:
    """The format to write."""
    name = to_format or ("hf" if part else open_reader(located(source), data, task).options.format)
    format = formats_by_name().get(name)
    if format is None or not format.is_written:
        known = ", ".join(sorted(one.name for one in all_formats() if one.is_written))
        hint = f"Choose another one with --output-format: {known}."
        raise UserError(f"the format {name!r} cannot be written.", hint=hint)
    if name == "docbin":
        spacy_module()  # fails early if spaCy is not installed
    return format


def _ending(source: str, format: Format) -> str:
    """The ending of the files' names: that of the source if it is a file of the same format."""
    if format.files:
        return ""
    path = Path(source)
    compression = path.suffix if path.suffix.lower() in SUFFIXES else ""
    suffix = name_without_compression(path).suffix
    usual = (*format.usual_suffixes, *format.suffixes)
    if suffix.lower() in usual or (located(source).is_file() and suffix and not usual):
        return suffix + compression
    default = ".jsonl" if format.kind is Kind.RECORDS else ".txt"
    return next(iter(usual), default) + compression


def _described(part: Split, file: str, scheme: Scheme | None) -> Part:
    documents = {(sentence.origin and sentence.origin.path, sentence.document) for sentence in part}
    has_documents = any(name is not None for _, name in documents)
    types: Counter[str] = Counter()
    for labels in part.label_sequences():
        if scheme is None or scheme is Scheme.NONE:
            types.update(labels)
        else:
            types.update(span.type for span in spans_of(labels, scheme))
    del types[OUTSIDE_LABEL]
    ranked = dict(sorted(types.items(), key=lambda item: (-item[1], item[0])))
    return Part(file, len(part), len(documents) if has_documents else None, part.n_words, ranked)


def _skipped(split: Split) -> list[str]:
    n = split.metadata.n_skipped
    return [f"{counted(n, 'sentence')} left out (unreadable):", *split.metadata.skipped] if n else []
