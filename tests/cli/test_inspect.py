"""tf-tokclf inspect: what it prints, its exit codes, and what it does not load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tf_tokclf.cli.main import cli

CLEAN = """\
Ada B-PER
Lovelace I-PER
saw O
Rome B-LOC

Lise B-PER
came O
to O
Bonn B-LOC
"""


def inspect(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["inspect", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def clean(tmp_path) -> Path:
    path = tmp_path / "clean.conll"
    path.write_text(CLEAN * 5 + "\n", encoding="utf-8")
    return path


@pytest.fixture
def broken(tmp_path) -> Path:
    path = tmp_path / "i_after_o.conll"
    path.write_text(CLEAN.replace("B-LOC", "I-LOC", 1) + CLEAN, encoding="utf-8")
    return path


def test_a_file_is_inspected(clean):
    result = inspect(clean)
    assert result.exit_code == 0
    assert "label scheme IOB2, no errors" in result.stdout
    assert "Lovelace" in result.stdout
    assert result.stdout.endswith("none found\n")


def test_pieces_are_left_out_without_a_model_and_it_says_so(clean):
    assert "Name a model with --model-name-or-path to see them." in inspect(clean).stdout


def test_strict_fails_on_an_error_only(clean, broken):
    assert inspect(clean, "--strict").exit_code == 0
    assert inspect(broken).exit_code == 0
    result = inspect(broken, "--strict")
    assert result.exit_code == 1
    assert "i_after_o.conll, line 1, word 4" in result.stdout


def test_json_is_one_object_with_everything(broken):
    found = json.loads(inspect(broken, "--json", "--examples", "2").stdout)
    assert found["n_problems"]["error"] == 1
    problem = found["problems"][0]
    assert (problem["kind"], problem["level"], problem["count"]) == ("invalid-sequence", "error", 1)
    assert found["splits"][0]["n_spans"] == 8
    assert found["labels"] == {"names": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"], "scheme": "IOB2"}
    assert len(found["examples"]) == 2


def test_examples_are_drawn_by_seed(tmp_path):
    path = tmp_path / "numbers.conll"
    path.write_text("".join(f"word{i} B-X\n\n" for i in range(200)), encoding="utf-8")

    def drawn(seed: int) -> list[str]:
        return json.loads(inspect(path, "--json", "--seed", str(seed)).stdout)["examples"]

    assert drawn(1) == drawn(1) != drawn(2)


def test_a_configuration_is_inspected(tmp_path, clean):
    config = tmp_path / "run.yaml"
    config.write_text(f"data: {{train_file: {clean}, test_file: {clean}}}\n", encoding="utf-8")
    result = inspect(config)
    assert result.exit_code == 0
    assert "test" in result.stdout


def test_a_folder_of_splits_is_inspected(tmp_path, clean):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("train", "dev", "test"):
        (folder / f"{name}.conll").write_text(clean.read_text(encoding="utf-8"), encoding="utf-8")
    found = json.loads(inspect(folder, "--json").stdout)
    assert [split["name"] for split in found["splits"]] == ["train", "validation", "test"]


def test_data_cannot_command_the_terminal(tmp_path):
    path = tmp_path / "escape.jsonl"
    row = {"tokens": ["\x1b]0;owned\x07", "a\u202eb"], "tags": ["B-\x1b[31m", "O"]}
    path.write_text(json.dumps(row), encoding="utf-8")
    result = inspect(path)
    assert result.exit_code == 0
    assert not set(result.output) & {"\x1b", "\x07", "\u202e"}


def test_nothing_to_inspect_is_the_users_mistake():
    result = inspect()
    assert result.exit_code == 2
    assert "no data to inspect. Name a file" in result.stderr


def test_nothing_heavy_is_loaded(clean):
    code = (
        "import sys; from tf_tokclf.cli.main import cli;"
        "cli(['inspect', sys.argv[1]], standalone_mode=False);"
        "sys.exit(bool({'tensorflow', 'transformers', 'seqeval', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(clean)], capture_output=True, env=os.environ)
    assert run.returncode == 0, run.stderr


def test_a_misspelt_file_is_not_looked_for_on_the_hub():
    result = CliRunner().invoke(cli, ["inspect", "trian.conll"])
    assert result.exit_code == 2
    assert "trian.conll: there is no such file or folder." in result.output


def test_a_layer_is_taken_by_number(tmp_path: Path):
    path = tmp_path / "nested.conll"
    path.write_text("1\tOslo\tB-LOC\tB-ORG\n2\tleft\tO\tO\n\n1\tBonn\tB-LOC\tO\n")
    result = CliRunner().invoke(cli, ["inspect", str(path), "--layer", "1", "--json", "--quiet"])
    assert json.loads(result.stdout)["labels"]["names"] == ["O", "B-ORG"]


def test_plain_text_has_no_labels_to_inspect(tmp_path: Path):
    (tmp_path / "a.txt").write_text("Ada saw Rome\n", encoding="utf-8")
    result = inspect("--format", "text", tmp_path / "a.txt")
    assert result.exit_code == 2
    assert "Name a labelled file, or set the format" in " ".join(result.stderr.split())
    assert "--label-column-name" not in result.stderr


def test_single_things_are_counted_in_the_singular(tmp_path: Path):
    (tmp_path / "a.conll").write_text("Ada B-PER\nsaw O\nRome I-LOC\nCity I-LOC\n", encoding="utf-8")
    text = " ".join(inspect(tmp_path / "a.conll").output.split())
    assert "label scheme IOB2, 1 error (" in text
    assert "1 invalid label (" in text


def test_only_the_first_problems_of_one_kind_are_printed(tmp_path):
    names = [f"type{letter}" for letter in "abcdefgh"]
    rows = [f"Ada B-{name}\nLise B-{name.upper()}\n" for name in names]
    path = tmp_path / "twins.conll"
    path.write_text("\n".join(rows * 5), encoding="utf-8")
    result = inspect("--train-file", path)
    assert result.output.count("differ only in case") == 5
    assert "3 more problems of the kind case-twins. --json lists all." in result.output
    assert "8 warnings" in result.output
    found = json.loads(inspect("--train-file", path, "--json").stdout)["problems"]
    assert [problem["kind"] for problem in found].count("case-twins") == 8
