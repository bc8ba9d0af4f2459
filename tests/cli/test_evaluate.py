"""tf-tokclf evaluate: its output and what it refuses, for models and for files of predictions."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from tests.local_hub import LocalHub
from tf_tokclf.cli.main import cli
from tf_tokclf.json_text import json_line

# These models are so small that tracing would take longer than computing without it.
pytestmark = pytest.mark.usefixtures("untraced")

SAMPLES = Path(__file__).parent.parent / "data" / "scoring"
ARCADA = str(SAMPLES / "wnut17_arcada.tsv")
SENTENCES = [("ada", "lovelace", "visited", "london", "."), ("paris", "saw", "grace"), ("oslo",)]


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def test_a_file_that_cannot_be_written_is_a_message(tmp_path: Path):
    predictions = tmp_path / "p.jsonl"
    predictions.write_text(json.dumps({"words": ["a"], "predicted": ["O"], "gold": ["O"]}) + "\n")
    result = CliRunner().invoke(cli, ["evaluate", "--predictions", str(predictions), "--output", "/proc/scores.json"])
    assert result.exit_code == 2
    assert "/proc/scores.json: cannot be written: " in result.output


def test_a_part_of_the_runs_data_does_not_go_with_a_file():
    result = CliRunner().invoke(cli, ["evaluate", "runs/mine", "--file", "a.conll", "--split", "validation"])
    assert result.exit_code == 2
    assert "--split names a split of the run's own data" in result.output


@pytest.mark.parametrize("name", ["wnut17_arcada", "any_labels"])
def test_evaluate_prints_what_the_official_script_prints(name):
    text = run("evaluate", "--predictions", str(SAMPLES / f"{name}.tsv"), "--format", "conlleval")
    assert text == (SAMPLES / f"{name}.conlleval.txt").read_text()


def test_evaluate_of_predictions_fits_80_columns_and_shows_errors():
    text = run("evaluate", "--predictions", ARCADA, "--errors", "--quiet")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "95 % interval" in text
    assert "wrong" in text


def test_evaluate_of_predictions_as_json(tmp_path):
    output = tmp_path / "scores.json"
    printed = json.loads(run("evaluate", "--predictions", ARCADA, "--format", "json", "--output", str(output)))
    assert printed == json.loads(output.read_text())
    low, high = printed["f1_interval"]["overall"]
    assert low < printed["overall"]["f1"] < high


def test_evaluate_of_predictions_as_tables():
    args = ("evaluate", "--predictions", ARCADA, "--quiet", "--format")
    scores = json.loads(run(*args, "json"))
    *rows, macro, weighted, overall = csv.DictReader(io.StringIO(run(*args, "csv")))
    expected = {**scores["by_type"], "all (micro average)": scores["overall"]}
    intervals = {**scores["f1_interval"]["by_type"], "all (micro average)": scores["f1_interval"]["overall"]}
    assert {row["type"]: row["F1 (percent)"] for row in [*rows, overall]} == {
        name: f"{100 * one['f1']:.2f}" for name, one in expected.items()
    }
    for row in [*rows, overall]:
        low, high = intervals[row["type"]]
        assert row["95 % interval of F1 from (percent)"] == f"{100 * low:.2f}"
        assert row["95 % interval of F1 to (percent)"] == f"{100 * high:.2f}"
        assert row["support"] == str(expected[row["type"]]["support"])
    assert macro["recall (percent)"] == f"{100 * scores['macro']['recall']:.2f}"
    assert weighted["precision (percent)"] == f"{100 * scores['weighted']['precision']:.2f}"
    assert overall["predictions"] == ARCADA
    assert overall["mode"].startswith("conlleval")
    for format, line in (("markdown", "| **all (micro average)** | **"), ("latex", "\\textbf{all (micro average)} & ")):
        text = run(*args, format)
        assert line in text
        assert "sentences: " in text
        assert f"{100 * scores['overall']['f1']:.2f}" in text


def test_labels_without_spans_as_a_table(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"words": ["a", "b"], "predicted": ["NN", "VB"], "gold": ["NN", "NN"]}) + "\n")
    text = run("evaluate", "--predictions", str(path), "--scheme", "none", "--format", "markdown")
    assert "scored: the label of each word" in text
    assert "| label | precision |" in text


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["model", "--predictions", ARCADA],
        ["model", "--gold", ARCADA],
        ["--predictions", ARCADA, "--calibrate"],
    ],
)
def test_evaluate_wants_a_model_or_predictions(args):
    assert "Usage" in run("evaluate", *args, code=2)


def test_options_of_a_model_are_refused_for_predictions():
    assert "--decoding needs a MODEL" in run("evaluate", "--predictions", ARCADA, "--decoding", "viterbi", code=2)


def test_messages_name_the_file_and_say_which_label_is_gold(
    tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = Path("dev.conll")
    blocks = ["".join(f"{word}\tB-LOC\n" for word in words) for words in SENTENCES]
    path.write_text("\n".join(blocks), encoding="utf-8")
    args = ["evaluate", str(tiny_classifier), "--file", str(path), "--errors", "--set", "data.max_eval_samples=2"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    assert f"{path}: conll: 2 columns" in result.stderr
    assert f"{path}: the first 2 of 3 sentences" in result.stderr
    assert "test: " not in result.stderr
    heading = "gold labels to check, because the model is confident in another label:\n"
    shown = result.stdout.partition(heading)[2].partition("\n\n")[0].splitlines()
    assert shown, "the model has to be sure of something"
    label = r"gold B-LOC, predicted (O|[BI]-\w+) \([01]\.\d{3}\)"
    pattern = re.compile(rf"  {re.escape(str(path))}, sentence at line \d+, \S+: {label}")
    assert all(pattern.fullmatch(line.rstrip()) for line in shown), shown


@pytest.mark.parametrize(
    "command", ["evaluate {model} --file a.jsonl", "evaluate --predictions p.jsonl", "compare p.jsonl p.jsonl"]
)
def test_sentences_without_words_are_not_scored(
    tiny_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"tokens": [], "ner_tags": []}\n' * 3)
    (tmp_path / "p.jsonl").write_text('{"words": [], "gold": [], "predicted": []}\n' * 3)
    result = CliRunner().invoke(cli, command.format(model=tiny_classifier).split())
    assert result.exit_code == 2, result.stdout
    assert "contains no words: all its sentences are empty. " in " ".join(result.stderr.split())


def test_a_single_word_beside_the_scores_is_counted_in_the_singular(tiny_classifier: Path, tmp_path: Path):
    (tmp_path / "a.conll").write_text("ada\tB-PER\nsaw\tO\noslo\tB-NEW\n")
    result = CliRunner().invoke(cli, ["evaluate", str(tiny_classifier), "--file", str(tmp_path / "a.conll")])
    assert "1 word with a gold label that the model cannot predict" in " ".join(result.stdout.split()), result.output


def gated(*required: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of scoring the predictions of a shared task."""
    args = [word for one in required for word in ("--require", one)]
    result = CliRunner().invoke(cli, ["evaluate", "--predictions", ARCADA, *args, *options])
    return result.exit_code, result.stdout, result.stderr


