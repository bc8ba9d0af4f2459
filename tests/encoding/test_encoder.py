"""Windows of sentences, and the labels of subword tokens."""

from __future__ import annotations

import json
import logging
import random
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from tests.values import check_values
from tf_tokclf.config.schema import AlignmentConfig, DataConfig, Task
from tf_tokclf.data.cache import Cache, cache_folder
from tf_tokclf.data.splits import load_splits
from tf_tokclf.encoding.encoded_split import encode_split, sentence_batches
from tf_tokclf.encoding.encoder import Encoder, Windows, first_piece_mask, piece_labels
from tf_tokclf.encoding.tokenizers import load_tokenizer, special_pieces
from tf_tokclf.encoding.windows import WindowSettings, plan_windows
from tf_tokclf.errors import UserError
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme

# The B- labels have even ids here and odd ids there, so that the code cannot rely on parity.
LABELS = LabelSet(("B-LOC", "O", "I-LOC", "I-PER", "B-PER"), Scheme.IOB2)
# "ada" and "london" are one token each, other words are split into letters, and a zero-width space has no token.
WORDS = [("ada", "xyz", "\u200b", "london")]
WORD_LABELS = [("B-PER", "B-LOC", "O", "I-LOC")]


def reading(strategy: str = "first", **options: int) -> WindowSettings:
    return WindowSettings(strategy, **{"max_length": 32, "overlap": 4, **options})


def anew() -> Cache:
    """A cache that never returns an entry."""
    return Cache.of(DataConfig(use_cache=False))


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
        WindowSettings.of(AlignmentConfig(max_length=65), tiny_bert, load_tokenizer(tiny_bert))


def test_the_limit_of_offset_positions_is_respected(tiny_roberta: Path):
    assert WindowSettings.of(AlignmentConfig(), tiny_roberta, load_tokenizer(tiny_roberta)).max_length == 62


def test_two_runs_may_encode_the_same_split_at_once(
    tiny_bert: Path, conll_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    splits = load_splits(DataConfig(**conll_files), task=Task.NER)
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


def test_values():
    check_values(WindowSettings)
    check_values(Windows)
    assert WindowSettings("first", 8, 2) == WindowSettings("first", 8, 2, truncate=False, context_sentences=0)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, WindowSettings("first", 64, 15)),
        ({"max_length": 64}, WindowSettings("first", 64, 15)),
        ({"max_length": 8}, WindowSettings("first", 8, 1)),
        ({"max_length": 3}, WindowSettings("first", 3, 0)),
        ({"max_length": 64, "overlap": 61}, WindowSettings("first", 64, 61)),
        ({"strategy": "all", "truncate": True, "context_sentences": 2}, WindowSettings("all", 64, 15, True, 2)),
    ],
)
def test_open_ends_of_the_reading_are_filled(tiny_bert: Path, asked: dict[str, Any], expected: WindowSettings):
    assert WindowSettings.of(AlignmentConfig(**asked), tiny_bert, load_tokenizer(tiny_bert)) == expected


def test_an_overlap_that_was_asked_for_has_to_fit(tiny_bert: Path):
    for overlap in (6, 64):
        with pytest.raises(UserError, match=f"alignment.overlap {overlap} is too large for windows of 6"):
            WindowSettings.of(AlignmentConfig(max_length=8, overlap=overlap), tiny_bert, load_tokenizer(tiny_bert))
    for max_length in (1, 2):
        with pytest.raises(UserError, match=f"max_length {max_length} leaves no room for words beside 2"):
            WindowSettings.of(AlignmentConfig(max_length=max_length), tiny_bert, load_tokenizer(tiny_bert))


def test_windows_are_512_pieces_where_the_model_reads_more(tiny_bert: Path, tmp_path: Path):
    folder = tmp_path / "long"
    shutil.copytree(tiny_bert, folder)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        values = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**values, key: 2000}))
    tokenizer = load_tokenizer(folder)
    assert WindowSettings.of(AlignmentConfig(), folder, tokenizer) == WindowSettings("first", 512, 64)
    assert WindowSettings.of(AlignmentConfig(max_length=2000), folder, tokenizer).max_length == 2000


def test_a_message_about_a_length_is_whole(tiny_bert: Path):
    with pytest.raises(UserError) as error:
        WindowSettings.of(AlignmentConfig(max_length=65), tiny_bert, load_tokenizer(tiny_bert))
    assert str(error.value) == "alignment.max_length 65 is more than the model reads at once. Give at most 64."


VOCABULARY = ("ada", "xyz", "\u200b", "london", "visited", ".", "x" * 30, "rome")


