"""Validation and test sentences that were drawn from the training sentences are the same in every later command."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.drawing import VERSION
from tf_tokclf.data.split_cache import content_hash
from tf_tokclf.data.splits import load_split
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_record import read_record, write_record
from tf_tokclf.training.checkpoints import write_sums

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
        *(
            "fit",
            "--train-file",
            train,
            "--recipe=none",
            "--model-name-or-path",
            tiny_bert,
            "--output-dir",
            folder / "run",
        ),
        *("--num-train-epochs", 1, "--validation-fraction", 0.3, "--test-fraction", 0.2, "--split-seed", 5),
        *("--report-to", "none"),
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


def all_sentences(run: RunDir) -> list[tuple[list[str], list[str]]]:
    """The words and labels of the file from which the sentences are drawn."""
    blocks = (run.root.parent / "train.conll").read_text().strip().split("\n\n")
    rows = [[line.split("\t") for line in block.splitlines()] for block in blocks]
    return [([word for word, _ in lines], [label for _, label in lines]) for lines in rows]


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
    parts = {"train": scored(run, "train")}
    for split in ("validation", "test"):
        parts[split] = words_and_gold(run.predictions_for(split))
        assert scored(run, split) == parts[split]
        result = json.loads(command("evaluate", run.root, "--split", split, "--format", "json").stdout)
        assert result["overall"] == json.loads(run.results.read_text())["splits"][split]["overall"]
    assert [len(parts[split]) for split in ("train", "validation", "test")] == [16, 10, 6]
    assert sorted(chain.from_iterable(parts.values())) == sorted(all_sentences(run))


def with_data(run: RunDir, **changes: object) -> None:
    """Change settings of the run's data in its configuration."""
    values = yaml.safe_load(run.config.read_text())
    values["data"].update(changes)
    run.config.write_text(yaml.safe_dump(values))


def test_scoring_the_test_split_takes_the_training_sentences_of_the_run(run: RunDir):
    """Entities in the validation and test sentences are not entities in the training sentences."""
    with_data(run, max_train_samples=3)
    result = command("evaluate", run.root, "--errors", "--by", "seen", "--format", "json")
    log = " ".join(result.stderr.split())
    assert "validation: 10 of 32 sentences, drawn from train.conll: 30 %, by sentence, seed 5" in log
    assert "test: 6 of 32 sentences, drawn from train.conll: 20 %, by sentence, seed 5" in log
    assert "train: the first 3 of 16 sentences" in log
    seen = {form for form, _ in surface_forms(scored(run, "train"))}
    familiar = [form in seen for form, _ in surface_forms(scored(run, "test"))]
    parts = json.loads(result.stdout)["errors"]["parts"]["surface form in training"]
    assert len(familiar) - sum(familiar) == parts["unseen"]["support"]
    assert 0 < sum(familiar) < len(familiar)
    slices = json.loads(result.stdout)["slices"]["seen"]
    assert {name: one["f1"] for name, one in slices.items()} == {name: one["f1"] for name, one in parts.items()}


def test_spans_of_another_file_are_compared_with_the_training_sentences_of_the_run(run: RunDir, tmp_path: Path):
    with_data(run, max_train_samples=3)
    forms = sorted(surface_forms(scored(run, "train")))
    (tmp_path / "a.conll").write_text(
        "".join(f"{word}\t{'I' if i else 'B'}-{type_}\n" for form, type_ in forms[:1] for i, word in enumerate(form))
        + f"\nzzz\tB-{forms[0][1]}\n"
    )
    options = ("--by", "seen", "--format", "json")
    slices = json.loads(command("evaluate", run.root, "--file", tmp_path / "a.conll", *options).stdout)["slices"]
    support = {name: one["support"] for name, one in slices["seen"].items() if one["support"]}
    assert support == {"seen with this type": 1, "unseen": 1}


def test_a_test_file_is_scored_though_the_training_data_has_changed(run: RunDir, conll_files: dict[str, str]):
    with_data(run, test_file=conll_files["test_file"], test_fraction=None)
    train = run.root.parent / "train.conll"
    train.write_text(train.read_text() + "\nada\tB-PER\n")
    message = "the training sentences still include those drawn for validation"
    assert message in command("evaluate", run.root).output
    assert "cannot be found again" in command("evaluate", run.root, "--errors", code=2).output


@pytest.mark.parametrize(("setting", "value"), [("test_fraction", 0.4), ("split_seed", 6), ("split_by", "document")])
def test_other_sentences_cannot_be_drawn_after_training(run: RunDir, setting: str, value: object):
    """They would be sentences that the model was trained on."""
    for split in ("test", "validation"):
        text = command("evaluate", run.root, "--split", split, "--set", f"data.{setting}={value}", code=2).output
        assert f"data.{setting} cannot be changed after training" in text


