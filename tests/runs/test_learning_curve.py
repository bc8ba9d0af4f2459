"""Learning curves: runs on nested shares of the training data."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.conftest import PEOPLE, PLACES
from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config
from tf_tokclf.data.splits import load_splits
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.model.backend import keras
from tf_tokclf.run_dir import RunDir
from tf_tokclf.runs.fit import fit
from tf_tokclf.scoring.learning_curve import LearningCurve, read_curve

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

SHARES, SEEDS = (0.5, 1.0), (2, 1)
NAMES = [f"{share}-seed-{seed}" for share in ("0.5", "1") for seed in SEEDS]
OPTIONS = {"task": "ner", "training.max_steps": 8, "training.precision": "float32", "training.report_to": []}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Training sentences that are all different, and a test set. The validation sentences are drawn."""
    folder = tmp_path_factory.mktemp("data")
    texts = [f"{a}\tB-PER\nsaw\tO\n{b}\tB-LOC\n" for a in PEOPLE for b in PLACES]
    texts += [f"{b}\tB-LOC\nlikes\tO\n{a}\tB-PER\n" for a in PEOPLE for b in PLACES]
    for name, part in (("train", texts), ("test", texts[::3])):
        (folder / f"{name}.conll").write_text("\n".join(part), encoding="utf-8")
    return {f"{name}_file": str(folder / f"{name}.conll") for name in ("train", "test")}


@pytest.fixture(scope="module")
def args(files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    given = [f"--{name.replace('_', '-')}={path}" for name, path in files.items()]
    settings = ["--max-steps=8", "--precision=float32", "--report-to=none", f"--model-name-or-path={tiny_bert}"]
    folder = tmp_path_factory.mktemp("curves") / "run"
    return ["fit", *given, *settings, f"--output-dir={folder}", "--learning-curve=1,0.5", "--seeds=2,1"]


def config_of(files: dict[str, str], encoder: Path, folder: Path, **options: object) -> Config:
    """The same settings in Python."""
    data = {f"data.{name}": path for name, path in files.items()}
    return load_config(
        options={**data, "model.name_or_path": str(encoder), "output_dir": str(folder), **OPTIONS, **options}
    )


@pytest.fixture(scope="module")
def result(args: list[str]) -> Result:
    return CliRunner().invoke(cli, args, catch_exceptions=False)


@pytest.fixture
def folder(args: list[str], result: Result) -> Path:
    assert result.exit_code == 0, result.output
    return Path(next(arg for arg in args if arg.startswith("--output-dir=")).partition("=")[2])


def results_of(folder: Path) -> dict[str, Any]:
    """The results of a run, without times."""
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if name != "seconds"}


def test_each_share_and_seed_is_a_run_with_the_same_validation_and_test_sentences(folder: Path):
    assert sorted(path.name for path in (folder / "shares").iterdir()) == sorted(NAMES)
    words = {}
    for name in NAMES:
        config = load_config(folder / "shares" / name / "config.yaml")
        assert config.training.seed == int(name[-1])
        splits = load_splits(config.data, task=config.task)
        words[name] = [[sentence.words for sentence in split] for split in splits]
    assert len({json.dumps(others) for _, *others in words.values()}) == 1
    for seed in SEEDS:
        assert set(words[f"0.5-seed-{seed}"][0]) < set(words[f"1-seed-{seed}"][0])
    assert words["0.5-seed-1"][0] != words["0.5-seed-2"][0]


