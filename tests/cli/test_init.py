"""tf-tokclf init: configurations to start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli
from tf_tokclf.config.flat_settings import setting_sections, setting_values
from tf_tokclf.config.loading import load_config
from tf_tokclf.config.schema import Config
from tf_tokclf.config.starter import USUAL


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("my.train.conll", "my.dev.conll", "my.test.conll", "other.conll"):
        (tmp_path / name).write_text("ada\tB-PER\nleft\tO\n\n" * 20, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("amount", [[], ["--minimal"], ["--full"]])
def test_what_init_prints_is_a_plan_that_can_be_carried_out(amount: list[str], files: Path, tiny_bert: Path):
    run("init", "--data", "my.train.conll", "--model", str(tiny_bert), *amount, "-o", "mine.yaml")
    # The tiny encoder reads only 64 subword tokens, so the default overlap does not fit.
    result = run("fit", "mine.yaml", "--dry-run", "--overlap", "8")
    assert result.exit_code == 0, result.output
    assert "test: 20 sentences" in result.stdout


@pytest.mark.parametrize("amount", [[], ["--minimal"], ["--full"]])
def test_a_starter_changes_nothing_but_what_was_asked_for(amount: list[str]):
    config = load_config(options=_flat(yaml.safe_load(run("init", *amount).stdout)))
    changed = {"task", "output_dir", "model.name_or_path"}
    changed |= {f"data.{part}_file" for part in ("train", "validation", "test")}
    defaults, values = setting_values(Config()), setting_values(config)
    assert {name for name in values if values[name] != defaults[name]} == changed


def _flat(tree: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in tree.items():
        is_section = isinstance(value, dict) and key not in ("sections", "sweep")
        flat |= _flat(value, f"{prefix}{key}.") if is_section else {prefix + key: value}
    return flat


def test_full_holds_every_setting():
    text = run("init", "--full").stdout
    # Those that the recipe chooses are comments.
    chosen = {*Config().left_to_recipe}
    assert _flat(yaml.safe_load(text)).keys() == setting_values(Config()).keys() - chosen
    assert all(f"\n  # {name.rpartition('.')[2]}: " in text for name in chosen)


def test_every_setting_is_explained():
    assert [s.name for section in setting_sections() for s in section.settings if not s.description] == []


def test_the_usual_settings_exist():
    assert sorted(USUAL - setting_values(Config()).keys()) == []


def test_a_folder_with_a_file_a_split_is_found(tmp_path: Path):
    for name in ("train.txt", "valid.txt", "test.txt", "README.md"):
        (tmp_path / name).write_text("", encoding="utf-8")
    data = yaml.safe_load(run("init", "--data", str(tmp_path), "--minimal").stdout)["data"]
    assert [Path(data[f"{part}_file"]).name for part in ("train", "validation", "test")] == [
        "train.txt",
        "valid.txt",
        "test.txt",
    ]


def test_a_file_of_another_name_comes_alone(files: Path):
    data = yaml.safe_load(run("init", "--data", "other.conll", "--minimal").stdout)["data"]
    assert data == {"train_file": "other.conll"}


def test_a_name_that_is_no_file_is_a_data_set_on_the_hub():
    data = yaml.safe_load(run("init", "--data", "lhoestq/conll2003", "--minimal").stdout)["data"]
    assert data == {"dataset_name": "lhoestq/conll2003"}


def test_a_missing_file_is_said():
    result = run("init", "--data", "no/such/file.conll")
    assert result.exit_code == 2
    assert "no/such/file.conll: there is no such file or folder" in result.stderr


def test_nothing_is_overwritten_unasked(files: Path):
    assert run("init", "-o", "other.conll").exit_code == 2
    assert run("init", "-o", "other.conll", "--force").exit_code == 0
