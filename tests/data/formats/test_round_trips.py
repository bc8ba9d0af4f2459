"""Data written in a format is read back unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.requirements import need_modules
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.convert import convert
from tf_tokclf.data.formats.registry import BUILT_IN
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.data.write import write_sentences
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.labels.spans import labels_of

NAMES = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
SENTENCES = [
    Sentence(("Ada", "Lovelace", "saw", "#London", '"', "😀"), ("B-PER", "I-PER", "O", "B-LOC", "O", "O")),
    Sentence(("Bye", "東京", ",", "then"), ("O", "B-LOC", "I-LOC", "O")),
]
WORD_FORMATS = {
    "conll": "a.conll",
    "conllu": "a.conllu",
    "jsonl": "a.jsonl",
    "csv": "a.csv",
    "csv-lists": "a.csv",
    "parallel": "a",
    "parquet": "a.parquet",
    "hf": "a",
    "prodigy": "a.jsonl",
}
TEXT_FORMATS = {
    "spacy": "a.jsonl",
    "doccano": "a.jsonl",
    "dataturks": "a.json",
    "label-studio": "a.json",
    "brat": "a",
}
BY_SPACES = {"word_splitting": "whitespace"}


def pairs(sentences) -> list[tuple[tuple[str, ...], tuple[str, ...] | None]]:
    return [(sentence.words, sentence.labels) for sentence in sentences]


def there_and_back(
    sentences,
    path: Path,
    format: str,
    writing: Writing | None = None,
    read_as: str = "auto",
    **options: object,
):
    write_sentences(sentences, path, format, writing or Writing(label_names=NAMES), force=True)
    return list(read_sentences(path, DataConfig(format=read_as, **options)))


@pytest.mark.parametrize("format", WORD_FORMATS)
def test_formats_of_words(tmp_path, format):
    found = there_and_back(SENTENCES, tmp_path / WORD_FORMATS[format], format)
    assert pairs(found) == pairs(SENTENCES)


@pytest.mark.parametrize("unit", ["codepoint", "utf16", "byte"])
@pytest.mark.parametrize("format", TEXT_FORMATS)
def test_formats_of_texts_in_each_unit(tmp_path, format, unit):
    writing = Writing(label_names=NAMES, offset_unit=unit)
    found = there_and_back(SENTENCES, tmp_path / TEXT_FORMATS[format], format, writing, offset_unit=unit, **BY_SPACES)
    assert pairs(found) == pairs(SENTENCES)
    assert [sentence.text.rstrip("\n") for sentence in found] == [" ".join(s.words) for s in SENTENCES]


@pytest.mark.parametrize("format", ["conll", "jsonl", "csv", "csv-lists", "parallel", "parquet", "hf"])
def test_single_words_without_a_label_stay_so(tmp_path, format):
    first, second = SENTENCES
    written = [replace(first, unlabelled=(4, 5)), second]
    found = there_and_back(written, tmp_path / WORD_FORMATS[format], format)
    assert pairs(found) == pairs(written)
    assert [sentence.unlabelled for sentence in found] == [(4, 5), ()]


@pytest.mark.parametrize("format", [*TEXT_FORMATS, "conllu", "prodigy"])
def test_formats_that_cannot_leave_out_a_label_say_so(tmp_path, format):
    (tmp_path / "in.conll").write_text("Ada\tB-PER\nleft\t-100\n\nBob\tO\n")
    command = ["convert", "--to", format, str(tmp_path / "in.conll"), str(tmp_path / "out")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "1 word without a label written as O" in result.output


@pytest.mark.parametrize("format", ["conll", "jsonl", "csv", "csv-lists", "text", "parquet", "hf"])
def test_words_without_labels(tmp_path, format):
    bare = [Sentence(sentence.words) for sentence in SENTENCES]
    path = tmp_path / {"text": "a.txt", **WORD_FORMATS}[format]
    options = {"read_as": "text", **BY_SPACES} if format == "text" else {}
    assert pairs(there_and_back(bare, path, format, Writing(scheme=None), **options)) == pairs(bare)


def test_the_text_itself_is_kept_where_the_source_has_one(tmp_path):
    sentence = Sentence(
        ("Ada", "'s", "here"), ("B-PER", "O", "O"), text=" Ada's  here", offsets=((1, 4), (4, 6), (8, 12))
    )
    (found,) = there_and_back([sentence], tmp_path / "a.jsonl", "prodigy")
    assert (found.text, found.offsets, found.labels) == (sentence.text, sentence.offsets, sentence.labels)


def test_documents_of_brat_are_files_with_their_texts_whole(tmp_path):
    texts = ["Ada \n\n", "saw Bob", "Ann"]
    sentences = [
        Sentence(("Ada",), ("B-PER",), text=texts[0], offsets=((0, 3),), document="one"),
        Sentence(("saw", "Bob"), ("O", "B-PER"), text=texts[1], offsets=((0, 3), (4, 7)), document="one"),
        Sentence(("Ann",), ("B-PER",), text=texts[2], offsets=((0, 3),), document="two"),
    ]
    found = there_and_back(sentences, tmp_path / "brat", "brat")
    assert sorted(p.name for p in (tmp_path / "brat").iterdir()) == [
        "one.ann",
        "one.txt",
        "two.ann",
        "two.txt",
    ]
    assert (tmp_path / "brat/one.txt").read_text(encoding="utf-8") == "Ada \n\nsaw Bob\n"
    assert pairs(found) == pairs(sentences)
    assert [sentence.document for sentence in found] == ["one", "one", "two"]


def test_class_labels_keep_their_order_in_parquet(tmp_path):
    from tf_tokclf.data.detection import open_reader

    names = ("B-PER", "O", "I-PER", "I-LOC", "B-LOC")
    write_sentences(SENTENCES, tmp_path / "a.parquet", "parquet", Writing(label_names=names))
    assert open_reader(tmp_path / "a.parquet", DataConfig(), Task.NER).label_names == names


def test_parts_of_speech_are_upos_in_conllu(tmp_path):
    tagged = [Sentence(("Ada", "sees"), ("PROPN", "VERB"))]
    write_sentences(tagged, tmp_path / "a.conllu", "conllu", Writing(Task.POS, Scheme.NONE))
    assert pairs(read_sentences(tmp_path / "a.conllu", DataConfig(), task=Task.POS)) == pairs(tagged)


def test_parts_of_speech_are_no_spans(tmp_path):
    tagged = [Sentence(("Ada", "sees"), ("PROPN", "VERB"))]
    with pytest.raises(UserError, match="form no spans"):
        write_sentences(tagged, tmp_path / "a.jsonl", "spacy", Writing(Task.POS, Scheme.NONE))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["docbin"])
def test_spacy_s_own_files(tmp_path, format):
    need_modules("spacy", extra="spacy")
    assert pairs(there_and_back(SENTENCES, tmp_path / "a.spacy", format)) == pairs(SENTENCES)
    tagged = [Sentence(("Ada", "sees"), ("NNP", "VBZ"))]
    write_sentences(tagged, tmp_path / "b.spacy", format, Writing(Task.POS, Scheme.NONE))
    data = DataConfig(label_column_name="tag")
    assert pairs(read_sentences(tmp_path / "b.spacy", data, task=Task.POS)) == pairs(tagged)


def test_without_spacy_its_files_are_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spacy", None)
    (tmp_path / "a.spacy").write_bytes(b"")
    with pytest.raises(UserError, match="spaCy is not installed"):
        list(read_sentences(tmp_path / "a.spacy", DataConfig()))
    with pytest.raises(UserError, match="spaCy is not installed"):
        write_sentences(SENTENCES, tmp_path / "b.spacy", "docbin", Writing(label_names=NAMES))
    # The check comes before the source, which does not exist, is opened.
    monkeypatch.setattr("tf_tokclf.data.convert.load_split", None)
    with pytest.raises(UserError, match=r"'tf-tokclf\[spacy\]'"):
        convert(str(tmp_path / "a.conll"), tmp_path / "c.spacy", DataConfig(), to_format="docbin")


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=6)


@st.composite
def sentences(draw: st.DrawFn) -> list[Sentence]:
    """Sentences of arbitrary words, with spans in IOB2."""
    made = []
    for words in draw(st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=4)):
        bounds = sorted(draw(st.sets(st.integers(0, len(words)))))
        spans = [Span(a, b, draw(st.sampled_from(["PER", "LOC"]))) for a, b in zip(bounds[::2], bounds[1::2])]
        made.append(Sentence(tuple(words), tuple(labels_of(spans, len(words), Scheme.IOB2))))
    return made


def test_each_format_that_is_written_is_tried():
    # Formats with their own test file are tested there; plain text has no labels.
    elsewhere = {"gliner", "spert", "dygie", "w2ner", "inline-tags", "cluener", "inline-xml", "text"}
    written = {format.name for format in BUILT_IN if format.is_written}
    assert written == {*WORD_FORMATS, *TEXT_FORMATS, "docbin", *elsewhere}


@given(written=sentences())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_come_back_from_spacy_s_own_files(tmp_path, written):
    need_modules("spacy", extra="spacy")
    assert pairs(there_and_back(written, tmp_path / "a.spacy", "docbin")) == pairs(written)


@pytest.mark.parametrize("format", [*WORD_FORMATS, *TEXT_FORMATS])
@given(written=sentences())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_come_back(tmp_path, format, written):
    # Formats are named, because a few unusual words may look like another format.
    read_as = {"csv-lists": "csv"}.get(format, format)
    # The header is set too, because the first word may be "token".
    options = {"header": False} if format == "conll" else BY_SPACES
    found = there_and_back(written, tmp_path / f"a.{format}", format, read_as=read_as, **options)
    assert pairs(found) == pairs(written)


WORD_SPANS = {"gliner": "a.jsonl", "spert": "a.json", "dygie": "a.jsonl", "w2ner": "a.json", "inline-tags": "a.iob"}


TEXT_SPANS = {"cluener": "a.jsonl", "inline-xml": "a.txt"}


@pytest.mark.parametrize("format", [*WORD_SPANS, *TEXT_SPANS])
@given(written=sentences())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_come_back_from_formats_of_spans(tmp_path, format, written):
    if format == "inline-tags":
        written = [s for s in written if not any(set(word) & set("|") for word in s.words)] or []
    path = tmp_path / f"{format}.{(WORD_SPANS | TEXT_SPANS)[format]}"
    if not written:
        return
    options = {"word_splitting": "whitespace"} if format in TEXT_SPANS else {}
    found = there_and_back(written, path, format, read_as=format, **options)
    assert pairs(found) == pairs(written)
