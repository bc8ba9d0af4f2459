"""Convert data from one format and label scheme to another, and count everything that was changed or left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted, counted_kind
from tf_tokclf.data.corrected_columns import corrected_lines
from tf_tokclf.data.corrections import corrected, read_corrections
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.formats.conll import ColumnsReader, separator_named
from tf_tokclf.data.formats.docbin import spacy_module
from tf_tokclf.data.formats.registry import formats_by_name
from tf_tokclf.data.inputs import source_files
from tf_tokclf.data.reading.base import STDIN, located
from tf_tokclf.data.splits import Split, changed_labels, doubtful_labels, load_split, repair_note, scheme_of
from tf_tokclf.data.write import STDOUT, check_free, output_format, write_sentences
from tf_tokclf.data.writing.base import Writing, error_at
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, is_stream
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import RULES, Scheme, label_for, split_label
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import convert_labels, repair_labels, spans_of
from tf_tokclf.labels.validation import violations


@dataclass
class Conversion:
    """The result of a conversion. source, target: label schemes; None for data without labels. changes: the
    number of words whose label was repaired, by their old and new label.
    """

    format: str
    source: Scheme | None
    target: Scheme | None
    notes: tuple[str, ...]
    n_skipped: int
    skipped: tuple[str, ...]
    n_sentences: int = 0
    n_words: int = 0
    n_spans: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def summary(self) -> list[str]:
        """Lines about the sizes, the scheme, and what was left out or changed."""
        schemes = [scheme.value for scheme in (self.source, self.target) if scheme]
        scheme = " to ".join(dict.fromkeys(schemes)) or "no labels"
        sizes = (self.n_sentences, "sentence"), (self.n_words, "word"), (self.n_spans, "span")
        lines = [f"{', '.join(counted(n, what) for n, what in sizes)} ({scheme})"]
        lines += [counted_kind(n, what) for what, n in sorted(self.counts.items())]
        if self.changes:
            lines.append(repair_note(self.changes))
        if self.n_skipped:
            lines += [f"{counted(self.n_skipped, 'sentence')} left out (unreadable):", *self.skipped]
        return lines


def convert(
    source: str,
    out: Path,
    data: DataConfig,
    *,
    task: Task = Task.NER,
    part: str | None = None,
    to_format: str | None = None,
    to_scheme: Scheme | None = None,
    separator: str | None = None,
    offset_unit: str | None = None,
    force: bool = False,
    corrections: Path | None = None,
) -> Conversion:
    """Read `source` (a file, a folder, or the split `part` of a data set) and write it to `out`. After an error, `out`
    is unchanged.

    corrections: a file of corrections to apply (`data.corrections`). The format, the column separator and the unit of
    offsets are then those of the source, unless they are given, and CoNLL columns keep everything but these labels.

    A label sequence that is invalid in its scheme is an error if the conversion depends on it, unless the options say
    how to repair it.
    """
    unnamed = out == STDOUT or (is_stream(out) and not out.suffix)
    form = _SourceForm.of(source, data, task, part) if corrections is not None else _SourceForm()
    keeps_lines = form.columns is not None and separator is None and data.repair == "none" and data.on_error == "stop"
    format = output_format(out, to_format or form.format or ("conll" if unnamed else None))
    if out != STDOUT:
        check_no_input(out, [*source_files(source, data), corrections])
        check_free(out, format, force=force)
    if format == "docbin":
        spacy_module()  # fails early if spaCy is not installed
    split = load_split(source, data, task=task, part=part)
    scheme = scheme_of([split], data)[0] if split.has_labels else None
    if to_scheme is not None and scheme in (None, Scheme.NONE):
        raise UserError("the labels form no spans.", path=source, hint="Leave out --to-scheme.")
    target = to_scheme or scheme
    notes = (*split.notes, *(doubtful_labels([split], scheme) if scheme else ()))
    done = Conversion(format, scheme, target, notes, split.metadata.n_skipped, split.metadata.skipped)
    must_understand = target is not scheme or formats_by_name()[format].has_spans_only
    names = label_names(split, scheme, target)
    read: Iterable[Sentence] = split
    if corrections is not None:
        read, names = _with_corrections(split, scheme, target, corrections, done)
    sentences: Iterable[Sentence] = converted(read, data, done, must_understand=must_understand)
    text = None
    if form.columns is not None and keeps_lines and format == form.format and target is scheme:
        sentences = list(sentences)
        text = corrected_lines(form.columns, list(split), sentences)
    writing = Writing(task, target, names, separator or form.separator or "\t", offset_unit or form.offset_unit)
    write_sentences(sentences, out, format, writing, force=force, text=text)
    return done


@dataclass(frozen=True)
class _SourceForm:
    """How the source is written. columns: its reader if it is a CoNLL file."""

    format: str | None = None
    separator: str | None = None
    offset_unit: str = "codepoint"
    columns: ColumnsReader | None = None

    @classmethod
    def of(cls, source: str, data: DataConfig, task: Task, part: str | None) -> _SourceForm:
        if part is not None:
            return cls("hf")
        if source == str(STDIN):
            problem = "corrections cannot be applied to standard input."
            raise UserError(problem, hint="Name the file that they belong to.")
        reader = open_reader(located(source), data, task)
        options, columns = reader.options, reader if isinstance(reader, ColumnsReader) else None
        separator = columns.structure.separator if columns else separator_named(options.separator)
        return cls(options.format, separator, options.offset_unit, columns)


def _with_corrections(
    split: Split, scheme: Scheme | None, target: Scheme | None, path: Path, done: Conversion
) -> tuple[Iterable[Sentence], tuple[str, ...]]:
    """The corrected sentences, and all labels that may be written."""
    if scheme is None or target is None:
        raise UserError(
            "has no labels to correct.", path=split.place, hint="Name the file that the corrections belong to."
        )
    corrections = read_corrections(path, split)
    done.notes = (*done.notes, corrections.summary)
    types = {one.after.type for found in corrections.by_sentence.values() for one in found if one.after}
    return corrected(split, corrections, scheme), label_names(split, scheme, target, types)


def converted(
    sentences: Iterable[Sentence], data: DataConfig, done: Conversion, *, must_understand: bool
) -> Iterator[Sentence]:
    """The sentences with the labels to write. `done` counts what was changed or left out.

    must_understand: whether invalid label sequences are errors if they are not repaired.
    """
    for sentence in sentences:
        try:
            labels = _new_labels(sentence, data, done, must_understand=must_understand)
        except UserError as error:
            if data.on_error == "stop":
                raise error_at(sentence, error.problem, error.hint) from error
            done.counts["sentences left out (labels cannot be converted)"] += 1
            continue
        if sentence.unlabelled and not formats_by_name()[done.format].keeps_missing_labels:
            done.counts["words without a label written as O"] += len(sentence.unlabelled)
        done.n_sentences += 1
        done.n_words += len(sentence)
        yield replace(sentence, labels=labels)


def _new_labels(
    sentence: Sentence, data: DataConfig, done: Conversion, *, must_understand: bool
) -> tuple[str, ...] | None:
    """The labels to write. Raises UserError if they are invalid in their scheme or cannot be converted."""
    labels, source, target = sentence.labels, done.source, done.target
    if labels is None or source is None or target is None or source is Scheme.NONE:
        return labels
    if broken := violations(labels, source):
        outcome = "left as they are" if data.repair == "none" else f"repaired ({data.repair})"
        done.counts[f"sentences with labels invalid in {source.value}: {outcome}"] += 1
        if data.repair != "none":
            invalid, labels = labels, tuple(repair_labels(labels, source, data.repair))
            done.changes.update(changed_labels(invalid, labels))
        elif must_understand:
            first = broken[0]
            raise UserError(
                f"word {first.position + 1} ({sentence.words[first.position]!r}): {first.message}",
                hint="Pass --repair conlleval to read such spans as conlleval does, or --repair discard to drop them.",
            )
    done.n_spans += len(spans_of(labels, source))
    return labels if source is target else tuple(convert_labels(labels, source, target))


def label_names(
    split: Split, source: Scheme | None, target: Scheme | None, new_types: Iterable[str] = ()
) -> tuple[str, ...]:
    """All labels that may be written: those in the data, and those that conversion or repair can create.

    new_types: types that corrections may add.
    """
    if source is None or target is None:
        return ()
    counts = split.label_counts()
    if target is Scheme.NONE:
        counts += Counter(new_types)
    else:
        types = {type for _, type in map(split_label, counts) if type}.union(new_types)
        made = Counter(label_for(prefix, type) for type in types for prefix in RULES[target].prefixes)
        counts = made + counts if source is target else made
    names = split.metadata.label_names if source is target else None
    return LabelSet.of({"data": counts}, target, names=names).names
