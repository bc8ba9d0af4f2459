"""Labels of words to labels of pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.config.schema import AlignmentConfig, DataConfig, Task
from tf_tokclf.data.encoding import Encoder, Reading, encode_split, piece_labels
from tf_tokclf.data.labels import LabelSet
from tf_tokclf.data.schemes import Scheme
from tf_tokclf.data.splits import cache_folder, load_splits
from tf_tokclf.data.tokenizers import load_tokenizer
from tf_tokclf.errors import UserError

# Ordered so that B- labels have even ids here and odd ones there: parity tells nothing.
LABELS = LabelSet(("B-LOC", "O", "I-LOC", "I-PER", "B-PER"), Scheme.IOB2)
# "ada" and "london" are one piece each; the others fall into letters; a zero-width space has none.
WORDS = [("ada", "xyz", "\u200b", "london")]
WORD_LABELS = [("B-PER", "B-LOC", "O", "I-LOC")]


def reading(strategy: str = "first", **options: int) -> Reading:
    return Reading(strategy, **{"max_length": 32, "overlap": 4, **options})


def labels_for(folder: Path, strategy: str) -> list[str | None]:
    encoder = Encoder(load_tokenizer(folder), reading(strategy))
    ids = piece_labels(encoder.windows(WORDS), WORD_LABELS, LABELS, strategy)
    return [None if i < 0 else LABELS.names[i] for i in ids]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("first", [None, "B-PER", "B-LOC", None, None, "I-LOC", None]),
        ("all", [None, "B-PER", "B-LOC", "I-LOC", "I-LOC", "I-LOC", None]),
        ("all-same", [None, "B-PER", "B-LOC", "B-LOC", "B-LOC", "I-LOC", None]),
    ],
)
def test_strategies_label_pieces(tiny_bert: Path, strategy: str, expected: list[str | None]):
    assert labels_for(tiny_bert, strategy) == expected


def test_a_word_without_a_piece_has_none_and_the_others_keep_their_numbers(tiny_bert: Path):
    windows = Encoder(load_tokenizer(tiny_bert), reading()).windows(WORDS)
    assert windows.n_pieces.tolist() == [1, 3, 0, 1]
    assert windows.word.tolist() == [-1, 0, 1, 1, 1, 3, -1]


def test_a_long_sentence_scores_each_word_in_one_window(tiny_bert: Path):
    encoder = Encoder(load_tokenizer(tiny_bert), reading(max_length=8, overlap=2))
    windows = encoder.windows([("ada", "visited", "london") * 5])
    assert len(windows) > 2
    assert windows.lengths.max() <= 8
    assert sorted(windows.word[windows.word >= 0]) == list(range(15))


def test_a_word_of_more_pieces_than_a_window_is_still_scored(tiny_bert: Path):
    encoder = Encoder(load_tokenizer(tiny_bert), reading(max_length=8, overlap=2))
    windows = encoder.windows([("ada", "x" * 30, "london")])
    assert set(windows.word[windows.word >= 0]) == {0, 1, 2}
    assert windows.lengths.max() == 8


def test_rows_can_be_chosen(tiny_bert: Path):
    encoder = Encoder(load_tokenizer(tiny_bert), reading())
    windows = encoder.windows([("ada",), ("xyz", "london"), ("paris",)])
    chosen = windows.rows(np.array([False, True, True]))
    assert chosen.sentence.tolist() == [1, 2]
    assert chosen.input_ids.tolist() == encoder.windows([("xyz", "london"), ("paris",)]).input_ids.tolist()


def test_a_length_beyond_the_model_is_refused(tiny_bert: Path):
    with pytest.raises(UserError, match=r"more than the model reads at once\. Give at most 64"):
        Reading.of(AlignmentConfig(max_length=65), tiny_bert, load_tokenizer(tiny_bert))


def test_the_limit_of_offset_positions_is_respected(tiny_roberta: Path):
    assert Reading.of(AlignmentConfig(), tiny_roberta, load_tokenizer(tiny_roberta)).max_length == 62


def test_two_runs_may_encode_the_same_split_at_once(
    tiny_bert: Path, conll_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    splits = load_splits(DataConfig(**conll_files), task=Task.NER, seed=1)
    tokenizer, windows = load_tokenizer(tiny_bert), Encoder.windows

    def encoded() -> list[list[int]]:
        return encode_split(splits.train, splits.labels, tokenizer, reading())["input_ids"]

    def meanwhile(self: Encoder, *arguments: object) -> object:
        monkeypatch.setattr(Encoder, "windows", windows)
        others.append(encoded())
        return windows(self, *arguments)

    others: list[list[list[int]]] = []
    monkeypatch.setattr(Encoder, "windows", meanwhile)
    assert encoded() == others[0]
    assert not list(cache_folder().rglob("*.partial"))