def test_requirements_that_are_met_change_only_the_json():
    scores = json.loads(run("evaluate", "--predictions", ARCADA, "--format", "json"))
    recall, (low, _) = scores["by_type"]["person"]["recall"], scores["recall_interval"]["by_type"]["person"]
    assert low < recall
    code, out, _ = gated(f"f1>={scores['overall']['f1']}", f"person.recall.low<={low}", options=("--format", "json"))
    found = json.loads(out)
    assert code == 0
    assert found.pop("requirements") == [
        {"requirement": f"f1>={scores['overall']['f1']:g}", "value": scores["overall"]["f1"], "met": True},
        {"requirement": f"person.recall.low<={low:g}", "value": low, "met": True},
    ]
    assert found == scores


def test_requirements_that_are_not_met_are_a_table_and_exit_code_1(tmp_path: Path):
    output, junit = tmp_path / "scores.json", tmp_path / "junit.xml"
    files = ("--output", str(output), "--junit", str(junit))
    code, out, err = gated("f1>=0.99", "f1>=0.1", "person.recall.low>0.9", options=files)
    assert code == 1
    assert "95 % interval" in out
    assert "2 of 3 requirements not met" in err
    rows = [line.split() for line in err.splitlines() if "0.9" in line]
    scores = json.loads(output.read_text())
    low = scores["recall_interval"]["by_type"]["person"][0]
    assert rows == [["f1>=0.99", f"{scores['overall']['f1']:.4f}"], ["person.recall.low>0.9", f"{low:.4f}"]]
    assert [one["met"] for one in scores["requirements"]] == [False, True, False]
    cases = ElementTree.parse(junit).getroot().findall("./testsuite/testcase")
    assert [(case.get("name"), len(case)) for case in cases] == [
        ("f1>=0.99", 1),
        ("f1>=0.1", 0),
        ("person.recall.low>0.9", 1),
    ]


