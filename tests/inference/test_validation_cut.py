"""Validation sentences that were taken from the training sentences are the same in every later command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.data.splits import CUT_VERSION
from tf_tokclf.run_dir import RunDir

pytestmark = pytest.mark.usefixtures("untraced")


def command(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, conll_files: dict[str, str], tiny_bert: Path) -> RunDir:
    """A run with training data only, of one epoch, so that the model still makes errors."""
    folder = tmp_path_factory.mktemp("cut")
    train = shutil.copy(conll_files["train_file"], folder / "train.conll")
    command(
        *("fit", "--train-file", train, "--model-name-or-path", tiny_bert, "--output-dir", folder / "run"),
        *("--num-train-epochs", 1, "--set", "data.validation_fraction=0.3", "--seed", 5, "--report-to", "none"),
    )
    return RunDir(folder / "run")


@pytest.fixture
def run(trained: RunDir, tmp_path: Path) -> RunDir:
    """The run with its own copy of the training data, which a test can change."""
    shutil.copytree(trained.root.parent, tmp_path / "copy")
    copy = RunDir(tmp_path / "copy" / "run")
    text = copy.config.read_text().replace(str(trained.root.parent), str(tmp_path / "copy"))
    copy.config.write_text(text)
    return copy


def words_and_gold(path: Path) -> list[tuple[list[str], list[str]]]:
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(record["words"], record["gold"]) for record in records]


def surface_forms(sentences: list[tuple[list[str], list[str]]]) -> list[tuple[tuple[str, ...], str]]:
    """The words and the type of each span of sentences in IOB2."""
    found: list[tuple[tuple[str, ...], str]] = []
    for words, gold in sentences:
        for word, label in zip(words, gold):
            if label.startswith("B-"):
                found.append(((word,), label[2:]))
            elif label.startswith("I-"):
                found[-1] = ((*found[-1][0], word), label[2:])
    return found


def scored(run: RunDir, split: str, *options: object) -> list[tuple[list[str], list[str]]]:
    output = run.root / "scored.jsonl"
    command("evaluate", run.root, "--split", split, "--output-predictions", output, "--force", *options)
    return words_and_gold(output)


def test_evaluate_scores_the_sentences_of_training(run: RunDir):
    validation = words_and_gold(run.predictions_for("validation"))
    assert scored(run, "validation") == validation
    train = scored(run, "train")
    assert len(train) + len(validation) == 32
    result = json.loads(command("evaluate", run.root, "--split", "validation", "--format", "json").stdout)
    known = json.loads(run.results.read_text())["splits"]["validation"]
    assert result["overall"] == known["overall"]


def with_data(run: RunDir, **changes: object) -> None:
    """Change settings of the run's data in its configuration."""
    values = yaml.safe_load(run.config.read_text())
    values["data"].update(changes)
    run.config.write_text(yaml.safe_dump(values))


def test_scoring_the_test_split_takes_the_training_sentences_of_the_run(run: RunDir):
    """Entities in the validation sentences are not entities in the training sentences."""
    validation = words_and_gold(run.predictions_for("validation"))
    with_data(run, test_file=str(run.root.parent / "train.conll"), max_train_samples=3)
    result = command("evaluate", run.root, "--errors", "--format", "json")
    log = " ".join(result.stderr.split())
    assert f"validation: {len(validation)} of 32 training sentences, chosen at random (seed 5)" in log
    assert f"train: the first 3 of {32 - len(validation)} sentences" in log
    seen = {form for form, _ in surface_forms(scored(run, "train"))}
    familiar = [form in seen for form, _ in surface_forms(scored(run, "test"))]
    parts = json.loads(result.stdout)["errors"]["parts"]["surface form in training"]
    assert len(familiar) - sum(familiar) == parts["unseen"]["support"]
    assert 0 < sum(familiar) < len(familiar)


def test_the_test_split_is_scored_though_the_training_data_has_changed(run: RunDir, conll_files: dict[str, str]):
    with_data(run, test_file=conll_files["test_file"])
    train = run.root.parent / "train.conll"
    train.write_text(train.read_text() + "\nada\tB-PER\n")
    assert (
        "the validation sentences are not separated from the training sentences" in command("evaluate", run.root).output
    )
    assert "cannot be reproduced" in command("evaluate", run.root, "--errors", code=2).output


