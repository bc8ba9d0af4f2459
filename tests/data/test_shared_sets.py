"""Schemes and spans of real data sets (if they are beside the checkout), and of small similar files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import Splits, load_splits
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.spans import spans_of
from tf_tokclf.labels.validation import violations

HIPE = "hipe2022_ajmc/en/HIPE-2022-v2.1-ajmc-train-en.tsv"


def load(path: Path, **options: object) -> Splits:
    data = DataConfig(train_file=str(path), **options)
    return load_splits(data, task=Task.NER, draw=False)


def n_spans(splits: Splits, scheme: Scheme) -> int:
    return sum(len(spans_of(labels, scheme)) for labels in splits.train.label_sequences())


# The other sets are in test_shared_data.py.
@pytest.mark.parametrize(
    ("path", "options", "scheme", "n"),
    [
        ("germeval2014/NER-de-dev.tsv", {"label_column_name": 2}, Scheme.IOB2, 2674),
        ("germeval2014/NER-de-dev.tsv", {"label_column_name": 3}, Scheme.IOB2, 212),
        (HIPE, {"label_column_name": "NE-COARSE-LIT"}, Scheme.IOB2, 1823),
        ("litbank/entities/tsv", {"label_column_name": 1}, Scheme.IOB2, 11989),
    ],
)
def test_columns_of_shared_sets_can_be_chosen(shared_data, path, options, scheme, n):
    splits = load(shared_data / path, **options)
    assert splits.scheme is scheme
    assert n_spans(splits, scheme) == n
    assert not any(violations(labels, scheme) for labels in splits.train.label_sequences())


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