def test_calibrating_and_exporting_take_them_too(run: RunDir, tmp_path: Path):
    calibrated = command("evaluate", run.root, "--calibrate", "--split", "validation").output
    assert "validation: 10 of 32 sentences, drawn from train.conll" in " ".join(calibrated.split())
    command("export", run.root, "--format", "savedmodel", "-o", tmp_path / "export")
    agreement = json.loads((tmp_path / "export" / "agreement.json").read_text())
    assert agreement["n_sentences"] == len(words_and_gold(run.predictions_for("validation")))


def test_the_run_says_how_they_were_drawn(run: RunDir):
    record = json.loads(run.validation_cut.read_text())
    assert (record["version"], record["seed"], record["by"]) == (VERSION, 5, "sentence")
    assert record["fractions"] == {"test": 0.2, "validation": 0.3}
    how = {
        "validation": "drawn from train.conll: 30 %, by sentence, seed 5",
        "test": "drawn from train.conll: 20 %, by sentence, seed 5",
    }
    assert json.loads(run.results.read_text())["drawn"] == how
    plan = command("fit", run.config, "--dry-run", "--output-dir", run.root.parent / "other").output
    for split, text in how.items():
        assert text in " ".join(plan.split())
        for page in (run.report, run.model / "README.md"):
            assert f"sentences, {text}" in page.read_text(), (split, page)


def test_the_sentences_are_found_by_their_numbers(run: RunDir):
    """Whatever method drew them."""
    record = json.loads(run.validation_cut.read_text())
    record["sentences"] = {"test": "2, 5-7", "validation": "1, 32"}
    run.validation_cut.write_text(json.dumps(record))
    whole = all_sentences(run)
    assert scored(run, "test") == [whole[i] for i in (1, 4, 5, 6)]
    assert scored(run, "validation") == [whole[i] for i in (0, 31)]
    assert len(scored(run, "train")) == 26


def test_a_run_without_the_record_draws_them_again(run: RunDir):
    run.validation_cut.unlink()
    assert scored(run, "validation") == words_and_gold(run.predictions_for("validation"))


def first_choice(run: RunDir) -> list[tuple[list[str], list[str]]]:
    """The validation sentences as the first versions chose them with seed 3 and a share of 30 %."""
    whole = all_sentences(run)
    return [whole[i] for i in sorted(np.random.default_rng(3).permutation(32)[:10])]


def first_record(run: RunDir) -> dict[str, object]:
    """What the first versions recorded."""
    path = run.root.parent / "chosen.conll"
    path.write_text("\n".join("".join(f"{w}\t{x}\n" for w, x in zip(*one)) for one in first_choice(run)))
    digest = content_hash(load_split(str(path), DataConfig()))
    return {"seed": 3, "fraction": 0.3, "n_sentences": 10, "n_all": 32, "hash": digest, "version": 1}


def test_runs_of_the_first_versions_keep_their_choice(run: RunDir):
    with_data(run, test_fraction=None)
    record = first_record(run)
    run.validation_cut.write_text(json.dumps(record))
    assert scored(run, "validation") == first_choice(run)
    run.validation_cut.write_text(json.dumps({**record, "hash": "0" * 32}))
    assert "cannot be found again" in command("evaluate", run.root, "--split", "validation", code=2).output


def test_runs_that_did_not_record_their_choice_keep_it_too(run: RunDir):
    with_data(run, test_fraction=None)
    run.validation_cut.unlink()
    record = read_record(run)
    settings = {name: value for name, value in record.settings.items() if name != "data.split_seed"}
    settings |= {"training.seed": 3, "data.validation_fraction": 0.3}
    write_record(run, replace(record, settings=settings))
    assert scored(run, "validation") == first_choice(run)


def test_a_checkpoint_of_the_first_versions_goes_on_with_its_choice(run: RunDir, tmp_path: Path, tiny_bert: Path):
    """Copied from its run, which has no record of the sentences. Its settings have no seed for drawing."""
    blocks = (run.root.parent / "train.conll").read_text().strip().split("\n\n")
    chosen = {int(i) for i in np.random.default_rng(3).permutation(32)[:10]}
    options = ("--model-name-or-path", tiny_bert, "--num-train-epochs", 1, "--seed", 3, "--report-to", "none")
    options += ("--validation-fraction", 0.3)
    files = []
    for name, is_validation in (("train", False), ("validation", True)):
        file = tmp_path / f"{name}.conll"
        file.write_text("\n\n".join(block for i, block in enumerate(blocks) if (i in chosen) == is_validation) + "\n")
        files += [f"--{name}-file", file]
    command("fit", *files, *options, "--output-dir", tmp_path / "first", "--keep-checkpoints", 1)
    [checkpoint] = RunDir(tmp_path / "first").checkpoints.iterdir()
    copy = checkpoint.rename(tmp_path / "copy of checkpoint")
    state = json.loads((copy / "state.json").read_text())
    del state["settings"]["data.split_seed"]
    (copy / "state.json").write_text(json.dumps(state))
    (copy / "SHA256SUMS").unlink()
    write_sums(copy)
    options += ("--train-file", run.root.parent / "train.conll", "--output-dir", tmp_path / "second")
    log = command("fit", *options, "--resume-from-checkpoint", copy).stderr
    assert "continuing from the end of epoch 1" in " ".join(log.split())
    assert words_and_gold(RunDir(tmp_path / "second").predictions_for("validation")) == first_choice(run)


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
        ("evaluate", run.root),
        ("evaluate", run.root, "--calibrate", "--file", train),
        ("export", run.root, "--format", "savedmodel", "-o", tmp_path / "export"),
    ):
        text = command(*args, code=2).output
        assert "the validation and test sentences of the run cannot be found again" in text
        assert problem in text
        assert "--set data.validation_file=FILE or --set data.test_file=FILE" in text
        assert "--validation-file" not in text


