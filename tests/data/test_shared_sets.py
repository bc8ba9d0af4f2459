"""Schemes and spans of real data sets (if they are beside the checkout), and of small similar files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import Splits, load_splits
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.spans import convert_labels, spans_of
from tf_tokclf.labels.validation import violations

HIPE = "hipe2022_ajmc/en/HIPE-2022-v2.1-ajmc-train-en.tsv"
UD = "ud_english_eslspok/en_eslspok-ud-train.conllu"
NCBI = "ncbi_disease/IOB/train.tsv"
NCBI_BIOES = "ncbi_disease/IOBES/train.tsv"


def load(path: Path, **options: object) -> Splits:
    data = DataConfig(train_file=str(path), **options)
    task = Task.POS if path.suffix == ".conllu" else Task.NER
    return load_splits(data, task=task, draw=False)


def n_spans(splits: Splits, scheme: Scheme) -> int:
    return sum(len(spans_of(labels, scheme)) for labels in splits.train.label_sequences())


@pytest.mark.parametrize(
    ("path", "options", "scheme", "n"),
    [
        ("wnut17/wnut17train.conll", {}, Scheme.IOB2, 1975),
        ("snips/train", {}, Scheme.IOB2, 33958),
        (NCBI, {}, Scheme.IOB2, 5134),
        (NCBI_BIOES, {}, Scheme.BIOES, 5134),
        (UD, {}, Scheme.NONE, 0),
        (UD, {"label_column_name": "xpos"}, Scheme.NONE, 0),
        ("wikigold/wikigold.conll.txt", {}, Scheme.IO, 3558),
        ("germeval2014/NER-de-dev.tsv", {"label_column_name": 2}, Scheme.IOB2, 2674),
        ("germeval2014/NER-de-dev.tsv", {"label_column_name": 3}, Scheme.IOB2, 212),
        (HIPE, {"label_column_name": "NE-COARSE-LIT"}, Scheme.IOB2, 1823),
        ("litbank/entities/tsv", {"label_column_name": 1}, Scheme.IOB2, 11989),
        ("thai_ner/data.conll", {}, Scheme.IOB2, 17663),
    ],
)
def test_shared_sets_have_the_scheme_and_the_spans_their_readme_says(shared_data, path, options, scheme, n):
    splits = load(shared_data / path, **options)
    assert splits.scheme is scheme
    assert n_spans(splits, scheme) == n
    assert not any(violations(labels, scheme) for labels in splits.train.label_sequences())


def test_wikigold_reads_alike_as_io_and_iob1(shared_data):
    splits = load(shared_data / "wikigold/wikigold.conll.txt")
    assert n_spans(splits, Scheme.IOB1) == 3558
    assert "IOB1 fits equally well" in str(splits.detection)


def test_ncbi_disease_has_equal_spans_in_both_its_schemes(shared_data):
    two, four = load(shared_data / NCBI), load(shared_data / NCBI_BIOES)
    for iob2, bioes in zip(two.train.label_sequences(), four.train.label_sequences(), strict=True):
        assert spans_of(iob2, Scheme.IOB2) == spans_of(bioes, Scheme.BIOES)
        assert convert_labels(iob2, Scheme.IOB2, Scheme.BIOES) == list(bioes)


SMALL = {
    "i_only.conll": ("Ada I-PER\nin O\nNew I-LOC\nYork I-LOC\n", Scheme.IO, 2),
    "touching.conll": ("Ada I-PER\nLise B-PER\ncame O\nRome I-LOC\n", Scheme.IOB1, 3),
    "two_letters.conll": ("Ada B-PER\nin O\nNew B-LOC\nYork I-LOC\n", Scheme.IOB2, 2),
    "four_letters.conll": ("Ada S-PER\nin O\nNew B-LOC\nYork E-LOC\n", Scheme.BIOES, 2),
    "last_and_unit.conll": ("Ada U-PER\nin O\nNew B-LOC\nYork L-LOC\n", Scheme.BILOU, 2),
    "raw_types.conll": ("Acme ORG\nin O\nRome OTHER\n", Scheme.NONE, 0),
    "events.conll": ("he O\nfell EVENT\n", Scheme.NONE, 0),
    "parts_of_speech.conll": ("he PRON\nfell VERB\n", Scheme.NONE, 0),
}


@pytest.mark.parametrize("name", SMALL)
def test_small_files_have_their_scheme_and_spans(tmp_path, name):
    text, scheme, n = SMALL[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    splits = load(tmp_path / name)
    assert (splits.scheme, n_spans(splits, scheme)) == (scheme, n)