def random_sentences(seed: int, n: int = 12, longest: int = 14) -> list[tuple[str, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.choices(VOCABULARY, k=rng.randint(0, longest))) for _ in range(n)]


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize(("truncate", "context"), [(False, 0), (True, 0), (False, 2)])
@pytest.mark.parametrize("with_documents", [False, True])
def test_rows_hold_the_pieces_of_their_plan(
    request: pytest.FixtureRequest, family: str, truncate: bool, context: int, with_documents: bool
):
    tokenizer = load_tokenizer(request.getfixturevalue(f"tiny_{family}"))
    sentences = random_sentences(3)
    documents = ["a", "a", None, None, "b", "b", "b", "b", "c", None, "d", "d"] if with_documents else None
    how = WindowSettings("first", 16, 3, truncate, context)
    windows = Encoder(tokenizer, how).windows(sentences, documents)

    before, after = special_pieces(tokenizer)
    capacity = 16 - len(before) - len(after)
    words = [word for sentence in sentences for word in sentence]
    pieces = [tokenizer([word], is_split_into_words=True, add_special_tokens=False)["input_ids"] for word in words]
    starts = np.cumsum([0, *map(len, sentences)])
    plan = plan_windows(
        np.array([len(p) for p in pieces]),
        starts,
        capacity=capacity,
        overlap=3,
        truncate=truncate,
        context_sentences=context,
        documents=np.array([d or "" for d in documents], dtype=object) if documents else None,
    )
    assert windows.sentence.tolist() == plan.sentence.tolist()
    assert windows.n_pieces.tolist() == [len(p) for p in pieces]
    for i, (sentence, first, last, own_first, own_last) in enumerate(
        zip(plan.sentence, plan.first, plan.last, plan.own_first, plan.own_last)
    ):
        flat = [(word, piece) for word in range(first, last) for piece in pieces[word]][:capacity]
        row = slice(windows.starts[i], windows.starts[i + 1])
        assert windows.input_ids[row].tolist() == [*before, *(piece for _, piece in flat), *after]
        inside = [word - starts[sentence] if own_first <= word < own_last else -1 for word, _ in flat]
        assert windows.word[row].tolist() == [*(-1 for _ in before), *inside, *(-1 for _ in after)]
    assert windows.lengths.tolist() == np.diff(windows.starts).tolist()
    assert len(windows) == len(plan.sentence)
    assert (windows.input_ids.dtype, windows.word.dtype) == (np.int32, np.int32)


def test_documents_of_other_names_are_others(tiny_bert: Path):
    encoder = Encoder(load_tokenizer(tiny_bert), reading(context_sentences=1))
    for names, shown in ((["a", "a"], 4), (["a", "b"], 3), (["a", "a\0"], 3), (["", None], 4), (None, 4)):
        assert encoder.windows([("ada",), ("rome",)], names).lengths.tolist() == [shown, shown]


def test_no_words_make_no_rows(tiny_bert: Path):
    for sentences in ([], [(), ()]):
        windows = Encoder(load_tokenizer(tiny_bert), reading(), n_embeddings=5).windows(sentences)
        assert (len(windows), windows.starts.tolist(), windows.input_ids.tolist()) == (0, [0], [])
        assert piece_labels(windows, sentences, LABELS, "all").tolist() == []


def test_a_piece_that_the_model_has_no_embedding_for_is_refused(tiny_bert: Path):
    tokenizer = load_tokenizer(tiny_bert)
    largest = max(Encoder(tokenizer, reading()).windows(WORDS).input_ids.tolist())
    assert len(Encoder(tokenizer, reading(), n_embeddings=largest + 1).windows(WORDS)) == 1
    with pytest.raises(UserError) as error:
        Encoder(tokenizer, reading(), n_embeddings=largest).windows(WORDS)
    assert str(error.value) == (
        f"the tokenizer returns the token id {largest}, but the model's vocabulary has {largest} tokens."
        " Tokenizer and weights belong to different models. Fetch or save the model again."
    )


def test_where_each_word_stands_in_its_row(tiny_bert: Path):
    sentences = [("ada", "xyz", "\u200b", "london"), (), ("rome",)]
    windows = Encoder(load_tokenizer(tiny_bert), reading()).windows(sentences)
    positions = windows.positions(np.array([0, 4, 4, 5]))
    assert positions.tolist() == [1, 2, -1, 5, 1]
    assert positions.dtype == np.int32
    chosen = windows.rows(np.array([False, True]))
    assert chosen.positions(np.array([0, 4, 4, 5])).tolist() == [-1, -1, -1, -1, 1]