def test_validation_data_can_be_named(run: RunDir, conll_files: dict[str, str]):
    (run.root.parent / "train.conll").write_text("ada\tB-PER\n\nx\tO\n")
    other = scored(run, "validation", "--set", f"data.validation_file={conll_files['validation_file']}")
    assert len(other) == 11
    named = f"data.validation_file={conll_files['validation_file']}"
    command("evaluate", run.root, "--calibrate", "--set", named, "--file", conll_files["test_file"])


def test_a_record_of_a_later_version_or_a_broken_one_is_told(run: RunDir):
    record = json.loads(run.validation_cut.read_text())
    for values, message in (
        ({**record, "version": VERSION + 1}, "a newer version of tf-tokclf drew the sentences"),
        ({**record, "sentences": {"test": "1-40", "validation": "2"}}, "does not describe how sentences were drawn"),
        ({**record, "sentences": {"test": "1", "validation": "some"}}, "numbers of sentences that cannot be read"),
        ({**record, "fractions": "all"}, "validation_cut.json: cannot be read"),
        ({"seed": 1}, "validation_cut.json: cannot be read"),
        ({"seed": 1, "version": 1}, "validation_cut.json: cannot be read"),
        ([], "validation_cut.json: cannot be read"),
    ):
        run.validation_cut.write_text(json.dumps(values))
        assert message in " ".join(command("evaluate", run.root, "--split", "validation", code=2).output.split())


def test_a_split_that_is_not_there_is_told_with_an_option_of_the_command(run: RunDir, tmp_path: Path):
    with_data(run, test_fraction=None)
    for args in (
        ("evaluate", run.root),
        ("export", run.root, "--format", "savedmodel", "-o", tmp_path / "export", "--split", "test"),
    ):
        text = command(*args, code=2).output
        assert (
            "there is no test split. Available splits: train and validation (drawn from the training sentences)."
            in text
        )
        assert "--set data.test_file=FILE" in text


def test_data_sets_of_a_folder_are_cut_in_the_same_way(trained: RunDir, tmp_path: Path, tiny_bert: Path):
    (tmp_path / "data").mkdir()
    shutil.copy(trained.root.parent / "train.conll", tmp_path / "data" / "train.conll")
    command(
        *("fit", "--dataset-name", tmp_path / "data", "--recipe=none", "--model-name-or-path", tiny_bert),
        *("--output-dir", tmp_path / "run", "--num-train-epochs", 1, "--report-to", "none"),
    )
    run = RunDir(tmp_path / "run")
    assert scored(run, "validation") == words_and_gold(run.predictions_for("validation"))


def test_all_seeds_have_the_same_sentences(trained: RunDir, tmp_path: Path, tiny_bert: Path):
    command(
        *(
            "fit",
            "--train-file",
            trained.root.parent / "train.conll",
            "--recipe=none",
            "--model-name-or-path",
            tiny_bert,
        ),
        *("--output-dir", tmp_path / "run", "--num-train-epochs", 1, "--seeds", "1,2", "--report-to", "none"),
        *("--test-fraction", 0.2),
    )
    run = RunDir(tmp_path / "run")
    for split in ("validation", "test"):
        sentences = scored(run, split)
        for one in (run, run.of_seed(1), run.of_seed(2)):
            assert words_and_gold(one.predictions_for(split)) == sentences
    weights = run.of_seed(1).model / "model.safetensors"
    before = weights.stat().st_mtime_ns
    command("fit", tmp_path / "run", "--resume")
    assert weights.stat().st_mtime_ns == before  # nothing was trained again


def test_a_run_is_resumed_with_the_sentences_of_its_record(run: RunDir):
    kept = run.validation_cut.read_text()
    changed = command("fit", run.root, "--resume", "--validation-fraction", 0.5, code=2).output
    assert "data.validation_fraction (was 0.3, is 0.5)" in " ".join(changed.split())
    run.validation_cut.write_text(json.dumps(first_record(run)))
    changed = command("fit", run.root, "--resume", code=2).output
    assert "whether there are test data, the train data, the validation data" in " ".join(changed.split())
    run.validation_cut.write_text("{")
    command("fit", run.root, "--resume")
    assert run.validation_cut.read_text() == kept
