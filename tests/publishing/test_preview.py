"""push --dry-run lists what push publishes, and sends and writes nothing."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from tests.publishing.test_run_card import write_config, write_results
from tf_tokclf.cli.main import cli
from tf_tokclf.publishing.preview import preview
from tf_tokclf.publishing.publish import push
from tf_tokclf.run_dir import RunDir

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
SENTENCE = "ada likes oslo ."


@pytest.fixture
def run(tmp_path, tiny_classifier):
    """A run that has trained on a public data set."""
    run = RunDir(tmp_path / "run")
    shutil.copytree(tiny_classifier, run.model)
    (run.model / ".secret").write_text("x")
    hub = {"model_id": "tester/mine", "card": {"tags": ["tweets"], "sections": {"Intended use": "Names."}}}
    write_config(run, data={"dataset_name": "leondz/wnut_17"}, hub=hub)
    write_results(run, seed=42)
    run.predictions.mkdir()
    line = {"words": SENTENCE.split(), "gold": ["B-PER", "O", "B-LOC", "O"]}
    run.predictions_for("test").write_text(json.dumps({**line, "predicted": line["gold"]}) + "\n")
    return run


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_exactly_the_listed_files_are_pushed_and_the_dry_run_changes_nothing(hub, run, monkeypatch):
    before = files_in(run.root)
    with monkeypatch.context() as nobody:
        nobody.delenv("HF_TOKEN")
        listed = preview(run.root)
    assert hub.log == []
    assert files_in(run.root) == before
    push(run.root)
    published = hub.files("tester/mine")
    assert {name: size for name, size in listed.files if name != "README.md"} == {
        name: len(content) for name, content in published.items() if name != "README.md"
    }
    card = published["README.md"].decode()
    assert listed.texts["example sentences"] == (SENTENCE,)
    listed.texts["labels"], listed.texts["additional sections"] = LABELS, ("Intended use", "Names.")
    assert [text for texts in listed.texts.values() for text in texts if text not in card] == []


def test_what_the_dry_run_prints(hub, run):
    done = CliRunner().invoke(cli, ["push", str(run.root), "--hub-model-id", "tester/other", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert hub.log == []
    for line in (
        "repository: tester/other, branch main (public, unless the repository exists and is private)",
        "model card: generated from the run",
        "data set: leondz/wnut_17",
        f"example sentences: {SENTENCE}",
        "tags: tweets",
        "additional sections: Intended use: Names.",
        f"labels: {', '.join(LABELS)}",
        "Nothing was sent.",
    ):
        assert f"{line}\n" in done.stdout
    assert ".secret" not in done.stdout


def test_no_sentence_of_ones_own_files_is_listed(run):
    write_config(run, data={"train_file": "mine/a.conll"}, hub={"model_id": "tester/mine"})
    listed = preview(run.root)
    assert listed.texts["example sentences"] == ()
    assert "example sentences: none" in listed.lines()


def test_a_card_that_is_kept_is_read(run, tmp_path):
    metadata = "datasets: [me/data]\nwidget:\n- text: Written by hand.\n"
    (run.model / "README.md").write_text(f"---\n{metadata}---\n# Card\n")
    for listed in (preview(run.root, keep_card=True), preview(run.model, repo_id="tester/m", private=True)):
        assert listed.card == "pushed unchanged"
        assert listed.texts["data set"] == ("me/data",)
        assert listed.texts["example sentences"] == ("Written by hand.",)
    assert "(private)" in next(iter(listed.lines()))


def test_what_push_refuses_is_refused(run):
    (run.model / "tokenizer.json").unlink()
    done = CliRunner().invoke(cli, ["push", str(run.root), "--dry-run"])
    assert done.exit_code == 2
    assert "has no tokenizer" in done.stderr
    done = CliRunner().invoke(cli, ["push", str(run.root / "absent"), "--dry-run"])
    assert done.exit_code == 2
    assert "absent: this folder does not exist." in done.stderr
