"""`tf-tokclf label-issues`: mistakes end with one message before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.requirements import need_modules
from tests.runs.noisy_data import arguments, noisy_sentences, write_conll
from tf_tokclf.cli.main import cli

need_modules("cleanlab", extra="label-issues")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_conll(tmp_path / "data.conll", noisy_sentences())


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_mistakes_are_one_message(data: Path, tiny_bert: Path, tmp_path: Path):
    folder = tmp_path / "issues"
    plain = tmp_path / "plain.conll"
    plain.write_text("Ada\nleft\n\n", encoding="utf-8")
    outside = tmp_path / "outside.conll"
    outside.write_text("Ada\tO\nleft\tO\n\nBob\tO\n\nEve\tO\n\n", encoding="utf-8")
    pos = tmp_path / "pos.conll"
    pos.write_text("time\tNN\nflies\tVBZ\n\nlike\tIN\n\nan\tDT\n\n", encoding="utf-8")
    full = tmp_path / "full"
    (full / "folds").mkdir(parents=True)
    (full / "folds" / "mine.txt").write_text("x", encoding="utf-8")
    ours = arguments(data, tiny_bert, folder)
    for args, message in (
        (arguments(plain, tiny_bert, folder), "only words and no labels"),
        (arguments(outside, tiny_bert, folder), "contains no labelled spans"),
        ([*arguments(pos, tiny_bert, folder), "--tasks", "doccano"], "there are no tasks for doccano"),
        ([*ours, "--folds", "65"], "64 different sentences cannot be divided into 65 folds"),
        ([*ours, "--folds", "1"], "1 is not in the range"),
        ([*ours, "--split-by", "document"], "does not say which document"),
        (arguments(data, tiny_bert, full), "contains other files"),
        (arguments(tmp_path / "nothing.conll", tiny_bert, folder), "there is no such file"),
        (arguments(data, tmp_path / "nothing", folder), "nothing"),
    ):
        done = run(*args)
        assert done.exit_code == 2, (args, done.output)
        assert message in done.stderr
        assert done.stderr.count("Error:") == 1
        assert done.stdout == ""
        assert not list(folder.rglob("*.npz"))


def test_without_cleanlab_the_extra_is_named(
    data: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    done = run(*arguments(data, tiny_bert, tmp_path / "issues"))
    assert done.exit_code == 2
    assert "label-issues needs cleanlab, which is not installed" in done.stderr
    assert "tf-tokclf[label-issues]" in done.stderr
