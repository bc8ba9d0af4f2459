"""Sentences on disk: Arrow files in a cache, named by what is in them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tf_tokclf.data.arrow import SCHEMA, sentences_of
from tf_tokclf.data.sentence import Sentence
from tf_tokclf.errors import UserError
from tf_tokclf.files import whole_path
from tf_tokclf.version import __version__

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

_CACHE_FORMAT = 1  # counted up whenever reading changes what it yields
_STALE_AFTER_S = 24 * 3600


@dataclass(frozen=True)
class Facts:
    """What is known about sentences besides themselves.

    place: the source's name. notes: what was found out in reading, for the log. label_names: all labels in the
    source's own order, where it declares them. n_skipped: sentences left out; skipped: why, for the first of them.
    """

    place: str
    notes: tuple[str, ...]
    label_names: tuple[str, ...] | None = None
    n_skipped: int = 0
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Sentences of one split, on disk. fingerprint: a hash of the content."""

    name: str
    path: Path
    fingerprint: str
    n_words: int
    facts: Facts

    @property
    def place(self) -> str:
        """The source's name."""
        return self.facts.place

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out in reading, and what was changed, for the log."""
        return self.facts.notes

    @cached_property
    def table(self) -> pa.Table:
        """The sentences as a memory-mapped Arrow table of `arrow.SCHEMA`."""
        with pa.memory_map(str(self.path)) as source:
            return pa.ipc.open_stream(source).read_all()

    @cached_property
    def dataset(self) -> Dataset:
        """The sentences as a memory-mapped Hugging Face data set."""
        from datasets import Dataset

        dataset = Dataset.from_file(str(self.path))
        dataset._fingerprint = self.fingerprint
        return dataset

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Sentence]:
        return self.slice(0)

    def slice(self, start: int, length: int | None = None) -> Iterator[Sentence]:
        """The sentences from number `start` (from 0) on, at most `length` of them."""
        for batch in self.table.slice(start, length).to_batches():
            yield from sentences_of(batch)

    @property
    def has_labels(self) -> bool:
        """Whether each sentence has labels."""
        return bool(self.table.column("labels").null_count == 0)

    def label_sequences(self) -> Iterator[Sequence[str]]:
        """The labels of each sentence that has them, several times faster than by sentence."""
        for chunk in self.table.column("labels").chunks:
            values, bounds = chunk.values.to_pylist(), chunk.offsets.to_pylist()
            for start, end, there in zip(bounds, bounds[1:], chunk.is_valid().to_pylist()):
                if there:
                    yield values[start:end]

    def label_counts(self) -> Counter[str]:
        """How many words carry each label."""
        counts: Counter[str] = Counter()
        for chunk in self.table.column("labels").chunks:
            for pair in pc.value_counts(chunk.flatten()).to_pylist():
                counts[pair["values"]] += pair["counts"]
        return counts


def cache_folder() -> Path:
    """Where splits are kept: TF_TOKCLF_CACHE, else tf-tokclf in XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("TF_TOKCLF_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tf-tokclf"


def stored(
    name: str,
    fingerprint: str,
    batches: Callable[[], Iterable[pa.RecordBatch]],
    facts: Callable[[], Facts],
    *,
    use_cache: bool,
) -> Split:
    """The split with this fingerprint, written first where it is not there yet: whole or not at all, and unharmed
    by another run that writes the same. `facts` is asked when all batches are written.
    """
    path = cache_folder() / "splits" / f"{fingerprint}.arrow"
    if use_cache and (split := _read_stored(name, path, fingerprint)):
        return split
    with writing_to_cache(path) as partial:
        n_words = _write(partial, batches())
        known = facts()
        # The table comes last: where it is, the facts are. Runs that write both write the same.
        with whole_path(_facts_path(path), unique=True) as partial_facts:
            partial_facts.write_text(json.dumps({"n_words": n_words, "facts": asdict(known)}), encoding="utf-8")
    return Split(name, path, fingerprint, n_words, known)


def _read_stored(name: str, path: Path, fingerprint: str) -> Split | None:
    """The split in the cache; None where there is none, or what is there cannot be read: another version's, say."""
    facts_path = _facts_path(path)
    if not (facts_path.is_file() and has_schema(path, SCHEMA)):
        return None
    try:
        known = json.loads(facts_path.read_text(encoding="utf-8"))
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in known["facts"].items()}
        return Split(name, path, fingerprint, known["n_words"], Facts(**fields))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        log.debug("%s cannot be read (%r) and is written anew", facts_path, error)
        return None


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")


def has_schema(path: Path, schema: pa.Schema) -> bool:
    """Whether there is a whole file of the cache with just these columns."""
    try:
        with pa.memory_map(str(path)) as source:
            # Memory-mapped: this reads where its batches are, and none of them.
            return bool(pa.ipc.open_stream(source).read_all().schema.equals(schema))
    except (OSError, pa.ArrowException):
        return False


def derived(
    split: Split, what: str, change: Callable[[pa.RecordBatch, int], pa.RecordBatch], *, use_cache: bool
) -> Split:
    """The split with each batch changed, given the number of its first row; `what` names the change in the
    fingerprint.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in split.table.to_batches():
            changed = change(batch, first)
            first += batch.num_rows
            if changed.num_rows:
                yield changed

    fingerprint = hash_of(split.fingerprint, what)
    return stored(split.name, fingerprint, batches, lambda: split.facts, use_cache=use_cache)


def hash_of(*parts: object) -> str:
    """A fingerprint of these parts, for this version of the program."""
    text = "\0".join([__version__, str(_CACHE_FORMAT), *map(str, parts)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _write(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    n_words = 0
    with path.open("wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
            n_words += len(batch.column("words").flatten())
    return n_words


@contextmanager
def writing_to_cache(path: Path) -> Iterator[Path]:
    """A name of one's own to write to, which becomes `path` when all went well, whoever else writes the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        with whole_path(path, unique=True) as partial:
            yield partial
    except OSError as error:
        hint = "Set TF_TOKCLF_CACHE to a folder with room that can be written to."
        raise UserError(f"cannot be written: {error.strerror}.", path=path.parent, hint=hint) from error


def _remove_stale(folder: Path) -> None:
    """Remove what runs that were killed left behind."""
    for partial in folder.glob("*.partial"):
        with suppress(FileNotFoundError):  # another run may be at it too
            if time.time() - partial.stat().st_mtime > _STALE_AFTER_S:
                partial.unlink()
