"""A folder of files of one format."""

from __future__ import annotations

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences


def test_a_folder_of_files_is_read_in_order_each_a_document(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.tsv").write_text(f"{name}\tO\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("about", encoding="utf-8")
    assert [(s.words, s.document) for s in read_sentences(tmp_path, DataConfig())] == [
        (("a",), "a"),
        (("b",), "b"),
    ]
