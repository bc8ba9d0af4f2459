"""Lists that are written as text in a field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.converting import case, converted
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences


def test_lists_as_a_data_set_writes_them_to_csv():
    result = case("numpy_comma.csv")
    assert result.sentences == ["Marie/1 ,/0 left/0 ./0"]
    assert "ids without names" in result.messages


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("""['a' ',' "it's"]""", ["a", ",", "it's"]),
        ("""['a', 'b']""", ["a", "b"]),
        ("""['[' ']' "'" '"']""", ["[", "]", "'", '"']),
        (r"""['\\' '\'']""", ["\\", "'"]),
        ("""['a'\n 'b, c' 'd']""", ["a", "b, c", "d"]),
        ("""['1' 'ein, zwei']""", ["1", "ein, zwei"]),
    ],
)
def test_lists_as_anybody_prints_them(tmp_path: Path, written: str, words: list[str]):
    import csv

    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["tokens", "tags"], [written, json.dumps(["O"] * len(words))]])
    (sentence,) = read_sentences(tmp_path / "a.csv", DataConfig())
    assert list(sentence.words) == words


def test_a_list_that_numpy_has_cut_off_is_told(tmp_path: Path):
    result = converted(tmp_path, "a.csv", "tokens,tags\n\"['a' 'b' ... 'y' 'z']\",[0 0 ... 0 0]\n")
    assert result.exit_code == 2
    assert "is a list that numpy abbreviated" in result.messages
