"""Records that nobody has annotated, that several people have annotated, and labels that are not understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.data.converting import CASES, Converted, case, convert, converted
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import load_splits, read_sentences
from tf_tokclf.errors import UserError


def of_records(tmp_path: Path, records: list[Any], *options: str, name: str = "a.jsonl") -> Converted:
    return converted(tmp_path, name, "".join(json.dumps(record) + "\n" for record in records), *options)


@pytest.mark.parametrize(
    ("name", "sentence", "n", "place"),
    [
        ("ls_cancelled.json", "Marie/B-PER lives/O in/O Paris/O", 2, "row 2"),
        ("labels_null.jsonl", "Marie/B-PER lives/O", 2, "line 2"),
    ],
)
def test_records_without_annotation_are_left_out_and_counted(name, sentence, n, place):
    result = case(name)
    assert (result.exit_code, result.sentences) == (0, [sentence])
    assert f"{n} records left out: not annotated" in result.messages
    assert f"(first: {name}, {place})" in result.messages
    assert "data.unannotated=outside" in result.messages


@pytest.mark.parametrize("name", ["ls_cancelled.json", "labels_null.jsonl"])
def test_a_setting_reads_them_as_words_outside_of_all_spans(name):
    result = case(name, "--unannotated", "outside")
    assert [sentence.count("/O") == sentence.count("/") for sentence in result.sentences] == [False, True, True]
    assert "2 records not annotated: all their words read as O" in result.messages


def test_tasks_with_predictions_alone_are_not_annotated(tmp_path: Path):
    value = {"start": 0, "end": 3, "labels": ["PER"]}
    predicted = {"data": {"text": "Tom left"}, "predictions": [{"result": [{"type": "labels", "value": value}]}]}
    imported = {"data": {"text": "Ada left"}}
    done = {"data": {"text": "Bob left"}, "annotations": [{"result": [{"type": "labels", "value": value}]}]}
    result = converted(tmp_path, "a.json", json.dumps([predicted, imported, done]))
    assert (result.exit_code, result.sentences) == (0, ["Bob/B-PER left/O"])
    assert "2 records left out: not annotated" in result.messages
    result = converted(tmp_path, "b.json", json.dumps([predicted, imported]))
    assert result.exit_code == 2
    assert "contains no sentences" in result.messages
    assert "2 records left out: not annotated" in result.messages
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "b.json")])
    assert result.exit_code == 2
    assert "2 records left out: not annotated" in result.output
    result = converted(tmp_path, "c.json", json.dumps([predicted]), "--unannotated", "outside")
    assert result.sentences == ["Tom/O left/O"]


def test_a_submitted_annotation_without_spans_is_a_sentence_of_o(tmp_path: Path):
    done = {"data": {"text": "Nobody here"}, "annotations": [{"was_cancelled": False, "result": []}]}
    predicted = {"data": {"text": "Tom left"}, "annotations": [], "predictions": [{"result": [{"value": {}}]}]}
    result = converted(tmp_path, "a.json", json.dumps([done, predicted]))
    assert result.sentences == ["Nobody/O here/O"]
    assert "1 record left out: not annotated" in result.messages


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": ["Tom", "left"], "tags": None},
        {"tokens": ["Tom", "left"]},
        {"tokens": ["Tom", "left"], "tags": [-100, -100]},
    ],
)
def test_lists_of_words_without_labels_are_not_annotated(tmp_path: Path, record: dict[str, Any]):
    result = of_records(tmp_path, [{"tokens": ["Ada"], "tags": ["B-PER"]}, record])
    assert result.sentences == ["Ada/B-PER"]
    assert "1 record left out: not annotated" in result.messages


def test_an_empty_field_of_csv_is_not_annotated_and_an_empty_list_is(tmp_path: Path):
    text = 'text,entities\nAda left,"[[0, 3, ""PER""]]"\nTom left,\nNobody,[]\n'
    result = converted(tmp_path, "a.csv", text)
    assert result.sentences == ["Ada/B-PER left/O", "Nobody/O"]
    assert "1 record left out: not annotated" in result.messages
    text = "tokens,tags\nAda left,B-PER O\nTom left,\n"
    assert converted(tmp_path, "b.csv", text).sentences == ["Ada/B-PER left/O"]


def test_rows_of_tables_without_labels_are_not_annotated(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {"tokens": [["Ada", "left"], ["Tom"], ["a", "b"]], "ner_tags": [["B-PER", "O"], None, ["O", "O"]]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    result = convert(tmp_path / "a.parquet")
    assert result.sentences == ["Ada/B-PER left/O", "a/O b/O"]
    assert "1 record left out: not annotated" in result.messages


def test_a_text_of_brat_without_its_annotations_is_reported(tmp_path: Path):
    result = case("brat_noann")
    assert result.sentences == ["Tom/B-Per left/O"]
    assert "1 text without .ann left out: not annotated" in result.messages
    assert "(first: d.txt, line 1)" in result.messages
    assert case("brat_noann", "--unannotated", "outside").sentences[0] == "He/O saw/O New/O York/O"


def test_annotated_records_may_begin_late(tmp_path: Path):
    records = [{"text": f"Tom {i}"} for i in range(80)] + [{"text": "Ada left", "labels": [[0, 3, "PER"]]}]
    result = of_records(tmp_path, records)
    assert result.sentences == ["Ada/B-PER left/O"]
    assert "80 records left out: not annotated" in result.messages


def test_a_file_in_which_nothing_is_annotated_is_an_error(tmp_path: Path):
    result = of_records(tmp_path, [{"text": "Tom left", "labels": None}] * 2)
    assert result.exit_code == 2
    assert "contains no sentences" in result.messages
    assert "2 records left out: not annotated" in result.messages


def test_what_prodigy_accepts_without_spans_is_annotated(tmp_path: Path):
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    records = [{"text": "Ada left", "spans": spans, "answer": "accept"}, {"text": "It rains", "answer": "accept"}]
    assert of_records(tmp_path, records).sentences == ["Ada/B-PER left/O", "It/O rains/O"]


def test_an_id_that_says_there_is_no_label_is_no_class():
    result = case("ids_minus100.jsonl")
    assert result.sentences == ["Tom/1 left/0"]
    assert "1 sentence left out: a word has no label (first: ids_minus100.jsonl, line 1)" in result.messages
    named = DataConfig(label_names=("O", "B-PER"))
    sentences = list(read_sentences(CASES / "ids_minus100.jsonl", named))
    assert [sentence.labels for sentence in sentences] == [("B-PER", "O"), ("B-PER", "O")]
    assert [sentence.unlabelled for sentence in sentences] == [(1,), ()]
    outside = named.model_copy(update={"unannotated": "outside"})
    assert not any(sentence.unlabelled for sentence in read_sentences(CASES / "ids_minus100.jsonl", outside))


def test_many_missing_labels_do_not_hide_the_column_of_labels(tmp_path: Path):
    text = "Ada\tx\tB-PER\tNN\nleft\ty\t-100\tVB\nnow\tz\tO\tRB\n"
    assert converted(tmp_path, "a.conll", text).sentences == ["Ada/B-PER left/None now/O"]


@pytest.mark.parametrize("missing", [-100, -1])
def test_missing_ids_in_tables_and_columns(tmp_path: Path, missing: int):
    import datasets

    labels = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"]))
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": labels})
    rows = {"tokens": [["Ada", "left"], ["Tom"]], "ner_tags": [[1, missing], [1]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    result = convert(tmp_path / "a.parquet")
    assert result.sentences == ["Ada/B-PER left/None", "Tom/B-PER"]
    assert "1 word without a label, left out of training and scores" in result.messages
    (tmp_path / "a.conll").write_text(f"Ada\tB-PER\nleft\t{missing}\n\nTom\tO\n")
    result = convert(tmp_path / "a.conll")
    assert result.sentences == ["Ada/B-PER left/None", "Tom/O"]
    assert "1 word without a label, left out of training and scores" in result.messages


TWO = "ls_two_annotators.json"


def test_several_annotations_of_a_task_are_reported():
    result = case(TWO)
    assert result.sentences == ["Marie/B-PER lives/O in/O Paris/O"]
    assert "1 record with several annotations, of which the first is used (data.annotations)" in result.messages


def of_annotators(*annotations: tuple[str, str, list[list[Any]]]) -> list[dict[str, Any]]:
    """A Label Studio task that these annotators have annotated at these times."""
    done = [
        {
            "completed_by": annotator,
            "created_at": time,
            "result": [{"value": {"start": start, "end": end, "labels": [type]}} for start, end, type in spans],
        }
        for annotator, time, spans in annotations
    ]
    return [{"data": {"text": "Marie left Paris"}, "annotations": done}]


MARIE, PARIS = [0, 5, "PER"], [11, 16, "LOC"]


@pytest.mark.parametrize(
    ("choice", "sentences"),
    [
        ("first", ["Marie/B-PER left/O Paris/O"]),
        ("latest", ["Marie/B-PER left/O Paris/B-LOC"]),
        ("agreed", []),
        ("bob", ["Marie/O left/O Paris/B-LOC"]),
        ("7", ["Marie/B-PER left/O Paris/O"]),
        ("eve", []),
    ],
)
def test_a_setting_chooses_among_annotations(tmp_path: Path, choice: str, sentences: list[str]):
    tasks = of_annotators(
        ({"id": 7, "email": "ann@x.org"}, "2024-01-02", [MARIE]),
        ("cleo", "2024-03-01", [MARIE, PARIS]),
        ("bob", "2024-02-01", [PARIS]),
    )
    agreed = of_annotators(("ann", "1", [PARIS]), ("bob", "2", [PARIS]))
    result = converted(tmp_path, "a.json", json.dumps([*tasks, *agreed]), "--annotations", choice)
    assert result.exit_code == (2 if choice == "eve" else 0)
    assert result.sentences[: len(sentences)] == sentences
    if choice == "agreed":
        assert result.sentences == ["Marie/O left/O Paris/B-LOC"]
        assert "1 record left out: their annotators do not agree" in result.messages
    if choice == "eve":
        assert "2 records left out: not annotated by eve" in result.messages


def test_annotators_of_doccano_stand_in_one_list(tmp_path: Path):
    spans = [
        {"start_offset": 0, "end_offset": 5, "label": "PER", "user": 1},
        {"start_offset": 11, "end_offset": 16, "label": "LOC", "user": 2},
    ]
    records = [{"text": "Marie left Paris", "annotations": spans}]
    result = of_records(tmp_path, records)
    assert result.sentences == ["Marie/B-PER left/O Paris/O"]
    assert "1 record with several annotations" in result.messages
    assert of_records(tmp_path, records, "--annotations", "2").sentences == ["Marie/O left/O Paris/B-LOC"]


def test_inspect_says_how_far_annotators_agree(tmp_path: Path):
    tasks = of_annotators(("ann", "1", [MARIE]), ("bob", "2", [MARIE, PARIS])) * 2
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "a.json"), "--json"])
    (pair,) = json.loads(result.stdout)["annotators"]
    assert pair["annotators"] == ["ann", "bob"]
    assert (pair["n_records"], pair["n_words"], pair["n_equal"]) == (2, 6, 4)
    assert pair["kappa"] == pytest.approx(0.5)
    shown = CliRunner().invoke(cli, ["inspect", str(tmp_path / "a.json")]).stdout
    assert "Cohen's kappa" in shown
    assert "0.500" in shown


def test_a_fault_in_an_annotation_that_is_not_used_stops_nothing(tmp_path: Path):
    tasks = of_annotators(("ann", "1", [MARIE]), ("bob", "2", [[0, 99, "PER"]]))
    result = converted(tmp_path, "a.json", json.dumps(tasks))
    assert result.sentences == ["Marie/B-PER left/O Paris/O"]


@pytest.mark.parametrize("where", ["offset_unit", "meta"])
@pytest.mark.parametrize(("unit", "start"), [("codepoint", 2), ("utf16", 3), ("byte", 5)])
def test_offsets_count_what_the_record_says(tmp_path: Path, unit: str, start: int, where: str):
    says = {"offset_unit": unit} if where == "offset_unit" else {"meta": {"offset_unit": unit}}
    span = {"start": start, "end": start + 3, "label": "PER"}
    same = {"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    records = [{"text": "😀 Ada", "spans": [span], **says}, same]
    assert of_records(tmp_path, records).sentences == ["😀/O Ada/B-PER", "Ada/B-PER"]
    # What the record says is more than what the options say of all records.
    assert of_records(tmp_path, records[:1], "--offset-unit", "utf16").sentences == ["😀/O Ada/B-PER"]
    task = {"data": {"text": "😀 Ada"}, "annotations": [{"result": [{"value": {**span, "labels": ["PER"]}}]}], **says}
    assert converted(tmp_path, "t.json", json.dumps([task])).sentences == ["😀/O Ada/B-PER"]


def test_label_ids_without_names_are_reported_and_names_can_be_given():
    result = case("doccano_annotations_ids.jsonl")
    assert result.sentences[0] == "Marie/B-2 lives/O in/O Paris/O"
    assert "1 span whose type is an id without a name (data.label_names gives names)" in result.messages
    named = DataConfig(label_names=("LOC", "ORG", "PER"))
    first = next(iter(read_sentences(CASES / "doccano_annotations_ids.jsonl", named)))
    assert first.labels == ("B-PER", "O", "O", "O")


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"text": "Ada left", "entityLabels": [{"from": 0, "to": 3, "name": "PER"}]}, "entityLabels"),
        ({"text": "Ada left", "marks": [[0, 3, "PER"]], "id": 1}, "marks"),
        ({"text": "Ada left", "gold": {"a": {"s": 0, "e": 3, "t": "PER"}}}, "gold"),
        ({"tokens": ["Ada", "left"], "pos_tags": ["NNP", "VBD"]}, "pos_tags"),
        ({"tokens": ["Ada", "left"], "upper_tags": ["A", "O"], "fine_labels": ["B", "O"]}, "upper_tags, fine_labels"),
    ],
)
def test_what_could_be_labels_and_is_not_understood_is_an_error_that_shows_it(tmp_path, record, field):
    result = of_records(tmp_path, [record])
    assert result.exit_code == 2
    assert field in result.messages
    assert "--label-column-name" in result.messages
    bare = of_records(tmp_path, [record], "--label-column-name", "")
    assert (bare.exit_code, bare.sentences) == (0, ["Ada left"])


def test_a_list_of_labels_beside_the_words_is_found_whatever_its_name(tmp_path: Path):
    result = of_records(tmp_path, [{"words": ["Ada", "left"], "bboxes": [[1, 2], [3, 4]], "word_labels": [1, 0]}])
    assert result.sentences == ["Ada/1 left/0"]
    assert "labels in 'word_labels'" in result.messages
    records = [{"tokens": ["Ada", "left"], "gold": ["B-PER", "O"]}]
    assert of_records(tmp_path, records).sentences == ["Ada/B-PER left/O"]


def test_spans_as_a_data_set_s_columns(tmp_path: Path):
    import datasets

    number = datasets.Value("int32")
    span = {"start": number, "end": number, "label": datasets.ClassLabel(names=["PER"])}
    features = datasets.Features({"text": datasets.Value("string"), "entities": datasets.Sequence(span)})
    rows = {"text": ["Ada left"], "entities": [{"start": [0], "end": [3], "label": [0]}]}
    made = datasets.Dataset.from_dict(rows, features=features)
    made.save_to_disk(str(tmp_path / "set"))
    made.to_parquet(tmp_path / "a.parquet")
    for source in (tmp_path / "set", tmp_path / "a.parquet"):
        assert convert(source).sentences == ["Ada/B-PER left/O"]


def test_a_header_with_a_name_twice_is_an_error_that_names_the_column():
    result = case("dup_cols.csv")
    assert result.exit_code == 2
    assert "the header has 2 columns named 'label': 1 and 2" in result.messages
    result = case("dup_cols.csv", "--label-column-name", "1")
    assert result.sentences == ["Marie/B-PER lives/O"]


def test_a_name_twice_in_columns_and_in_tables(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    result = converted(tmp_path, "a.conll", "token\tner\tner\nAda\tB-PER\tO\n")
    assert result.exit_code == 2
    assert "2 columns named 'ner': 1 and 2" in result.messages
    columns = [pa.array([["Ada"]]), pa.array([["O"]]), pa.array([["B-PER"]])]
    table = pa.Table.from_arrays(columns, ["tokens", "tags", "tags"])
    pq.write_table(table, tmp_path / "a.parquet")
    result = convert(tmp_path / "a.parquet")
    assert result.exit_code == 2
    assert "2 columns named 'tags': 1 and 2" in result.messages
    assert convert(tmp_path / "a.parquet", "--label-column-name", "2").sentences == ["Ada/B-PER"]


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
    assert "is a list that numpy cut off when it was printed" in result.messages


def dataturks(text: str, *spans: tuple[int, int, str, list[str]]) -> dict[str, Any]:
    marked = [
        {"label": types, "points": [{"start": start, "end": end, "text": surface}]}
        for start, end, surface, types in spans
    ]
    return {"content": text, "annotation": marked}


BAD_SPANS = [
    dataturks("Ada Lovelace lived in London.", (2, 13, "Ada Lovelace", ["PER"]), (22, 27, "London", ["LOC"])),
    dataturks("Bob or Bob left Rome", (1, 3, "Bob", ["PER"]), (16, 19, "Rome", [])),
    dataturks("He saw Oslo twice", (6, 10, " Oslo", ["LOC"]), (12, 99, "again", ["X"]), (12, 14, "twi", ["X"])),
]


def test_single_spans_are_corrected_or_left_out_and_each_reason_is_counted(tmp_path: Path):
    result = of_records(tmp_path, BAD_SPANS)
    assert result.exit_code == 2
    assert "line 1: the span PER at 2 to 14 is" in result.messages
    assert "--set data.on_error=skip" in result.messages
    result = of_records(tmp_path, BAD_SPANS, "--on-error", "skip")
    assert result.sentences == [
        "Ada/B-PER Lovelace/I-PER lived/O in/O London/B-LOC ./O",
        "Bob/O or/O Bob/O left/O Rome/O",
        "He/O saw/O Oslo/B-LOC twice/O",
    ]
    for said in (
        "1 span moved to their text, which stands once nearby",
        "1 span dropped: the text there is another",
        "1 span dropped: they have no type",
        "1 span without the white space at their ends",
        "1 span dropped: their offsets are outside of the text",
        "1 span dropped: they cut words",
    ):
        assert said in result.messages


@pytest.mark.parametrize("policy", ["expand", "contract", "drop"])
def test_a_span_is_moved_to_its_text_under_each_policy(tmp_path: Path, policy: str):
    result = of_records(tmp_path, BAD_SPANS[:1], "--span-policy", policy)
    assert result.sentences == ["Ada/B-PER Lovelace/I-PER lived/O in/O London/B-LOC ./O"]
    assert "1 span moved to their text, which stands once nearby" in result.messages


def test_errors_in_records_name_the_setting_that_leaves_them_out(tmp_path: Path):
    for name, content in {
        "a.conll": "a\tO\nb\n",
        "a.jsonl": '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"], "tags": []}\n',
        "a.csv": "tokens,tags\na,O\nb\n",
    }.items():
        assert "--set data.on_error=skip" in converted(tmp_path, name, content).messages


def test_training_sentences_are_not_made_of_what_nobody_has_annotated():
    splits = load_splits(
        DataConfig(train_file=str(CASES / "ls_cancelled.json")), task=Task.NER, seed=1, cut_validation=False
    )
    assert len(splits.train) == 1
    assert any("2 records left out: not annotated" in note for note in splits.notes)


def test_a_span_that_stands_elsewhere_stops_the_reading_by_default(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(json.dumps(BAD_SPANS[0]))
    with pytest.raises(UserError, match=r"It fits|Check the offsets"):
        list(read_sentences(tmp_path / "a.jsonl", DataConfig()))


@pytest.mark.parametrize(
    "data",
    [{"id": "a long name of a record", "body": "Ada left"}, {"text": "A title that is long", "body": "Ada left"}],
)
def test_the_text_of_a_task_is_the_one_that_its_spans_cover(tmp_path: Path, data: dict[str, str]):
    value = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}
    task = {"data": data, "annotations": [{"result": [{"value": value}]}]}
    assert converted(tmp_path, "a.json", json.dumps([task])).sentences == ["Ada/B-PER left/O"]
