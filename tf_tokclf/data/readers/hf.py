"""Hugging Face data sets: from the Hub by id, or from a folder that `save_to_disk` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.arrow import SENTENCES_PER_BATCH
from tf_tokclf.data.readers.tables import TableReader, open_table
from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

_MIRRORS = {
    "conll2003": "lhoestq/conll2003",
    "eriktks/conll2003": "lhoestq/conll2003",
    "wnut_17": "tner/wnut2017",
}


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def load_saved(path: Path) -> dict[str, Dataset]:
    """The splits in a folder that `save_to_disk` wrote; a lone split is named `train`."""
    import datasets

    with _quiet():
        try:
            found = datasets.load_from_disk(str(path))
        except (FileNotFoundError, ValueError, pa.ArrowInvalid) as error:
            raise UserError(f"is no saved data set: {error}.", path=path, hint="Save it anew.") from error
    return dict(found) if isinstance(found, datasets.DatasetDict) else {"train": found}


def load_from_hub(name: str, config: str | None, revision: str | None) -> dict[str, Dataset]:
    """The splits of a data set on the Hub."""
    import datasets

    with _quiet():
        try:
            found: Any = datasets.load_dataset(name, config, revision=revision)
        except datasets.exceptions.DatasetNotFoundError as error:
            hint = "Check the name, and the network or the login; a folder or a file can be read as well."
            raise UserError(f"there is no data set {name!r}: {_first_line(error)}", hint=hint) from error
        except RuntimeError as error:
            if "scripts are no longer supported" not in str(error):
                raise
            raise _script_error(name) from error
        except ValueError as error:
            raise UserError(f"data set {name!r}: {_first_line(error)}", hint="See its page on the Hub.") from error
        except (ConnectionError, OSError) as error:
            hint = "Check the network, or give a folder that save_to_disk wrote."
            raise UserError(f"data set {name!r} cannot be fetched: {_first_line(error)}", hint=hint) from error
    return dict(found)


def open_dataset(dataset: Dataset, place: str, data: DataConfig, task: Task) -> TableReader:
    """A reader of one split; `place` names it in messages."""

    def batches() -> Iterator[pa.RecordBatch]:
        for table in dataset.with_format("arrow").iter(batch_size=SENTENCES_PER_BATCH):
            yield from table.combine_chunks().to_batches()

    names = {
        column: tuple(inner.names)
        for column, feature in dataset.features.items()
        if hasattr(inner := getattr(feature, "feature", feature), "names")
    }
    options = data.model_copy(update={"format": "hf"})
    return open_table(place, batches, lambda: dataset._fingerprint, options, task, names)


def _script_error(name: str) -> UserError:
    mirror = _MIRRORS.get(name.lower())
    hint = (
        f"The same data without a script: {mirror}." if mirror else "Look for a copy in Parquet, or download its files."
    )
    return UserError(f"data set {name!r} is a Python script, which the library datasets no longer runs.", hint=hint)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of the library, which would land between our own lines."""
    import datasets

    shown = datasets.utils.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
