"""Other files are read with the settings of the run, if they fit and the command does not override them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.inference.evaluate import evaluate
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.sentence import Sentence

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

WORDS = [("ada", "lovelace", "visited", "london", "."), ("paris", "saw", "grace")]
GOLD = [("B-PER", "I-PER", "O", "B-LOC", "O"), ("B-LOC", "O", "B-PER")]
OTHER = [("O", "O", "B-PER", "O", "B-LOC"), ("O", "B-PER", "O")]


@pytest.fixture(scope="module")
def tagger(tiny_classifier: Path) -> Tagger:
    return Tagger.load(tiny_classifier)


@pytest.fixture
def make_run(tiny_classifier: Path, tmp_path: Path) -> Callable[..., Path]:
    """A run of an untrained classifier, with these data settings."""

    def make(task: str = "ner", **data: Any) -> Path:
        run = tmp_path / "run"
        shutil.copytree(tiny_classifier, run / "model")
        (tmp_path / "train.conll").write_text("ada\tB-PER\n")
        data.setdefault("train_file", str(tmp_path / "train.conll"))
        (run / "config.yaml").write_text(yaml.safe_dump({"task": task, "output_dir": str(run), "data": data}))
        return run

    return make


def command(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def gold_in(run: Path, file: Path, folder: Path, *options: object) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The words and gold labels that evaluate scores."""
    output = folder / "out.jsonl"
    command("evaluate", run, "--file", file, "--output-predictions", output, "--force", *options)
    records = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return [(tuple(record["words"]), tuple(record["gold"])) for record in records]


def write(path: Path, *labels: Sequence[Sequence[str]], separator: str = "\t", encoding: str = "utf-8") -> Path:
    blocks = ["".join(separator.join(row) + "\n" for row in zip(*sentence)) for sentence in zip(WORDS, *labels)]
    path.write_text("\n".join(blocks), encoding=encoding)
    return path


def test_label_columns_are_those_of_the_run(make_run: Callable[..., Path], tmp_path: Path):
    file = write(tmp_path / "x.conll", GOLD, OTHER)
    run = make_run(label_column_name=1)
    assert gold_in(run, file, tmp_path) == list(zip(WORDS, GOLD))
    assert gold_in(run / "model", file, tmp_path) == list(zip(WORDS, GOLD))
    assert gold_in(run, file, tmp_path, "--label-column-name", 2) == list(zip(WORDS, OTHER))
    assert gold_in(run, file, tmp_path, "--set", "data.label_column_name=2") == list(zip(WORDS, OTHER))
    assert gold_in(run, file, tmp_path, "--set", "data.layer=1") == list(zip(WORDS, OTHER))


def test_layers_are_those_of_the_run(make_run: Callable[..., Path], tmp_path: Path):
    file = write(tmp_path / "x.conll", GOLD, OTHER)
    run = make_run(layer=1)
    assert gold_in(run, file, tmp_path) == list(zip(WORDS, OTHER))
    assert gold_in(run, file, tmp_path, "--label-column-name", 1) == list(zip(WORDS, GOLD))


def test_separator_and_encoding_are_those_of_the_run(make_run: Callable[..., Path], tmp_path: Path):
    file = tmp_path / "x.conll"
    file.write_text("adé;B-PER\nsaw;O\n", encoding="latin-1")
    run = make_run(separator=";", encoding="latin-1")
    assert gold_in(run, file, tmp_path) == [(("adé", "saw"), ("B-PER", "O"))]
    assert "not valid utf-8" in command("evaluate", run, "--file", file, "--encoding", "utf-8", code=2).output
    output = tmp_path / "labelled.conll"
    command("predict", run, file, "-o", output)
    assert [line.split(";")[:2] for line in output.read_text().splitlines()] == [["adé", "B-PER"], ["saw", "O"]]


def test_offsets_and_policies_are_those_of_the_run(make_run: Callable[..., Path], tmp_path: Path, tagger: Tagger):
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"text": "😀 ada left oslo", "entities": [[3, 6, "PER"], [12, 14, "LOC"]]}) + "\n")
    run = make_run(offset_unit="utf16", span_policy="expand")
    expected = [(("😀", "ada", "left", "oslo"), ("O", "B-PER", "O", "B-LOC"))]
    assert gold_in(run, file, tmp_path) == expected
    out = command("predict", run, file, "-o", tmp_path / "out.conll").output
    assert "offset_unit" in out
    written = command("predict", run, file, "--output-format", "jsonl").stdout
    unit = command("predict", run, file, "--output-format", "jsonl", "--offset-unit", "utf16").stdout
    assert written == unit