def test_calibrating_and_exporting_take_them_too(run: RunDir, tmp_path: Path):
    command("evaluate", run.root, "--calibrate", "--split", "validation")
    assert json.loads((run.model / "tf_tokclf.json").read_text())["temperature"] != 1
    command("export", run.root, "--format", "savedmodel", "-o", tmp_path / "export")
    agreement = json.loads((tmp_path / "export" / "agreement.json").read_text())
    assert agreement["n_sentences"] == len(words_and_gold(run.predictions_for("validation")))


def test_the_run_says_how_they_were_chosen(run: RunDir):
    cut = json.loads(run.validation_cut.read_text())
    assert (cut["version"], cut["seed"], cut["fraction"]) == (CUT_VERSION, 5, 0.3)
    assert cut["n_sentences"] == len(words_and_gold(run.predictions_for("validation")))


def test_a_run_that_does_not_say_takes_todays_choice(run: RunDir):
    run.validation_cut.unlink()
    assert scored(run, "validation") == words_and_gold(run.predictions_for("validation"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text + "\nada\tB-PER\n", "has changed from 32 sentences to 33"),
        (lambda text: text.replace("oslo", "bergen"), "the training data has changed."),
        (lambda text: text.replace("B-LOC", "B-GPE"), "the training data has changed."),
    ],
)
def test_other_training_data_stops_the_commands(run: RunDir, tmp_path: Path, change, problem: str):
    train = run.root.parent / "train.conll"
    train.write_text(change(train.read_text()))
    for args in (
        ("evaluate", run.root, "--split", "validation"),
        ("evaluate", run.root, "--calibrate", "--file", train),
        ("export", run.root, "--format", "savedmodel", "-o", tmp_path / "export"),
    ):
        text = command(*args, code=2).output
        assert "the validation sentences of the run cannot be reproduced" in text
        assert problem in text
        assert "--set data.validation_file=FILE" in text
        assert "--validation-file" not in text


def test_validation_data_can_be_named(run: RunDir, conll_files: dict[str, str]):
    (run.root.parent / "train.conll").write_text("ada\tB-PER\n\nx\tO\n")
    other = scored(run, "validation", "--set", f"data.validation_file={conll_files['validation_file']}")
    assert len(other) == 11
    named = f"data.validation_file={conll_files['validation_file']}"
    command("evaluate", run.root, "--calibrate", "--set", named, "--file", conll_files["test_file"])


def test_a_record_of_a_later_version_or_a_broken_one_is_told(run: RunDir):
    cut = json.loads(run.validation_cut.read_text())
    for values, message in (
        ({**cut, "version": CUT_VERSION + 1}, "newer version of tf-tokclf"),
        ({**cut, "fraction": "all"}, "validation_cut.json: cannot be read"),
        ({"seed": 1}, "validation_cut.json: cannot be read"),
    ):
        run.validation_cut.write_text(json.dumps(values))
        assert message in command("evaluate", run.root, "--split", "validation", code=2).output


def test_a_split_that_is_not_there_is_told_with_an_option_of_the_command(run: RunDir, tmp_path: Path):
    for args in (
        ("evaluate", run.root),
        ("export", run.root, "--format", "savedmodel", "-o", tmp_path / "export", "--split", "test"),
    ):
        text = command(*args, code=2).output
        assert (
            "there is no test split. Available splits: train and validation (chosen from the training sentences)."
            in text
        )
        assert "--set data.test_file=FILE" in text


def test_data_sets_of_a_folder_are_cut_in_the_same_way(trained: RunDir, tmp_path: Path, tiny_bert: Path):
    (tmp_path / "data").mkdir()
    shutil.copy(trained.root.parent / "train.conll", tmp_path / "data" / "train.conll")
    command(
        *("fit", "--dataset-name", tmp_path / "data", "--model-name-or-path", tiny_bert),
        *("--output-dir", tmp_path / "run", "--num-train-epochs", 1, "--report-to", "none"),
    )
    run = RunDir(tmp_path / "run")
    assert scored(run, "validation") == words_and_gold(run.predictions_for("validation"))


def test_the_median_of_seeds_keeps_its_own_choice(trained: RunDir, tmp_path: Path, tiny_bert: Path):
    command(
        *("fit", "--train-file", trained.root.parent / "train.conll", "--model-name-or-path", tiny_bert),
        *("--output-dir", tmp_path / "run", "--num-train-epochs", 1, "--seeds", "1,2", "--report-to", "none"),
    )
    run = RunDir(tmp_path / "run")
    median = json.loads(run.seeds.read_text())["median"]
    assert json.loads(run.validation_cut.read_text())["seed"] == median
    assert scored(run, "validation") == words_and_gold(run.predictions_for("validation"))
