"""Folds: each sentence is in one of them, and documents and equal sentences stay whole."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.folds import draw_folds
from tf_tokclf.data.split_cache import Split
from tf_tokclf.data.splits import load_split
from tf_tokclf.errors import UserError


def split_of(path: Path, records: list[dict[str, object]]) -> Split:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return load_split(str(path), DataConfig(scheme="IOB2"))


def records(n: int, n_documents: int | None = None) -> list[dict[str, object]]:
    """Every third sentence has a rare type. Each sentence occurs twice if there are no documents."""
    made: list[dict[str, object]] = []
    for i in range(n):
        type_ = "RARE" if i % 6 in (0, 1) else "COMMON"
        words = [f"w{i if n_documents else i // 2}", "x"]
        document = {"document": f"d{i % n_documents}"} if n_documents else {}
        made.append({"tokens": words, "ner_tags": [f"B-{type_}", "O"], **document})
    return made


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_have_their_share_of_sentences_and_types(tmp_path: Path, n_folds: int):
    split = split_of(tmp_path / "data.jsonl", records(120))
    folds = draw_folds(split, n_folds, DataConfig())
    assert set(folds.tolist()) == set(range(n_folds))
    by_fold: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for fold, sentence in zip(folds.tolist(), split):
        by_fold[fold][(sentence.labels or ("",))[0]] += 1
    for counts in by_fold.values():
        assert abs(counts.total() - 120 / n_folds) <= 2
        assert abs(counts["B-RARE"] - 40 / n_folds) <= 2
    # Sentences with the same words are next to each other.
    assert (folds[::2] == folds[1::2]).all()
    assert np.array_equal(folds, draw_folds(split, n_folds, DataConfig()))
    assert not np.array_equal(folds, draw_folds(split, n_folds, DataConfig(split_seed=1)))


def test_documents_stay_whole(tmp_path: Path):
    split = split_of(tmp_path / "data.jsonl", records(60, n_documents=6))
    folds = draw_folds(split, 3, DataConfig())
    for document in range(6):
        assert len(set(folds[document::6].tolist())) == 1


def test_too_many_folds(tmp_path: Path):
    split = split_of(tmp_path / "data.jsonl", records(12, n_documents=3))
    with pytest.raises(UserError, match="3 documents cannot be divided into 4 folds"):
        draw_folds(split, 4, DataConfig())
    assert set(draw_folds(split, 4, DataConfig(split_by="sentence")).tolist()) == {0, 1, 2, 3}
    split = split_of(tmp_path / "other.jsonl", records(6))
    with pytest.raises(UserError, match="3 different sentences cannot be divided into 4 folds"):
        draw_folds(split, 4, DataConfig())
    with pytest.raises(UserError, match="does not say which document"):
        draw_folds(split, 2, DataConfig(split_by="document"))
