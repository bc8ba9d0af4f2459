"""Formats of annotation tools and data sets: recognised by what is in a file, read as it means, and written back."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings

from tests.data.converting import case, convert, converted
from tests.data.formats.test_round_trips import pairs, sentences, there_and_back
from tests.requirements import need_modules
from tf_tokclf.cli.main import cli
from tf_tokclf.data.detection import detect_format
from tf_tokclf.data.formats.registry import BUILT_IN

DOCS = Path(__file__).parents[3] / "docs" / "data.md"

CASES = {
    "argilla.jsonl": ["Marie/B-PER lives/O"],
    "cluener.json": [
        "王/B-name 芳/I-name 在/O 北/B-organization 京/I-organization 图/I-organization 书/I-organization"
        " 馆/I-organization 工/O 作/O",
        "今/O 天/O 没/O 有/O 新/O 闻/O",
    ],
    "gliner.json": ["Marie/B-person Curie/I-person lives/O in/O Paris/B-location", "Tom/O left/O"],
    "spert.json": ["Marie/B-PER Curie/I-PER lives/O", "Tom/O left/O"],
    "rasa.json": ["show/O me/O chinese/B-cuisine restaurants/O", "hello/O"],
    "spacy_v2.json": ["Marie/U-PER lives/O in/O Paris/None"],
    "spacy_traindata_flat.json": ["Marie/B-PER lives/O in/O Paris/B-LOC", "Tom/O left/O"],
    "ner_annotator.json": ["Marie/B-PER lives/O in/O Paris/B-LOC", "Tom/B-PER left/O"],
    "ontonotes.conll": ["John/B-PERSON Smith/I-PERSON visited/O Paris/B-GPE", "Nobody/O cares/O"],
    "inline_slash_equal.txt": ["The/DT cat/NN sat/VBD ./.", "A/DT dog/NN ran/VBD ./."],
    "spacy_iob.iob": ["Marie/B-PER lives/O in/O Paris/B-LOC", "Tom/B-PER left/O"],
}


@pytest.mark.parametrize("name", CASES)
def test_small_files_of_many_tools(name: str):
    result = case(name)
    assert (result.exit_code, result.sentences) == (0, CASES[name])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("argilla.jsonl", "1 record left out: not annotated"),
        ("ner_annotator.json", "1 record left out: not annotated"),
        ("spacy_v2.json", "1 word without a label, left out of training and scores"),
        ("gliner.json", "words with spans (gliner), whose ends are inclusive"),
        ("spert.json", "words with spans (spert), whose ends are exclusive"),
        ("rasa.json", "(rasa; would also fit spacy, doccano)"),
    ],
)
def test_what_is_particular_is_said(name: str, said: str):
    assert said in case(name).messages


def test_parts_of_speech_of_ontonotes_and_of_lines_with_two_labels(tmp_path: Path):
    assert case("ontonotes.conll", "--task", "pos").sentences[1] == "Nobody/NN cares/VBZ"
    text = "Marie|NNP|B-PER left|VBD|O\n"
    assert converted(tmp_path, "a.iob", text).sentences == ["Marie/B-PER left/O"]
    assert converted(tmp_path, "a.iob", text, "--task", "pos").sentences == ["Marie/NNP left/VBD"]


@pytest.mark.parametrize(
    ("ner", "words", "options", "sentence"),
    [
        # The last word's number shows how ends are counted, or a span that ends where it begins.
        ([[0, 2, "PER"]], ["Ada", "Lovelace"], (), "Ada/B-PER Lovelace/I-PER"),
        ([[0, 1, "PER"], [2, 2, "X"]], ["Ada", "Lovelace", "left"], (), "Ada/B-PER Lovelace/I-PER left/B-X"),
        ([[0, 1, "PER"]], ["Ada", "Lovelace", "left"], (), "Ada/B-PER Lovelace/I-PER left/O"),
        ([[0, 1, "PER"]], ["Ada", "Lovelace", "left"], ("--offset-end", "exclusive"), "Ada/B-PER Lovelace/O left/O"),
    ],
)
def test_ends_of_spans_of_words_are_found_out(tmp_path, ner, words, options, sentence):
    record = json.dumps({"tokenized_text": words, "ner": ner})
    assert converted(tmp_path, "a.jsonl", record + "\n", *options).sentences == [sentence]


def test_ends_that_contradict_each_other_are_an_error(tmp_path: Path):
    record = json.dumps({"tokenized_text": ["Ada", "left"], "ner": [[0, 0, "PER"], [0, 2, "X"]]})
    result = converted(tmp_path, "a.jsonl", record + "\n")
    assert result.exit_code == 2
    assert "data.offset_end" in result.messages


def test_spans_of_words_that_are_not_there(tmp_path: Path):
    record = json.dumps({"tokens": ["Ada", "left"], "entities": [{"type": "PER", "start": 0, "end": 9}]})
    result = converted(tmp_path, "a.jsonl", record + "\n")
    assert result.exit_code == 2
    assert "PER, words 0 to 9, is not a position in 2 words" in result.messages
    result = converted(tmp_path, "a.jsonl", record + "\n", "--on-error", "skip")
    assert result.sentences == ["Ada/O left/O"]
    assert "1 span dropped: their words are not there" in result.messages


def test_nested_spans_of_words_are_layers(tmp_path: Path):
    record = json.dumps({"tokenized_text": ["New", "York", "Times"], "ner": [[0, 2, "ORG"], [0, 1, "LOC"]]})
    assert converted(tmp_path, "a.jsonl", record + "\n").exit_code == 2
    assert converted(tmp_path, "a.jsonl", record, "--layer", "1").sentences == ["New/B-LOC York/I-LOC Times/O"]


WRAPPED = {
    '{"train": [{"tokens": ["Ada"], "tags": ["B-PER"]}]}': ["Ada/B-PER"],
    '{"tokens": [["Ada", "left"], ["Oslo"]], "tags": [["B-PER", "O"], ["B-LOC"]]}': ["Ada/B-PER left/O", "Oslo/B-LOC"],
    '[{"tokens": ["Ada"], "tags": ["B-PER"]}]': ["Ada/B-PER"],
    '{"tokens": ["Ada"], "tags": ["B-PER"]}': ["Ada/B-PER"],
    '{"data": [{"tokens": ["Ada"], "tags": ["B-PER"]}]}': ["Ada/B-PER"],
}


@pytest.mark.parametrize("content", WRAPPED)
def test_records_however_they_are_wrapped(tmp_path: Path, content: str):
    assert converted(tmp_path, "a.json", content).sentences == WRAPPED[content]


def test_several_splits_in_one_file_are_an_error(tmp_path: Path):
    result = converted(tmp_path, "a.json", '{"train": [{"tokens": ["a"], "tags": ["O"]}], "test": []}')
    assert result.exit_code == 2
    assert "holds several splits: train, test" in result.messages


ARGILLA_2 = {
    "fields": {"text": "Marie left"},
    "responses": {
        "span": [
            {"value": [{"label": "PER", "start": 0, "end": 5}], "user_id": "ann", "status": "submitted"},
            {"value": [{"label": "X", "start": 6, "end": 10}], "user_id": "bob", "status": "discarded"},
            {"value": [], "user_id": "cleo", "status": "submitted"},
        ]
    },
}


def test_responses_of_argilla_are_annotations(tmp_path: Path):
    result = converted(tmp_path, "a.json", json.dumps([ARGILLA_2]))
    assert result.sentences == ["Marie/B-PER left/O"]
    assert "1 record with several annotations" in result.messages
    result = converted(tmp_path, "a.json", json.dumps([ARGILLA_2]), "--annotations", "cleo")
    assert result.sentences == ["Marie/O left/O"]


@pytest.mark.parametrize(
    "record",
    [
        {"text": "go to Oslo", "intent": "x", "entities": [{"entity": "City", "startPos": 6, "endPos": 9}]},
        {"text": "go to Oslo", "entityLabels": [{"entityName": "City", "startCharIndex": 6, "endCharIndex": 9}]},
    ],
)
def test_entities_of_luis_end_inclusively(tmp_path: Path, record):
    assert converted(tmp_path, "a.json", json.dumps({"utterances": [record]})).sentences == ["go/O to/O Oslo/B-City"]


def test_a_value_of_rasa_may_be_another_name(tmp_path: Path):
    entity = {"start": 6, "end": 9, "value": "new york city", "entity": "city"}
    example = {"text": "go to nyc", "intent": "go", "entities": [entity]}
    content = json.dumps({"rasa_nlu_data": {"common_examples": [example]}})
    assert converted(tmp_path, "a.json", content).sentences == ["go/O to/O nyc/B-city"]


def test_yaml_of_rasa_is_inspected_as_data(tmp_path: Path):
    path = tmp_path / "nlu.yml"
    path.write_text('version: "3.1"\nnlu:\n- intent: go\n  examples: |\n    - go to [Oslo](city)\n    - go\n')
    assert convert(path).sentences == ["go/O to/O Oslo/B-city", "go/O"]
    result = CliRunner().invoke(cli, ["inspect", str(path)])
    assert result.exit_code == 0
    assert f"{path}, line 5" in result.stdout


def test_tags_that_do_not_fit_are_an_error_with_its_line(tmp_path: Path):
    text = "<PER>Ada</PER> left\n" * 45 + "<PER>Bob left\n"
    result = converted(tmp_path, "a.txt", text)
    assert result.exit_code == 2
    assert "line 46: the tag <PER> is not closed" in result.messages


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_an_xml_file_declares_are_refused(tmp_path: Path, encoding: str):
    text = '<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<collection></collection>\n'
    result = converted(tmp_path, "a.xml", text.encode(encoding), "--from", "bioc-xml")
    assert result.exit_code == 2
    assert "declares entities of its own" in result.messages


@pytest.mark.parametrize(
    ("words", "labels"),
    [("sentences.txt", "labels.txt"), ("text_train.txt", "labels_train.txt"), ("train.words", "train.tags")],
)
def test_pairs_of_files(tmp_path: Path, words: str, labels: str):
    (tmp_path / words).write_text("Ada left\nOslo\n")
    (tmp_path / labels).write_text("B-PER O\nB-LOC\n")
    for source in (tmp_path / words, tmp_path):
        assert convert(source).sentences == ["Ada/B-PER left/O", "Oslo/B-LOC"]


def test_a_file_of_one_label_a_line_is_no_pair(tmp_path: Path):
    (tmp_path / "text.txt").write_text("Ada/PER left/O\nOslo/LOC too/O\n")
    (tmp_path / "labels.txt").write_text("positive\nnegative\n")
    assert detect_format(tmp_path / "text.txt") == "inline-tags"


def test_a_data_set_of_pairs_of_files(tmp_path: Path):
    for split in ("train", "test"):
        (tmp_path / f"sentences_{split}.txt").write_text("Ada left\nOslo\n")
        (tmp_path / f"labels_{split}.txt").write_text("B-PER O\nB-LOC\n")
    found = json.loads(CliRunner().invoke(cli, ["inspect", "--dataset-name", str(tmp_path), "--json"]).stdout)
    assert [(split["name"], split["n_words"]) for split in found["splits"]] == [("train", 3), ("test", 3)]


@pytest.mark.parametrize("text", ["Ada\tB-PER\nleft/O\tO\n", "<b>x</b>\tO\nAda\tB-PER\n", "word/NN\tO\n"])
def test_columns_stay_columns(tmp_path: Path, text: str):
    (tmp_path / "a.conll").write_text(text)
    assert detect_format(tmp_path / "a.conll") == "conll"


WORD_SPANS = {"gliner": "a.jsonl", "spert": "a.json", "dygie": "a.jsonl", "w2ner": "a.json", "inline-tags": "a.iob"}
TEXT_SPANS = {"cluener": "a.jsonl", "inline-xml": "a.txt"}


@pytest.mark.parametrize("format", [*WORD_SPANS, *TEXT_SPANS])
@given(written=sentences())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_come_back(tmp_path, format, written):
    if format == "inline-tags":
        written = [s for s in written if not any(set(word) & set("|") for word in s.words)] or []
    path = tmp_path / f"{format}.{(WORD_SPANS | TEXT_SPANS)[format]}"
    if not written:
        return
    options = {"word_splitting": "whitespace"} if format in TEXT_SPANS else {}
    found = there_and_back(written, path, format, read_as=format, **options)
    assert pairs(found) == pairs(written)


def entries() -> dict[str, str]:
    """The entries of formats in docs/data.md."""
    page = re.sub(r"^## The cache.*", "", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    sections = re.split(r"^(?:#### `([\w-]+)`|#{2,3} .*)$", page, flags=re.MULTILINE)[1:]
    return {name: text for name, text in zip(sections[::2], sections[1::2]) if name}


ENTRIES = entries()
FORMATS = {format.name: format for format in BUILT_IN}
# A file with the example, the folder of the example's files, or what a command makes of the example of `conll`.
_BLOCK = re.compile(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def example(format: str, folder: Path) -> Path:
    """The example of a format, written into a folder as its entry shows it."""
    found = _BLOCK.findall(ENTRIES[format])
    for name, language, content in found:
        if language != "bash":
            (folder / (name or f"example.{language}")).write_text(content.replace("<TAB>", "\t"), encoding="utf-8")
            continue
        source = example("conll", folder)
        *command, out = shlex.split(content)
        words = [str(source) if word == source.name else word for word in command[1:]]
        result = CliRunner().invoke(cli, [*words, str(folder / "out" / out)])
        assert result.exit_code == 0, result.stderr
        return folder / "out" / out
    if format == "comprehend":
        return folder / "annotations.csv"
    return folder if len(found) > 1 else folder / f"example.{found[0][1]}"


@pytest.mark.parametrize("format", FORMATS)
def test_examples_of_the_documentation(tmp_path: Path, format: str):
    if format == "docbin":
        need_modules("spacy", extra="spacy")
    options = ("--from", "text") if "Detected never" in ENTRIES[format] else ()
    result = convert(example(format, tmp_path), *options)
    read_as = re.findall(r"^Read as `(.+)`", ENTRIES[format], re.MULTILINE)
    assert (result.exit_code, result.sentences) == (0, read_as), result.messages
    inner = {"folder": "2 files", "csv-lists": "csv: "}
    assert inner.get(format, f"{format}: ") in result.messages


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_has_an_entry_that_says_how_it_is_detected_and_what_is_checked(format: str):
    if FORMATS[format].open is not None:
        assert re.search(r"^- Detected .+", ENTRIES[format], re.MULTILINE)
        assert re.search(r"^- Checked: .+", ENTRIES[format], re.MULTILINE)


def test_each_entry_is_of_a_format():
    assert sorted(ENTRIES) == sorted(FORMATS)


@pytest.mark.parametrize("format", [name for name, format in FORMATS.items() if format.is_written])
def test_entries_say_which_formats_are_written(tmp_path: Path, format: str):
    if format == "docbin":
        need_modules("spacy", extra="spacy")
    result = CliRunner().invoke(
        cli, ["convert", "--to", format, str(example("conll", tmp_path)), str(tmp_path / "written")]
    )
    assert result.exit_code == 0, result.stderr
    assert f"| [`{format}`](#{format}) |" in DOCS.read_text(encoding="utf-8")