def test_repair_is_that_of_the_run(make_run: Callable[..., Path], tmp_path: Path):
    file = write(tmp_path / "x.conll", [("I-PER", "I-PER", "O", "B-LOC", "O"), ("B-LOC", "O", "I-PER")])
    run = make_run(repair="conlleval", scheme="IOB2")
    assert gold_in(run, file, tmp_path) == list(zip(WORDS, GOLD))


def test_the_scheme_of_the_run_counts_unless_the_file_is_in_another(make_run: Callable[..., Path], tmp_path: Path):
    run = make_run(scheme="IOB2")
    inside = [tuple(label.replace("B-", "I-") for label in labels) for labels in GOLD]
    file = write(tmp_path / "x.conll", inside)
    result = json.loads(command("evaluate", run, "--file", file, "--format", "json").stdout)
    assert result["scheme"] == "IOB2"
    ends = [("B-PER", "E-PER", "O", "S-LOC", "O"), ("S-LOC", "O", "S-PER")]
    found = command("evaluate", run, "--file", write(tmp_path / "y.conll", ends), "--format", "json")
    assert json.loads(found.stdout)["scheme"] == "BIOES"
    assert "the run's setting is not used, because labels such as" in found.output


def test_the_scheme_of_the_model_is_that_of_a_file_that_does_not_break_it(tiny_classifier: Path, tmp_path: Path):
    # These labels are valid in both IOB1 and IO, but not in IOB2.
    outside = [tuple("O" for _ in labels) for labels in GOLD]
    file = write(tmp_path / "x.conll", [GOLD[0], outside[1]])
    result = json.loads(command("evaluate", tiny_classifier, "--file", file, "--format", "json").stdout)
    assert result["scheme"] == "IOB2"


@pytest.mark.parametrize(
    ("name", "text", "is_kept"),
    [
        ("x.csv", "word,label\nadé,B-PER\nsaw,O\n", True),
        ("x.txt", "adé/B-PER saw/O\nsaw/O adé/B-PER\n", True),
        ("y.txt", "<PER>adé</PER> saw\n", True),
        ("x_gold_conll", "#begin document (a);\na 0 0 adé NN * - - - - (PER) -\n\n#end document\n", True),
        ("x.jsonl", '{"words": ["adé", "saw"], "labels": ["B-PER", "O"]}\n', False),
    ],
    ids=["csv", "inline-tags", "inline-xml", "ontonotes", "jsonl"],
)
def test_the_encoding_of_a_run_is_that_of_every_other_file_of_text(
    name: str, text: str, is_kept: bool, make_run: Callable[..., Path], tmp_path: Path
):
    file = tmp_path / name
    file.write_text(text, encoding="latin-1" if is_kept else "utf-8")
    ((words, _), *_) = gold_in(make_run(encoding="latin-1"), file, tmp_path)
    assert "adé" in words


def test_a_setting_that_does_not_fit_is_left_out_and_said_once(make_run: Callable[..., Path], tmp_path: Path):
    csv = tmp_path / "train.csv"
    csv.write_text("id;Tokens_;Tag_\n1;ada;B-PER\n")
    run = make_run(
        train_file=str(csv), text_column_name="Tokens_", label_column_name="Tag_", separator=";", encoding="latin-1"
    )
    file = write(tmp_path / "x.conll", GOLD)
    assert gold_in(run, file, tmp_path) == list(zip(WORDS, GOLD))
    output = command("evaluate", run, "--file", file).output
    lines = [line for line in output.splitlines() if "settings of the run that do not apply here" in line]
    assert len(lines) == 1
    assert "separator=;" in lines[0]
    assert "label_column_name=Tag_" in lines[0]
    assert "encoding" not in lines[0]


def test_numbers_of_columns_are_for_files_of_the_same_format(make_run: Callable[..., Path], tmp_path: Path):
    run = make_run(label_column_name=3, text_column_name=0)
    lines = [json.dumps({"tokens": words, "ner_tags": labels}) + "\n" for words, labels in zip(WORDS, GOLD)]
    (tmp_path / "x.jsonl").write_text("".join(lines))
    assert gold_in(run, tmp_path / "x.jsonl", tmp_path) == list(zip(WORDS, GOLD))
    # The same format with fewer columns.
    assert gold_in(run, write(tmp_path / "x.conll", GOLD), tmp_path) == list(zip(WORDS, GOLD))


