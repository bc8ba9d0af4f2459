"""The file that was meant by the name of a missing one."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tf_tokclf.cli.main import cli
from tf_tokclf.similar_names import did_you_mean


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mine.yml", "mine.yaml"),
        ("tweet.conll", "tweets.conll"),
        ("TWEETS.conll", "tweets.conll"),
        ("a.yaml", None),
        ("dev.conll.gz", "dev.conll"),
        ("train.conll", "train.conll.gz"),
    ],
)
def test_only_a_similar_name_in_the_folder_is_suggested(typed, meant, tmp_path):
    for name in ("mine.yaml", "tweets.conll", "b.yaml", "dev.conll", "train.conll.gz"):
        (tmp_path / name).touch()
    expected = f"Did you mean {tmp_path / meant}?" if meant else "Check the path."
    assert did_you_mean(tmp_path / typed, "Check the path.") == expected


@pytest.mark.parametrize("path", ["nowhere/at/all.yaml", "a\0b/c", "", "/"])
def test_a_folder_that_cannot_be_listed_suggests_nothing(path):
    assert did_you_mean(path, "Check the path.") == "Check the path."


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["fit", "mine.yml"], "mine.yml: there is no such configuration file. Did you mean mine.yaml?"),
        (["inspect", "tweet.conll"], "tweet.conll: there is no such file or folder. Did you mean tweets.conll?"),
        (["inspect", "--train-file", "tweet.conll"], "tweet.conll: there is no such file. Did you mean tweets.conll?"),
    ],
)
def test_commands_suggest_it(command, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "tweets.conll"):
        (tmp_path / name).touch()
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 2
    assert problem in " ".join(result.stderr.split())
