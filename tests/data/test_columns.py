"""Values of columns besides words and labels, by the origin of a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.columns import ColumnValues
from tf_tokclf.data.splits import load_split
from tf_tokclf.errors import UserError
from tf_tokclf.labels.sentence import Origin

DOMAINS = ["news", "web", "news", None]
WORDS = [["Ada", "left"], ["Oslo"], ["x", "likes", "it"], ["Bye"]]


def as_json(folder: Path) -> Path:
    path = folder / "a.jsonl"
    records = [
        {"tokens": words, "ner_tags": ["O"] * len(words), "meta": {"domain": domain}, "domain": domain}
        for words, domain in zip(WORDS, DOMAINS)
    ]
    path.write_text("".join(json.dumps(record) + "\n\n" for record in records), encoding="utf-8")
    return path


def as_document(folder: Path) -> Path:
    path = folder / "a.json"
    records = [{"tokens": w, "ner_tags": ["O"] * len(w), "domain": d} for w, d in zip(WORDS, DOMAINS)]
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return path


def as_parquet(folder: Path) -> Path:
    table = {"tokens": WORDS, "ner_tags": [["O"] * len(words) for words in WORDS], "domain": DOMAINS}
    pq.write_table(pa.table(table), folder / "a.parquet", row_group_size=2)
    return folder / "a.parquet"


def as_csv_lists(folder: Path) -> Path:
    rows = ["tokens;ner_tags;domain"]
    rows += [f"{words!r};{['O'] * len(words)!r};{domain or ''}" for words, domain in zip(WORDS, DOMAINS)]
    (folder / "a.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder / "a.csv"


def as_csv_words(folder: Path) -> Path:
    rows = ["sentence_id,word,tag,domain"]
    rows += [f"{i},{word},O,{domain or ''}" for i, (ws, domain) in enumerate(zip(WORDS, DOMAINS)) for word in ws]
    (folder / "w.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder / "w.csv"


def as_columns_with_header(folder: Path) -> Path:
    blocks = ["".join(f"{word}\t{d or ''}\tO\n" for word in words) for words, d in zip(WORDS, DOMAINS)]
    (folder / "h.conll").write_text("word\tdomain\tner\n" + "\n".join(blocks), encoding="utf-8")
    return folder / "h.conll"


READABLE = (as_json, as_document, as_parquet, as_csv_lists, as_csv_words, as_columns_with_header)


def values_of(path: Path, *columns: str, **options: object) -> list[str | None]:
    data = DataConfig(**options)
    values = ColumnValues(columns, data, Task.NER)
    sentences = list(load_split(str(path), data))
    assert [list(sentence.words) for sentence in sentences] == WORDS
    return [values.of(sentence.origin) for sentence in sentences]


@pytest.mark.parametrize("write", READABLE)
def test_each_sentence_has_the_value_of_its_record_or_its_words(write: Callable[[Path], Path], tmp_path: Path):
    assert values_of(write(tmp_path), "domain") == DOMAINS


def test_a_field_of_an_object_and_the_first_column_that_exists(tmp_path: Path):
    path = as_json(tmp_path)
    assert values_of(path, "meta.domain") == DOMAINS
    assert values_of(path, "genre", "domain") == DOMAINS


def test_comments_of_conll_hold_until_the_next_one_with_the_same_key(tmp_path: Path):
    blocks = ["".join(f"{word} O\n" for word in words) for words in WORDS]
    before = ["# domain = news\n# lang = en\n", "# id 77 domain=web\n", "", "# lang = de\n"]
    text = "\n".join(comment + block for comment, block in zip(before, blocks))
    (tmp_path / "a.conll").write_text(text, encoding="utf-8")
    assert values_of(tmp_path / "a.conll", "domain") == ["news", "web", "web", "web"]
    assert values_of(tmp_path / "a.conll", "lang") == ["en", "en", "en", "de"]


def test_a_column_of_conll_by_number_counts_where_it_is_the_same_for_all_words(tmp_path: Path):
    blocks = ["".join(f"{word} {i} {word[0]} O\n" for word in words) for i, words in enumerate(WORDS)]
    (tmp_path / "a.conll").write_text("\n".join(blocks), encoding="utf-8")
    assert values_of(tmp_path / "a.conll", "1", text_column_name=0) == ["0", "1", "2", "3"]
    assert values_of(tmp_path / "a.conll", "2", text_column_name=0) == [None, "O", None, "B"]


def test_comments_of_conllu(tmp_path: Path):
    blocks = []
    for words, domain in zip(WORDS, ["news", "web", None, "news"]):
        lines = [f"# domain = {domain}"] if domain else []
        lines += [f"{i}\t{word}\t_\tX\t_\t_\t0\t_\t_\tO" for i, word in enumerate(words, 1)]
        blocks.append("\n".join(lines) + "\n")
    (tmp_path / "a.conllu").write_text("\n".join(blocks) + "\n", encoding="utf-8")
    path = tmp_path / "a.conllu"
    assert values_of(path, "domain", label_column_name="upos") == ["news", "web", "web", "news"]


def test_a_column_that_does_not_exist_and_files_without_columns_are_mistakes(tmp_path: Path):
    with pytest.raises(UserError, match=r"a\.jsonl: there is no column 'domian'\. There are domain\."):
        values_of(as_json(tmp_path), "domian")
    (tmp_path / "a.txt").write_text("Ada left\n", encoding="utf-8")
    values = ColumnValues(("domain",), DataConfig(format="text"), Task.NER)
    with pytest.raises(UserError, match="the format text has no columns besides words and labels"):
        values.of(Origin(str(tmp_path / "a.txt"), 1))
    with pytest.raises(UserError, match=r"gone\.jsonl: the column 'domain' cannot be read: there is no such file"):
        values.of(Origin("gone.jsonl", 1))
    with pytest.raises(UserError, match="the sentences do not come from a file"):
        values.of(None)
