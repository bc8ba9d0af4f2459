"""Validation and test sentences that are drawn from the training data, and the record by which a run finds them again.

Documents stay whole. Where the data has none, sentences with the same words stay together.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.sentence_batches import chosen_rows
from tf_tokclf.data.split_cache import Split, content_hash, transformed
from tf_tokclf.data.stratify import Unit, draw_parts
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, ROLE_BY_PREFIX, STARTING_ROLES, split_label
from tf_tokclf.optional_packages import check_installed

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

VERSION = 2
# The test sentences come first, so that they do not depend on the share of the validation sentences.
DRAWN = ("test", "validation")
# A part whose share differs from the wanted one by more than this part of it is mentioned.
_FAR_OFF = 0.5
_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
UnitName = Literal["document", "sentence"]


@dataclass(frozen=True)
class Drawing:
    """Which of the training sentences became the validation and the test split.

    source: name of the training data. fractions, sentences: by split; the sentences as ranges of numbers from 1 ("3-17,
    40"). n_repeated: number of sentences of each split whose words also occur in a sentence that is left for training.
    n_all: number of all sentences. hash: of their words and labels.
    """

    source: str
    seed: int
    by: UnitName
    fractions: Mapping[str, float]
    sentences: Mapping[str, str]
    n_repeated: Mapping[str, int]
    n_all: int
    hash: str
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """As plain values, to be saved in the run's folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Drawing:
        """Parse the output of `to_json`. Raises ValueError for anything else."""
        try:
            found = cls(**values)
            names = set(found.fractions)
            is_whole = all(isinstance(n, int) for n in (found.seed, found.n_all, *found.n_repeated.values()))
            is_known = names <= set(DRAWN) and names == set(found.sentences) == set(found.n_repeated)
            is_whole = is_whole and all(isinstance(share, float) for share in found.fractions.values())
            ranges = [pair for text in found.sentences.values() for pair in _parsed(text)]
            in_order = all(1 <= first <= last <= found.n_all for first, last in ranges)
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from error
        if not (is_whole and is_known and in_order and found.by in ("document", "sentence")):
            raise ValueError("it does not describe how sentences were drawn")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The splits that were drawn."""
        return tuple(self.fractions)

    def how(self, name: str) -> str:
        """A phrase about one of the splits."""
        return f"drawn from {self.source}: {percent_text(self.fractions[name])}, by {self.by}, seed {self.seed}"

    def notes(self) -> list[str]:
        """A line for each split, and warnings."""
        notes = []
        for name in reversed(self.names):
            n = sum(last - first + 1 for first, last in _parsed(self.sentences[name]))
            notes.append(f"{name}: {n:,} of {counted(self.n_all, 'sentence')}, {self.how(name)}")
            if abs(n / self.n_all - self.fractions[name]) > _FAR_OFF * self.fractions[name] and self.by == "document":
                notes.append(
                    f"{name}: this is {percent_text(n / self.n_all)} of the sentences, because documents stay whole "
                    "(data.split_by=sentence draws single sentences)"
                )
            if repeated := self.n_repeated[name]:
                notes.append(
                    f"{name}: {repeated:,} of these sentences also {'occurs' if repeated == 1 else 'occur'} in the "
                    "training sentences, which can make scores too high"
                )
        return notes

    def parts(self, train: Split, cache: Cache) -> dict[str, Split]:
        """The sentences that are left for training, and those of each split, in their original order.

        train: all sentences. Raises UserError if they are not the same as when the parts were drawn.
        """
        if (len(train), content_hash(train)) != (self.n_all, self.hash):
            raise changed_data(self.names, self.n_all, train)
        masks = {name: _mask(text, self.n_all) for name, text in self.sentences.items()}
        return _parts(train, masks, cache)


@dataclass(frozen=True)
class FirstDrawing:
    """How earlier versions chose the validation sentences: single sentences at random. Their runs keep them.

    hash: of the validation sentences. The last three are None if the run does not record them.
    """

    seed: int
    fraction: float
    n_sentences: int | None = None
    n_all: int | None = None
    hash: str | None = None
    version: int = 1

    names = ("validation",)

    def to_json(self) -> dict[str, Any]:
        """As plain values, to be saved in the run's folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> FirstDrawing:
        """Parse the output of `to_json`. Raises ValueError for anything else."""
        try:
            found = cls(**values)
            is_whole = isinstance(found.seed, int) and all(
                isinstance(n, int | None) for n in (found.n_sentences, found.n_all)
            )
        except TypeError as error:
            raise ValueError(str(error)) from error
        if not (is_whole and isinstance(found.fraction, float) and 0 < found.fraction < 1):
            raise ValueError("it does not describe how sentences were drawn")
        return found

    def how(self, name: str) -> str:
        """A phrase about the validation split."""
        return f"chosen at random (seed {self.seed})"

    def notes(self) -> list[str]:
        """A line about the validation split."""
        sizes = "" if self.n_all is None else f"{self.n_sentences:,} of {counted(self.n_all, 'training sentence')}, "
        return [f"validation: {sizes}{self.how('validation')}"]

    def parts(self, train: Split, cache: Cache) -> dict[str, Split]:
        """As `Drawing.parts`."""
        n = len(train)
        n_validation = min(max(1, round(n * self.fraction)), n - 1)
        mask = np.zeros(n, bool)
        mask[np.random.default_rng(self.seed).permutation(n)[:n_validation]] = True
        parts = _parts(train, {"validation": mask}, cache)
        if self.n_all is not None and (n, content_hash(parts["validation"])) != (self.n_all, self.hash):
            raise changed_data(self.names, self.n_all, train)
        return parts


AnyDrawing = Drawing | FirstDrawing


def drawing_from_json(values: Any) -> AnyDrawing:
    """Parse the record of a run. Raises ValueError if it cannot be used."""
    version = values.get("version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ValueError("a newer version of tf-tokclf drew the sentences")
    return FirstDrawing.from_json(values) if version == 1 else Drawing.from_json(values)


def changed_data(names: Sequence[str], n_before: int, train: Split) -> UserError:
    """The error for training data that has changed since sentences were drawn from it."""
    split_text = " and ".join(reversed(names))
    problem = f"the {split_text} sentences of the run cannot be found again, because the training data has changed"
    if len(train) != n_before:
        problem += f" from {counted(n_before, 'sentence')} to {len(train):,}"
    settings = " or ".join(f"--set data.{name}_file=FILE" for name in reversed(names))
    hint = f"Restore the data and the settings that say how to read it, or name other data with {settings}."
    return UserError(f"{problem}.", path=train.place, hint=hint)


def draw(train: Split, data: DataConfig, names: Sequence[str], *, standard: Mapping[str, str] | None = None) -> Drawing:
    """Draw the splits `names` ("test", "validation") from the sentences of `train`.

    standard: label -> standard spelling, for labels in other spellings. Raises UserError if there are too few
    sentences or documents.
    """
    check_installed("drawing sentences", "pyarrow", extra="arrow")
    fractions = {name: _fraction(data, name) for name in DRAWN if name in names}
    by, members, units = whole_units(train, data, len(fractions), standard or {})
    n_all = len(train)
    wanted = {name: max(1, round(n_all * fraction)) for name, fraction in fractions.items()}
    drawn = draw_parts(units, wanted, data.split_seed)
    masks = {name: np.isin(members, parts) for name, parts in drawn.items()}
    return Drawing(
        source=Path(train.place).name,
        seed=data.split_seed,
        by=by,
        fractions=fractions,
        sentences={name: _ranges(mask) for name, mask in masks.items()},
        n_repeated=_n_repeated(train, masks),
        n_all=n_all,
        hash=content_hash(train),
    )


def whole_units(
    train: Split, data: DataConfig, n_parts: int, standard: Mapping[str, str]
) -> tuple[UnitName, np.ndarray, list[Unit]]:
    """What stays whole when `n_parts` parts are drawn: its name, the unit of each sentence (from 0), and the units.

    standard: label -> standard spelling. Raises UserError if there are too few units.
    """
    by, members = _members(train, data, n_parts)
    counts = type_counts(train, members, standard)
    return by, members, [Unit(int(size), count) for size, count in zip(np.bincount(members), counts)]


def _fraction(data: DataConfig, name: str) -> float:
    fraction: float = getattr(data, f"{name}_fraction")
    return fraction


def _members(train: Split, data: DataConfig, n_parts: int) -> tuple[UnitName, np.ndarray]:
    """What stays whole, and the unit (from 0) to which each sentence belongs."""
    documents = None if data.split_by == "sentence" else documents_of(train)
    hint = "Draw single sentences with --set data.split_by=sentence."
    if documents is not None:
        n_documents = len(np.unique(documents))
        if n_documents > n_parts:
            return "document", documents
        problem = f"{counted(n_documents, 'document')} cannot be divided into {n_parts + 1} splits"
        if data.split_by == "document":
            raise UserError(f"{problem}.", path=train.place, hint=hint)
        log.warning("%s: %s, so single sentences are drawn.", train.place, problem)
    elif data.split_by == "document":
        raise UserError("the data does not say which document a sentence belongs to.", path=train.place, hint=hint)
    if len(train) <= n_parts:
        problem = f"{counted(len(train), 'sentence')} cannot be divided into {n_parts + 1} splits."
        hint = "Add sentences, or name the other splits with --set data.validation_file=FILE --set data.test_file=FILE."
        raise UserError(problem, path=train.place, hint=hint)
    equal = numbered(digests(train))
    # With hardly any different sentences, equal ones have to be divided.
    return "sentence", equal if len(np.unique(equal)) > n_parts else np.arange(len(train))


def documents_of(train: Split) -> np.ndarray | None:
    """The document of each sentence, as numbers from 0. None if no sentence has a document.

    The sentences before the first document of a file are a document, because files often mark only borders between
    documents. Any other sentence without a document is a document of its own.
    """
    names = train.table.column("document").to_pylist()
    if not any(name is not None for name in names):
        return None
    paths = train.table.column("path").to_pylist()
    begun: set[str | None] = set()

    def keys() -> Iterator[Hashable]:
        for i, (path, name) in enumerate(zip(paths, names)):
            if name is not None:
                begun.add(path)
            yield i if name is None and path in begun else (path, name)

    return numbered(keys())


def numbered(keys: Iterable[Hashable]) -> np.ndarray:
    """Number equal keys alike, from 0 in the order of their first occurrence."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def digests(train: Split) -> Iterator[bytes]:
    """A hash of the words of each sentence."""
    for batch in train.table.select(["words"]).to_batches():
        for words in batch.column("words").to_pylist():
            yield hashlib.blake2b("\0".join(words or ()).encode(), digest_size=16).digest()


def type_counts(train: Split, members: np.ndarray, standard: Mapping[str, str]) -> list[Counter[str]]:
    """The number of spans of each type in each unit. For labels without prefixes, the number of words."""
    counts: list[Counter[str]] = [Counter() for _ in range(int(members.max()) + 1)]
    if not train.has_labels:
        return counts
    # For each label its type, and whether it always begins a span. Words outside of spans are left out.
    known: dict[str, tuple[str, bool]] = {}
    for label in train.label_counts():
        prefix, type = split_label(standard.get(label, label))
        if prefix != OUTSIDE_LABEL:
            known[label] = (type, not prefix or ROLE_BY_PREFIX[prefix] in STARTING_ROLES)
    for unit, labels in zip(members.tolist(), train.label_sequences()):
        before = None
        for label in labels:
            if (found := known.get(label)) is None:
                before = None
                continue
            type, begins = found
            if begins or type != before:
                counts[unit][type] += 1
            before = type
    return counts


def _n_repeated(train: Split, masks: Mapping[str, np.ndarray]) -> dict[str, int]:
    words = numbered(digests(train))
    rest = ~np.logical_or.reduce(list(masks.values()))
    left = np.unique(words[rest])
    return {name: int(np.isin(words[mask], left).sum()) for name, mask in masks.items()}


def _parts(train: Split, masks: Mapping[str, np.ndarray], cache: Cache) -> dict[str, Split]:
    """masks: part -> (sentences,) whether a sentence is in it. All other sentences are left for training."""
    rest = ~np.logical_or.reduce(list(masks.values()))
    return {name: marked_sentences(train, name, mask, cache) for name, mask in {"train": rest, **masks}.items()}


def marked_sentences(train: Split, name: str, mask: np.ndarray, cache: Cache) -> Split:
    """The sentences with True in `mask`, (sentences,), as a split called `name`."""

    def change(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        return chosen_rows(batch, mask[first : first + batch.num_rows])

    chosen = hashlib.blake2b(np.packbits(mask).tobytes(), digest_size=16).hexdigest()
    return replace(transformed(train, f"{name}: sentences {chosen}", change, cache=cache), name=name)


def _ranges(mask: np.ndarray) -> str:
    """The numbers of the marked sentences, from 1.

    >>> _ranges(np.array([False, True, True, False, True]))
    '2-3, 5'
    """
    borders = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).tolist()
    pairs = zip(borders[::2], borders[1::2])
    return ", ".join(f"{first + 1}" if last == first + 1 else f"{first + 1}-{last}" for first, last in pairs)


def _parsed(text: str) -> list[tuple[int, int]]:
    """The first and the last number of each range. Raises ValueError for other texts.

    >>> _parsed("2-3, 5")
    [(2, 3), (5, 5)]
    """
    matches = [_RANGE.fullmatch(part) for part in text.split(", ")]
    if not all(matches):
        raise ValueError("it contains numbers of sentences that cannot be read")
    return [(int(found[1]), int(found[2] or found[1])) for found in matches if found]


def _mask(text: str, n_all: int) -> np.ndarray:
    mask = np.zeros(n_all, bool)
    for first, last in _parsed(text):
        mask[first - 1 : last] = True
    return mask


def percent_text(share: float) -> str:
    """
    >>> percent_text(0.1), percent_text(0.125), percent_text(1 / 3)
    ('10 %', '12.5 %', '33.3 %')
    """
    return f"{round(100 * share, 1):g} %"
