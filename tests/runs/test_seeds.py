"""Runs of several seeds."""

from __future__ import annotations

import csv
import io
import json
import shutil
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config
from tf_tokclf.errors import UserError
from tf_tokclf.runs.seeds import SeedScores, SeedSummary, fit_seeds
from tf_tokclf.scoring.measures import MEASURES

pytestmark = pytest.mark.usefixtures("untraced")

SEEDS = (3, 1, 2)


@pytest.fixture(scope="module")
def args(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    files = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    folder = tmp_path_factory.mktemp("seeds") / "run"
    settings = ["--learning-rate=1e-3", "--num-train-epochs=1", "--precision=float32", f"--output-dir={folder}"]
    return [
        "fit",
        *files,
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        *settings,
        "--seeds",
        ",".join(map(str, SEEDS)),
    ]


@pytest.fixture(scope="module")
def result(args: list[str]) -> Result:
    return CliRunner().invoke(cli, args, catch_exceptions=False)


@pytest.fixture
def folder(args: list[str], result: Result) -> Path:
    assert result.exit_code == 0, result.output
    return Path(next(arg for arg in args if arg.startswith("--output-dir=")).partition("=")[2])


def test_seeds_report_mean_and_spread(folder: Path, result: Result):
    summary = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))
    each = [json.loads((folder / f"seed-{seed}" / "results.json").read_text(encoding="utf-8")) for seed in SEEDS]
    f1 = [results["splits"]["test"]["overall"]["f1"] for results in each]
    assert [summary["seeds"][str(seed)]["f1"]["test"] for seed in SEEDS] == f1
    assert summary["mean"]["test"] == pytest.approx(statistics.mean(f1))
    assert summary["standard_deviation"]["test"] == pytest.approx(statistics.stdev(f1))
    assert "mean" in result.stdout
    assert f"\nmodel   {folder / 'model'} (seed {summary['median']}, the median)\nscores  " in result.stdout


def test_the_median_run_is_the_model(folder: Path):
    median = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))["median"]
    for name in ("model/model.safetensors", "results.json", "history.jsonl", "predictions/test.jsonl"):
        assert (folder / name).read_bytes() == (folder / f"seed-{median}" / name).read_bytes()
    assert load_config(folder / "config.yaml").training.seed == median
    assert f"(seed {median})" in (folder / "model" / "README.md").read_text(encoding="utf-8")


def test_resuming_trains_only_what_is_missing(folder: Path, args: list[str], result: Result):
    before = (folder / "seed-3" / "results.json").stat().st_mtime_ns
    weights = (folder / "seed-1" / "model" / "model.safetensors").read_bytes()
    (folder / "seed-1" / "results.json").unlink()
    again = CliRunner().invoke(cli, [*args, "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert (folder / "seed-3" / "results.json").stat().st_mtime_ns == before
    assert (folder / "seed-1" / "model" / "model.safetensors").read_bytes() == weights
    assert again.stdout == result.stdout


@pytest.mark.parametrize("format", ["csv", "json", "latex", "markdown"])
def test_the_table_of_finished_seeds_in_other_formats(folder: Path, args: list[str], format: str):
    done = CliRunner().invoke(cli, [*args, "--resume", "--scores-format", format], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    summary = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))
    assert "the median" in done.stderr
    if format == "json":
        assert json.loads(done.stdout) == summary
        return
    assert f"{100 * summary['mean']['test']:.2f}" in done.stdout
    assert f"seed {summary['median']}, with the median validation F1" in done.stdout
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [row["seed"] for row in rows] == [*map(str, SEEDS), "mean", "standard deviation"]
        expected = [summary["seeds"][str(seed)]["f1"] for seed in SEEDS]
        expected += [summary["mean"], summary["standard_deviation"]]
        for split in ("validation", "test"):
            assert [row[f"{split} F1 (percent)"] for row in rows] == [f"{100 * f1[split]:.2f}" for f1 in expected]


def test_comparing_takes_the_runs_of_all_seeds(folder: Path, result: Result):
    """Earlier, only the median run was compared, because its predictions are in the folder itself."""
    f1 = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))["seeds"]
    args = ["compare", str(folder), str(folder / "seed-1"), "--format", "json", "--samples", "9"]
    done = CliRunner().invoke(cli, args)
    seeds, one = json.loads(done.stdout)["systems"]
    assert seeds["runs"] == [str(folder / f"seed-{seed}" / "predictions" / "test.jsonl") for seed in SEEDS]
    assert seeds["f1"]["runs"] == pytest.approx([f1[str(seed)]["f1"]["test"] for seed in SEEDS])
    assert len(one["runs"]) == 1