def test_wrong_requirements_are_mistakes_of_the_user(tmp_path: Path):
    code, out, err = gated("f1=>0.5", "f1>=85")
    assert (code, out) == (2, "")
    assert "'f1=>0.5' is not NAME>=NUMBER" in err
    code, out, err = gated("persn.recall>=0.5")
    assert code == 2
    assert "support" in out
    assert "there is no value 'persn.recall' (there are person.recall" in " ".join(err.split())
    assert "--junit needs --require" in run("evaluate", "--predictions", ARCADA, "--junit", "a.xml", code=2)
    files = ("--junit", str(tmp_path / "a"), "--output", str(tmp_path / "a"))
    assert "two outputs cannot be the same file" in gated("f1>=0", options=files)[2]


@pytest.fixture
def by_domain(tmp_path: Path) -> Path:
    """Predictions that are worse in one of two domains."""
    path = tmp_path / "p.jsonl"
    rows = [("web", "O" if i % 3 else "B-X") for i in range(90)] + [("news", "B-X")] * 90
    records = [{"words": ["a", "b"], "predicted": [x, "O"], "gold": ["B-X", "O"], "domain": d} for d, x in rows]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_slices_are_scored_named_and_can_be_required(by_domain: Path):
    args = ("evaluate", "--predictions", str(by_domain), "--by", "domain", "--by", "length")
    text = run(*args)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "significantly worse by domain: web (F1 -50.00 compared with the rest)" in text
    assert "by length" in text
    found = json.loads(run(*args, "--format", "json"))["slices"]
    assert list(found) == ["domain", "length"]
    web, news = found["domain"]["web"], found["domain"]["news"]
    assert (web["f1"], news["f1"], web["recall"]) == (0.5, 1.0, 1 / 3)
    assert web["f1_interval"][0] < 0.5 < web["f1_interval"][1]
    assert web["corrected_p"] < 0.001 < 0.9 < news["corrected_p"]
    # All sentences have the same length, so there is no rest to compare with.
    assert list(found["length"]) == ["1 - 5"]
    assert "p" not in found["length"]["1 - 5"]
    run(*args, "--require", "slices.domain.news.f1.low>=0.9", "--require", "slices.domain.web.f1<=0.5")
    assert "slices.domain.web.recall.high>=0.9" in run(*args, "--require", "slices.domain.web.recall.high>=0.9", code=1)


def test_slices_are_rows_of_tables_in_other_formats(by_domain: Path):
    args = ("evaluate", "--predictions", str(by_domain), "--by", "domain", "--format")
    *_, overall, news, web = csv.DictReader(io.StringIO(run(*args, "csv")))
    assert [row["type"] for row in (overall, news, web)] == ["all (micro average)", "domain: news", "domain: web"]
    assert (web["F1 (percent)"], web["support"]) == ("50.00", "90")
    text = run(*args, "markdown")
    assert "| domain: web | 100.00 | 33.33 | 50.00 |" in text
    assert "| **all (micro average)** |" in text
    assert "slices significantly worse than the rest: domain: web" in text


