"""Values of columns besides words and labels, by the origin of a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.formats.documented import FORMATS, example
from tests.requirements import need_modules
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.columns import ColumnValues
from tf_tokclf.data.detection import detect_format
from tf_tokclf.data.formats.jsonl import json_records
from tf_tokclf.data.formats.record_formats import RECORD_FORMATS
from tf_tokclf.data.reading.base import Problems
from tf_tokclf.data.splits import load_split, load_splits, read_sentences
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import json_line
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


def as_saved(folder: Path) -> Path:
    """A folder of `save_to_disk` whose domains are label ids with names."""
    names = ["web", "news"]
    ids = [None if domain is None else names.index(domain) for domain in DOMAINS]
    table = {"tokens": WORDS, "ner_tags": [["O"] * len(words) for words in WORDS], "domain": ids}
    datasets.Dataset.from_dict(table).cast_column("domain", datasets.ClassLabel(names=names)).save_to_disk(folder / "a")
    return folder / "a"


def as_conllu(folder: Path) -> Path:
    blocks = []
    for words, domain in zip(WORDS, DOMAINS):
        # A comment holds until the next one, so a sentence without a domain is not possible here.
        lines = [f"# domain = {domain or 'news'}"]
        lines += [f"{i}\t{word}\t_\tX\t_\t_\t0\t_\t_\tO" for i, word in enumerate(words, 1)]
        blocks.append("\n".join(lines) + "\n")
    (folder / "a.conllu").write_text("\n".join(blocks) + "\n", encoding="utf-8")
    return folder / "a.conllu"


def as_docbin(folder: Path) -> Path:
    need_modules("spacy", extra="spacy")
    import spacy

    tokens = spacy.tokens
    if not tokens.Doc.has_extension("test_domain"):
        tokens.Doc.set_extension("test_domain", default=None)
    made = tokens.DocBin(store_user_data=True)
    for words, domain in zip(WORDS, DOMAINS):
        doc = tokens.Doc(spacy.blank("xx").vocab, words=words)
        doc.ents = []
        doc._.test_domain = domain
        doc.user_data["domain"] = domain
        doc.cats = {"news": float(domain == "news")}
        made.add(doc)
    made.to_disk(folder / "a.spacy")
    return folder / "a.spacy"


def as_brat(folder: Path) -> Path:
    """Two documents in folders with the names of their domains."""
    for domain, lines in (("news", WORDS[:2]), ("web", WORDS[2:])):
        (folder / "brat" / domain).mkdir(parents=True)
        text = "".join(" ".join(words) + "\n" for words in lines)
        (folder / "brat" / domain / "1.txt").write_text(text, encoding="utf-8")
        (folder / "brat" / domain / "1.ann").write_text("", encoding="utf-8")
    spans = ["T1\tPER 0 3\tAda", "A1\tCertainty T1 low", "T2\tLOC 9 13\tOslo", "A2\tCertainty T2 high", "A3\tOld T2"]
    (folder / "brat" / "news" / "1.ann").write_text("\n".join(spans), encoding="utf-8")
    return folder / "brat"


def as_ontonotes(folder: Path) -> Path:
    lines = []
    for words, genre in zip(WORDS, ("nw", "wb", "nw", "bc")):
        name = f"{genre}/a/00/a_{len(words)}"
        lines.append(f"#begin document ({name}); part 000")
        lines += [f"{name} 0 {i} {word} NN * - - - s{len(words)} * -" for i, word in enumerate(words)]
        lines += ["", "#end document"]
    (folder / "a.gold_conll").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "a.gold_conll"


def as_webanno(folder: Path) -> Path:
    """A layer of sentences, whose annotations have all words."""
    lines = ["#FORMAT=WebAnno TSV 3.3", "#T_SP=de.ner.type.NamedEntity|value", "#T_SP=webanno.custom.Source|domain", ""]
    for n, (words, domain) in enumerate(zip(WORDS, DOMAINS), 1):
        lines += ["", f"#Text={' '.join(words)}"]
        cell = f"{domain}[{n}]" if domain else "_"
        lines += [f"{n}-{i}\t0-1\t{word}\t_\t{cell}\t" for i, word in enumerate(words, 1)]
    (folder / "a.tsv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder / "a.tsv"


def as_bioc_xml(folder: Path) -> Path:
    documents = []
    for n, (words, domain) in enumerate(zip(WORDS, DOMAINS)):
        infon = f"<infon key='domain'>{domain}</infon>" if domain else ""
        inner = f"<infon key='domain'>of a passage</infon><offset>0</offset><text>{' '.join(words)}</text>"
        documents.append(f"<document><id>{n}</id>{infon}<passage>{inner}</passage></document>")
    (folder / "a.xml").write_text(f"<collection>{''.join(documents)}</collection>", encoding="utf-8")
    return folder / "a.xml"


def as_rasa_markdown(folder: Path) -> Path:
    lines = [line for words, d in zip(WORDS, DOMAINS) for line in (f"## intent:{d or 'none'}", f"- {' '.join(words)}")]
    (folder / "nlu.md").write_text("\n".join(["## lookup:x", "- y", *lines, ""]), encoding="utf-8")
    return folder / "nlu.md"


def as_rasa_yaml(folder: Path) -> Path:
    lines = [f"- intent: {d or 'none'}\n  examples: |\n    - {' '.join(w)}" for w, d in zip(WORDS, DOMAINS)]
    (folder / "nlu.yml").write_text("\n".join(["nlu:", *lines, ""]), encoding="utf-8")
    return folder / "nlu.yml"


def as_parallel(folder: Path) -> Path:
    (folder / "p").mkdir()
    contents = {
        "seq.in": [" ".join(words) for words in WORDS],
        "seq.out": [" ".join(["O"] * len(words)) for words in WORDS],
        "label": [domain or "" for domain in DOMAINS],
    }
    for name, lines in contents.items():
        (folder / "p" / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder / "p"


WITHOUT_GAPS = ["news", "web", "news", "news"]
WITH_NONE = ["news", "web", "news", "none"]
# The format, its file, a column, and its value for each of the sentences in WORDS.
CASES: list[tuple[str, Callable[[Path], Path], str, list[str | None]]] = [
    ("jsonl", as_json, "domain", DOMAINS),
    ("jsonl", as_json, "meta.domain", DOMAINS),
    ("jsonl", as_document, "domain", DOMAINS),
    ("parquet", as_parquet, "domain", DOMAINS),
    ("csv", as_csv_lists, "domain", DOMAINS),
    ("csv", as_csv_words, "domain", DOMAINS),
    ("conll", as_columns_with_header, "domain", DOMAINS),
    ("conllu", as_conllu, "domain", WITHOUT_GAPS),
    ("hf", as_saved, "domain", DOMAINS),
    ("docbin", as_docbin, "domain", DOMAINS),
    ("docbin", as_docbin, "test_domain", DOMAINS),
    ("docbin", as_docbin, "cats.news", ["1.0", "0.0", "1.0", "0.0"]),
    ("brat", as_brat, "folder", ["news", "news", "web", "web"]),
    ("brat", as_brat, "Certainty", ["low", "high", None, None]),
    ("brat", as_brat, "Old", [None, "true", None, None]),
    ("ontonotes", as_ontonotes, "genre", ["nw", "wb", "nw", "bc"]),
    ("ontonotes", as_ontonotes, "speaker", ["s2", "s1", "s3", "s1"]),
    ("webanno", as_webanno, "domain", DOMAINS),
    ("webanno", as_webanno, "Source.domain", DOMAINS),
    ("bioc-xml", as_bioc_xml, "infons.domain", DOMAINS),
    ("rasa-text", as_rasa_markdown, "intent", WITH_NONE),
    ("rasa-text", as_rasa_yaml, "intent", WITH_NONE),
    ("parallel", as_parallel, "label", DOMAINS),
]
WITHOUT_COLUMNS = ("comprehend", "csv-lists", "folder", "inline-tags", "inline-xml", "pubtator", "text")


def values_of(path: Path, *columns: str, **options: object) -> list[str | None]:
    data = DataConfig(**options)
    sentences = list(load_split(str(path), data))
    places = sorted({sentence.origin.path for sentence in sentences if sentence.origin})
    values = ColumnValues(columns, data, Task.NER, places=places)
    assert [list(sentence.words) for sentence in sentences] == WORDS
    return [values.of(sentence.origin) for sentence in sentences]


@pytest.mark.parametrize(("format", "write", "column", "expected"), CASES)
def test_each_sentence_has_the_value_of_its_column(
    format: str, write: Callable[[Path], Path], column: str, expected: list[str | None], tmp_path: Path
):
    path = write(tmp_path)
    assert detect_format(path) == format
    assert values_of(path, column, **({"label_column_name": "NamedEntity"} if format == "webanno" else {})) == expected


@pytest.mark.parametrize("name", RECORD_FORMATS)
def test_records_of_all_formats_have_their_fields(name: str, tmp_path: Path):
    records = [record for _, record in json_records(example(name, tmp_path), "utf-8", Problems())]
    path = tmp_path / "with_domains.jsonl"
    path.write_text("".join(json_line({**records[0], "domain": domain}) for domain in DOMAINS), encoding="utf-8")
    data = DataConfig(format=name)
    values = ColumnValues(("domain",), data, Task.NER)
    found = {sentence.origin: values.of(sentence.origin) for sentence in read_sentences(path, data)}
    assert list(found.values()) == DOMAINS


@pytest.mark.parametrize("name", WITHOUT_COLUMNS)
def test_a_format_without_columns_says_so(name: str, tmp_path: Path):
    values = ColumnValues(("domain",), DataConfig(format=name), Task.NER)
    (tmp_path / "a").write_text("Ada left\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"a: the format {name} has no columns besides words and labels") as caught:
        values.of(Origin(str(tmp_path / "a"), 1))
    assert all(format in str(caught.value) for format, *_ in CASES)


def test_the_table_has_all_formats():
    assert sorted({*(format for format, *_ in CASES), *WITHOUT_COLUMNS, *RECORD_FORMATS}) == sorted(FORMATS)
    assert all((FORMATS[name].columns is None) == (name in WITHOUT_COLUMNS) for name in FORMATS)


def test_the_first_column_that_exists(tmp_path: Path):
    assert values_of(as_json(tmp_path), "genre", "domain") == DOMAINS


@pytest.mark.parametrize("as_folder", [False, True])
def test_columns_of_a_split_of_a_data_set(as_folder: bool, tmp_path: Path):
    """A folder with the layout of a Hub repository, and one of save_to_disk with several splits."""
    name = str(tmp_path / "set")
    if as_folder:
        parts = {part: datasets.load_from_disk(as_saved(tmp_path / part)) for part in ("train", "test")}
        datasets.DatasetDict(parts).save_to_disk(name)
    else:
        for part in ("train", "test"):
            (tmp_path / "set" / "data").mkdir(parents=True, exist_ok=True)
            as_parquet(tmp_path).rename(tmp_path / "set" / "data" / f"{part}-00000-of-00001.parquet")
    data = DataConfig(dataset_name=name)
    values = ColumnValues(("domain",), data, Task.NER)
    test = load_splits(data, task=Task.NER, required=("test",))["test"]
    assert [values.of(sentence.origin) for sentence in test] == DOMAINS
    with pytest.raises(UserError, match=r"set \[test\]: there is no column 'domian'\. There are domain\."):
        ColumnValues(("domian",), data, Task.NER).of(next(iter(test)).origin)


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


def test_a_column_and_a_file_that_do_not_exist_are_mistakes(tmp_path: Path):
    with pytest.raises(UserError, match=r"a\.jsonl: there is no column 'domian'\. There are domain\."):
        values_of(as_json(tmp_path), "domian")
    values = ColumnValues(("domain",), DataConfig(), Task.NER)
    with pytest.raises(UserError, match=r"gone\.jsonl: the column 'domain' cannot be read: there is no such file"):
        values.of(Origin("gone.jsonl", 1))
    with pytest.raises(UserError, match="the sentences do not come from a file"):
        values.of(None)
