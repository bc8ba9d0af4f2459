"""Finished runs: checkpoints are removed, files are checked, and lost files are restored."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import WORDS
from tests.encoders import make_bert, make_roberta
from tests.training.test_train import config_for
from tf_tokclf import fit, load_config
from tf_tokclf.cli.main import cli
from tf_tokclf.config.schema import Config
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import keras
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_record import read_record

# The runs only need to finish: they compute few steps, without tracing.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

BATCH = {"training.per_device_train_batch_size": 16}
OPTIONS = {**BATCH, "training.num_train_epochs": 2, "training.report_to": ["csv"], "training.deterministic": True}


def command(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="tf-tokclf")


def said(result: Result) -> str:
    return " ".join(result.stderr.split())


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files in a run's folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def differences(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """The files that changed, except the report, which names its folder: these runs were copied."""
    assert set(before) == set(after)
    return [name for name in before if before[name] != after[name] and name not in ("finished.json", "report.html")]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def copied(run: Path, folder: Path) -> Path:
    """A copy of a run."""
    shutil.copytree(run, folder)
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace(str(run), str(folder)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the layers of the encoder of other tests."""
    return make_bert(tmp_path_factory.mktemp("encoders") / "bert", WORDS, num_hidden_layers=1)


@pytest.fixture(scope="module")
def config(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A copy of a finished run without checkpoints."""
    return config_for(conll_files, tiny_bert, tmp_path_factory.mktemp("finishing") / "run", **OPTIONS)


@pytest.fixture(scope="module")
def original(config: Config) -> Path:
    return fit(config).run.root


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return copied(original, tmp_path / "run")


@pytest.fixture(scope="module")
def original_kept(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with its last checkpoint."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    return fit(config_for(conll_files, tiny_bert, folder, **OPTIONS, **{"training.keep_checkpoints": 1})).run.root


@pytest.fixture
def kept(original_kept: Path, tmp_path: Path) -> Path:
    return copied(original_kept, tmp_path / "run")


# Checkpoints


def test_a_finished_run_leaves_no_checkpoints(original: Path):
    assert not (original / "checkpoints").exists()
    assert read_record(RunDir(original)) is not None


@pytest.mark.parametrize(("n", "epochs"), [(1, [4]), (3, [2, 3, 4])])
def test_as_many_checkpoints_stay_as_were_asked_for(
    n: int, epochs: list[int], conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    run = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **{**BATCH, "training.keep_checkpoints": n})).run
    names = [f"epoch-{epoch:04d}-step-0000000" for epoch in epochs]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == names
    for name in names:
        check = ["sha256sum", "--check", "--strict", "--status", "SHA256SUMS"]
        assert subprocess.run(check, cwd=run.checkpoints / name, check=False).returncode == 0


def test_resuming_removes_checkpoints_that_are_not_to_stay_any_more(kept: Path):
    assert (kept / "checkpoints").is_dir()
    before = (kept / "model" / "model.safetensors").read_bytes()
    result = command("fit", kept, "--resume", "--keep-checkpoints", 0)
    assert result.exit_code == 0, result.output
    assert not (kept / "checkpoints").exists()
    assert (kept / "model" / "model.safetensors").read_bytes() == before


def test_a_run_without_any_checkpoint_is_finished_too(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    options = {**BATCH, "training.checkpoints": False, "training.num_train_epochs": 1}
    run = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options)).run
    before = (run.model / "model.safetensors").stat().st_mtime_ns
    assert command("fit", run.root, "--resume").exit_code == 0
    assert (run.model / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_run_that_is_killed_while_it_is_scored_need_not_be_trained_again(
    checkpoints: bool, conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = {**BATCH, "training.checkpoints": checkpoints, "training.num_train_epochs": 1}
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **options)

    def killed(*arguments: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("tf_tokclf.training.train.score_run", killed)
        with pytest.raises(RuntimeError, match="killed"):
            fit(config)
    weights = tmp_path / "run" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert not (tmp_path / "run" / "results.json").exists()
    result = command("fit", tmp_path / "run", "--resume")
    assert result.exit_code == 0, result.output
    assert weights.stat().st_mtime_ns == before
    assert (tmp_path / "run" / "results.json").is_file()
    assert not (tmp_path / "run" / "checkpoints").exists()


# Damage


def damage_model(run: Path) -> None:
    (run / "model" / "tf_tokclf.json").unlink()
    flip_a_byte(run / "model" / "config.json")
    os.truncate(run / "model" / "tokenizer.json", 100)
    (run / "model" / "tokenizer_config.json").write_text("{}")
    (run / "model" / "special_tokens_map.json").unlink()


def damage_outputs(run: Path) -> None:
    (run / "results.json").unlink()
    flip_a_byte(run / "predictions" / "test.jsonl")
    (run / "predictions" / "validation.jsonl").unlink()
    (run / "report.html").write_text("")
    (run / "history.jsonl").unlink()
    (run / "history.csv").unlink()
    (run / "model" / "README.md").unlink()


def damage_configuration(run: Path) -> None:
    (run / "config.yaml").unlink()


DAMAGE = {"model": damage_model, "outputs": damage_outputs, "configuration": damage_configuration}
NAMED = {
    "model": [
        "model/tf_tokclf.json is missing. It is restored.",
        "model/config.json was changed. It is restored.",
        "model/tokenizer.json was changed. It is restored.",
        "model/tokenizer_config.json was changed. It is restored.",
        "model/special_tokens_map.json is missing. It is restored.",
    ],
    "outputs": [
        "results.json is missing. It is restored.",
        "predictions/test.jsonl was changed. It is restored.",
        "predictions/validation.jsonl is missing. It is restored.",
        "report.html was changed. It is restored.",
        "history.jsonl is missing. It is restored.",
        "history.csv is missing. It is restored.",
    ],
    "configuration": ["config.yaml was missing. It is restored."],
}


def test_a_damaged_configuration_is_restored_once_it_is_removed(run: Path):
    """The user may have edited it, so it is not overwritten."""
    config = run / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text[: text.index(":", text.index("model:")) + 1], encoding="utf-8")
    result = command("fit", run, "--resume")
    assert result.exit_code == 2
    assert "Or remove the file: --resume then restores it." in said(result)
    config.write_text("", encoding="utf-8")
    result = command("fit", run, "--resume")
    assert result.exit_code == 0, result.output
    assert load_config(config).training.num_train_epochs == 2


def test_a_wrong_option_is_not_blamed_on_the_configuration(run: Path):
    result = command("fit", run, "--resume", "--keep-checkpoints", "-1")
    assert result.exit_code == 2
    assert "Error: --keep-checkpoints: training.keep_checkpoints: -1 is not" in said(result)
    assert "config.yaml" not in said(result)
    result = command("fit", run, "--resume", "--set", "training.seed=-1")
    assert "Error: --set training.seed: training.seed: -1 is not" in said(result)
    assert "config.yaml" not in said(result)


def test_pipes_in_the_place_of_files_are_replaced(run: Path):
    """Opening a pipe would wait forever."""
    pipes = [run / name for name in ("history.csv", "history.jsonl", "results.json", "report.html")]
    pipes += [run / "predictions" / "test.jsonl", run / "model" / "README.md", run / "model" / "tokenizer.json"]
    for path in pipes:
        path.unlink()
        os.mkfifo(path)
    result = command("fit", run, "--resume")
    assert result.exit_code == 0, result.output
    assert all(path.is_file() for path in pipes)


def test_a_folder_in_the_place_of_a_file_is_named(run: Path):
    (run / "history.csv").unlink()
    (run / "history.csv").mkdir()
    result = command("fit", run, "--resume")
    assert result.exit_code == 2
    assert f"{run}/history.csv: " in said(result)
    assert "partial" not in said(result)


@pytest.mark.parametrize("what", DAMAGE)
def test_everything_but_weights_is_restored_without_checkpoints(run: Path, what: str):
    before = contents(run)
    DAMAGE[what](run)
    result = command("fit", run, "--resume")
    assert result.exit_code == 0, result.output
    message = said(result)
    for named in NAMED[what]:
        assert f"Warning: {run}/{named}" in message
    after = contents(run)
    if what == "configuration":
        # The run was copied to another folder.
        before["config.yaml"] = after["config.yaml"]
    assert differences(before, after) == []
    assert load_config(run / "config.yaml").training.num_train_epochs == 2
    again = command("fit", run, "--resume")
    assert again.exit_code == 0
    assert "the run is finished, and its files are intact." in said(again)
    assert f"Warning: {run}" not in said(again)


@pytest.mark.parametrize(
    "destroy",
    [
        lambda run: shutil.rmtree(run / "model"),
        lambda run: flip_a_byte(run / "model" / "model.safetensors"),
        lambda run: (run / "model" / "model.safetensors").unlink(),
    ],
    ids=["no model", "changed weights", "no weights"],
)
def test_a_checkpoint_restores_the_whole_model_folder(kept: Path, destroy: Callable[[Path], None]):
    before = contents(kept)
    destroy(kept)
    damage_outputs_but_card(kept)
    result = command("fit", kept, "--resume")
    assert result.exit_code == 0, result.output
    after = contents(kept)
    assert differences(before, after) == []
    assert "model/model.safetensors" in said(result)


def damage_outputs_but_card(run: Path) -> None:
    (run / "results.json").unlink()
    (run / "report.html").unlink()


def test_damaged_checkpoints_of_a_finished_run_do_no_harm(kept: Path):
    for path in (kept / "checkpoints").rglob("variables.data*"):
        flip_a_byte(path)
    assert command("fit", kept, "--resume").exit_code == 0
    shutil.rmtree(kept / "model")
    result = command("fit", kept, "--resume")
    assert result.exit_code == 2
    assert "cannot be restored: the run is finished, and none of its checkpoints is complete." in said(result)


def test_the_model_of_an_unfinished_run_is_made_anew_as_a_whole(kept: Path):
    """A run that was killed: the weights are intact, but other files of the model folder are not."""
    before = contents(kept)
    (kept / "finished.json").unlink()
    (kept / "results.json").unlink()
    damage_model(kept)
    assert command("fit", kept, "--resume").exit_code == 0
    after = contents(kept)
    assert differences(before, after) == []


def test_lost_weights_are_named_and_nothing_is_touched(run: Path):
    (run / "model" / "model.safetensors").unlink()
    (run / "model" / "config.json").unlink()
    before = contents(run)
    result = command("fit", run, "--resume")
    assert result.exit_code == 2
    assert (
        f"{run}: model/model.safetensors is missing and cannot be restored: the run is finished, and its checkpoints "
        "were removed. Copy the file from a backup or the Hub and resume again, or train again with --force."
    ) in said(result)
    assert contents(run) == before


def test_a_copy_of_the_weights_restores_the_rest(run: Path):
    before = contents(run)
    shutil.rmtree(run / "model")
    (run / "model").mkdir()
    (run / "model" / "model.safetensors").write_bytes(before["model/model.safetensors"])
    assert command("fit", run, "--resume").exit_code == 0
    after = contents(run)
    assert differences(before, after) == []


def test_a_temperature_is_no_damage_and_is_restored(run: Path, conll_files: dict[str, str], tmp_path: Path):
    # The validation sentences are too few for calibration, and nearly all predicted spans are correct.
    text = Path(conll_files["validation_file"]).read_text(encoding="utf-8") + "\n"
    swapped = text.replace("PER", "X").replace("LOC", "PER").replace("X", "LOC")
    (tmp_path / "mixed.conll").write_text(3 * text + 2 * swapped, encoding="utf-8")
    result = command("evaluate", run, "--calibrate", "--set", f"data.validation_file={tmp_path / 'mixed.conll'}")
    assert result.exit_code == 0
    info = run / "model" / "tf_tokclf.json"
    calibrated = info.read_bytes()
    assert json.loads(calibrated)["temperature"] != 1, said(result)
    result = command("fit", run, "--resume")
    assert "its files are intact" in said(result)
    info.unlink()
    assert command("fit", run, "--resume").exit_code == 0
    assert info.read_bytes() == calibrated


def test_a_card_that_somebody_wrote_is_no_damage(run: Path):
    (run / "model" / "README.md").write_text("Mine.")
    assert "its files are intact" in said(command("fit", run, "--resume"))


def test_a_byte_level_tokenizer_is_restored_as_well(conll_files: dict[str, str], tmp_path: Path):
    """The options of the command are those of the training."""
    encoder = make_roberta(tmp_path / "encoder", WORDS)
    run = fit(config_for(conll_files, encoder, tmp_path / "run", **BATCH, **{"training.num_train_epochs": 1})).run
    before = contents(run.model)
    for name in before:
        if name.startswith(("tokenizer", "vocab", "merges", "special")):
            (run.model / name).unlink()
    assert command("fit", run.root, "--resume").exit_code == 0
    assert contents(run.model) == before


def test_a_damaged_record_is_told_and_a_checkpoint_stands_in_for_it(kept: Path):
    before = contents(kept)
    flip_a_byte(kept / "finished.json")
    result = command("fit", kept, "--resume")
    assert result.exit_code == 0, result.output
    assert "finished.json cannot be used (" in said(result)
    assert differences(before, contents(kept)) == []
    assert read_record(RunDir(kept)) is not None


# Another run, and a longer one


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"training.seed": 7}, r"changed: training.seed \(was 42, is 7\)"),
        ({"training.num_train_epochs": 1}, r"changed: training.num_train_epochs \(was 2, is 1\)"),
        ({"training.num_train_epochs": 9, "training.seed": 7}, r"training.num_train_epochs .* training.seed \(was"),
        ({"data.max_train_samples": 20}, r"data.max_train_samples \(was None, is 20\), the train data\."),
    ],
)
def test_another_run_is_refused_by_name_and_nothing_touched(run: Path, changed: dict[str, object], message: str):
    before = contents(run)
    config = load_config(run / "config.yaml", options={**changed, "output_dir": str(run)})
    with pytest.raises(UserError, match=message):
        fit(config, resume=True)
    assert contents(run) == before


def test_settings_that_change_no_weight_may_differ(run: Path):
    assert command("fit", run, "--resume", "--logging-steps", 7, "--set", "data.cache_size_gb=1").exit_code == 0


def test_more_epochs_need_a_checkpoint(run: Path):
    before = contents(run)
    result = command("fit", run, "--resume", "--num-train-epochs", 5)
    assert result.exit_code == 2
    assert (
        "the run is finished and its last checkpoint was not kept, so it cannot be continued to 5 epochs. "
        "Train with --num-train-epochs 5 in another --output-dir. More epochs can only be added to a run that was "
        "trained with --keep-checkpoints 1 or more."
    ) in said(result)
    assert contents(run) == before


def test_more_epochs_go_on_from_a_checkpoint(kept: Path):
    epochs = (kept / "history.jsonl").read_text().splitlines()
    result = command("fit", kept, "--resume", "--num-train-epochs", 3)
    assert result.exit_code == 0, result.output
    assert "a run of 2 epochs is continued to 3." in said(result)
    history = (kept / "history.jsonl").read_text().splitlines()
    assert (history[:2], len(history)) == (epochs, 3)
    assert load_config(kept / "config.yaml").training.num_train_epochs == 3
    assert [path.name for path in (kept / "checkpoints").iterdir()] == ["epoch-0003-step-0000000"]
    # The final learning rate of a run of three epochs, not one that had decreased to zero before.
    rates = [json.loads(line)["learning_rate"] for line in history]
    assert 0 < rates[2] < rates[0]
    again = command("fit", kept, "--resume")
    assert again.exit_code == 0, again.output
    assert "the run is finished, and its files are intact." in said(again)


def test_a_run_that_was_made_longer_is_not_finished_until_it_is(kept: Path):
    class Killed(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            raise RuntimeError("killed")

    longer = load_config(kept / "config.yaml", options={"training.num_train_epochs": 3})
    with pytest.raises(RuntimeError, match="killed"):
        fit(longer, resume=True, callbacks=[Killed()])
    assert not (kept / "finished.json").exists()
    assert not (kept / "results.json").exists()
    # No new checkpoint was saved, so the old one is continued.
    result = command("fit", kept, "--resume")
    assert result.exit_code == 0, result.output
    assert len((kept / "history.jsonl").read_text().splitlines()) == 3
