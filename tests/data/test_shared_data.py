"""The real data sets load with the counts stated in their READMEs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from tests.requirements import need
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import Split, Splits, load_splits
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.spans import convert_labels, spans_of
from tf_tokclf.labels.validation import violations


@dataclass(frozen=True)
class Set:
    """A data set: its place, how it is read, and per split: sentences, words, spans, types, longest sentence."""

    scheme: Scheme
    counts: dict[str, tuple[int, int, int, int, int]]
    files: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    task: Task = Task.NER
    options: dict[str, object] = field(default_factory=dict)


WNUT = {
    "train": "wnut17/wnut17train.conll",
    "validation": "wnut17/emerging.dev.conll",
    "test": "wnut17/emerging.test.annotated",
}
GERMEVAL = {"validation": "germeval2014/NER-de-dev.tsv", "test": "germeval2014/NER-de-test.tsv"}
NCBI = {
    "train": (5424, 135701, 5134, 1, 123),
    "validation": (923, 23969, 787, 1, 86),
    "test": (940, 24497, 960, 1, 106),
}
SETS = {
    "wnut17": Set(
        Scheme.IOB2,
        {
            "train": (3394, 62730, 1975, 6, 41),
            "validation": (1009, 15733, 836, 6, 82),
            "test": (1287, 23394, 1079, 6, 105),
        },
        WNUT,
    ),
    "snips": Set(
        Scheme.IOB2,
        {
            "train": (13084, 117700, 33958, 39, 35),
            "validation": (700, 6384, 1794, 39, 22),
            "test": (700, 6354, 1790, 39, 24),
        },
        folder="snips",
        task=Task.SLOTS,
    ),
    "ncbi IOB2": Set(Scheme.IOB2, NCBI, folder="ncbi_disease/IOB"),
    "ncbi BIOES": Set(Scheme.BIOES, NCBI, folder="ncbi_disease/IOBES"),
    "wikigold": Set(Scheme.IO, {"train": (1696, 39007, 3558, 4, 144)}, {"train": "wikigold/wikigold.conll.txt"}),
    "germeval outer": Set(
        Scheme.IOB2,
        {"validation": (2200, 41653, 2674, 12, 50), "test": (5100, 96499, 6178, 12, 51)},
        GERMEVAL,
    ),
    "germeval inner": Set(
        Scheme.IOB2,
        {"validation": (2200, 41653, 212, 9, 50), "test": (5100, 96499, 515, 11, 51)},
        GERMEVAL,
        options={"layer": 1},
    ),
    "hipe": Set(
        Scheme.IOB2,
        {
            "train": (60, 30932, 1823, 6, 767),
            "validation": (14, 6506, 416, 5, 697),
            "test": (13, 6052, 348, 5, 791),
        },
        folder="hipe2022_ajmc/en",
    ),
    "litbank": Set(Scheme.IOB2, {"train": (8562, 210532, 11989, 6, 307)}, {"train": "litbank/entities/tsv"}),
    "thai": Set(Scheme.IOB2, {"train": (6348, 251789, 17663, 14, 294)}, {"train": "thai_ner/data.conll"}),
    "ud upos": Set(
        Scheme.NONE,
        {
            "train": (1856, 16879, 0, 16, 48),
            "validation": (232, 2167, 0, 16, 47),
            "test": (232, 2266, 0, 16, 60),
        },
        folder="ud_english_eslspok",
        task=Task.POS,
    ),
    "ud xpos": Set(
        Scheme.NONE,
        {
            "train": (1856, 16879, 0, 39, 48),
            "validation": (232, 2167, 0, 35, 47),
            "test": (232, 2266, 0, 36, 60),
        },
        folder="ud_english_eslspok",
        task=Task.POS,
        options={"label_column_name": "xpos"},
    ),
}


def load(shared_data: Path, name: str) -> Splits:
    wanted = SETS[name]
    missing = [path for path in (*wanted.files.values(), wanted.folder) if not (shared_data / path).exists()]
    need(", ".join(missing), not missing, f"it should be in {shared_data}")
    files = {f"{split}_file": str(shared_data / path) for split, path in wanted.files.items()}
    folder = {"dataset_name": str(shared_data / wanted.folder)} if wanted.folder else {}
    # Without the cache, which ends with the test.
    data = DataConfig(**files, **folder, **wanted.options, use_cache=False)
    return load_splits(data, task=wanted.task, required=tuple(wanted.counts), draw=False)


@pytest.fixture(scope="module")
def loaded(shared_data: Path) -> Callable[[str], Splits]:
    """The splits of a set, which are read once."""
    return cache(lambda name: load(shared_data, name))


def counts_of(split: Split, scheme: Scheme) -> tuple[int, int, int, int, int]:
    lengths = [len(labels) for labels in split.label_sequences()]
    if scheme is Scheme.NONE:
        return len(split), split.n_words, 0, len(split.label_counts()), max(lengths)
    spans = [span for labels in split.label_sequences() for span in spans_of(labels, scheme)]
    return len(split), split.n_words, len(spans), len({span.type for span in spans}), max(lengths)


@pytest.mark.parametrize("name", SETS)
def test_a_shared_set_has_the_counts_of_its_readme(loaded, name):
    splits = loaded(name)
    assert splits.scheme is SETS[name].scheme
    assert {split.name: counts_of(split, splits.scheme) for split in splits} == SETS[name].counts
    assert not any(violations(labels, splits.scheme) for split in splits for labels in split.label_sequences())


def test_wikigold_reads_alike_as_io_and_iob1(loaded):
    splits = loaded("wikigold")
    assert counts_of(splits.train, Scheme.IOB1) == SETS["wikigold"].counts["train"]
    assert "IOB1 fits equally well" in str(splits.detection)


def test_both_schemes_of_ncbi_disease_mean_the_same_spans(loaded):
    one, other = loaded("ncbi IOB2"), loaded("ncbi BIOES")
    for name in ("train", "validation", "test"):
        for a, b in zip(one[name], other[name], strict=True):
            assert a.words == b.words
            assert spans_of(a.labels, one.scheme) == spans_of(b.labels, other.scheme)
            assert convert_labels(a.labels, one.scheme, other.scheme) == list(b.labels)


def test_documents_are_known(loaded):
    def n_documents(name: str, split: str) -> int:
        return len({sentence.document for sentence in loaded(name)[split]})

    assert n_documents("wikigold", "train") == 145
    assert n_documents("litbank", "train") == 100
    assert n_documents("hipe", "train") == 59  # two documents share an id


def test_brat_files_of_litbank_hold_the_outer_spans_of_its_columns(shared_data):
    folder = shared_data / "litbank/entities/brat"
    need(str(folder), folder.exists(), "it is one of the shared data sets")
    data = DataConfig(train_file=str(folder), span_policy="expand")
    splits = load_splits(data, task=Task.NER, draw=False)
    n_sentences, _, n_spans, n_types, _ = counts_of(splits.train, splits.scheme)
    assert (n_sentences, n_types) == (8562, 6)
    dropped = next(int(note.split()[1].replace(",", "")) for note in splits.notes if "overlap" in note)
    n_given = sum(len(ann.read_text(encoding="utf-8").splitlines()) for ann in folder.glob("*.ann"))
    assert n_spans + dropped == n_given
    assert "train: 10 spans expanded to whole words" in splits.notes
