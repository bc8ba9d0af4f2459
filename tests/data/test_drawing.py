"""Validation and test sentences that are drawn from labelled files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.drawing import Drawing, _mask, _ranges, drawing_from_json
from tf_tokclf.data.splits import Splits, load_split, load_splits
from tf_tokclf.errors import UserError
from tf_tokclf.labels.spans import spans_of


def load(path: Path, **data: object) -> Splits:
    return load_splits(DataConfig(train_file=str(path), **data), task=Task.NER)


def words(split) -> list[tuple[str, ...]]:
    return [sentence.words for sentence in split]


def documents_of(path: Path, lengths: list[int]) -> Path:
    """A CoNLL file of documents with so many sentences; the words name the document."""
    text = ""
    for number, n in enumerate(lengths):
        text += "-DOCSTART-\tO\n\n" + "".join(f"d{number}\tB-PER\ns{i}\tO\n\n" for i in range(n))
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", range(3))
def test_documents_stay_whole(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, 60).tolist()
    path = documents_of(tmp_path / "all.conll", lengths)
    splits = load(path, test_fraction=0.2, split_seed=seed)
    owner = {}
    for split in splits:
        for first, _ in words(split):
            assert owner.setdefault(first, split.name) == split.name
    assert len(owner) == 60
    n_all = sum(lengths)
    assert sum(len(split) for split in splits) == n_all
    for split, share in ((splits.test, 0.2), (splits.validation, 0.1)):
        assert abs(len(split) - share * n_all) <= max(lengths) / 2 + 1
    assert splits.drawing.by == "document"
    single = load(path, split_by="sentence", split_seed=seed)
    assert len(single.validation) == round(0.1 * n_all)


def test_sentences_before_the_first_border_are_a_document(tmp_path: Path):
    path = documents_of(tmp_path / "all.conll", [4] * 10)
    path.write_text(path.read_text(encoding="utf-8").removeprefix("-DOCSTART-\tO\n\n"), encoding="utf-8")
    for seed in range(5):
        first = [{one for one, _ in words(split)} for split in load(path, test_fraction=0.2, split_seed=seed)]
        assert [len(names) for names in first] == [7, 1, 2]


def test_documents_of_json_records_and_conllu_stay_whole(tmp_path: Path):
    records = [
        {"tokens": [f"d{i % 10}", str(i)], "ner_tags": ["B-A", "O"], "document": f"d{i % 10}"} for i in range(50)
    ]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    blocks = [
        (f"# newdoc id = {i}\n" if i % 5 == 0 else "") + f"1\td{i // 5}\t_\tNOUN\t_\t_\t0\troot\t_\t_\n"
        f"2\t{i}\t_\tVERB\t_\t_\t1\tdep\t_\t_\n\n"
        for i in range(50)
    ]
    (tmp_path / "all.conllu").write_text("".join(blocks), encoding="utf-8")
    for name in ("all.jsonl", "all.conllu"):
        splits = load(tmp_path / name, test_fraction=0.2)
        first = [{one for one, _ in words(split)} for split in splits]
        assert [len(names) for names in first] == [7, 1, 2]
        assert len(set.union(*first)) == 10


def test_equal_sentences_stay_together(tmp_path: Path):
    path = tmp_path / "all.conll"
    path.write_text("".join(f"Ada{i // 2}\tB-PER\n\n" for i in range(60)), encoding="utf-8")
    splits = load(path, test_fraction=0.2)
    assert [len(split) for split in splits] == [42, 6, 12]
    parts = [set(words(split)) for split in splits]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 30
    assert not any("training sentences" in note for note in splits.notes)


def test_sentences_of_documents_that_are_repeated_in_training_are_counted(tmp_path: Path):
    path = tmp_path / "all.conll"
    text = "".join(f"-DOCSTART-\tO\n\nWeather\tO\n\nAda{i}\tB-PER\n\n" for i in range(10))
    path.write_text(text, encoding="utf-8")
    splits = load(path, test_fraction=0.2)
    assert "test: 2 of these sentences also occur in the training sentences, which can make scores too high" in (
        splits.notes
    )
    assert any(note.startswith("validation: 1 of these sentences also occurs") for note in splits.notes)


def test_rare_types_are_in_training_and_in_proportion(tmp_path: Path):
    """Also in a spelling that is not standard. Drawn at random, a type with 20 spans would often be missing."""
    path = tmp_path / "all.conll"
    types = ["TWICE"] * 2 + ["RARE"] * 20 + ["SOME"] * 100 + ["PER"] * 878
    order = np.random.default_rng(0).permutation(1000)
    path.write_text("".join(f"w{i}\t{types[i]}-B\nx\t{types[i]}-I\ny\tO\n\n" for i in order), encoding="utf-8")
    for seed in range(3):
        splits = load(path, test_fraction=0.1, split_seed=seed)
        counts = [
            Counter(span.type for sentence in split for span in spans_of(sentence.labels, splits.scheme))
            for split in splits
        ]
        assert counts[0]["TWICE"] > 0
        for found in counts[1:]:
            assert (found["RARE"], found["SOME"]) == (2, 10)
            assert sum(found.values()) == 100


def test_one_document_is_divided_by_sentences_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = documents_of(tmp_path / "all.conll", [30])
    splits = load(path, test_fraction=0.1)
    assert [len(split) for split in splits] == [24, 3, 3]
    assert "1 document cannot be divided into 3 splits, so single sentences are drawn" in caplog.text
    with pytest.raises(UserError, match="1 document cannot be divided into 3 splits") as error:
        load(path, test_fraction=0.1, split_by="document")
    assert "data.split_by=sentence" in str(error.value)


def test_few_long_documents_are_mentioned(tmp_path: Path):
    notes = load(documents_of(tmp_path / "all.conll", [30, 30, 30])).notes
    assert any("validation: this is 33.3 % of the sentences, because documents stay whole" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("Ada\tB-PER\n\nBob\tB-PER\n\n", {"test_fraction": 0.5}, "2 sentences cannot be divided into 3 splits"),
        ("Ada\tB-PER\n\n" * 9, {"split_by": "document"}, "does not say which document a sentence belongs to"),
    ],
)
def test_what_cannot_be_divided_is_told(tmp_path: Path, text: str, options: dict[str, object], message: str):
    (tmp_path / "all.conll").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load(tmp_path / "all.conll", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fraction": 0.9}, r"\(0.1 and 0.9\) leave no sentences for training"),
        ({"test_fraction": 0.1, "test_file": "b"}, "give test_file or test_fraction, not both"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        DataConfig(train_file="a", **options)


def test_with_validation_data_only_the_test_sentences_are_drawn(tmp_path: Path):
    path = documents_of(tmp_path / "all.conll", [2] * 10)
    splits = load(path, validation_file=str(path), test_fraction=0.95)
    assert [len(split) for split in splits] == [2, 20, 18]
    assert splits.drawing.names == ("test",)


def test_a_data_set_with_a_test_split_is_not_divided(tmp_path: Path):
    for name in ("train", "test"):
        documents_of(tmp_path / f"{name}.conll", [2] * 10)
    with pytest.raises(UserError, match=r"there already is a test split, so data\.test_fraction cannot be used"):
        load_splits(DataConfig(dataset_name=str(tmp_path), test_fraction=0.1), task=Task.NER)


def test_the_record_finds_the_sentences_again(tmp_path: Path):
    path = documents_of(tmp_path / "all.conll", [3] * 20)
    splits = load(path, test_fraction=0.2)
    record = drawing_from_json(json.loads(json.dumps(splits.drawing.to_json())))
    assert record == splits.drawing
    again = load_splits(DataConfig(train_file=str(path), test_fraction=0.2), task=Task.NER, drawn_before=record)
    assert [words(split) for split in again] == [words(split) for split in splits]
    other = load_split(str(documents_of(tmp_path / "other.conll", [3] * 19)), DataConfig())
    with pytest.raises(UserError, match="has changed from 60 sentences to 57"):
        record.parts(other, Cache.of(DataConfig()))


@given(st.lists(st.booleans(), min_size=1).filter(any))
def test_numbers_of_sentences_are_read_back(mask: list[bool]):
    text = _ranges(np.array(mask))
    assert _mask(text, len(mask)).tolist() == mask
    fields = {"source": "a", "seed": 1, "by": "sentence", "fractions": {"test": 0.1}, "n_repeated": {"test": 0}}
    record = {**fields, "sentences": {"test": text}, "n_all": len(mask), "hash": "", "version": 2}
    assert Drawing.from_json(record).sentences["test"] == text


@pytest.mark.parametrize(
    "changes", [{"n_all": "10"}, {"fractions": ["test"]}, {"fractions": {"test": "0.1"}}, {"by": 7}]
)
def test_a_damaged_record_is_refused(changes: dict[str, object], tmp_path: Path):
    path = documents_of(tmp_path / "all.conll", [3] * 20)
    record = json.loads(json.dumps(load(path, test_fraction=0.2).drawing.to_json()))
    assert isinstance(drawing_from_json(record), Drawing)
    with pytest.raises(ValueError):  # noqa: PT011  # any of its messages
        drawing_from_json({**record, **changes})
