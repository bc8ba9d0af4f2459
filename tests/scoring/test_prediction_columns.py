"""The columns of gold and predicted labels: detected or named by the user, and never confused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.data.converting import CASES
from tf_tokclf.cli.main import cli

GOLD = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O"]]
PREDICTED = [["B-PER", "O", "O", "O"], ["O", "O"]]  # 1 of 3 spans: F1 50
WORDS = [["Marie", "lives", "in", "Paris"], ["Tom", "left"]]
NAMES = ["O", "B-PER", "B-LOC"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def columns(path: Path, *labels: list[list[str]], separator: str = "\t", words: bool = True) -> Path:
    lists = [WORDS, *labels] if words else labels
    blocks = ["".join(separator.join(row) + "\n" for row in zip(*sentence)) for sentence in zip(*lists)]
    return write(path, "\n".join(blocks))


def records(path: Path, **fields: list[Any]) -> Path:
    rows = [dict(zip(fields, values)) for values in zip(*fields.values())]
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def run(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == code, result.output + str(result.exception)
    return result.stdout if code == 0 else result.output


def f1(*args: object) -> float:
    return round(100 * json.loads(run("evaluate", "--predictions", *args, "--format", "json"))["overall"]["f1"], 2)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    return columns(tmp_path / "gold.conll", GOLD)


def test_decimal_fractions_behind_the_prediction_are_confidences(tmp_path: Path, gold: Path):
    scores = [["0.99", "1", "_", "0.5"], ["1e-3", "0.7"]]
    for separator in ("\t", " "):
        file = columns(tmp_path / "a", GOLD, PREDICTED, scores, separator=separator)
        assert f1(file) == 50
        assert f1(file, "--gold", gold) == 50
        file = columns(tmp_path / "b", GOLD, scores, PREDICTED, separator=separator)
        assert f1(file) == 50
        assert f1(file, "--gold", gold) == 50
        file = columns(tmp_path / "c", scores, PREDICTED, separator=separator)
        assert f1(file, "--gold", gold) == 50


def test_confidences_are_no_labels_even_when_named(tmp_path: Path):
    file = columns(tmp_path / "a", GOLD, PREDICTED, [["0.99", "1", "0.2", "0.5"], ["0.1", "0.7"]])
    text = run("evaluate", "--predictions", file, "--predicted-column-name", 3, code=2)
    assert "column 3 contains decimal fractions" in text


def test_whole_numbers_stay_label_ids(tmp_path: Path):
    ids = [[[str(NAMES.index(label)) for label in one] for one in side] for side in (GOLD, PREDICTED)]
    names = f"data.label_names={json.dumps(NAMES)}"
    assert f1(columns(tmp_path / "a", *ids), "--set", names) == 50


def test_output_of_crf_plus_plus_has_its_probability_behind_the_label(tmp_path: Path):
    with_probability = [[f"{label}/0.9" for label in one] for one in PREDICTED]
    assert f1(columns(tmp_path / "v1", GOLD, with_probability)) == 50
    others = [[f"{label}/0.1" for _ in one] for label in ("B-PER",) for one in PREDICTED]
    assert f1(columns(tmp_path / "v2", GOLD, with_probability, others)) == 50


def test_gold_is_the_column_with_the_labels_of_the_prediction(tmp_path: Path):
    chunks = [["B-NP", "B-VP", "B-PP", "B-NP"], ["B-NP", "B-VP"]]
    pos = [["NNP", "VBZ", "IN", "NNP"], ["NNP", "VBD"]]
    wrong = [["B-NP", "B-VP", "O", "O"], ["O", "O"]]
    assert f1(columns(tmp_path / "ner", pos, chunks, GOLD, PREDICTED)) == 50
    assert f1(columns(tmp_path / "chunk", pos, chunks, GOLD, wrong)) == 50
    tagged = [["NNP", "VBZ", "IN", "IN"], ["IN", "IN"]]
    assert f1(columns(tmp_path / "pos", pos, chunks, GOLD, tagged)) == 50


@pytest.mark.parametrize("name", ["flair_old.tsv", "crfpp_v1.txt"])
def test_gold_predicted_and_confidence_in_columns(tmp_path: Path, name: str):
    gold = write(tmp_path / "gold.conll", "Marie\tB-PER\nlives\tO\n\nTom\tB-PER\n")
    for files in ((CASES / name,), (CASES / name, "--gold", gold)):
        scores = json.loads(run("evaluate", "--predictions", *files, "--format", "json"))
        assert [scores["overall"][key] for key in ("correct", "predicted", "support")] == [1, 1, 2]
        assert f1(*files) == 66.67


def test_labels_alone_and_spans_alone_are_scored_on_the_words_of_gold(gold: Path):
    predictions, spans = CASES / "run_ner_predictions.txt", CASES / "pipeline_dump.json"
    for gold_file in (gold, CASES / "gold_rn.jsonl"):
        assert f1(predictions, "--gold", gold_file) == 100
        assert f1(spans, "--gold", gold_file) == 80
        text = run("compare", predictions, spans, "--gold", gold_file, "--format", "json", "--samples", 9)
        assert [round(system["f1"]["mean"], 2) for system in json.loads(text)["systems"]] == [1, 0.8]
    for file in (predictions, spans):
        assert "Give a file with the gold labels with --gold" in run("evaluate", "--predictions", file, code=2)


def test_an_inner_layer_is_not_gold(tmp_path: Path):
    inner = [["O", "O", "O", "B-LOC"], ["O", "O"]]
    file = columns(tmp_path / "a", GOLD, inner, PREDICTED)
    assert f1(file) == 50
    assert f1(file, "--gold", columns(tmp_path / "gold", GOLD, inner)) == 50


def test_two_systems_beside_gold_are_refused_until_one_is_named(tmp_path: Path, gold: Path):
    other = [["B-PER", "O", "O", "B-LOC"], ["O", "B-LOC"]]
    file = columns(tmp_path / "a", GOLD, other, PREDICTED)
    text = run("evaluate", "--predictions", file, code=2)
    assert "column 1 and column 2 may all contain gold labels" in text
    assert "--label-column-name" in text
    text = run("evaluate", "--predictions", file, "--label-column-name", 1, code=2)
    assert "column 2 and column 3 may all contain predictions" in text
    assert f1(file, "--label-column-name", 1, "--predicted-column-name", 2) == 66.67
    assert f1(file, "--label-column-name", 1, "--predicted-column-name", 3) == 50
    text = run("evaluate", "--predictions", file, "--gold", gold, code=2)
    assert "column 2 and column 3 may all contain predictions" in text
    assert f1(file, "--gold", gold, "--predicted-column-name", 2) == 66.67
    assert f1(file, "--gold", gold, "--predicted-column-name", -1) == 50


@pytest.mark.parametrize(
    ("gold_name", "predicted_name"),
    [
        ("ner_tags", "predictions"),
        ("ner_tags", "pred"),
        ("ner_tags", "predicted_labels"),
        ("labels", "predLabels"),
        ("gold", "predicted"),
        ("y_true", "y_pred"),
        ("true_labels", "model_output"),
        ("gold", "labels"),
    ],
)
def test_names_tell_in_records(tmp_path: Path, gold: Path, gold_name: str, predicted_name: str):
    for fields in ({gold_name: GOLD, predicted_name: PREDICTED}, {predicted_name: PREDICTED, gold_name: GOLD}):
        file = records(tmp_path / "a.jsonl", id=[1, 2], tokens=WORDS, **fields)
        assert f1(file) == 50
        assert f1(file, "--gold", gold) == 50


def test_names_that_do_not_tell_are_refused(tmp_path: Path, gold: Path):
    file = records(tmp_path / "a.jsonl", tokens=WORDS, ner_tags=PREDICTED, labels=GOLD)
    text = run("evaluate", "--predictions", file, code=2)
    assert "'ner_tags' and 'labels' may all contain predictions" in text
    assert f1(file, "--predicted-column-name", "ner_tags") == 50
    # The gold file shows which of the two is the gold labels.
    assert f1(file, "--gold", gold) == 50


def test_several_predictions_are_refused_until_one_is_named(tmp_path: Path, gold: Path):
    better = [GOLD[0], PREDICTED[1]]
    file = records(tmp_path / "a.jsonl", tokens=WORDS, ner_tags=GOLD, pred=better, predicted_labels=PREDICTED)
    for more in ([], ["--gold", gold]):
        text = run("evaluate", "--predictions", file, *more, code=2)
        assert "'pred' and 'predicted_labels' may all contain predictions. Choose one with" in text
        assert f1(file, *more, "--predicted-column-name", "pred") == 80
        assert f1(file, *more, "--predicted-column-name", "predicted_labels") == 50
    assert "may all contain predictions" in run("compare", file, file, code=2)
    result = json.loads(
        run(
            *("compare", file, file, "--format", "json", "--samples", 9),
            *("--predicted-column-name", "pred", "--predicted-column-name", "predicted_labels"),
        )
    )
    assert [round(system["f1"]["mean"], 2) for system in result["systems"]] == [0.8, 0.5]


def test_a_column_that_is_not_there_is_named(tmp_path: Path):
    file = records(tmp_path / "a.jsonl", tokens=WORDS, ner_tags=GOLD, pred=PREDICTED)
    text = run("evaluate", "--predictions", file, "--predicted-column-name", "predicted", code=2)
    assert "no column of labels 'predicted'. Its columns of labels are ner_tags, pred" in text


def test_parts_of_speech_beside_named_predictions_are_not_gold(tmp_path: Path):
    pos = [["NN", "VB", "IN", "NN"], ["NN", "VB"]]
    assert f1(records(tmp_path / "a.jsonl", tokens=WORDS, pos_tags=pos, ner_tags=GOLD, pred=PREDICTED)) == 50


def test_words_without_a_gold_label_are_not_scored(tmp_path: Path):
    # The model is wrong only on words without a gold label.
    gold = [["B-PER", None, "O", "B-LOC"], ["B-PER", "O"]]
    right = [["B-PER", "B-LOC", "O", "B-LOC"], ["B-PER", "O"]]
    written = [[label or "-100" for label in labels] for labels in gold]
    ids = [[-100 if label is None else NAMES.index(label) for label in labels] for labels in gold]
    predicted_ids = [[NAMES.index(label) for label in labels] for labels in right]
    names = ("--set", f"data.label_names={json.dumps(NAMES)}")
    file = columns(tmp_path / "beside.conll", written, right)
    beside = [
        (file,),
        (records(tmp_path / "a.jsonl", tokens=WORDS, ner_tags=gold, pred=right),),
        (records(tmp_path / "b.jsonl", tokens=WORDS, ner_tags=ids, pred=predicted_ids), *names),
        (records(tmp_path / "c.jsonl", tokens=WORDS, ner_tags=written, pred=right),),
    ]
    predicted = (
        columns(tmp_path / "predicted.conll", right),
        records(tmp_path / "d.jsonl", tokens=WORDS, labels=right),
        write(tmp_path / "predictions.txt", "".join(" ".join(labels) + "\n" for labels in right)),
    )
    apart = [(one, "--gold", columns(tmp_path / "gold.conll", written)) for one in predicted]
    for files in beside + apart:
        scores = json.loads(run("evaluate", "--predictions", *files, "--format", "json"))
        assert (scores["overall"]["f1"], scores["n_words"]) == (1, 5), files
    comparison = json.loads(run("compare", file, file, "--format", "json", "--samples", 9))
    assert [system["f1"]["mean"] for system in comparison["systems"]] == [1, 1]


@pytest.mark.parametrize("form", ["lines", "document", "csv", "csv words", "parquet", "dataset"])
def test_labels_without_words_are_scored(tmp_path: Path, form: str):
    file = tmp_path / "a.jsonl"
    if form == "lines":
        records(file, y_true=GOLD, y_pred=PREDICTED)
    elif form == "document":
        write(file := tmp_path / "a.json", json.dumps({"y_true": GOLD, "y_pred": PREDICTED}, indent=1))
    elif form == "csv":
        rows = "".join(f'"{a}","{b}"\n' for a, b in zip(GOLD, PREDICTED))
        write(file := tmp_path / "a.csv", "y_true,y_pred\n" + rows)
    elif form == "csv words":
        blocks = ["".join(f"{a},{b}\n" for a, b in zip(*pair)) for pair in zip(GOLD, PREDICTED)]
        write(file := tmp_path / "a.csv", "y_true,y_pred\n" + ",\n".join(blocks))
    else:
        import datasets

        table = datasets.Dataset.from_dict({"y_true": GOLD, "y_pred": PREDICTED})
        file = tmp_path / ("a.parquet" if form == "parquet" else "saved")
        table.to_parquet(str(file)) if form == "parquet" else table.save_to_disk(str(file))
    assert f1(file) == 50


@pytest.mark.parametrize("named", [True, False])
def test_data_sets_with_ids_beside_predicted_ids(tmp_path: Path, named: bool):
    import datasets

    def ids(sequences: list[list[str]]) -> list[list[int]]:
        return [[NAMES.index(label) for label in labels] for labels in sequences]

    of_names = datasets.Sequence(datasets.ClassLabel(names=NAMES))
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": of_names,
            "predictions": of_names if named else datasets.Sequence(datasets.Value("int64")),
        }
    )
    rows = {"tokens": WORDS, "ner_tags": ids(GOLD), "predictions": ids(PREDICTED)}
    table = datasets.Dataset.from_dict(rows, features=features)
    table.save_to_disk(str(tmp_path / "saved"))
    table.to_parquet(str(tmp_path / "a.parquet"))
    for file in (tmp_path / "saved", tmp_path / "a.parquet"):
        assert json.loads(run("evaluate", "--predictions", file, "--format", "json"))["scheme"] == "IOB2"
        assert f1(file) == 50


def test_predicted_labels_alone_want_a_gold_file(tmp_path: Path, gold: Path):
    for file in (
        columns(tmp_path / "a.conll", PREDICTED),
        records(tmp_path / "a.jsonl", tokens=WORDS, labels=PREDICTED),
        write(tmp_path / "predictions.txt", "".join(" ".join(labels) + "\n" for labels in PREDICTED)),
        columns(tmp_path / "labels.txt", PREDICTED, words=False),
    ):
        assert "contains only predicted labels. Give a file with the gold labels with --gold." in run(
            "evaluate", "--predictions", file, code=2
        )
        assert f1(file, "--gold", gold) == 50


def test_lines_of_labels_that_were_cut_off_are_refused(tmp_path: Path, gold: Path):
    file = write(tmp_path / "predictions.txt", "B-PER O O\nO O\n")
    text = run("evaluate", "--predictions", file, "--gold", gold, code=2)
    assert "predictions.txt, line 1: 3 labels, but" in text


def test_lines_of_parts_of_speech_are_known_by_the_gold_file(tmp_path: Path):
    pos, wrong = [["NN", "VB", "IN", "NN"], ["NN", "VB"]], [["NN", "NN", "IN", "NN"], ["NN", "NN"]]
    file = write(tmp_path / "predictions.txt", "".join(" ".join(labels) + "\n" for labels in wrong))
    assert f1(file, "--gold", columns(tmp_path / "gold.conll", pos)) == 66.67


@pytest.mark.parametrize("form", ["list", "lines", "pieces", "one text"])
def test_output_of_a_pipeline_is_scored_on_the_words_of_gold(tmp_path: Path, gold: Path, form: str):
    spans: list[list[dict[str, Any]]] = [
        [{"entity_group": "PER", "score": 0.99, "word": "marie", "start": 0, "end": 5}],
        [],
    ]
    if form == "pieces":
        spans[0] = [
            {"entity": "B-PER", "index": 1, "word": "mar", "start": 0, "end": 3},
            {"entity": "I-PER", "index": 2, "word": "##ie", "start": 3, "end": 5},
        ]
    text = "".join(json.dumps(one) + "\n" for one in spans) if form == "lines" else json.dumps(spans)
    if form == "one text":
        gold = write(tmp_path / "gold.conll", "Marie\tB-PER\nlives\tO\nin\tO\nParis\tB-LOC\n")
        assert f1(write(tmp_path / "out.json", json.dumps(spans[0])), "--gold", gold) == 66.67
    else:
        assert f1(write(tmp_path / "out.json", text), "--gold", gold) == 50


def test_spans_of_a_text_beside_gold_spans(tmp_path: Path):
    file = records(
        tmp_path / "a.jsonl",
        text=[" ".join(words) for words in WORDS],
        entities=[[[0, 5, "PER"], [15, 20, "LOC"]], [[0, 3, "PER"]]],
        predicted_entities=[[[0, 5, "PER"]], []],
    )
    assert f1(file) == 50


def test_a_task_of_label_studio_is_scored_by_its_own_annotations(tmp_path: Path):
    def results(spans: list[list[Any]]) -> list[dict[str, Any]]:
        values = [{"start": start, "end": end, "labels": [type_]} for start, end, type_ in spans]
        return [{"result": [{"type": "labels", "value": value} for value in values]}]

    tasks = [
        {
            "data": {"text": "Marie lives in Paris"},
            "annotations": results([[0, 5, "PER"], [15, 20, "LOC"]]),
            "predictions": results([[0, 5, "PER"]]),
        },
        {"data": {"text": "Tom left"}, "annotations": results([[0, 3, "PER"]]), "predictions": results([])},
    ]
    assert f1(write(tmp_path / "tasks.json", json.dumps(tasks))) == 50


def test_labels_of_different_kinds_stop_the_command(tmp_path: Path):
    pos = [["NN", "VB", "IN", "NN"], ["NN", "VB"]]
    file = columns(tmp_path / "a", pos, PREDICTED)
    for command in (["evaluate", "--predictions", file], ["compare", file, file]):
        text = run(*command, code=2)
        assert "no predicted label (B-PER, O) is among the gold labels (IN, NN, VB)" in text
    types = [["B-person", "O", "O", "B-place"], ["B-person", "O"]]
    assert f1(columns(tmp_path / "b", GOLD, types)) == 0  # in so few sentences a system may be right nowhere
    many = records(tmp_path / "c.jsonl", tokens=WORDS * 10, ner_tags=GOLD * 10, pred=types * 10)
    assert "no predicted label" in run("evaluate", "--predictions", many, code=2)


def test_predictions_like_gold_in_every_word_of_a_larger_file_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for n_times, n_warnings in ((25, 1), (24, 0)):
        lists = [side * n_times for side in (WORDS, GOLD, GOLD)]
        file = records(tmp_path / "a.jsonl", **dict(zip(("tokens", "ner_tags", "pred"), lists)))
        for command in (["evaluate", "--predictions", file], ["compare", file, file, "--samples", 9]):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                text = CliRunner().invoke(cli, [str(arg) for arg in command]).output
            assert text.count("predicted and gold labels are equal in all of 50 sentences") >= n_warnings
            assert ("are equal in all" in text) == bool(n_warnings)


def test_predictions_in_another_scheme_than_gold_are_read_in_golds(tmp_path: Path):
    bioes = [["S-PER", "O", "O", "O"], ["O", "O"]]
    result = json.loads(
        run("evaluate", "--predictions", columns(tmp_path / "a", GOLD, bioes), "--mode", "strict", "--format", "json")
    )
    assert (result["scheme"], round(result["overall"]["f1"], 2)) == ("IOB2", 0.5)


def test_parts_in_a_folder_are_one_file(tmp_path: Path, gold: Path):
    folder = tmp_path / "out"
    folder.mkdir()
    whole = columns(tmp_path / "whole", PREDICTED).read_text().split("\n\n")
    write(folder / "part-00001-of-00002.conll", whole[0] + "\n\n")
    write(folder / "part-00002-of-00002.conll", whole[1])
    assert f1(folder, "--gold", gold) == 50
    write(folder / "_job.json", "{}")
    assert "are incomplete" in run("evaluate", "--predictions", folder, "--gold", gold, code=2)
    write(folder / "_SUCCESS", "")
    assert f1(folder, "--gold", gold) == 50
    assert "f1" in run("compare", folder, folder, "--gold", gold, "--format", "json", "--samples", 9)


def layered(path: Path, *, predictions: tuple[str, ...] = ("predicted_label",)) -> Path:
    """Columns as in HIPE-2022, with different labels in each layer, followed by predictions."""
    rows = [
        ("TOKEN", "NE-COARSE-LIT", "NE-COARSE-METO", "NE-FINE-LIT", "NE-NESTED", *predictions),
        ("Ajax", "B-pers", "O", "B-pers.myth", "O", *["B-pers"] * len(predictions)),
        ("of", "O", "O", "O", "B-pers", *["O"] * len(predictions)),
        ("Sophocles", "B-pers", "O", "B-pers.author", "I-pers", *["O"] * len(predictions)),
        ("saw", "O", "O", "O", "O", *["O"] * len(predictions)),
        ("Troy", "B-loc", "B-pers", "B-pers", "B-loc", *["B-loc"] * len(predictions)),
    ]
    return write(path, "".join("\t".join(row) + "\n" for row in rows))


def test_of_several_gold_layers_the_one_that_is_trained_on_is_scored(tmp_path: Path):
    file = layered(tmp_path / "a.tsv")
    assert f1(file) == 80
    log = CliRunner().invoke(cli, ["evaluate", "--predictions", str(file)]).stderr
    assert "predicted labels in 'predicted_label', gold labels in 'NE-COARSE-LIT'" in log
    inspected = CliRunner().invoke(cli, ["inspect", str(layered(tmp_path / "b.tsv", predictions=()))])
    assert "labels in 'NE-COARSE-LIT'" in inspected.output
    assert f1(file, "--label-column-name", "NE-NESTED") == 50
    compared = json.loads(run("compare", file, file, "--format", "json", "--samples", 9))
    assert [system["f1"]["mean"] for system in compared["systems"]] == [0.8, 0.8]


def test_no_column_is_proposed_at_random(tmp_path: Path):
    message = run("evaluate", "--predictions", layered(tmp_path / "a.tsv", predictions=("pred", "predicted")), code=2)
    assert "'pred' and 'predicted' may all contain predictions" in " ".join(message.split())
    assert "--predicted-column-name NAME." in " ".join(message.split())
    rows = records(tmp_path / "a.jsonl", tokens=WORDS, first=GOLD, second=[GOLD[0], ["O", "B-PER"]], pred=PREDICTED)
    for name in ("first", "second"):
        rows.write_text(rows.read_text().replace(name, f"{name}_annotator"))
    message = run("evaluate", "--predictions", rows, code=2)
    assert "--label-column-name NAME." in " ".join(message.split())


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_of_several_gold_fields_the_one_that_is_trained_on_is_scored(tmp_path: Path, format: str):
    other = [["O", "O", "O", "B-LOC"], ["B-PER", "B-LOC"]]
    fields = {"tokens": WORDS, "coarse_labels": other, "ner_tags": GOLD, "predicted_labels": PREDICTED}
    if format == "jsonl":
        file = records(tmp_path / "a.jsonl", **fields)
    else:
        rows = zip(*(map(json.dumps, values) for values in fields.values()))
        file = write(tmp_path / "a.csv", "\n".join([";".join(fields), *map(";".join, rows)]) + "\n")
    assert f1(file) == 50