def test_chosen_rows_are_whole(tiny_bert: Path):
    encoder = Encoder(load_tokenizer(tiny_bert), reading(max_length=8, overlap=2))
    windows = encoder.windows([("ada",), ("xyz", "london") * 3, ("paris",)])
    assert windows.rows(np.ones(len(windows), bool)) is windows
    for keep in (windows.sentence == 1, windows.sentence != 1, windows.sentence > 5):
        chosen = windows.rows(keep)
        kept = np.flatnonzero(keep)
        for column in ("input_ids", "word"):
            rows = np.split(getattr(windows, column), windows.starts[1:-1])
            assert getattr(chosen, column).tolist() == [x for i in kept for x in rows[i].tolist()]
        assert chosen.lengths.tolist() == windows.lengths[keep].tolist()
        assert (chosen.starts[0], chosen.starts[-1]) == (0, len(chosen.input_ids))
        assert chosen.sentence.tolist() == windows.sentence[keep].tolist()
        assert chosen.n_pieces is windows.n_pieces


@pytest.mark.parametrize("strategy", ["first", "all", "all-same"])
def test_words_without_a_label_are_not_trained_on(tiny_bert: Path, tmp_path: Path, strategy: str):
    (tmp_path / "a.conll").write_text("lovelace\tB-PER\nvisited\t-100\nnow\tO\n\nada\tB-PER\nleft\tO\n")
    data = DataConfig(train_file=str(tmp_path / "a.conll"))
    splits = load_splits(data, task=Task.NER, required=("train",), draw=False)
    tokenizer = load_tokenizer(tiny_bert)
    encoded = encode_split(splits.train, splits.labels, tokenizer, reading(strategy), cache=anew())
    windows = Encoder(tokenizer, reading(strategy)).windows([s.words for s in splits.train])
    scored = {(row, word) for row, word, label in _words_and_labels(windows, encoded["labels"]) if label >= 0}
    assert scored == {(0, 0), (0, 2), (1, 0), (1, 1)}


def _words_and_labels(windows: Windows, labels: list[list[int]]) -> list[tuple[int, int, int]]:
    rows = np.repeat(windows.sentence, windows.lengths).tolist()
    return list(zip(rows, windows.word.tolist(), [label for row in labels for label in row]))


@pytest.mark.parametrize(
    ("word", "starts", "expected"),
    [
        ([0, 0, 1], [0, 1, 3], [1, 1, 1]),
        ([1, 1, 2, 2, -1, 2], [0, 6], [1, 0, 1, 0, 0, 1]),
        ([1, 1], [0, 0, 2, 2], [1, 0]),
        ([], [0], []),
        ([], [0, 0], []),
    ],
)
def test_first_pieces_open_their_word_in_their_row(word, starts, expected):
    mask = first_piece_mask(np.array(word, np.int32), np.array(starts))
    assert mask.tolist() == [bool(x) for x in expected]


@pytest.mark.parametrize("strategy", ["first", "all", "all-same"])
def test_pieces_get_the_labels_of_their_words_in_each_window(tiny_bert: Path, strategy: str):
    sentences = random_sentences(8)
    rng = random.Random(1)
    labels = [tuple(rng.choices(LABELS.names, k=len(sentence))) for sentence in sentences]
    windows = Encoder(load_tokenizer(tiny_bert), reading(max_length=12, overlap=3, context_sentences=1)).windows(
        sentences
    )
    expected = []
    for i, sentence in enumerate(windows.sentence):
        before = -1
        for word in windows.word[windows.starts[i] : windows.starts[i + 1]].tolist():
            label = labels[sentence][word] if word >= 0 else None
            if label and word == before and strategy != "all-same":
                label = None if strategy == "first" else label.replace("B-", "I-")
            expected.append(-100 if label is None else LABELS.names.index(label))
            before = word
    found = piece_labels(windows, labels, LABELS, strategy)
    assert found.tolist() == expected
    assert found.dtype == np.int32


