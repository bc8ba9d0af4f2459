"""Read the splits of a run, cache them as Arrow files, and check them against each other."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import Cache, cache_folder
from tf_tokclf.data.detection import detect_format, open_reader
from tf_tokclf.data.drawing import AnyDrawing, draw
from tf_tokclf.data.formats.parallel import labels_beside
from tf_tokclf.data.formats.registry import formats_by_name
from tf_tokclf.data.label_spellings import (
    likely_slips,
    respelling_note,
    respelt,
    spells_spans,
    standard_labels,
    without_scheme,
)
from tf_tokclf.data.reading.base import Problems, Reader, located
from tf_tokclf.data.reading.texts import given_scheme
from tf_tokclf.data.sentence_batches import batches_of, is_table, sentences_of
from tf_tokclf.data.split_cache import Split, SplitMetadata, hash_of, load_or_build, transformed
from tf_tokclf.data.split_names import NAMES_OF_SPLIT, SPLITS, split_in_name
from tf_tokclf.data.training_share import draw_share
from tf_tokclf.errors import UserError
from tf_tokclf.html_form import HtmlForm
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import repair_labels
from tf_tokclf.labels.validation import Detection, detect_scheme

if TYPE_CHECKING:
    import pyarrow as pa

    from tf_tokclf.data.extra import Extra

logger = logging.getLogger(__name__)

__all__ = ["Split", "Splits", "cache_folder", "load_data", "load_split", "load_splits", "read_sentences", "scheme_of"]

_PLACES_SHOWN = 20
_CHANGES_SHOWN = 12
# To find copies: validation sentences that are looked up, and their share from which the files must overlap by mistake.
_N_COMPARED = 2000
_COPIED_SHARE = 0.5

# Options that do not affect what is read from a file.
_NOT_READING = {
    *(f"{name}_{what}" for name in SPLITS for what in ("file", "split")),
    *("dataset_name", "dataset_revision", "dataset_config_name", "repair", "use_cache", "cache_size_gb"),
    *("validation_fraction", "test_fraction", "split_seed", "split_by", "extra_file", "extra_min_score"),
    *("extra_labels", "max_train_samples", "max_eval_samples", "train_fraction", "train_fraction_seed"),
    "label_spelling",
}


@dataclass(frozen=True)
class Splits(HtmlForm):
    """The splits of a run with their common label scheme and labels.

    labels: the labels of all splits. trained_labels: the labels that a model can learn: those of the training
    sentences, and those that the data declares. detection: how the scheme was detected; None if it was given. repairs:
    number of changed sentences per split. drawing: which of the training sentences became other splits; None if none
    did. formats: the format of each split.
    """

    train: Split | None
    validation: Split | None
    test: Split | None
    scheme: Scheme
    labels: LabelSet
    trained_labels: LabelSet
    detection: Detection | None
    repairs: Mapping[str, int]
    notes: tuple[str, ...]
    drawing: AnyDrawing | None = None
    formats: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Split]:
        return (split for split in (self.train, self.validation, self.test) if split)

    def __getitem__(self, name: str) -> Split:
        found = {split.name: split for split in self}
        if name not in found:
            raise UserError(f"there is no split {name!r}.", hint=f"Available splits: {', '.join(found) or 'none'}.")
        return found[name]


@dataclass(frozen=True)
class TrainingSplits(Splits):
    """The splits of a training run, which always has training and validation sentences.

    extra: further training sentences with less certain labels; None if there are none.
    """

    train: Split
    validation: Split
    extra: Extra | None = None

    def __iter__(self) -> Iterator[Split]:
        return (split for split in (*self.trained, self.validation, self.test) if split)

    @property
    def trained(self) -> tuple[Split, ...]:
        """The splits that are trained on: the training sentences, and the extra ones after them."""
        return (self.train,) if self.extra is None else (self.train, self.extra.split)

    @property
    def n_trained_words(self) -> int:
        """Number of words in the sentences that are trained on."""
        return sum(split.n_words for split in self.trained)

    def trained_sentence(self, number: int) -> Sentence:
        """The sentence `number` of those that are trained on."""
        first, *others = self.trained
        split, row = (first, number) if number < len(first) else (others[0], number - len(first))
        return next(split.slice(row, 1))


def load_data(config: Config) -> Splits:
    """Read the labelled sentences of a configuration.

    Args:
        config: The configuration. Only its task and its data settings are used.

    Returns:
        The splits `train`, `validation` and `test`, with their label scheme and labels. Notebooks show their sizes and
        some sentences. Iterate over a split for its sentences.

    Raises:
        UserError: The data cannot be read, or there are no training sentences.
    """
    return load_splits(config.data, task=config.task)


def open_files(data: DataConfig, *, task: Task) -> None:
    """Open the files of all splits without reading sentences. Raises UserError if a format or column does not exist."""
    files = {name: file for name in SPLITS if (file := getattr(data, f"{name}_file"))}
    _file_readers({name: located(file) for name, file in files.items()}, data, task)


def load_training_splits(data: DataConfig, *, task: Task, drawn_before: AnyDrawing | None = None) -> TrainingSplits:
    """Read the splits for training; see `load_splits`."""
    splits = load_splits(data, task=task, drawn_before=drawn_before)
    if splits.drawing is None:
        _warn_of_copies(splits)
    return TrainingSplits(**{**vars(splits), "train": splits["train"], "validation": splits["validation"]})


def _warn_of_copies(splits: Splits) -> None:
    """Warn if most of the validation sentences are training sentences too, as in a copy of the training file."""
    import pyarrow.compute as pc

    first = splits["validation"].table.column("words").slice(0, _N_COMPARED)
    held_out = pc.binary_join(first, "\0").combine_chunks()
    found: set[str] = set()
    for words in splits["train"].table.column("words").chunks:
        joined = pc.binary_join(words, "\0")
        found.update(joined.filter(pc.is_in(joined, value_set=held_out)).to_pylist())
    share = sum(sentence in found for sentence in held_out.to_pylist()) / len(held_out)
    if share > _COPIED_SHARE:
        logger.warning(
            "%.0f %% of the validation sentences are also training sentences, so validation scores will be too high",
            100 * share,
        )


def load_splits(
    data: DataConfig,
    *,
    task: Task,
    required: Iterable[str] = ("train",),
    draw: bool = True,
    drawn_before: AnyDrawing | None = None,
    shown: Mapping[str, str] | None = None,
) -> Splits:
    """Read all splits that the configuration names. If `draw` is on, a missing validation split and the test split that
    `data.test_fraction` asks for are drawn from the training sentences. Of the rest, the share `data.train_fraction` is
    drawn.

    drawn_before: which sentences the training of a run drew, to find the same ones. Raises UserError if the data has
    changed and the training split or a drawn one is `required`. shown: names of splits to use in notes.
    """
    required = tuple(required)
    shown = {name: name for name in SPLITS} | dict(shown or {})
    drawable = _drawable(data) if draw else ()
    readers = _readers(data, task, required, drawable)
    found = {name: _read(name, reader, data, task) for name, reader in readers.items()}
    notes = _notes({shown[name]: split for name, split in found.items()})
    for name, split in found.items():
        if split.metadata.n_skipped:
            n_skipped = counted(split.metadata.n_skipped, "sentence")
            notes.append(f"{shown[name]}: {n_skipped} left out (unreadable)")
            logger.warning("%s: sentences left out:\n%s", shown[name], "\n".join(split.metadata.skipped))
    found, drawing = _with_drawn(found, data, task, drawable, required, drawn_before)
    notes += drawing.notes() if drawing else []
    for name, split in found.items():
        limit = data.max_train_samples if name == "train" else data.max_eval_samples
        if limit is not None and limit < len(split):
            found[name] = transformed(split, f"first {limit}", _first(limit), cache=Cache.of(data))
            notes.append(f"{shown[name]}: the first {limit} of {counted(len(split), 'sentence')}")
    if "train" in found and data.train_fraction < 1:
        standard = _standard_labels([found["train"]], data, task)
        found["train"], note = draw_share(found["train"], data, standard=standard)
        notes.append(note)
    formats = {name: readers[name if name in readers else "train"].options.format for name in found}
    _check_content(found, formats)
    splits = replace(_checked(found, data, task, notes, shown), drawing=drawing, formats=formats)
    for note in splits.notes:
        logger.info(note)
    return splits


def load_split(source: str, data: DataConfig, *, task: Task = Task.NER, part: str | None = None) -> Split:
    """One file or folder, or the split `part` of a data set. Its notes say what was detected and changed."""
    if part is None:
        split = _read("data", open_reader(located(source), data, task), data, task)
    else:
        chosen = data.model_copy(update={"train_split": part, "validation_split": None, "test_split": None})
        split = _read("data", _dataset_readers(source, chosen, task, ("train",))["train"], data, task)
    found, notes = _in_standard_spelling({split.name: split}, data, task)
    split = found[split.name]
    return replace(split, metadata=replace(split.metadata, notes=(*split.notes, *notes)))


def read_sentences(path: str | Path, data: DataConfig, *, task: Task = Task.NER) -> Iterator[Sentence]:
    """The sentences of one file in any format, read lazily, with labels in the standard spelling."""
    problems = Problems(skip=data.on_error == "skip")
    reader = open_reader(located(str(path)), data, task)
    for note in _found_out(reader):
        logger.info("%s: %s", path, note)
    counts = _label_counts(reader, data, task)
    standard = standard_labels(counts, task)
    if standard:
        logger.warning("%s: %s", path, respelling_note(standard, counts))
    for sentence in reader.sentences(problems):
        if standard and sentence.labels is not None:
            sentence = replace(sentence, labels=tuple(respelt(sentence.words, sentence.labels, standard)))
        yield sentence
    for change in problems.changes():
        logger.warning("%s: %s", path, change)
    if problems.n_skipped:
        skipped = counted(problems.n_skipped, "sentence")
        logger.warning("%s: %s left out:\n%s", path, skipped, "\n".join(problems.skipped))


def _label_counts(reader: Reader, data: DataConfig, task: Task) -> Counter[str]:
    """Count the labels of a source in a first pass. Empty if the spelling of labels is kept."""
    counts: Counter[str] = Counter()
    if keeps_spelling(data, task):
        return counts
    for sentence in reader.sentences(Problems(skip=True)):
        if sentence.labels is None:
            break
        counts.update(sentence.labels)
    return counts


def keeps_spelling(data: DataConfig, task: Task) -> bool:
    """Whether the spelling of labels is kept: set by an option, or because the labels form no spans."""
    return data.label_spelling == "keep" or given_scheme(data) is Scheme.NONE or task is Task.POS


def _in_standard_spelling(
    found: Mapping[str, Split], data: DataConfig, task: Task
) -> tuple[dict[str, Split], list[str]]:
    """The splits with all labels in the standard spelling, and notes about what was rewritten."""
    standard = _standard_labels(found.values(), data, task)
    if not standard:
        return dict(found), []
    written = {name: _respelt_split(split, standard, Cache.of(data)) for name, split in found.items()}
    return written, [respelling_note(standard, _sum_of_labels(found.values()))]


def _standard_labels(splits: Iterable[Split], data: DataConfig, task: Task) -> dict[str, str]:
    """The standard spelling of the labels; empty if they are kept."""
    if keeps_spelling(data, task):
        return {}
    counts: Counter[str] = Counter()
    for split in splits:
        counts.update(dict.fromkeys(split.metadata.label_names or (), 0))
        counts.update(split.label_counts())
    return standard_labels(counts, task)


def _respelt_split(split: Split, standard: Mapping[str, str], cache: Cache) -> Split:
    def change(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        sentences = (
            replace(sentence, labels=tuple(respelt(sentence.words, sentence.labels or (), standard)))
            for sentence in sentences_of(batch)
        )
        return next(batches_of(sentences))

    if not split.has_labels:
        return split
    written = transformed(split, f"labels as {sorted(standard.items())}", change, cache=cache)
    names = split.metadata.label_names
    standard_names = tuple(dict.fromkeys(standard.get(name, name) for name in names)) if names else None
    return replace(written, metadata=replace(split.metadata, label_names=standard_names))


def _found_out(reader: Reader) -> list[str]:
    first, *others = reader.notes or ("",)
    return [f"{reader.options.format}: {first}" if first else reader.options.format, *others]


def _notes(found: Mapping[str, Split]) -> list[str]:
    """The notes of all splits; a note that is the same for all of them appears once."""
    everywhere = set.intersection(*(set(split.notes) for split in found.values()))
    common = [note for note in next(iter(found.values())).notes if note in everywhere]
    own = [f"{name}: {note}" for name, split in found.items() for note in split.notes if note not in everywhere]
    return common + own if len(found) > 1 else [f"{name}: {note}" for name in found for note in common]


def _drawable(data: DataConfig) -> tuple[str, ...]:
    """The splits that are drawn from the training sentences if the data lacks them."""
    return ("validation",) if data.test_fraction is None else ("validation", "test")


def _with_drawn(
    found: dict[str, Split],
    data: DataConfig,
    task: Task,
    drawable: tuple[str, ...],
    required: tuple[str, ...],
    before: AnyDrawing | None,
) -> tuple[dict[str, Split], AnyDrawing | None]:
    """The splits with those that are drawn from the training sentences: the same as `before`, if it is given."""
    if "test" in drawable and "test" in found:
        hint = "Leave out data.test_fraction, or name the file of the training split alone with data.train_file."
        raise UserError(
            "there already is a test split, so data.test_fraction cannot be used.", path=found["test"].place, hint=hint
        )
    missing = [name for name in drawable if name not in found]
    if "train" not in found or not missing:
        return found, None
    train = found["train"]
    try:
        drawing = before or draw(train, data, missing, standard=_standard_labels([train], data, task))
        parts = drawing.parts(train, Cache.of(data))
    except UserError as error:
        if {"train", *missing} & set(required):
            raise
        logger.warning("the training sentences still include those drawn for %s: %s", " and ".join(missing), error)
        return found, None
    together = {**found, **{name: split for name, split in parts.items() if name == "train" or name in missing}}
    return {name: together[name] for name in SPLITS if name in together}, drawing


def _readers(
    data: DataConfig, task: Task, required: tuple[str, ...], drawable: tuple[str, ...] = ()
) -> dict[str, Reader]:
    """drawable: splits that can be drawn from the training split."""
    if data.dataset_name:
        return _dataset_readers(data.dataset_name, data, task, required, drawable)
    files = {name: getattr(data, f"{name}_file") for name in SPLITS}
    drawn = [name for name in drawable if files["train"] and not files[name]]
    for name in required:
        if not (files.get(name) or name in drawn):
            there = ", ".join(other for other, file in files.items() if file) or "none"
            if drawn:
                there += f" and {' and '.join(drawn)} (drawn from the training sentences)"
            hint = f"Available splits: {there}."
            if name in SPLITS:
                hint += f" Name its file with --set data.{name}_file=FILE."
            raise UserError(f"there is no {name} split.", hint=hint)
    return _file_readers({name: located(file) for name, file in files.items() if file}, data, task)


def _file_readers(paths: Mapping[str, Path], data: DataConfig, task: Task) -> dict[str, Reader]:
    """Readers of the files. Columns detected in one file are used for the next files of the same format."""
    readers: dict[str, Reader] = {}
    formats = {
        name: data.format if data.format != "auto" else detect_format(path, data.encoding)
        for name, path in paths.items()
    }
    for name, path in paths.items():
        alike = next((readers[other] for other in readers if formats[other] == formats[name]), None)
        options = alike.options.model_copy(update={"header": data.header}) if alike else data
        readers[name] = open_reader(path, options, task)
    return readers


def _dataset_readers(
    name: str, data: DataConfig, task: Task, required: tuple[str, ...], drawable: tuple[str, ...] = ()
) -> dict[str, Reader]:
    from tf_tokclf.data.formats.hf_datasets import is_saved_dataset, load_parts, open_dataset, place_of

    folder = resolve_reference(name)
    has_split_files = folder.is_dir() and any(split_in_name(entry.stem) for entry in folder.iterdir())
    if has_split_files and not is_saved_dataset(folder):
        return _file_readers(_split_files(folder, data, required, drawable), data, task)
    parts = load_parts(name, data)
    chosen = _split_names(name, list(parts), data, required, drawable)
    readers: dict[str, Reader] = {}
    options = data
    for split, part in chosen.items():
        readers[split] = open_dataset(parts[part], place_of(name, part), options, task)
        options = readers[split].options
    return readers


def _split_files(
    folder: Path, data: DataConfig, required: tuple[str, ...], drawable: tuple[str, ...]
) -> dict[str, Path]:
    """The files or folders in a folder that are named after splits: train.conll, dev/, wnut17train.conll."""
    entries = [p for p in sorted(folder.iterdir()) if not p.name.startswith((".", "README", "LICENSE"))]
    labels = {labels_beside(entry) for entry in entries if entry.is_file() and split_in_name(entry.stem)}
    entries = [entry for entry in entries if entry not in labels]
    names: dict[str, Path] = {}
    for entry in entries:
        if name := split_in_name(entry.stem):
            if name in names:
                problem = f"contains two files for the split {name}: {names[name].name} and {entry.name}."
                hint = "Name the files one by one, or put the files of each split into a folder with its name."
                raise UserError(problem, path=folder, hint=hint)
            names[name] = entry
    chosen = _split_names(str(folder), list(names), data, required, drawable)
    return {split: names[part] for split, part in chosen.items()}


def _split_names(
    place: str, there: Sequence[str], data: DataConfig, required: tuple[str, ...], drawable: tuple[str, ...]
) -> dict[str, str]:
    """Choose the existing name for each split. drawable: splits that can be drawn from the training split."""
    chosen = {}
    for name in SPLITS:
        asked = getattr(data, f"{name}_split")
        default = name == "train" and asked == "train"
        found = next((other for other in ([asked] if asked else NAMES_OF_SPLIT[name]) if other in there), None)
        is_drawn = name in drawable and "train" in chosen
        if found:
            chosen[name] = found
        elif (name in required and not is_drawn) or (asked and not default):
            raise UserError(
                f"there is no split {asked or name!r}.",
                path=place,
                hint=f"Available splits: {', '.join(there) or 'none'}.",
            )
    return chosen


def _read(name: str, reader: Reader, data: DataConfig, task: Task) -> Split:
    options = reader.options.model_dump_json(exclude=_NOT_READING)
    content = reader.content_key()
    fingerprint = hash_of(content, options, task.value, reader.place, *_plug_in(reader))
    problems = Problems(skip=data.on_error == "skip")

    def batches() -> Iterator[pa.RecordBatch]:
        if is_table(reader):
            return reader.batches(problems)
        return batches_of(reader.sentences(problems))

    def metadata() -> SplitMetadata:
        # Otherwise the cache would store the new content under the key of the old one.
        if reader.content_key() != content:
            hint = "Run the command again when no other program writes to it."
            raise UserError("the data changed while it was read.", path=reader.place, hint=hint)
        notes = (*_found_out(reader), *problems.changes())
        agreement = problems.agreement.counts()
        return SplitMetadata(
            reader.place, notes, reader.label_names, problems.n_skipped, tuple(problems.skipped), agreement
        )

    split = load_or_build(name, fingerprint, batches, metadata, cache=Cache.of(data), source=reader.place)
    if not len(split):
        hint = f"It was read as {'; '.join(split.notes)}."
        raise UserError(f"the {name} split contains no sentences.", path=split.place, hint=hint)
    return split


def _plug_in(reader: Reader) -> tuple[str, ...]:
    """Package and version of the plug-in that reads the data, if any: another version may read it differently."""
    format = formats_by_name().get(reader.options.format)
    return (format.plug_in,) if format and format.plug_in else ()


def _first(limit: int) -> Callable[[pa.RecordBatch, int], pa.RecordBatch]:
    return lambda batch, first: batch.slice(0, max(0, limit - first))


def _check_content(found: Mapping[str, Split], formats: Mapping[str, str]) -> None:
    """Raise UserError if a split has no words, or has sentences without labels."""
    for name, split in found.items():
        if not split.n_words:
            problem = f"the {name} split contains no words: all its sentences are empty."
            hint = f"It was read as {'; '.join(split.notes)}. Check the program that wrote it."
            raise UserError(problem, path=split.place, hint=hint)
        if not split.has_labels:
            problem = f"the {name} split has sentences without labels (read as {split.notes[0]})."
            hint = "Name the label column with --label-column-name."
            if formats.get(name) == "conll" and ": 1 column," in split.notes[0]:
                problem = f"the {name} split contains only words and no labels (read as {split.notes[0]})."
                hint = "Name a labelled file: one word per line, with its label in another column."
            elif formats.get(name) == "text":
                hint = "Name a labelled file, or set the format with --set data.format=FORMAT."
            raise UserError(problem, path=split.place, hint=hint)


def _checked(
    found: dict[str, Split], data: DataConfig, task: Task, notes: list[str], shown: Mapping[str, str]
) -> Splits:
    found, respellings = _in_standard_spelling(found, data, task)
    notes += respellings
    scheme, detection = scheme_of(found.values(), data)
    if detection:
        notes.append(str(detection))
    notes += doubtful_labels(found.values(), scheme)
    repairs = {}
    if data.repair != "none":
        for name, split in found.items():
            found[name], repairs[name], changes = repaired_split(split, scheme, data.repair, Cache.of(data))
            if repairs[name]:
                notes.append(f"{shown[name]}: labels of {counted(repairs[name], 'sentence')} repaired ({data.repair})")
                notes.append(f"{shown[name]}: {repair_note(changes)}")
    counts = {name: split.label_counts() for name, split in found.items()}
    for name in found:
        if name != "train" and "train" in found and (unseen := sorted(counts[name].keys() - counts["train"].keys())):
            n = sum(counts[name][label] for label in unseen)
            words = f"{counted(n, 'word')} {'has a label' if n == 1 else 'have labels'}"
            notes.append(f"{shown[name]}: {words} that the training data lacks: {', '.join(unseen)}")
    names = next((split.metadata.label_names for split in found.values() if split.metadata.label_names), None)
    trained = {"train": counts["train"]} if "train" in counts else counts
    return Splits(
        train=found.get("train"),
        validation=found.get("validation"),
        test=found.get("test"),
        scheme=scheme,
        labels=LabelSet.of(counts, scheme, names=names),
        trained_labels=LabelSet.of(trained, scheme, names=names),
        detection=detection,
        repairs=repairs,
        notes=tuple(notes),
    )


def scheme_of(splits: Iterable[Split], data: DataConfig) -> tuple[Scheme, Detection | None]:
    """The label scheme set by the options, or detected from the labels of all splits."""
    splits = tuple(splits)
    given = given_scheme(data)
    if given is not None:
        check_scheme(_sum_of_labels(splits), given, place=splits[0].place)
        return given, None
    detection = detect_scheme(labels for split in splits for labels in split.label_sequences())
    return detection.scheme, detection


def check_scheme(counts: Mapping[str, int], scheme: Scheme, *, place: str) -> None:
    """Raise UserError if the labels form no span in the scheme that the user has set."""
    if spells_spans(counts, scheme):
        return
    shown = ", ".join(sorted(counts, key=lambda label: -counts[label])[:3])
    hint = "Check the label column (--label-column-name), or set data.scheme to auto or none."
    raise UserError(f"labels such as {shown} form no spans in {scheme}.", path=place, hint=hint)


def doubtful_labels(splits: Iterable[Split], scheme: Scheme) -> list[str]:
    """Notes about labels that are probably wrong: likely typing errors with all their places, and labels that are not
    part of the scheme.
    """
    splits = tuple(splits)
    counts = _sum_of_labels(splits)
    slips = {slip.label: str(slip) for slip in likely_slips(counts, scheme)}
    unknown = {
        label: f"{label} ({counted(n, 'word')}) is not a label of {scheme} and is read as O"
        for label, n in without_scheme(counts, scheme).items()
        if label not in slips
    }
    found = {**slips, **unknown}
    places = places_of_labels(splits, found.keys()) if found else {}
    notes = []
    for label, what in found.items():
        shown = places[label] if label in slips else places[label][:_PLACES_SHOWN]
        more = len(places[label]) - len(shown)
        notes.append(f"{what}: {'; '.join(shown)}" + (f" and {more:,} more" if more else ""))
    return notes


def places_of_labels(splits: Iterable[Split], labels: Collection[str]) -> dict[str, list[str]]:
    """All places where each of `labels` occurs, in order."""
    places: dict[str, list[str]] = {label: [] for label in labels}
    for split in splits:
        for number, sentence in enumerate(split, 1):
            for position, label in enumerate(sentence.labels or (), 1):
                if label in places:
                    where = sentence.origin or f"{split.name}, sentence {number}"
                    places[label].append(f"{where}, word {position}")
    return places


def _sum_of_labels(splits: Iterable[Split]) -> Counter[str]:
    return sum((split.label_counts() for split in splits), Counter[str]())


def repair_note(changes: Counter[tuple[str, str]]) -> str:
    """Which labels a repair changed. changes: the number of words by their old and new label.

    >>> repair_note(Counter({("I-LOC", "B-LOC"): 2, ("I-PER", "O"): 1}))
    'labels changed by repair: I-LOC to B-LOC (2 words), I-PER to O (1 word)'
    """
    ranked = sorted(changes.items(), key=lambda change: (-change[1], change[0]))
    shown = [f"{old} to {new} ({counted(n, 'word')})" for (old, new), n in ranked[:_CHANGES_SHOWN]]
    if rest := ranked[_CHANGES_SHOWN:]:
        shown.append(f"others ({counted(sum(n for _, n in rest), 'word')})")
    return f"labels changed by repair: {', '.join(shown)}"


def changed_labels(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The old and the new label of each word whose label is another one.

    >>> list(changed_labels(("O", "I-LOC"), ("O", "B-LOC")))
    [('I-LOC', 'B-LOC')]
    """
    return ((old, new) for old, new in zip(before, after, strict=True) if old != new)


def repaired_split(
    split: Split, scheme: Scheme, method: Literal["conlleval", "discard"], cache: Cache
) -> tuple[Split, int, Counter[tuple[str, str]]]:
    """The split with every label sequence made valid, the number of changed sentences, and the changed labels."""

    def change(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        sentences = (
            replace(sentence, labels=tuple(repair_labels(sentence.labels or (), scheme, method)))
            for sentence in sentences_of(batch)
        )
        return next(batches_of(sentences))

    repaired = transformed(split, f"repaired as {scheme.value} by {method}", change, cache=cache)
    n_changed, changes = 0, Counter[tuple[str, str]]()
    for old, new in zip(split.label_sequences(), repaired.label_sequences()):
        of_sentence = list(changed_labels(old, new))
        n_changed += bool(of_sentence)
        changes.update(of_sentence)
    return repaired, n_changed, changes
