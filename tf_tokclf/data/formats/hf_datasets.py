"""Hugging Face data sets: from the Hub, or from a folder written by `save_to_disk`."""

from __future__ import annotations

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.formats.format import Format, Kind, Match, Numbered, Seen, certain
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import JobError, UserError, first_line
from tf_tokclf.hub import hub_errors
from tf_tokclf.labels.sentence import Sentence

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from tf_tokclf.data.reading.tables import TableReader

log = logging.getLogger(__name__)

# The revision that contains the Hub's conversion to Parquet.
CONVERTED = "refs/convert/parquet"

_MIRRORS = {
    "conll2003": "lhoestq/conll2003",
    "eriktks/conll2003": "lhoestq/conll2003",
    "wnut_17": "tner/wnut2017",
}


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def load_saved(path: Path) -> dict[str, Dataset]:
    """The splits in a folder written by `save_to_disk`; a single split is named `train`."""
    import datasets

    with _quiet():
        try:
            found = datasets.load_from_disk(str(path))
        # A damaged folder can raise errors in json, Arrow or datasets.
        except Exception as error:
            problem = f"is not a saved data set: {first_line(error)}."
            raise UserError(problem, path=path, hint="Save it again.") from error
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"train": found}


def load_from_hub(name: str, config: str | None, revision: str | None) -> dict[str, Dataset]:
    """The splits of a data set on the Hub, or from the local cache if the Hub cannot be reached.

    If the data set is a Python script, which `datasets` no longer runs, the Hub's conversion to Parquet is read.
    """
    import datasets

    with _quiet():
        cached = None if Path(name).is_dir() else _from_cache_without_hub(name, config, revision)
        if cached is not None:
            return cached
        if revision == CONVERTED:
            return _load_converted(name, config)
        try:
            return _load(name, config, revision)
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            log.info("data set %s is a Python script, reading the Hub's Parquet copy (revision %s)", name, CONVERTED)
            return _load_converted(name, config)
        except ValueError as error:
            problem = f"the data set {name!r} cannot be read: {first_line(error)}."
            raise UserError(problem, hint="See its page on the Hub.") from error
        except (datasets.exceptions.DatasetNotFoundError, OSError) as error:
            if Path(name).is_dir():
                hint = "A folder of labelled files needs files with labels; a data set of the Hub needs another name."
                raise UserError(
                    f"the folder contains no data set: {first_line(error)}.", path=name, hint=hint
                ) from error
            hint = "Check its page on the Hub, or name a folder or a file."
            raise UserError(f"the data set {name!r} cannot be downloaded: {first_line(error)}.", hint=hint) from error


def _from_cache_without_hub(name: str, config: str | None, revision: str | None) -> dict[str, Dataset] | None:
    """None if the Hub provides the data set, otherwise the cached copy. Raises the Hub's error if there is none.

    The Hub is queried before `datasets`, whose error messages say little and which retries for half a minute without a
    network.
    """
    from huggingface_hub import HfApi, constants

    subject = f"data set {name}"
    # The user may have meant a folder.
    folder = None if Path(name).exists() else name
    try:
        with hub_errors(subject):
            HfApi().dataset_info(name, revision=revision)
            HfApi().auth_check(name, repo_type="dataset")
    except (JobError, UserError) as error:
        try:
            if isinstance(error, UserError) and not constants.HF_HUB_OFFLINE:
                raise
            with _offline():
                cached = _load(name, config, None)
        # If the cache has a problem too, the Hub's error is still the one to report.
        except Exception:
            with _old_name_explained(name), hub_errors(subject, folder=folder):
                raise (error.__cause__ or error) from None
        log.warning("data set %s: the newest cached copy is used, because the Hub failed: %s", name, error)
        return cached
    return None


@contextmanager
def _old_name_explained(name: str) -> Iterator[None]:
    """Add the present name to errors about a data set whose name lacks its owner."""
    mirror = _MIRRORS.get(name.lower())
    present = f"The copy of {name} to use is {mirror}." if mirror else "Most data sets are named OWNER/NAME."
    try:
        yield
    except (UserError, JobError) as error:
        if "/" in name:
            raise
        if isinstance(error, UserError):
            raise UserError(error.problem, path=error.path, hint=f"{error.hint or ''} {present}".strip()) from error
        raise JobError(f"{error} {present}") from error


def _load(name: str, config: str | None, revision: str | None) -> dict[str, Dataset]:
    import datasets

    return dict(datasets.load_dataset(name, config, revision=revision))