def test_names_of_columns_are_for_all_files_that_have_them(make_run: Callable[..., Path], tmp_path: Path):
    run = make_run(label_column_name="second", text_column_name="w")
    record = {"w": WORDS[0], "tokens": ["no"] * 5, "ner_tags": OTHER[0], "second": GOLD[0]}
    (tmp_path / "x.jsonl").write_text(json.dumps(record) + "\n")
    assert gold_in(run, tmp_path / "x.jsonl", tmp_path) == [(WORDS[0], GOLD[0])]
    command("predict", run, tmp_path / "x.jsonl", "-o", tmp_path / "labelled.jsonl")
    labelled = json.loads((tmp_path / "labelled.jsonl").read_text())
    assert len(labelled["predicted_labels"]) == 5


def test_a_task_is_that_of_the_run(make_run: Callable[..., Path], tmp_path: Path):
    pos = [("NNP", "NNP", "VBD", "NNP", "."), ("NNP", "VBD", "NNP")]
    chunks = [("B-NP", "I-NP", "B-VP", "B-NP", "O"), ("B-NP", "B-VP", "B-NP")]
    file = write(tmp_path / "x.conll", pos, chunks, GOLD)
    run = make_run(task="chunk")
    text = command("evaluate", run, "--file", file, code=2).output
    assert "the gold labels are B-NP, B-VP, I-NP, the model's labels are B-LOC" in text
    assert gold_in(run, file, tmp_path, "--set", "task=ner") == list(zip(WORDS, GOLD))


def test_gold_labels_that_the_model_does_not_know_stop_every_command(tiny_classifier: Path, tmp_path: Path):
    file = write(tmp_path / "x.conll", [("NN",) * 5, ("NN",) * 3])
    for args in (
        ("evaluate", tiny_classifier, "--file", file),
        ("export", tiny_classifier, "--format", "savedmodel", "-o", tmp_path / "export", "--file", file),
    ):
        text = command(*args, code=2).output
        assert "none of the gold labels is a label of the model" in text
        assert "--label-column-name" in text


def test_sentences_without_spans_are_scored(tiny_classifier: Path, tmp_path: Path):
    file = write(tmp_path / "x.conll", [("O",) * 5, ("O",) * 3])
    command("evaluate", tiny_classifier, "--file", file)


def test_python_inherits_too(make_run: Callable[..., Path], tmp_path: Path, tagger: Tagger):
    file = write(tmp_path / "x.conll", GOLD, OTHER)
    run = make_run(label_column_name=1)
    inherited, first, second = (
        evaluate(run, data=DataConfig(test_file=str(file), **given)).scores.to_json()
        for given in ({}, {"label_column_name": 1}, {"label_column_name": 2})
    )
    assert inherited == first != second


def test_compare_reads_the_gold_file_as_the_run_did(make_run: Callable[..., Path], tmp_path: Path, tagger: Tagger):
    run = make_run(label_column_name=1)
    labels = [one.labels for one in tagger.tag(Sentence(words) for words in WORDS)]
    lines = [
        {"words": words, "gold": gold, "predicted": predicted} for words, gold, predicted in zip(WORDS, GOLD, labels)
    ]
    (run / "predictions").mkdir()
    (run / "predictions" / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    gold = write(tmp_path / "gold.conll", GOLD, OTHER)
    theirs = write(tmp_path / "theirs.conll", labels)
    args = ("compare", run, theirs, "--samples", 9, "--format", "json")
    without = json.loads(command("compare", run, run, "--samples", 9, "--format", "json").stdout)
    beside = json.loads(command(*args, "--gold", gold).stdout)
    assert [system["f1"]["mean"] for system in beside["systems"]] == [without["systems"][0]["f1"]["mean"]] * 2


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizer.learning_rate=1", "this command only accepts settings of the data. All are listed by"),
        ("data.separatr=x", "there is no setting data.separatr. Did you mean data.separator?"),
        ("data.span_policy=guess", "data.span_policy: 'guess' is not"),
        ("data.encoding", "there is no '='"),
        ("label_column_name=2", "Did you mean data.label_column_name?"),
    ],
)
def test_set_is_checked(tiny_classifier: Path, tmp_path: Path, assignment: str, message: str):
    file = write(tmp_path / "x.conll", GOLD)
    for args in (
        ("evaluate", tiny_classifier, "--file", file),
        ("evaluate", "--predictions", file, "--gold", file),
        ("convert", file, tmp_path / "out.jsonl"),
        ("compare", file, file, "--gold", file),
        ("predict", tiny_classifier, file),
        ("export", tiny_classifier, "--file", file, "--format", "savedmodel", "-o", tmp_path / "export"),
    ):
        assert message in command(*args, "--set", assignment, code=2).output, args
