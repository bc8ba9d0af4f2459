"""Which sentences are labelled already: those of a run's data and of files in any format."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.data.labelled_before import keys_of_file, keys_of_run, sentence_key
from tf_tokclf.errors import UserError


def test_the_same_characters_are_the_same_sentence():
    assert sentence_key(("Ada", "left", ".")) == sentence_key(("Ada", "left.")) == sentence_key(("Ada left.",))
    different = [("Ada", "Left", "."), ("Ada", "left"), ("left", "Ada", ".")]
    assert len({sentence_key(words) for words in (("Ada", "left", "."), *different)}) == 4
    assert sentence_key(("Ada",), salt="1") != sentence_key(("Ada",), salt="2")


@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "doccano.jsonl", "label-studio.json", "prodigy.jsonl"])
def test_files_of_any_format_are_read(tmp_path: Path, name: str):
    text, spans = "Ada left.", [{"start": 0, "end": 3, "label": "PER"}]
    contents = {
        "a.conll": "Ada B-PER\nleft O\n. O\n",
        "a.jsonl": json.dumps({"tokens": ["Ada", "left", "."], "ner_tags": ["B-PER", "O", "O"]}),
        "doccano.jsonl": json.dumps({"text": text, "label": [[0, 3, "PER"]]}),
        "label-studio.json": json.dumps([{"data": {"text": text}, "annotations": [{"result": []}]}]),
        "prodigy.jsonl": json.dumps({"text": text, "spans": spans}),
    }
    (tmp_path / name).write_text(contents[name])
    data = DataConfig(word_splitting="words")
    assert keys_of_file(str(tmp_path / name), data, None, task=Task.NER) == {sentence_key([text])}


def test_all_splits_of_a_run_count(conll_files: dict[str, str], people_and_places: list):
    config = Config(data=DataConfig(train_file=conll_files["test_file"], validation_file=conll_files["train_file"]))
    assert keys_of_run(config) == {sentence_key(words) for words, _ in people_and_places}
    drawn = Config(data=DataConfig(train_file=conll_files["train_file"], test_fraction=0.1))
    assert keys_of_run(drawn) == keys_of_run(config)
    few = Config(data=DataConfig(train_file=conll_files["train_file"], max_train_samples=3))
    assert keys_of_run(few) == {sentence_key(words) for words, _ in people_and_places[:3]}
    assert keys_of_run(Config()) == set()


@pytest.mark.parametrize("file", ["gone.conll", "-"])
def test_data_that_cannot_be_read_again_leaves_nothing_out(file: str, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        assert keys_of_run(Config(data=DataConfig(train_file=file))) == set()
    assert "its sentences are not left out" in caplog.text


def test_a_text_that_is_read_as_columns_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_text("ada left\nada left london .\n")
    with pytest.raises(UserError, match=r"--exclude-format"):
        keys_of_file(str(tmp_path / "a.txt"), DataConfig(), None, task=Task.NER)
    text = DataConfig(format="text", word_splitting="words")
    assert len(keys_of_file(str(tmp_path / "a.txt"), text, None, task=Task.NER)) == 2
