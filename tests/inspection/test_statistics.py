"""Statistics of a split in words and in subword tokens; hashes of sequences of words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.config.schema import AlignmentConfig, DataConfig, Task
from tf_tokclf.data.splits import Splits, load_splits
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import WindowSettings
from tf_tokclf.inspection.hashed_split import RunHashes, code_split
from tf_tokclf.inspection.label_variation import ambiguous_forms
from tf_tokclf.inspection.statistics import Lengths, piece_statistics, split_statistics

ROWS = [
    ("Ada Lovelace saw Ada", "B-PER I-PER O B-PER"),
    ("rain", "O"),
    ("Ada Lovelace saw Ada", "B-PER I-PER O B-PER"),
    ("to Rome and Paris", "O B-LOC O B-LOC"),
]


@pytest.fixture
def splits(tmp_path) -> Splits:
    path = tmp_path / "train.jsonl"
    rows = ({"tokens": words.split(), "tags": labels.split()} for words, labels in ROWS)
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return load_splits(DataConfig(train_file=str(path)), task=Task.NER, draw=False)


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A WordPiece tokenizer with a small vocabulary and windows of six tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Ada", "Love", "##lace", "saw", "to", "Rome", "and"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace("rain", "")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=6, **special)
    folder = tmp_path / "model"
    fast.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 6}))
    return folder


def test_a_split_in_numbers(splits):
    numbers = split_statistics(code_split(splits.train, splits.labels), splits.labels)
    assert (numbers.n_sentences, numbers.n_distinct_sentences) == (4, 3)
    assert (numbers.n_words, numbers.n_distinct_words) == (13, 8)
    assert numbers.labels == {"O": 5, "B-LOC": 2, "B-PER": 4, "I-PER": 2}
    assert numbers.spans == {"LOC": 2, "PER": 4}
    assert numbers.span_lengths == {1: 4, 2: 2}
    assert numbers.lengths.longest == 4


def test_a_split_in_pieces(splits, tokenizer_folder):
    tokenizer = load_tokenizer(tokenizer_folder)
    reading = WindowSettings.of(AlignmentConfig(max_length=6, overlap=1), tokenizer_folder, tokenizer)
    numbers = piece_statistics(splits.train, tokenizer, reading)
    # Ada Love ##lace saw Ada, twice; none for rain; to Rome and [UNK].
    assert (numbers.n_pieces, numbers.n_unknown) == (14, 1)
    assert numbers.words_without == {"rain": 1}
    assert (numbers.n_long, numbers.n_windows) == (2, 6)
    assert numbers.unknown_rate == 1 / 14
    assert numbers.per_word(13) == 14 / 13


def test_forms_with_several_types_are_listed_by_frequency(tmp_path):
    rows = [("Rome won", "B-ORG O"), *[("in Rome and Bonn", "O B-LOC O B-LOC")] * 2, ("Bonn", "B-ORG")]
    path = tmp_path / "forms.jsonl"
    path.write_text("\n".join(json.dumps({"tokens": words.split(), "tags": labels.split()}) for words, labels in rows))
    splits = load_splits(DataConfig(train_file=str(path)), task=Task.NER, draw=False)
    forms = ambiguous_forms([code_split(splits.train, splits.labels)], splits.labels)
    assert [form.types for form in forms] == [{"LOC": 2, "ORG": 1}, {"LOC": 2, "ORG": 1}]
    assert [(form.place.start, form.place.end) for form in forms] == [(0, 1), (5, 6)]


@given(st.lists(st.integers(0, 3000), max_size=30))
def test_a_histogram_counts_everything_once_and_in_its_bin(values):
    lengths = Lengths.of(np.array(values, np.int64))
    assert sum(n for _, _, n in lengths.histogram) == len(values)
    for low, high, n in lengths.histogram:
        assert sum(low <= value <= high for value in values) == n


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.data())
def test_runs_have_equal_hashes_exactly_when_they_are_equal(values, data):
    places = st.integers(0, len(values))
    (a, b), (c, d) = (sorted(data.draw(st.tuples(places, places))) for _ in range(2))
    hashes = RunHashes(np.array(values, np.uint64)).of(np.array([a, c]), np.array([b, d]))
    assert (hashes[0] == hashes[1]) == (values[a:b] == values[c:d])