def test_slices_of_columns_of_the_gold_file_and_by_spans_in_training(by_domain: Path, tmp_path: Path):
    args = ("evaluate", "--predictions", str(by_domain), "--format", "json", "--by")
    assert "there is no column 'doman'. There are domain." in run(*args, "doman", code=2)
    assert "--set data.train_file=FILE" in " ".join(run(*args, "seen", code=2).split())
    (tmp_path / "train.conll").write_text("a\tB-X\nb\tO\n\nc\tB-X\n", encoding="utf-8")
    seen = json.loads(run(*args, "seen", "--set", f"data.train_file={tmp_path / 'train.conll'}"))["slices"]["seen"]
    assert {part: one["support"] for part, one in seen.items()} == {"seen with this type": 180}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "conll"])
def test_slices_of_files_with_gold_and_predicted_labels(tmp_path: Path, suffix: str):
    rows = [("news", "a", "B-X", "B-X"), ("news", "b", "O", "O"), ("web", "c", "B-X", "B-X"), ("web", "d", "B-X", "O")]
    if suffix == "csv":
        lines = ["sentence_id,domain,word,gold,predicted", *(f"{row[0]},{','.join(row)}" for row in rows)]
    elif suffix == "tsv":
        lines = ["domain\tword\tgold\tpredicted", *("\t".join(row) for row in rows)]
        lines.insert(3, "")
    else:
        lines = [line for row in rows for line in (f"# domain = {row[0]}", " ".join(row[1:]), "")]
    path = tmp_path / f"p.{suffix}"
    path.write_text("\n".join(lines) + "\n")
    found = json.loads(run("evaluate", "--predictions", str(path), "--by", "domain", "--format", "json"))["slices"]
    assert {part: (one["recall"], one["support"]) for part, one in found["domain"].items()} == {
        "news": (1.0, 1),
        "web": (0.5, 2),
    }


def test_slices_of_a_model_by_a_column_of_its_file(tiny_classifier: Path, tmp_path: Path):
    names = ["news", "web"]
    blocks = [f"# domain = {n}\n" + "".join(f"{w}\tB-LOC\n" for w in words) for n, words in zip(names, SENTENCES)]
    (tmp_path / "a.conll").write_text("\n".join(blocks))
    args = ("evaluate", str(tiny_classifier), "--file", str(tmp_path / "a.conll"), "--by", "domain", "--format", "json")
    found = json.loads(run(*args))["slices"]["domain"]
    assert {part: one["support"] for part, one in found.items()} == {"news": 5, "web": 3}
    assert [one["n_sentences"] for one in found.values()] == [1, 1]


@pytest.mark.parametrize("by", ["domain", "meta.source", "length", "seen"])
def test_slices_of_a_model_on_a_data_set_of_the_hub(hub: LocalHub, tiny_classifier: Path, by: str):
    rows = [
        {"tokens": words, "ner_tags": ["B-LOC"] * len(words), "domain": domain, "meta": {"source": domain}}
        for words, domain in zip(SENTENCES, ("news", "web", "news"))
    ]
    hub.create("tester/places", kind="datasets").commit({"test.jsonl": "".join(map(json_line, rows)).encode()})
    args = (
        "evaluate",
        str(tiny_classifier),
        "--set",
        "data.dataset_name=tester/places",
        "--by",
        by,
        "--format",
        "json",
    )
    if by == "seen":
        assert "--by seen compares spans with those in the training data" in run(*args, code=2)
        return
    found = json.loads(run(*args))["slices"][by]
    support = {"1 - 5": 9} if by == "length" else {"news": 6, "web": 3}
    assert {part: one["support"] for part, one in found.items()} == support