def _load_converted(name: str, config: str | None) -> dict[str, Dataset]:
    """The splits in the Hub's Parquet conversion, which has files CONFIG/SPLIT/0000.parquet."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    files: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with hub_errors(f"data set {name}"):
        try:
            paths = HfApi().list_repo_files(name, repo_type="dataset", revision=CONVERTED)
        except RevisionNotFoundError as error:
            raise _script_error(name) from error
        for path in sorted(paths):
            if path.endswith(".parquet") and path.count("/") == 2:
                part, split, _ = path.split("/")
                files[part][split.removeprefix("partial-")].append(path)
        chosen = config or (next(iter(files)) if len(files) == 1 else "default")
        if chosen not in files:
            known = ", ".join(sorted(files)) or "none"
            raise UserError(
                f"the data set {name!r} has no configuration {chosen!r} in the Hub's Parquet copy.",
                hint=f"The configurations are {known}. Choose one with --set data.dataset_config_name=NAME.",
            )
        root = f"hf://datasets/{name}@{CONVERTED}"
        parts = {split: [f"{root}/{path}" for path in paths] for split, paths in files[chosen].items()}
        return dict(datasets.load_dataset("parquet", data_files=parts))


def open_dataset(dataset: Dataset, place: str, data: DataConfig, task: Task) -> TableReader:
    """A reader of one split. place: name in messages."""
    from tf_tokclf.data.reading.tables import class_labels_of, open_table

    names = class_labels_of(dataset.features.to_dict())
    options = data.model_copy(update={"format": "hf"})
    return open_table(place, lambda: _batches(dataset), lambda: dataset._fingerprint, options, task, names)


def load_parts(name: str, data: DataConfig) -> dict[str, Dataset]:
    """The splits of the data set that `data` names: a folder written by `save_to_disk`, or a data set on the Hub."""
    folder = resolve_reference(name)
    if is_saved_dataset(folder):
        return load_saved(folder)
    # `datasets` also reads local folders with the layout of a Hub repository.
    return load_from_hub(str(folder), data.dataset_config_name, data.dataset_revision)


def place_of(name: str, part: str) -> str:
    """The name of a split of a data set in messages and origins."""
    return f"{name} [{part}]"


def part_values(place: str, data: DataConfig) -> Numbered | None:
    """The columns of the split whose sentences have the origin `place`. None if it is no split of the data set."""
    name = data.dataset_name
    if name is None or not place.startswith(place_of(name, "").removesuffix("]")):
        return None
    return next((_values(part) for key, part in load_parts(name, data).items() if place_of(name, key) == place), None)


def column_values(path: Path, data: DataConfig, task: Task) -> Numbered:
    """The columns of each row in a folder with one split."""
    return _values(next(iter(load_saved(path).values())))


def _values(dataset: Dataset) -> Numbered:
    from tf_tokclf.data.reading.tables import class_labels_of, values_in_rows

    return values_in_rows(_batches(dataset), class_labels_of(dataset.features.to_dict()))


def _batches(dataset: Dataset) -> Iterator[pa.RecordBatch]:
    from tf_tokclf.data.arrow import SENTENCES_PER_BATCH

    for table in dataset.with_format("arrow").iter(batch_size=SENTENCES_PER_BATCH):
        yield from table.combine_chunks().to_batches()


def _script_error(name: str) -> UserError:
    mirror = _MIRRORS.get(name.lower())
    hint = (
        f"Use the copy without a script: {mirror}." if mirror else "Look for a copy in Parquet, or download its files."
    )
    problem = f"the data set {name!r} is a Python script, which the datasets library no longer runs."
    return UserError(problem, hint=hint)


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off the progress bars and log lines of `datasets`, which would mix with the program's own."""
    import datasets

    shown, verbosity = datasets.utils.is_progress_bar_enabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def _offline() -> Iterator[None]:
    """Let `datasets` use only its local cache."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _recognise(seen: Seen) -> Match | None:
    return certain("the folder was written by save_to_disk", seen.is_folder and is_saved_dataset(seen.path))


def open_saved(path: Path, data: DataConfig, task: Task) -> TableReader:
    """A reader of a folder with one split."""
    splits = load_saved(path)
    if len(splits) > 1:
        hint = "Name the folder as the data set (fit, inspect: --dataset-name), or name the folder of one split."
        raise UserError(f"contains several splits: {', '.join(splits)}.", path=path, hint=hint)
    return open_dataset(next(iter(splits.values())), str(path), data, task)


def write(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """Write a folder in the form of `save_to_disk`, with a ClassLabel for the labels."""
    import datasets
    import pyarrow as pa

    from tf_tokclf.data.writing.tables import table_batches, table_schema

    schema = table_schema(writing)
    shown = datasets.utils.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            arrow = Path(scratch) / "data.arrow"
            with arrow.open("wb") as file, pa.ipc.new_stream(file, schema) as writer:
                for batch in table_batches(sentences, schema, writing):
                    writer.write_batch(batch)
            datasets.Dataset.from_file(str(arrow)).save_to_disk(str(folder))
    finally:
        if shown:
            datasets.enable_progress_bars()


FORMAT = Format(
    "hf",
    "Hugging Face data sets: a Hub id, or a folder written by save_to_disk",
    _recognise,
    open_saved,
    Kind.FOLDER,
    write_to=write,
    keeps_missing_labels=True,
    files=("*.arrow", "dataset_info.json", "state.json"),
    has_own_encoding=True,
    columns=column_values,
)