def test_a_split_is_encoded_the_same_in_any_batches(
    tiny_bert: Path, conll_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    splits = load_splits(DataConfig(**conll_files), task=Task.NER)
    tokenizer, how = load_tokenizer(tiny_bert), reading(max_length=32, context_sentences=2)
    whole = encode_split(splits.train, splits.labels, tokenizer, how, cache=anew())[:]
    assert whole["sentence"] == list(range(len(splits.train)))
    encoder = Encoder(tokenizer, how)
    windows = encoder.windows([s.words for s in splits.train])
    labels = piece_labels(windows, [s.labels for s in splits.train], splits.labels, "first")
    assert [x for row in whole["input_ids"] for x in row] == windows.input_ids.tolist()
    assert [x for row in whole["labels"] for x in row] == labels.tolist()
    assert [len(row) for row in whole["labels"]] == windows.lengths.tolist()
    monkeypatch.setattr("tf_tokclf.encoding.encoded_split.SENTENCES_AT_ONCE", 5)
    assert encode_split(splits.train, splits.labels, tokenizer, how, cache=anew())[:] == whole


def test_pieces_of_a_split_without_embeddings_are_refused(tiny_bert: Path, conll_files: dict[str, str]):
    splits = load_splits(DataConfig(**conll_files), task=Task.NER)
    with pytest.raises(UserError, match="the model's vocabulary has 6"):
        encode_split(splits.train, splits.labels, load_tokenizer(tiny_bert), reading(), cache=anew(), n_embeddings=6)


def test_several_special_pieces_stand_in_their_order(tiny_bert: Path):
    tokenizer = load_tokenizer(tiny_bert)
    special = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] [SEP] $A [SEP] [CLS]", pair="$A $B", special_tokens=special
    )
    sentences = [("ada", "left", "rome"), ("xyz",)]
    windows = Encoder(tokenizer, reading()).windows(sentences)
    expected = [tokenizer(list(words), is_split_into_words=True)["input_ids"] for words in sentences]
    assert [windows.input_ids[a:b].tolist() for a, b in pairwise(windows.starts)] == expected


def test_a_split_is_encoded_within_its_documents(tiny_bert: Path, tmp_path: Path):
    path = tmp_path / "documents.jsonl"
    rows = [("ada left", "one"), ("rome", "one"), ("paris", "two")]
    path.write_text(
        "".join(json.dumps({"text": text, "entities": [], "document": name}) + "\n" for text, name in rows),
        encoding="utf-8",
    )
    data = DataConfig(train_file=str(path), scheme="IOB2")
    splits = load_splits(data, task=Task.NER, draw=False)
    tokenizer = load_tokenizer(tiny_bert)
    found = encode_split(splits.train, splits.labels, tokenizer, reading(context_sentences=2), cache=anew())
    expected = ["ada left rome", "ada left rome", "paris"]
    assert found["input_ids"][:] == [tokenizer(text)["input_ids"] for text in expected]


def test_batches_of_sentences_know_which_of_them_are_context(
    conll_files: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    split = load_splits(DataConfig(**conll_files), task=Task.NER).test
    monkeypatch.setattr("tf_tokclf.encoding.encoded_split.SENTENCES_AT_ONCE", 3)
    words = [list(s.words) for s in split]
    assert len(words) == 8
    for margin, expected in (
        (0, [(0, 3, 0, 3), (3, 6, 0, 3), (6, 8, 0, 2)]),
        (2, [(0, 5, 0, 3), (1, 8, 2, 5), (4, 8, 2, 4)]),
    ):
        batches = [
            (start, start + len(rows["words"]), rows["begin"], rows["end"], rows["words"])
            for start, rows in sentence_batches(split, margin=margin)
        ]
        assert [batch[:4] for batch in batches] == expected
        assert [batch[4] for batch in batches] == [words[a:b] for a, b, _, _ in expected]
    assert [start for start, _ in sentence_batches(split)] == [0, 3, 6]


def test_what_was_encoded_is_taken_from_the_cache_while_nothing_changes(
    tiny_bert: Path, tiny_roberta: Path, conll_files: dict[str, str], caplog: pytest.LogCaptureFixture
):
    splits = load_splits(DataConfig(**conll_files), task=Task.NER)
    tokenizer = load_tokenizer(tiny_bert)
    caplog.set_level(logging.INFO, logger="tf_tokclf.encoding.encoded_split")

    def from_cache(**changes: Any) -> bool:
        caplog.clear()
        arguments = {
            "split": splits.train,
            "labels": splits.labels,
            "tokenizer": tokenizer,
            "reading": reading(),
            **changes,
        }
        encode_split(**arguments)
        said = [record.getMessage() for record in caplog.records if record.name == "tf_tokclf.encoding.encoded_split"]
        assert said in ([], [f"{arguments['split'].name} split: windows reused from the cache"])
        return bool(said)

    labels = splits.labels
    assert not from_cache()
    assert from_cache()
    assert not from_cache(cache=anew())
    assert from_cache(cache=Cache.of(DataConfig()))
    for change in (
        {"split": splits.test},
        {"labels": replace(labels, names=labels.names[::-1])},
        {"labels": replace(labels, scheme=Scheme.IOB1)},
        {"tokenizer": load_tokenizer(tiny_roberta)},
        {"reading": reading("all")},
        {"reading": reading(context_sentences=1)},
        {"n_embeddings": 1000},
    ):
        assert not from_cache(**change), change
        assert from_cache(**change), change
    (found,) = {path.parent.name for path in cache_folder().rglob("*.arrow")} - {"splits", "sentences", "derived"}
    assert found == "windows"
