"""Shares of the training data: the setting `data.train_fraction`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.data.test_drawing import documents_of, load, words
from tf_tokclf.data.splits import Splits
from tf_tokclf.errors import UserError
from tf_tokclf.labels.spans import spans_of

SHARES = (0.1, 0.25, 0.5, 0.8)


def sentences_of(path: Path, n: int) -> Path:
    """A CoNLL file of different sentences: every tenth has a span of the type RARE, and every second one of PER."""
    lines = []
    for i in range(n):
        label = "B-RARE" if i % 10 == 0 else "B-PER" if i % 2 else "O"
        lines.append(f"w{i}\t{label}\nsleeps\tO\n\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def types_of(splits: Splits) -> Counter[str]:
    return Counter(span.type for one in splits.train for span in spans_of(one.labels, splits.scheme))


@pytest.mark.parametrize("seed", [0, 7])
def test_each_share_contains_the_smaller_ones_and_the_other_splits_stay_the_same(tmp_path: Path, seed: int):
    path = sentences_of(tmp_path / "all.conll", 200)
    whole = load(path, test_fraction=0.2)
    before: set = set()
    for share in SHARES:
        splits = load(path, test_fraction=0.2, train_fraction=share, train_fraction_seed=seed)
        assert words(splits.validation) == words(whole.validation)
        assert words(splits.test) == words(whole.test)
        assert len(splits.train) == round(share * len(whole.train))
        now = set(words(splits.train))
        assert before < now < set(words(whole.train))
        # The order is that of the file.
        assert words(splits.train) == [one for one in words(whole.train) if one in now]
        assert abs(types_of(splits)["RARE"] - share * types_of(whole)["RARE"]) <= 1
        assert abs(types_of(splits)["PER"] - share * types_of(whole)["PER"]) <= 2
        before = now


def test_the_share_of_all_sentences_is_the_whole_training_data(tmp_path: Path):
    path = sentences_of(tmp_path / "all.conll", 30)
    whole, same = load(path), load(path, train_fraction=1.0, train_fraction_seed=3)
    assert words(same.train) == words(whole.train)
    assert same.train.fingerprint == whole.train.fingerprint


def test_documents_stay_whole_in_a_share(tmp_path: Path):
    path = documents_of(tmp_path / "all.conll", [3, 5, 2, 4] * 10)
    splits = load(path, train_fraction=0.3)
    whole = load(path)
    complete = Counter(first for first, _ in words(whole.train))
    drawn = Counter(first for first, _ in words(splits.train))
    assert all(complete[document] == n for document, n in drawn.items())
    assert any("drawn by document, seed 42" in note for note in splits.notes)
    single = load(path, train_fraction=0.3, split_by="sentence")
    assert any("drawn by sentence" in note for note in single.notes)


def test_equal_sentences_are_in_a_share_together(tmp_path: Path):
    path = tmp_path / "all.conll"
    path.write_text("".join(f"Ada{i // 2}\tB-PER\n\n" for i in range(60)), encoding="utf-8")
    validation = sentences_of(tmp_path / "validation.conll", 5)
    counts = Counter(words(load(path, validation_file=str(validation), train_fraction=0.3).train))
    assert set(counts.values()) == {2}
    assert len(counts) == 9


def test_the_first_sentences_are_taken_before_the_share(tmp_path: Path):
    path = sentences_of(tmp_path / "all.conll", 100)
    validation = sentences_of(tmp_path / "validation.conll", 5)
    splits = load(path, validation_file=str(validation), max_train_samples=20, train_fraction=0.5)
    assert len(splits.train) == 10
    assert {int(first[1:]) for first, _ in words(splits.train)} <= set(range(20))


def test_labels_that_a_share_lacks_are_not_trained(tmp_path: Path):
    """As for a user who has labelled that much."""
    path = tmp_path / "all.conll"
    text = "".join(f"w{i}\tB-PER\n\n" for i in range(40)) + "".join(f"x{i}\tB-T{i}\n\n" for i in range(10))
    path.write_text(text, encoding="utf-8")
    validation = sentences_of(tmp_path / "validation.conll", 5)
    splits = load(path, validation_file=str(validation), train_fraction=0.1)
    assert len(splits.train) == 5
    assert set(splits.trained_labels.names) - {"O"} == {f"B-{type_}" for type_ in types_of(splits)}


def test_a_share_of_less_than_a_sentence_is_refused(tmp_path: Path):
    path = sentences_of(tmp_path / "all.conll", 30)
    with pytest.raises(UserError, match=r"1 % of 27 training sentences is less than one sentence\. Choose a larger"):
        load(path, train_fraction=0.01)
