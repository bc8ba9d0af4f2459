"""Plain text."""

from __future__ import annotations

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences


def test_plain_text_is_split_into_words(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("Ada's here.\n\nBye\n", encoding="utf-8")
    sentences = list(read_sentences(path, DataConfig(format="text")))
    assert [s.words for s in sentences] == [("Ada", "'", "s", "here", "."), ("Bye",)]
    assert sentences[0].labels is None
