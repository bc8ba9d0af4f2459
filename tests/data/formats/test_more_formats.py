"""Formats of annotation tools and of services: what is particular in each of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.converting import convert, converted

ENTITY = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value"
POS = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue|coarseValue"


def webanno(*lines: str, layers: tuple[str, ...] = (ENTITY,)) -> str:
    return "\n".join(["#FORMAT=WebAnno TSV 3.3", *layers, "", "", *lines, ""])


def test_spans_by_number_and_of_single_words(tmp_path: Path):
    text = webanno(
        "#Text=New York, Oslo",
        "1-1\t0-3\tNew\t*[1]\tLOC[1]\t",
        "1-2\t4-8\tYork\t*[1]\tLOC[1]\t",
        "1-3\t8-9\t,\t_\t_\t",
        "1-4\t10-14\tOslo\t*\tLOC\t",
        "",
        "#Text=Bye",
        "2-1\t15-18\tBye\t_\t_\t",
    )
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["New/B-LOC York/I-LOC ,/O Oslo/B-LOC", "Bye/O"]
    assert "webanno: labels in NamedEntity.value" in result.messages


def test_neighbouring_spans_of_one_type_stay_two(tmp_path: Path):
    text = webanno("1-1\t0-3\tAda\t*[1]\tPER[1]\t", "1-2\t4-7\tBob\t*[2]\tPER[2]\t")
    assert converted(tmp_path, "a.tsv", text).sentences == ["Ada/B-PER Bob/B-PER"]


def test_stacked_spans_are_layers(tmp_path: Path):
    text = webanno("1-1\t0-3\tNew\t*[1]|*[2]\tORG[1]|LOC[2]\t", "1-2\t4-8\tYork\t*[1]\tORG[1]\t")
    assert converted(tmp_path, "a.tsv", text).exit_code == 2
    assert converted(tmp_path, "a.tsv", text, "--layer", "0").sentences == ["New/B-ORG York/I-ORG"]
    assert converted(tmp_path, "a.tsv", text, "--layer", "1").sentences == ["New/B-LOC York/O"]


def test_parts_of_words_are_taken_to_whole_words_and_counted(tmp_path: Path):
    text = webanno("1-1\t0-9\tOslo-trip\t_\t_\t", "1-1.1\t0-4\tOslo\t*\tLOC\t", "1-2\t10-13\tend\t_\t_\t")
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["Oslo-trip/B-LOC end/O"]
    assert "1 span of parts of words taken to whole words" in result.messages


def test_escaped_signs_and_spans_without_a_value(tmp_path: Path):
    text = webanno("1-1\t0-3\ta\\_b\t*[1]\t*[1]\t", "1-2\t4-5\t\\|\t*\tA\\|B\t")
    result = converted(tmp_path, "a.tsv", text)
    assert result.sentences == ["a_b/B-NamedEntity |/B-A|B"]
    assert "1 span without a value, which take the name of their layer" in result.messages


def test_parts_of_speech_and_other_layers(tmp_path: Path):
    layers = (POS, ENTITY, "#T_SP=webanno.custom.Drug|dose")
    text = webanno("1-1\t0-3\tAda\tNNP\tPROPN\t*\tPER\t5mg\t", layers=layers)
    assert converted(tmp_path, "a.tsv", text).sentences == ["Ada/B-PER"]
    assert converted(tmp_path, "a.tsv", text, "--task", "pos").sentences == ["Ada/NNP"]
    for name in ("Drug", "dose", "Drug.dose", "7"):
        assert converted(tmp_path, "a.tsv", text, "--label-column-name", name).sentences == ["Ada/B-5mg"]
    assert converted(tmp_path, "a.tsv", text, "--label-column-name", "").sentences == ["Ada"]


@pytest.mark.parametrize(
    ("layers", "options", "said"),
    [
        (("#T_SP=webanno.custom.A|x", "#T_SP=webanno.custom.B|y"), (), "several features could be the labels."),
        ((POS,), (), "no layer holds such labels"),
        ((ENTITY,), ("--label-column-name", "Drug"), "there is no layer or feature 'Drug'"),
        ((ENTITY,), (), "line 5: '1-1\\t0-3\\tAda' is no token with 5 columns"),
    ],
)
def test_what_is_not_clear_is_an_error(tmp_path: Path, layers: tuple[str, ...], options: tuple[str, ...], said: str):
    result = converted(tmp_path, "a.tsv", webanno("1-1\t0-3\tAda", layers=layers), *options)
    assert result.exit_code == 2
    assert said in result.messages


def manifest(**jobs: list[dict[str, object]]) -> str:
    record: dict[str, object] = {"source": "Marie left"}
    for day, (job, entities) in enumerate(jobs.items(), 1):
        record[job] = {"annotations": {"entities": entities}}
        record[f"{job}-metadata"] = {"creation-date": f"2023-01-0{day}"}
    return json.dumps(record) + "\n"


PERSON = {"label": "PER", "startOffset": 0, "endOffset": 5}


def test_labelling_jobs_are_annotators(tmp_path: Path):
    text = manifest(first=[PERSON], second=[])
    result = converted(tmp_path, "a.manifest", text)
    assert result.sentences == ["Marie/B-PER left/O"]
    assert "1 record with several annotations" in result.messages
    for choice in ("second", "latest"):
        assert converted(tmp_path, "a.manifest", text, "--annotations", choice).sentences == ["Marie/O left/O"]


def test_slots_by_name_before_entities(tmp_path: Path):
    pieces = [{"text": "at "}, {"text": "nine", "entity": "snips/time", "slot_name": "when"}]
    document = {"intents": {"Wake": {"utterances": [{"data": pieces}, {"data": [{"text": "wake up"}]}]}}}
    assert converted(tmp_path, "a.json", json.dumps(document)).sentences == ["at/O nine/B-when", "wake/O up/O"]
    line = json.dumps({"data": pieces}) + "\n"
    assert converted(tmp_path, "a.jsonl", line + line).sentences == ["at/O nine/B-when"] * 2


def test_entities_of_dialogflow_without_a_parameter(tmp_path: Path):
    pieces = [{"text": "to ", "userDefined": False}, {"text": "Oslo", "meta": "@sys.geo-city"}]
    assert converted(tmp_path, "a.json", json.dumps([{"data": pieces}])).sentences == ["to/O Oslo/B-sys.geo-city"]


def test_a_list_of_texts_in_data_is_no_list_of_pieces(tmp_path: Path):
    document = {"data": [{"text": "Ada left", "label": [[0, 3, "PER"]]}, {"text": "Bye", "label": []}]}
    assert converted(tmp_path, "a.json", json.dumps(document)).sentences == ["Ada/B-PER left/O", "Bye/O"]


COMMAS = {
    '"Ada,left","B-PER,O"\n"Oslo","B-LOC"\n': ["Ada/B-PER left/O", "Oslo/B-LOC"],
    '"Ada, left","B-PER, O"\n': ["Ada/B-PER left/O"],
    'Ada left,"B-PER,O"\n': ["Ada/B-PER left/O"],
    "Ada left,B-PER O\n": ["Ada/B-PER left/O"],
    '"Oslo,",B-LOC\n': ["Oslo,/B-LOC"],
}


@pytest.mark.parametrize("rows", COMMAS)
def test_lists_with_commas_between_their_items(tmp_path: Path, rows: str):
    result = converted(tmp_path, "a.csv", "tokens,ner_tags\n" + rows)
    assert (result.exit_code, result.sentences) == (0, COMMAS[rows]), result.messages


def test_a_comma_that_is_a_word_is_an_error_with_its_line(tmp_path: Path):
    rows = '"Ada,left","B-PER,O"\n"Oslo,,now","B-LOC,O"\n'
    result = converted(tmp_path, "a.csv", "tokens,ner_tags\n" + rows)
    assert result.exit_code == 2
    assert "a.csv, line 3: " in result.messages


def annotations(folder: Path, *rows: str, text: str = "Marie left\nIt rains\n\nTom went\n") -> Path:
    (folder / "docs.txt").write_text(text)
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    return folder / "a.csv"


BY_LINE = "File,Line,Begin Offset,End Offset,Type"
BY_DOCUMENT = "File,Begin Offset,End Offset,Type"


def test_annotations_by_line_or_by_document(tmp_path: Path):
    read = ["Marie/B-PER left/O", "It/O rains/O", "Tom/B-PER went/O"]
    assert convert(annotations(tmp_path, BY_LINE, "docs.txt,0,0,5,PER", "docs.txt,3,0,3,PER")).sentences == read
    assert convert(annotations(tmp_path, BY_DOCUMENT, "docs.txt,0,5,PER", "docs.txt,21,24,PER")).sentences == read


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("other.txt,0,0,5,PER", "a.csv, line 2: there is no file 'other.txt' beside it"),
        ("../docs.txt,0,0,5,PER", "a.csv, line 2: the file '../docs.txt' is not the name of a file beside it"),
        ("docs.txt,0,x,5,PER", "a.csv, line 2: 'docs.txt,0,x,5,PER' is no annotation"),
        ("docs.txt,0,0,5,", "a.csv, line 2: a row has no file or no type"),
        ("docs.txt,0,0,50,PER", "docs.txt, line 1: "),
        ("docs.txt,9,0,5,PER", "docs.txt: there is no line 9"),
    ],
)
def test_annotations_that_do_not_fit_their_documents(tmp_path: Path, row: str, said: str):
    result = convert(annotations(tmp_path, BY_LINE, row))
    assert result.exit_code == 2
    assert said in result.messages


def test_spans_outside_of_a_document_are_not_lost(tmp_path: Path):
    result = convert(annotations(tmp_path, BY_DOCUMENT, "docs.txt,500,505,PER"))
    assert result.exit_code == 2
    assert "docs.txt: a span begins at 500, behind the end" in result.messages


def test_annotations_of_a_whole_document_in_bioc(tmp_path: Path):
    annotation = {"infons": {"type": "PER"}, "text": "Ada", "locations": [{"offset": 0, "length": 3}]}
    passage = {"offset": 0, "text": "Ada left", "annotations": []}
    text = json.dumps({"documents": [{"id": "1", "annotations": [annotation], "passages": [passage]}]})
    assert converted(tmp_path, "a.json", text).sentences == ["Ada/B-PER left/O"]
    passage_xml = "<passage><offset>0</offset><text>Ada left</text></passage>"
    place_xml = '<infon key="type">PER</infon><location offset="0" length="3"/>'
    annotation_xml = f"<annotation>{place_xml}<text>Ada</text></annotation>"
    text = f"<collection><document><id>1</id>{passage_xml}{annotation_xml}</document></collection>"
    assert converted(tmp_path, "a.xml", text).sentences == ["Ada/B-PER left/O"]


def test_responses_of_argilla_in_columns(tmp_path: Path):
    span = {"start": 0, "end": 3, "label": "PER"}
    record = {"text": "Ada left", "span.responses": [[span], []], "span.responses.users": ["a", "b"]}
    record["span.responses.status"] = ["submitted", "discarded"]
    assert converted(tmp_path, "a.json", json.dumps([record])).sentences == ["Ada/B-PER left/O"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"entity_group": "PER", "score": 0.9, "word": "Ada", "start": 0, "end": 3}]'),
        ("a.csv", "text,entities\nAda left,\"{'entities': [(0, 3, 'PER')]}\"\n"),
    ],
)
def test_labels_that_are_not_understood_are_an_error(tmp_path: Path, name: str, text: str):
    result = converted(tmp_path, name, text)
    assert result.exit_code == 2
    assert "may contain labels, but is not understood" in result.messages


def test_a_column_of_labels_with_any_name(tmp_path: Path):
    result = converted(tmp_path, "a.csv", "word,pos,gold\nAda,NN,B-PER\n[1],CD,O\nleft,VB,O\n")
    assert result.sentences == ["Ada/B-PER [1]/O left/O"]
    result = converted(tmp_path, "a.csv", "word,gold,other\nAda,B-PER,O\nleft,O,O\n")
    assert (result.exit_code, "cannot be determined: gold, other" in result.messages) == (2, True)
    assert converted(tmp_path, "a.csv", "word,pos\nAda,NN\n").sentences == ["Ada"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"tokens": ["Ada"], "tags": ["B-PER"]}, {"tokens": ["Tom"], "ner_tags": ["B-PER"]}),
        ({"text": "Ada", "entities": [[0, 3, "PER"]]}, {"text": "Tom", "label": [[0, 3, "PER"]]}),
    ],
)
def test_labels_in_another_field_are_not_taken_for_none(tmp_path: Path, first: dict, second: dict):
    result = converted(tmp_path, "a.jsonl", f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert result.exit_code == 2
    assert "may contain labels" in result.messages