def test_the_run_on_all_data_is_the_same_as_any_other_run(
    folder: Path, files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    fit(config_of(files, tiny_bert, tmp_path / "plain", **{"training.seed": 1}))
    own = folder / "shares" / "1-seed-1"
    assert results_of(tmp_path / "plain") == results_of(own)
    name = "model/model.safetensors"
    assert (tmp_path / "plain" / name).read_bytes() == (own / name).read_bytes()


def test_the_file_contains_the_scores_and_sizes_of_each_run(folder: Path):
    curve = read_curve(RunDir(folder))
    assert curve is not None
    assert (curve.shares, curve.seeds) == (SHARES, SEEDS)
    for run in curve.runs:
        results = results_of(folder / "shares" / f"{run.share:g}-seed-{run.seed}")
        assert run.f1 == {split: scores["overall"]["f1"] for split, scores in results["splits"].items()}
        sizes = results["data"]["train"]
        assert (run.n_sentences, run.n_words) == (sizes["n_sentences"], sizes["n_words"])
        assert run.n_spans == 2 * run.n_sentences
        low, high = results["splits"]["test"]["f1_interval"]["overall"]
        assert run.half_width["test"] == pytest.approx((high - low) / 2)
    assert [point.n_sentences for point in curve.points] == [15, 29]


def test_the_median_run_on_the_largest_share_is_the_model(folder: Path):
    curve = read_curve(RunDir(folder))
    assert curve is not None
    by_seed = {run.seed: run.f1["validation"] for run in curve.runs if run.share == 1}
    # Of two seeds, it is the worse one.
    assert curve.chosen == min(by_seed, key=lambda seed: (by_seed[seed], seed))
    chosen = folder / "shares" / f"1-seed-{curve.chosen}"
    for name in ("model/model.safetensors", "results.json", "predictions/test.jsonl"):
        assert (folder / name).read_bytes() == (chosen / name).read_bytes()
    assert load_config(folder / "config.yaml").training.seed == curve.chosen
    scored = CliRunner().invoke(cli, ["evaluate", str(folder)], catch_exceptions=False)
    assert scored.exit_code == 0, scored.output


def test_the_table_the_sentence_and_the_places_are_printed(folder: Path, result: Result):
    curve = read_curve(RunDir(folder))
    assert curve is not None
    said = " ".join(result.stdout.split())
    assert "share sentences words spans validation F1 test F1" in said
    for point in curve.points:
        f1 = [f"{100 * point.mean(name):.2f} ± {100 * (point.deviation(name) or 0):.2f}" for name in curve.splits]
        sizes = f"{point.share:g} {point.n_sentences:.0f} {point.n_words:.0f} {point.n_spans:.0f}"
        assert " ".join([sizes, *f1]) in said
    assert " ".join(curve.outlook_text.split()) in said
    assert f"model   {folder / 'model'} (share 1, seed {curve.chosen})" in result.stdout
    # The plan came first.
    plan = " ".join(result.stderr.split())
    assert "2 shares x 2 seeds: 4 runs, about" in plan
    assert "share 0.5: 15 sentences, 45 words, 30 spans, 8 steps, about" in plan


@pytest.mark.parametrize("format", ["csv", "json", "latex", "markdown"])
def test_the_table_of_a_finished_curve_in_other_formats(folder: Path, args: list[str], format: str):
    done = CliRunner().invoke(cli, [*args, "--resume", "--scores-format", format], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    stored = json.loads((folder / "learning_curve.json").read_text(encoding="utf-8"))
    assert str(folder / "learning_curve.svg") in done.stderr
    if format == "json":
        assert {name: stored[name] for name in ("runs", "points", "extrapolation", "model")} == json.loads(done.stdout)
        return
    mean = statistics.fmean(run["f1"]["test"] for run in stored["runs"] if run["share"] == 0.5)
    assert f"{100 * mean:.2f}" in done.stdout
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [row["share"] for row in rows] == ["0.5", "1"]
        assert rows[0]["test F1 (percent)"] == f"{100 * mean:.2f}"
        assert rows[0]["outlook"] == stored["extrapolation"]["text"]


def test_the_picture_shows_each_run(folder: Path):
    picture = (folder / "learning_curve.svg").read_text(encoding="utf-8")
    assert picture.count('<circle class="dot s1"') == picture.count('<circle class="dot s2"') == len(NAMES)
    assert "training sentences" in picture


def test_the_report_contains_the_curve(folder: Path, tmp_path: Path):
    done = CliRunner().invoke(cli, ["report", str(folder), "-o", str(tmp_path / "page.html")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    curve = read_curve(RunDir(folder))
    assert curve is not None
    assert "Size of the training data" in page
    assert curve.outlook_text in page
    assert f"the share 1 with seed {curve.chosen}" in page
    part = CliRunner().invoke(
        cli, ["report", str(folder / "shares" / NAMES[0]), "-o", str(tmp_path / "part.html")], catch_exceptions=False
    )
    assert part.exit_code == 0
    assert "Size of the training data" not in (tmp_path / "part.html").read_text(encoding="utf-8")


def test_the_folder_is_one_run_in_the_list_and_its_parts_can_be_listed(folder: Path):
    def listed(*arguments: str) -> list[dict[str, Any]]:
        done = CliRunner().invoke(cli, ["runs", *arguments, "--format", "json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    curve = read_curve(RunDir(folder))
    assert curve is not None
    (row,) = listed(str(folder.parent))
    assert (row["state"], row["seeds"]) == ("finished, learning curve of 4 runs", list(SEEDS))
    assert row["f1"] == pytest.approx({split: curve.points[-1].mean(split) for split in curve.splits})
    parts = listed(str(folder))
    assert {part["name"] for part in parts} == {"run", *(f"shares/{name}" for name in NAMES)}
    by_name = {part["name"]: part["settings"] for part in parts}
    assert by_name["shares/0.5-seed-1"]["data.train_fraction"] == 0.5
    assert len(listed(str(folder.parent), "--all")) == 5


def test_runs_on_two_shares_can_be_compared(folder: Path):
    names = [str(folder / "shares" / name) for name in (NAMES[0], NAMES[-1])]
    done = CliRunner().invoke(cli, ["compare", *names, "--format", "json", "--samples", "9"], catch_exceptions=False)
    assert done.exit_code == 0, done.output


class Stop(keras.callbacks.Callback):
    """Asks the run to stop, as Ctrl-C does, after so many epochs in all."""

    def __init__(self, n_epochs: int) -> None:
        super().__init__()
        self.n_left = n_epochs

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.n_left -= 1
        if self.n_left == 0:
            signal.raise_signal(signal.SIGINT)


def test_a_stopped_curve_goes_on_to_the_same_result_and_can_be_extended(
    folder: Path, files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    config = config_of(files, tiny_bert, tmp_path / "run", **{"training.seed": 1})
    with pytest.raises(Stopped, match=r"share 1, seed 1: .*continue all runs with the same command and --resume"):
        fit(config, learning_curve=(0.5, 1.0), callbacks=[Stop(5)])
    listed = CliRunner().invoke(cli, ["runs", str(tmp_path), "--format", "csv"], catch_exceptions=False)
    assert "learning curve stopped after 1 run" in listed.stdout
    first = tmp_path / "run" / "shares" / "0.5-seed-1" / "results.json"
    before = first.stat().st_mtime_ns
    # The folder alone contains the shares and the seed.
    alone = CliRunner().invoke(cli, ["fit", str(tmp_path / "run"), "--resume"], catch_exceptions=False)
    assert alone.exit_code == 0, alone.output
    curve = fit(config, learning_curve=(0.25, 0.5, 1.0), resume=True)
    assert isinstance(curve, LearningCurve)
    assert first.stat().st_mtime_ns == before
    for name in ("0.5-seed-1", "1-seed-1"):
        whole, resumed = folder / "shares" / name, tmp_path / "run" / "shares" / name
        assert results_of(whole) == results_of(resumed)
        weights = "model/model.safetensors"
        assert (whole / weights).read_bytes() == (resumed / weights).read_bytes()
    uninterrupted = read_curve(RunDir(folder))
    assert uninterrupted is not None
    assert curve.runs[1:] == tuple(run for run in uninterrupted.runs if run.seed == 1)
    assert (curve.runs[0].share, curve.runs[0].n_sentences, curve.seeds) == (0.25, 7, (1,))
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-curve=0.7,1"], "it has the share 0.5, which is not listed"),
        (["--seeds=1,3"], "it has the seed 2, which is not listed"),
        (
            ["--weight-decay=0.3"],
            "the learning curve in this folder has other settings or data and cannot be continued; "
            "changed: optimizer.weight_decay (was 0.01, is 0.3)",
        ),
    ],
)
def test_another_curve_is_not_continued(folder: Path, args: list[str], options: list[str], message: str):
    before = (folder / "learning_curve.json").read_bytes()
    refused = CliRunner().invoke(cli, [*args, "--resume", *options])
    assert refused.exit_code == 2, refused.output
    assert message in " ".join(refused.stderr.split())
    assert (folder / "learning_curve.json").read_bytes() == before


def test_a_lost_or_damaged_file_is_written_again_from_the_runs(folder: Path, args: list[str], tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    stored = (copy / "learning_curve.json").read_text(encoding="utf-8")
    (copy / "learning_curve.json").write_text("{", encoding="utf-8")
    damaged = CliRunner().invoke(cli, ["fit", str(copy), "--resume"])
    assert damaged.exit_code == 2
    assert "learning_curve.json: not valid JSON" in " ".join(damaged.stderr.split())
    (copy / "learning_curve.json").unlink()
    alone = CliRunner().invoke(cli, ["fit", str(copy), "--resume"])
    assert alone.exit_code == 2
    said = " ".join(alone.stderr.split())
    assert "learning_curve.json is missing, so the shares are not known. Continue with the command that" in said
    again = CliRunner().invoke(cli, [*args, f"--output-dir={copy}", "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    found, before = json.loads((copy / "learning_curve.json").read_text(encoding="utf-8")), json.loads(stored)
    assert {**found, "config": None} == {**before, "config": None}


def test_a_finished_folder_alone_keeps_what_the_recipe_chose_for_each_share(folder: Path, result: Result):
    """In the end, the configuration in the folder contains what the recipe chose for the largest share."""
    assert load_config(folder / "config.yaml").recipe == "none"
    again = CliRunner().invoke(cli, ["fit", str(folder), "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert again.stdout == result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-curve=0.5"], "two or more different shares are needed, such as 0.1,0.25,0.5,1"),
        (["--learning-curve=0.5,0.5"], "two or more different shares are needed"),
        (["--learning-curve=half,1"], "'half,1' is not a list of shares such as 0.1,0.25,0.5,1"),
        (["--learning-curve=0,1"], "0 is not a share above 0 and at most 1"),
        (["--learning-curve=0.5,1.5"], "1.5 is not a share above 0 and at most 1"),
        (["--learning-curve=nan,1"], "nan is not a share above 0 and at most 1"),
        (["--learning-curve="], "two or more different shares are needed"),
        (["--seeds=1,1"], "--seeds 1,1: the seeds have to be different"),
        (["--set", "data.train_fraction=0.5"], "--learning-curve and data.train_fraction cannot be combined"),
        (["--sweep", "training.weight_decay=1,2"], "--learning-curve and a sweep cannot be combined"),
        (["--resume-from-checkpoint=x"], "--resume-from-checkpoint continues a single run. Continue a learning curve"),
        (["--learning-curve=0.001,1"], "0.1 % of 29 training sentences is less than one sentence"),
        (["--learning-curve=0.5,0.51"], "the shares 0.5 and 0.51 both give"),
        (["--learning-curve=0.5,0.51", "--dry-run"], "the shares 0.5 and 0.51 both give"),
        (["--seeds=1,1", "--dry-run"], "--seeds 1,1: the seeds have to be different"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    args: list[str], tmp_path: Path, options: list[str], message: str
):
    refused = CliRunner().invoke(cli, [*args, f"--output-dir={tmp_path / 'new'}", *options])
    assert refused.exit_code == 2, refused.output
    assert message in " ".join(refused.stderr.split()), refused.stderr
    assert not (tmp_path / "new" / "shares").exists()


def test_a_share_without_spans_is_refused(files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    train = tmp_path / "train.conll"
    train.write_text("".join(f"w{i}\tO\n\n" for i in range(20)), encoding="utf-8")
    own = {"train_file": str(train), "validation_file": files["test_file"]}
    config = config_of(own, tiny_bert, tmp_path / "run")
    with pytest.raises(UserError, match=r"the share 0\.1 \(2 sentences\) contains no spans\. Check the labels"):
        fit(config, learning_curve=(0.1, 1.0))


def test_a_run_that_is_not_a_curve_is_not_continued_as_one(folder: Path, args: list[str], tmp_path: Path):
    plain = shutil.copytree(folder / "shares" / NAMES[0], tmp_path / "plain")
    refused = CliRunner().invoke(cli, [*args, f"--output-dir={plain}", "--resume"])
    assert refused.exit_code == 2
    assert "contains a run that is not a learning curve" in " ".join(refused.stderr.split())
    there = CliRunner().invoke(cli, [*args, f"--output-dir={folder}"])
    assert there.exit_code == 2
    assert "there already is a run in" in " ".join(there.stderr.split())


def test_the_plan_lists_all_runs(args: list[str], tmp_path: Path):
    done = CliRunner().invoke(cli, [*args, f"--output-dir={tmp_path / 'new'}", "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    plan = " ".join(done.stdout.split())
    assert "seeds 2, 1" in plan
    assert "2 shares x 2 seeds: 4 runs, about" in plan
    for text in ("share 0.5: 15 sentences", "share 1: 29 sentences"):
        assert text in plan
    assert not (tmp_path / "new").exists()
