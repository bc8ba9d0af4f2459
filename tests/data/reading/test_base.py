"""Text encodings, and the setting that skips unreadable sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.converting import converted
from tests.data.sample_files import labelled, read
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin, Sentence


def test_a_byte_order_mark_is_dropped_at_the_file_s_start_only_and_a_blank_is_a_word():
    first, second = read("byte_order_mark.conll")
    assert first.words == ("อาดา", " ", "อยู่")
    assert second.words == ("\ufeffลอนดอน",)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.conll", "a.jsonl", "a.csv"])
def test_encodings_that_the_user_names(tmp_path, encoding, name):
    content = {
        "a.conll": "José\tB-PER\r\n\r\nça\tO\r\n",
        "a.jsonl": '{"tokens": ["José"], "tags": ["B-PER"]}\n{"tokens": ["ça"], "tags": ["O"]}\n',
        "a.csv": "sentence_id,word,tag\r\n1,José,B-PER\r\n2,ça,O\r\n",
    }
    (tmp_path / name).write_bytes(content[name].encode(encoding))
    sentences = list(read_sentences(tmp_path / name, DataConfig(encoding=encoding)))
    assert labelled(sentences) == [[("José", "B-PER")], [("ça", "O")]]


def test_utf_16_is_told_from_its_first_bytes(tmp_path):
    (tmp_path / "a.conll").write_bytes("Ada\tO\n".encode("utf-16"))
    with pytest.raises(UserError, match=r"line 1: byte 0xff is not valid utf-8 .* seems to be UTF-16"):
        list(read_sentences(tmp_path / "a.conll", DataConfig()))


def test_errors_in_records_name_the_setting_that_leaves_them_out(tmp_path: Path):
    for name, content in {
        "a.conll": "a\tO\nb\n",
        "a.jsonl": '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"], "tags": []}\n',
        "a.csv": "tokens,tags\na,O\nb\n",
    }.items():
        assert "--set data.on_error=skip" in converted(tmp_path, name, content).messages


def test_an_error_ends_readable_sentences_and_is_reported():
    def sentences() -> Iterator[Sentence | None]:
        yield Sentence(("Ada",))
        yield None
        raise Origin("a.txt", 3).error("is odd.", None)

    problems = Problems(skip=True)
    assert [sentence.words for sentence in problems.readable(sentences())] == [("Ada",)]
    assert (problems.n_skipped, problems.skipped) == (1, ["a.txt, line 3: is odd."])
    with pytest.raises(UserError, match="is odd"):
        list(Problems().readable(sentences()))
