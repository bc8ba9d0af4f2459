"""Splits: cached by content, divided by seed, and checked against each other."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from xxhash import xxh3_128_hexdigest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import Splits, cache_folder, load_splits, load_training_splits
from tf_tokclf.errors import UserError
from tf_tokclf.files import read_sealed_json, write_sealed_json
from tf_tokclf.labels.schemes import Scheme


def write_conll(path: Path, n: int, *, type: str = "PER") -> Path:
    path.write_text("".join(f"Ada{i}\tB-{type}\nsmiled\tO\n\n" for i in range(n)), encoding="utf-8")
    return path


def load(**data: object) -> Splits:
    return load_splits(
        DataConfig(**{k: str(v) if isinstance(v, Path) else v for k, v in data.items()}),
        task=Task.NER,
    )


def test_a_split_is_read_back_as_it_was(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"text": "Ada in Paris", "entities": [[0, 3, "PER"]], "document": "d"}) + "\n",
        encoding="utf-8",
    )
    splits = load_splits(DataConfig(train_file=str(path)), task=Task.NER, draw=False)
    (sentence,) = splits.train
    assert sentence.words == ("Ada", "in", "Paris")
    assert sentence.labels == ("B-PER", "O", "O")
    assert sentence.offsets == ((0, 3), (4, 6), (7, 12))
    assert (sentence.text, sentence.document, str(sentence.origin)) == (
        "Ada in Paris",
        "d",
        f"{path}, line 1",
    )
    assert splits.train.dataset[0]["words"] == ["Ada", "in", "Paris"]
    assert (splits.train.n_words, dict(splits.train.label_counts())) == (3, {"B-PER": 1, "O": 2})


def test_without_a_validation_split_one_is_drawn_by_seed_and_said(tmp_path):
    train = write_conll(tmp_path / "train.conll", 20)
    one, again = load(train_file=train), load(train_file=train)
    other = load(train_file=train, split_seed=7)
    assert (len(one.train), len(one.validation)) == (18, 2)
    words = [s.words[0] for s in one.validation]
    assert words == [s.words[0] for s in again.validation] != [s.words[0] for s in other.validation]
    assert {s.words[0] for s in one.train}.isdisjoint(words)
    assert "validation: 2 of 20 sentences, drawn from train.conll: 10 %, by sentence, seed 42" in one.notes


def test_one_sentence_cannot_be_divided(tmp_path):
    with pytest.raises(UserError, match=r"1 sentence cannot be divided into 2 splits"):
        load(train_file=write_conll(tmp_path / "train.conll", 1))


def test_labels_are_the_union_and_those_that_training_never_sees_are_said(tmp_path):
    splits = load(
        train_file=write_conll(tmp_path / "train.conll", 3),
        validation_file=write_conll(tmp_path / "dev.conll", 2, type="LOC"),
    )
    assert splits.labels.names == ("O", "B-LOC", "B-PER")
    assert splits.trained_labels.names == ("O", "B-PER")
    assert "validation: 2 words have labels that the training data lacks: B-LOC" in splits.notes


def test_content_decides_what_is_read_from_the_cache(tmp_path):
    path = write_conll(tmp_path / "train.conll", 4)
    first = load(train_file=path).train
    os.utime(path, (1, 1))
    assert load(train_file=path).train.fingerprint == first.fingerprint
    write_conll(path, 5)
    assert load(train_file=path).train.fingerprint != first.fingerprint


def test_the_cache_can_be_left_unused_while_another_run_reads_it(tmp_path):
    path = write_conll(tmp_path / "train.conll", 4)
    first = load(train_file=path).train
    rows = iter(first)
    next(rows)
    written = first.path.stat().st_ino
    load(train_file=path, use_cache=False)
    assert first.path.stat().st_ino != written
    assert len(list(rows)) == len(first) - 1


@pytest.mark.parametrize("spoil", ["lose a fact", "gain a fact", "no facts", "other columns"])
def test_what_another_version_left_in_the_cache_is_read_anew(tmp_path, spoil):
    path = write_conll(tmp_path / "train.conll", 4)
    first = load(train_file=path).train
    expected = list(first)
    facts = first.path.with_suffix(".json")
    about = read_sealed_json(facts)
    if spoil == "other columns":
        with first.path.open("wb") as file, pa.ipc.new_stream(file, pa.schema([("words", pa.string())])):
            pass
        content = first.path.read_bytes()
        about |= {"size": len(content), "xxh3_128": xxh3_128_hexdigest(content)}
    elif spoil == "no facts":
        about["facts"] = {"n_words": 8}
    elif spoil == "gain a fact":
        about["facts"]["facts"]["mood"] = 1
    else:
        del about["facts"]["facts"]["place"]
    write_sealed_json(facts, about)
    again = load(train_file=path).train
    assert (list(again), again.metadata, again.n_words) == (expected, first.metadata, first.n_words)


def test_two_runs_at_once_do_not_harm_each_other(tmp_path):
    path = write_conll(tmp_path / "train.conll", 200)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(load(train_file=path, use_cache=False).train), range(16)))
    assert found == [180] * 16
    assert not list(cache_folder().rglob("*.partial"))


def test_a_broken_file_leaves_nothing_in_the_cache(tmp_path):
    path = tmp_path / "train.conll"
    path.write_text("a\tO\n\nb\tO\tO\n", encoding="utf-8")
    with pytest.raises(UserError):
        load(train_file=path)
    assert not list(cache_folder().rglob("*.arrow"))


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"TF_TOKCLF_CACHE"):
        load(train_file=write_conll(tmp_path / "train.conll", 4))


def test_first_sentences_only(tmp_path):
    splits = load(train_file=write_conll(tmp_path / "train.conll", 20), max_train_samples=5, max_eval_samples=1)
    assert (len(splits.train), len(splits.validation)) == (5, 1)


def test_columns_found_in_training_are_those_of_the_other_files(tmp_path):
    (tmp_path / "train.conll").write_text("EU NNP B-NP B-ORG\nsays VBZ B-VP O\n\n" * 2, encoding="utf-8")
    (tmp_path / "test.conll").write_text("it PRP B-NP O\n\n", encoding="utf-8")
    splits = load(train_file=tmp_path / "train.conll", test_file=tmp_path / "test.conll")
    assert next(iter(splits.test)).labels == ("O",)


def test_repair_is_done_when_asked_for_and_counted(tmp_path):
    path = tmp_path / "train.conll"
    path.write_text("a\tO\nb\tI-X\n\nc\tB-X\nd\tI-X\n\n", encoding="utf-8")
    data = DataConfig(train_file=str(path), scheme="IOB2", repair="conlleval")
    splits = load_splits(data, task=Task.NER, draw=False)
    assert [s.labels for s in splits.train] == [("O", "B-X"), ("B-X", "I-X")]
    assert splits.repairs == {"train": 1}


def test_an_unlabelled_file_is_no_training_file(tmp_path):
    path = tmp_path / "train.conll"
    path.write_text("a\n\nb\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"train split contains only words and no labels .*Name a labelled file"):
        load(train_file=path)


def test_an_unknown_scheme_is_named_with_those_that_are_known(tmp_path):
    with pytest.raises(UserError, match=r"no label scheme 'IOBX'\. Label schemes: auto, IO, IOB1"):
        load(train_file=write_conll(tmp_path / "train.conll", 4), scheme="IOBX")


def test_a_required_split_that_is_missing(tmp_path):
    data = DataConfig(train_file=str(write_conll(tmp_path / "train.conll", 4)))
    with pytest.raises(UserError, match=r"there is no test split.*--set data\.test_file=FILE"):
        load_splits(data, task=Task.NER, required=("test",))


def test_no_setting_is_suggested_for_a_split_that_cannot_have_one(tmp_path):
    data = DataConfig(train_file=str(write_conll(tmp_path / "train.conll", 4)))
    with pytest.raises(UserError, match=r"there is no gold split") as caught:
        load_splits(data, task=Task.NER, required=("gold",))
    assert caught.value.hint == "Available splits: train and validation (drawn from the training sentences)."


class TestDatasets:
    """Saved Hugging Face data sets."""

    @pytest.fixture
    def saved(self, tmp_path: Path) -> Path:
        import datasets

        names = ["O", "I-LOC", "B-LOC"]
        features = datasets.Features(
            {
                "id": datasets.Value("string"),
                "tokens": datasets.List(datasets.Value("string")),
                "pos_tags": datasets.List(datasets.ClassLabel(names=["N", "V"])),
                "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
            }
        )
        row = {"id": "1", "tokens": ["New", "York"], "pos_tags": [0, 0], "ner_tags": [2, 1]}
        part = datasets.Dataset.from_list([row] * 4, features=features)
        datasets.DatasetDict({"train": part, "valid": part.select([0, 2])}).save_to_disk(str(tmp_path / "saved"))
        return tmp_path / "saved"

    def test_names_and_order_of_class_labels_are_kept(self, saved):
        splits = load(dataset_name=saved)
        assert splits.labels.names == ("O", "I-LOC", "B-LOC")
        assert (len(splits.train), len(splits.validation), splits.scheme) == (4, 2, Scheme.IOB2)
        assert list(splits.validation)[1].labels == ("B-LOC", "I-LOC")
        assert str(list(splits.validation)[1].origin) == f"{saved} [valid], row 2"

    def test_the_task_chooses_the_column(self, saved):
        splits = load_splits(DataConfig(dataset_name=str(saved)), task=Task.POS)
        assert splits.labels.names == ("N", "V")

    def test_a_split_that_is_not_there_is_named_with_those_that_are(self, saved):
        with pytest.raises(UserError, match=r"there is no split 'gold'\. Available splits: train, valid"):
            load(dataset_name=saved, test_split="gold")

    def test_a_column_that_is_not_there_is_named_with_those_that_are(self, saved):
        with pytest.raises(UserError, match=r"no column 'tags'\. The columns are id, tokens, pos_tags, ner_tags"):
            load(dataset_name=saved, label_column_name="tags")

    def test_a_saved_split_is_a_training_file(self, saved):
        assert len(load(train_file=saved / "train", validation_file=saved / "valid").train) == 4


def test_a_folder_of_split_files_is_a_data_set(tmp_path):
    for name in ("my_train.conll", "my_devel.conll", "my_test.conll"):
        write_conll(tmp_path / name, 3)
    assert [(s.name, len(s)) for s in load(dataset_name=tmp_path)] == [
        ("train", 3),
        ("validation", 3),
        ("test", 3),
    ]


@pytest.mark.parametrize(
    ("words", "labels", "problem"),
    [
        ([["a"], ["b", "c"]], [[0], [1]], "row 2: 2 words in 'tokens', but 1 label in 'tags'"),
        ([["a"], ["b"]], [[0], [5]], "row 2: there is no label with id 5"),
        ([["a"], [None]], [[0], [0]], "row 2: a word in 'tokens' is empty"),
        ([["a"], None], [[0], [0]], "row 2: 'tokens' is not a list"),
    ],
)
def test_bad_rows_of_parquet_are_named(tmp_path, words, labels, problem):
    import pyarrow.parquet as pq

    table = pa.table({"tokens": pa.array(words, pa.list_(pa.string())), "tags": pa.array(labels, pa.list_(pa.int64()))})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError) as caught:
        load(train_file=tmp_path / "a.parquet", label_names=("O", "B-X"))
    assert f"a.parquet, {problem}" in str(caught.value)
    data = DataConfig(train_file=str(tmp_path / "a.parquet"), label_names=("O", "B-X"), on_error="skip")
    assert len(load_splits(data, task=Task.NER, draw=False).train) == 1


def test_parquet_of_a_word_a_row(tmp_path):
    import pyarrow.parquet as pq

    table = pa.table({"sentence_id": [1, 1, 2], "word": ["a", "b", "c"], "tag": ["O", "B-X", "O"]})
    pq.write_table(table, tmp_path / "a.parquet")
    splits = load(train_file=tmp_path / "a.parquet")
    assert len(splits.train) + len(splits.validation) == 2


def test_reading_needs_neither_tensorflow_nor_datasets(tmp_path):
    import subprocess

    train = write_conll(tmp_path / "a.conll", 4)
    code = (
        "import sys; from tf_tokclf.config.schema import *; from tf_tokclf.data.splits import load_splits;"
        f"load_splits(DataConfig(train_file={str(train)!r}), task=Task.NER);"
        "sys.exit(bool({'tensorflow', 'datasets', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_splits_to_train_on_always_have_a_validation_split(tmp_path):
    """It is chosen from the training sentences if the data has none."""
    train = write_conll(tmp_path / "train.conll", 20)
    splits = load_training_splits(DataConfig(train_file=str(train)), task=Task.NER)
    assert (len(splits.train), len(splits.validation)) == (18, 2)
    assert splits.drawing == load(train_file=train).drawing


@pytest.mark.parametrize(("n_new", "warned"), [(0, "100 %"), (4, "60 %"), (6, None)])
def test_a_copy_of_the_training_file_as_validation_file_is_warned_of(n_new, warned, tmp_path, caplog):
    def sentence(i: int) -> str:
        return f"word{i}\tB-X\nother\tO\n\n"

    (tmp_path / "train.conll").write_text("".join(map(sentence, range(30))), encoding="utf-8")
    (tmp_path / "dev.conll").write_text("".join(map(sentence, range(20 + n_new, 30 + n_new))), encoding="utf-8")
    data = DataConfig(train_file=str(tmp_path / "train.conll"), validation_file=str(tmp_path / "dev.conll"))
    load_training_splits(data, task=Task.NER)
    said = " of the validation sentences are also training sentences"
    shares = [text.partition(said)[0] for record in caplog.records if said in (text := record.getMessage())]
    assert shares == ([warned] if warned else [])
