"""The folder of a run: links to other disks, and the lock."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.killing import UNTRACED, Ending, KillServer
from tests.processes import WITHOUT_PRIVILEGES
from tests.requirements import need_modules
from tests.training.test_train import config_for
from tf_tokclf import Config, fit
from tf_tokclf.cli.main import cli
from tf_tokclf.errors import UserError
from tf_tokclf.run_dir import RunDir

# The runs only need to fill a folder: they compute few steps, without tracing.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

FOLDERS = ("model", "checkpoints", "predictions", "logs")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("encoders") / "bert", WORDS, num_hidden_layers=1)


def settings(conll_files: dict[str, str], encoder: Path, root: Path, **options: object) -> Config:
    # A finished run keeps its checkpoints only with keep_checkpoints.
    kept = {"training.num_train_epochs": 1, "training.keep_checkpoints": 2}
    kept |= {"training.per_device_train_batch_size": 16}
    return config_for(conll_files, encoder, root, **{**kept, **options})


@pytest.fixture(scope="module")
def finished(conll_files: dict[str, str], encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a test may copy."""
    return fit(settings(conll_files, encoder, tmp_path_factory.mktemp("runs") / "run")).run.root


def names(folder: Path) -> list[str]:
    """Everything in a folder that two runs of the same configuration have in common. Links are not followed."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return [name for name in found if "tfevents" not in name]


@pytest.fixture
def moved(finished: Path, tmp_path: Path) -> Path:
    """A run whose folders were moved to another disk, with links in their place."""
    root = shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "scratch").mkdir()
    for name in FOLDERS:
        (root / name).rename(tmp_path / "scratch" / name)
        (root / name).symlink_to(tmp_path / "scratch" / name)
    return root


def test_links_to_folders_are_kept_and_what_they_name_is_replaced(
    moved: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path
):
    before, identity = names(tmp_path), (tmp_path / "scratch" / "checkpoints").stat().st_ino
    (tmp_path / "scratch" / "predictions" / "old.jsonl").touch()
    fit(settings(conll_files, encoder, moved, overwrite=True))
    for name in FOLDERS:
        assert (moved / name).readlink() == tmp_path / "scratch" / name
    assert names(tmp_path) == before
    assert (tmp_path / "scratch" / "checkpoints").stat().st_ino == identity
    assert fit(settings(conll_files, encoder, moved), resume=True).evaluations["test"]
    assert names(tmp_path) == before


def test_links_to_empty_folders_are_room_for_a_new_run(
    finished: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path
):
    root = tmp_path / "run"
    root.mkdir()
    for name in FOLDERS:
        (tmp_path / "scratch" / name).mkdir(parents=True)
        (root / name).symlink_to(tmp_path / "scratch" / name)
    fit(settings(conll_files, encoder, root))
    assert [name for name in names(finished) if name.startswith("model/")] == [
        f"model/{name}" for name in names(tmp_path / "scratch" / "model")
    ]
    assert all((root / name).is_symlink() for name in FOLDERS)


@pytest.mark.parametrize("target", ["../scratch/gone", "checkpoints", "../file"])
@pytest.mark.parametrize("name", ["checkpoints", "model"])
def test_other_links_are_refused_and_removed_by_force(
    finished: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path, name: str, target: str
):
    """Links to nothing, in a circle and to a file."""
    root = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(root / name)
    (tmp_path / "file").write_text("precious", encoding="utf-8")
    target = name if target == "checkpoints" else target
    (root / name).symlink_to(target)
    if target != "../file":
        for resume in (False, True):
            with pytest.raises(UserError, match=rf"{name}: is a link to {target}, which does not exist"):
                fit(settings(conll_files, encoder, root), resume=resume)
    fit(settings(conll_files, encoder, root, overwrite=True))
    assert not (root / name).is_symlink()
    assert names(root) == names(finished)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "precious"


def test_links_to_files_make_room_for_files(finished: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path):
    root = shutil.copytree(finished, tmp_path / "run")
    for name in ("results.json", "history.jsonl", "config.yaml", "report.html"):
        (root / name).rename(tmp_path / name)
        (root / name).symlink_to(tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in ("results.json", "config.yaml")}
    fit(settings(conll_files, encoder, root, overwrite=True))
    assert not any((root / name).is_symlink() for name in names(root))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("name", ["model", "checkpoints", "predictions", "logs"])
def test_force_empties_no_folder_behind_a_link_that_a_run_did_not_fill(
    finished: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path, name: str
):
    root = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(root / name)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work", encoding="utf-8")
    (root / name).symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=f"{name}: is in the way, and was not written by a run"):
        fit(settings(conll_files, encoder, root, overwrite=True))
    assert (tmp_path / "mine" / "thesis.tex").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("name", ["results.json", "model"])
def test_force_removes_no_folder_in_the_place_of_a_file_nor_a_file_in_that_of_a_folder(
    finished: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path, name: str
):
    root = shutil.copytree(finished, tmp_path / "run")
    if name == "model":
        shutil.rmtree(root / name)
        (root / name).write_text("mine", encoding="utf-8")
    else:
        (root / name).unlink()
        (root / name).mkdir()
        (root / name / "mine").touch()
    before = names(root)
    with pytest.raises(UserError, match="is in the way, and was not written by a run"):
        fit(settings(conll_files, encoder, root, overwrite=True))
    assert names(root) == before


def test_a_run_folder_may_itself_be_a_link(conll_files: dict[str, str], encoder: Path, tmp_path: Path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").symlink_to("scratch")
    fit(settings(conll_files, encoder, tmp_path / "run"))
    fit(settings(conll_files, encoder, tmp_path / "run", overwrite=True))
    assert (tmp_path / "run").is_symlink()
    shutil.rmtree(tmp_path / "scratch")
    with pytest.raises(UserError, match="run: is a link to scratch, which does not exist"):
        fit(settings(conll_files, encoder, tmp_path / "run"))


def test_a_model_that_no_other_folder_can_take_the_place_of_is_told_before_anything_goes(
    kill_server: KillServer, moved: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path
):
    before = names(tmp_path)
    (tmp_path / "scratch").chmod(0o555)
    options = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    args = ["fit", *options, "--recipe=none", f"--model-name-or-path={encoder}", f"--output-dir={moved}", "--force"]
    done = kill_server.command(*args, before=WITHOUT_PRIVILEGES)
    (tmp_path / "scratch").chmod(0o755)
    assert done.returncode == 2
    assert f"model: is a link to {tmp_path / 'scratch' / 'model'}, which cannot be replaced." in done.stderr
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    "place",
    [
        "os.rename {root}/checkpoints/epoch-0001",
        "os.rmdir {root}/checkpoints/epoch-0001",
        "os.remove {root}/model/tf_tokclf.json",
        "{scratch}/model.partial/config.json",
        "os.rename {scratch}/model ",
        "os.rename {scratch}/model.partial ",
        "{root}/checkpoints/epoch-0001-step-0000000.partial/state.json",
    ],
)
def test_a_run_over_links_that_was_killed_starts_again(
    kill_server: KillServer, moved: Path, conll_files: dict[str, str], encoder: Path, tmp_path: Path, place: str
):
    before = names(tmp_path)
    options = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    options += ["--recipe=none", f"--model-name-or-path={encoder}", "--num-train-epochs=1", "--precision=float32"]
    options += ["--set=training.keep_checkpoints=2"]
    options += ["--learning-rate=3e-3", "--per-device-train-batch-size=16", f"--output-dir={moved}"]
    moment = Ending(change=1, place=place.format(root=moved, scratch=tmp_path / "scratch"))
    killed = kill_server.run(["fit", *options, "--force"], tmp_path, moment, before=UNTRACED)
    assert killed.code == -signal.SIGKILL
    again = kill_server.run(["fit", *options, "--force"], tmp_path, before=UNTRACED)
    assert again.code == 0, again.stderr
    assert names(tmp_path) == before
    assert all((moved / name).is_symlink() for name in FOLDERS)


@pytest.mark.parametrize("more", [[], ["--sweep", "optimizer.learning_rate=1e-4,2e-4"], ["--seeds", "1,2"]])
def test_a_folder_with_a_run_is_refused_before_data_and_encoder_are_read(
    finished: Path, conll_files: dict[str, str], tmp_path: Path, more: list[str]
):
    """The encoder does not exist on the Hub, but the check comes before it is read."""
    if "--sweep" in more:
        need_modules("optuna", extra="sweep")
    root = shutil.copytree(finished, tmp_path / "run")
    before = names(root)
    options = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    args = [
        "fit",
        *options,
        "--recipe=none",
        "--model-name-or-path",
        "nobody/none",
        "--output-dir",
        str(root),
        *more,
    ]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2
    assert "there already is a run in" in result.stderr
    assert names(root) == before
    assert "none" in CliRunner().invoke(cli, [*args, "--force"]).stderr
    if not more:
        config = settings(conll_files, Path("nobody/none"), root)
        with pytest.raises(UserError, match="there already is a run in"):
            fit(config)


def test_two_runs_in_one_folder_exclude_each_other_also_over_seeds(
    kill_server: KillServer, conll_files: dict[str, str], encoder: Path, tmp_path: Path
):
    code = """
import sys
from pathlib import Path
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
with locked(RunDir(Path(sys.argv[1]))):
    print("locked", flush=True)
    sys.stdin.read()
"""
    root = tmp_path / "run"
    options = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    args = [
        "fit",
        *options,
        "--recipe=none",
        f"--model-name-or-path={encoder}",
        f"--output-dir={root}",
        "--num-train-epochs=1",
    ]
    command = [sys.executable, "-c", code, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        for more in ([], ["--seeds=1,2"], ["--force"]):
            done = kill_server.command(*args, *more)
            assert done.returncode == 2
            assert "another run is writing in this folder." in done.stderr
        assert os.listdir(root) == [RunDir(root).lock.name]  # noqa: PTH208
        holder.communicate("")
    assert not list(root.iterdir())