def test_what_was_lost_in_a_finished_seed_is_restored(folder: Path, args: list[str], result: Result):
    median = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))["median"]
    other = next(seed for seed in SEEDS if seed != median)
    assert not list(folder.rglob("checkpoints"))
    lost = [folder / f"seed-{seed}" / "model" / "tf_tokclf.json" for seed in (median, other)]
    before = {path: path.read_bytes() for path in [*lost, *(folder / "model").iterdir()]}
    for path in lost:
        path.unlink()
    shutil.rmtree(folder / "model")
    again = CliRunner().invoke(cli, [*args, "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert {path: path.read_bytes() for path in before} == before
    assert again.stdout == result.stdout


def resumed_alone(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["fit", str(folder), "--resume", *options])


def median_of(folder: Path) -> int:
    return int(json.loads((folder / "seeds.json").read_text(encoding="utf-8"))["median"])


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder, for tests that change it."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_resuming_the_folder_alone_checks_and_restores_every_seed(copy: Path):
    """Earlier, the folder was treated as a single run, so that missing files of other seeds were not noticed."""
    median = median_of(copy)
    other = next(seed for seed in SEEDS if seed != median)
    summary = json.loads((copy / "seeds.json").read_text(encoding="utf-8"))
    lost = [copy / f"seed-{other}" / "model" / "tf_tokclf.json", copy / "model" / "config.json"]
    before = [path.read_bytes() for path in lost]
    for path in [copy / "seeds.json", *lost]:
        path.unlink()
    alone = resumed_alone(copy)
    assert alone.exit_code == 0, alone.output
    assert json.loads((copy / "seeds.json").read_text(encoding="utf-8")) == {
        **summary,
        "mean": pytest.approx(summary["mean"]),
        "standard_deviation": pytest.approx(summary["standard_deviation"]),
    }
    assert [path.read_bytes() for path in lost] == before
    assert f"(seed {median}, the median)" in alone.stdout
    # A damaged file is written again, too.
    (copy / "seeds.json").write_text("{", encoding="utf-8")
    alone = resumed_alone(copy)
    assert alone.exit_code == 0, alone.output
    assert median_of(copy) == median


def test_resuming_the_folder_alone_trains_a_seed_that_was_deleted(copy: Path):
    other = next(seed for seed in SEEDS if seed != median_of(copy))
    shutil.rmtree(copy / f"seed-{other}")
    alone = resumed_alone(copy)
    assert alone.exit_code == 0, alone.output
    assert (copy / f"seed-{other}" / "results.json").is_file()
    assert len(json.loads((copy / "seeds.json").read_text(encoding="utf-8"))["seeds"]) == len(SEEDS)


def test_resuming_the_folder_alone_names_weights_that_cannot_be_restored(copy: Path):
    shutil.rmtree(copy / "seed-1" / "model")
    alone = resumed_alone(copy)
    assert alone.exit_code == 2
    message = " ".join(alone.stderr.split())
    assert "seed-1: " in message
    assert "cannot be restored" in message


def test_resuming_an_interrupted_folder_alone_names_the_command(folder: Path, tmp_path: Path):
    """Earlier, the message was that a configuration file was expected."""
    shutil.copytree(folder / "seed-1", tmp_path / "run" / "seed-1")
    refused = resumed_alone(tmp_path / "run")
    assert refused.exit_code == 2
    message = " ".join(refused.stderr.split())
    assert "runs of several seeds that are not finished. Continue them with the command that started" in message


def test_another_seed_is_another_run_than_the_median(folder: Path):
    median = median_of(folder)
    other = next(seed for seed in SEEDS if seed != median)
    refused = resumed_alone(folder, "--seed", str(other))
    assert refused.exit_code == 2, refused.output
    assert f"training.seed (was {median}, is {other})" in " ".join(refused.stderr.split())


def test_the_card_keeps_all_seeds_when_the_folder_is_resumed_alone(folder: Path):
    """Earlier, the card described only the median seed."""
    card = folder / "model" / "README.md"
    before = card.read_bytes()
    assert all(f"(seed {seed})".encode() in before for seed in SEEDS)
    alone = CliRunner().invoke(cli, ["fit", str(folder), "--resume"], catch_exceptions=False)
    assert alone.exit_code == 0, alone.output
    assert card.read_bytes() == before


def test_a_calibrated_folder_of_seeds_stays_calibrated(folder: Path, args: list[str]):
    """Earlier, resuming replaced the calibrated file with that of the median run."""
    path = folder / "model" / "tf_tokclf.json"
    before = path.read_bytes()
    calibrated = CliRunner().invoke(cli, ["evaluate", str(folder), "--calibrate"], catch_exceptions=False)
    assert calibrated.exit_code == 0, calibrated.output
    after = path.read_bytes()
    assert after != before
    again = CliRunner().invoke(cli, [*args, "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output
    assert path.read_bytes() == after
    # A damaged model is restored from the median run, and keeps its temperature.
    path.write_bytes(before)
    config = path.with_name("config.json")
    config_before = config.read_bytes()
    config.write_bytes(config_before.replace(b"bert", b"bort"))
    again = resumed_alone(folder)
    assert again.exit_code == 0, again.output
    assert config.read_bytes() == config_before
    assert path.read_bytes() == after


def test_a_link_out_of_a_seeds_folder_is_not_copied_into_the_model(folder: Path, args: list[str], tmp_path: Path):
    """Earlier, its content was copied into the model folder, from where `push` would have published it."""
    (tmp_path / "secret.txt").write_text("secret\n", encoding="utf-8")
    median = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))["median"]
    link = folder / f"seed-{median}" / "model" / "notes.txt"
    link.symlink_to(tmp_path / "secret.txt")
    shutil.rmtree(folder / "model")
    again = CliRunner().invoke(cli, [*args, "--resume"])
    assert again.exit_code == 2
    assert "notes.txt: is a link to" in " ".join(again.stderr.split())
    assert not (folder / "model" / "notes.txt").exists()
    link.unlink()
    again = CliRunner().invoke(cli, [*args, "--resume"], catch_exceptions=False)
    assert again.exit_code == 0, again.output


def test_lost_weights_of_a_finished_seed_are_named(folder: Path, args: list[str]):
    weights = folder / "seed-1" / "model" / "model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    again = CliRunner().invoke(cli, [*args, "--resume"])
    weights.write_bytes(before)
    assert again.exit_code == 2
    assert "seed-1: model/model.safetensors is missing and cannot be restored" in " ".join(again.stderr.split())


def test_the_median_is_chosen_by_dev():
    scores = [(1, 0.5, 0.9), (2, 0.7, 0.1), (3, 0.6, 0.5), (4, 0.9, 0.5)]
    summary = SeedSummary(tuple(SeedScores(seed, {"validation": dev, "test": test}, dev) for seed, dev, test in scores))
    assert summary.median == 3


def test_the_median_is_that_of_the_measure_that_chooses_the_best_model():
    losses = [(1, 0.5), (2, 0.1), (3, 0.3), (4, 0.2)]
    scores = tuple(SeedScores(seed, {"validation": seed / 10}, loss) for seed, loss in losses)
    summary = SeedSummary(scores, MEASURES["loss"])
    assert summary.median == 3
    assert summary.to_json()["median_of"] == "loss on validation"
    assert summary.to_json()["seeds"]["2"] == {"f1": {"validation": 0.2}, "validation_loss": 0.1}
    assert "with the median validation loss" in summary._repr_html_()


@pytest.mark.parametrize("seeds", [(1,), (1, 1)])
def test_one_seed_is_no_spread(seeds: tuple[int, ...]):
    with pytest.raises(UserError, match="two or more different seeds"):
        fit_seeds(Config(output_dir="nowhere"), seeds)
