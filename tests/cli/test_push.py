"""tf-tokclf push: what it publishes, and which folders it refuses."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.publishing.running import contents, fit_options
from tf_tokclf.cli.main import cli
from tf_tokclf.run_dir import RunDir

# These models are so small that tracing would take longer than computing without it.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]


def test_push_of_a_plain_folder(hub, tmp_path, tiny_classifier):
    folder = shutil.copytree(tiny_classifier, tmp_path / "plain")
    (folder / "README.md").write_text("# Card\n")
    nameless = CliRunner().invoke(cli, ["push", str(folder)])
    assert nameless.exit_code == 2
    assert "--hub-model-id" in nameless.stderr
    done = CliRunner().invoke(cli, ["push", str(folder), "--hub_model_id", "tester/plain", "--revision", "v1"])
    assert done.exit_code == 0, done.stderr
    assert hub.files("tester/plain", "v1") == contents(folder)
    assert done.stdout == f"{hub.url}/tester/plain/tree/{hub.repository('tester/plain').sha('v1')}\n"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def without_head(path: Path) -> None:
    config = json.loads(path.read_text())
    names = {str(number): f"L{number}" for number in range(333)}
    path.write_text(json.dumps({**config, "id2label": names, "label2id": {}}))


DAMAGES = {
    "cut weights": (cut, "model.safetensors", "model.safetensors: is damaged"),
    "no weights": (Path.unlink, "model.safetensors", "has no weights"),
    "no tokenizer": (Path.unlink, "tokenizer.json", "has no tokenizer"),
    "cut tokenizer": (cut, "tokenizer.json", "tokenizer.json: not valid JSON"),
    "no configuration": (Path.unlink, "config.json", "config.json: is missing"),
    "cut configuration": (cut, "config.json", "config.json: not valid JSON"),
    "cut settings": (cut, "tf_tokclf.json", "tf_tokclf.json: not valid JSON"),
    "no head": (without_head, "config.json", "has no classification head for 333 labels"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_folder_is_not_published(hub, tmp_path, tiny_classifier, damage):
    change, name, message = DAMAGES[damage]
    folder = shutil.copytree(tiny_classifier, tmp_path / "model")
    change(folder / name)
    done = CliRunner().invoke(cli, ["push", str(folder), "--hub-model-id", "tester/damaged"])
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.stderr.split())
    assert hub.log == []


def test_an_encoder_is_not_published_as_a_token_classifier(hub, tiny_bert):
    done = CliRunner().invoke(cli, ["push", str(tiny_bert), "--hub-model-id", "tester/encoder"])
    assert done.exit_code == 2, done.output
    assert "not a token classifier. Train one first" in " ".join(done.stderr.split())
    assert hub.log == []


def test_a_damaged_run_is_not_published_and_the_message_restores_it(hub, tmp_path, conll_files, tiny_bert):
    run = RunDir(tmp_path / "run")
    options = [str(option) for option in fit_options(conll_files, tiny_bert, run.root)]
    options.remove("--push-to-hub")
    options += ["--keep-checkpoints", "1"]
    assert CliRunner().invoke(cli, ["fit", *options]).exit_code == 0
    whole = contents(run.model)
    damages = {
        run.model / "model.safetensors": flip_a_byte,
        run.model / "tokenizer.json": Path.unlink,
        run.model / "tf_tokclf.json": flip_a_byte,
        run.results: Path.unlink,
    }
    for path, change in damages.items():
        change(path)
        refused = CliRunner().invoke(cli, ["push", str(run.root)])
        assert refused.exit_code == 2, refused.output
        what = "is missing" if change is Path.unlink else "was changed"
        message = " ".join(refused.stderr.split())
        assert f"{path.name}: {what}, so nothing was pushed." in message
        assert hub.log == []
        command = shlex.split(message.split("`")[1])
        restored = CliRunner().invoke(cli, command[1:])
        assert restored.exit_code == 0, restored.output
    assert CliRunner().invoke(cli, ["push", str(run.root)]).exit_code == 0
    assert {**hub.files("tester/mine"), "README.md": b""} == {**whole, "README.md": b""}


def test_without_a_record_a_damaged_run_is_not_published_either(hub, tmp_path, tiny_classifier):
    run = RunDir(tmp_path / "run")
    shutil.copytree(tiny_classifier, run.model)
    run.config.write_text("model: {name_or_path: bert-base-cased}\n")
    (run.model / "tokenizer.json").unlink()
    refused = CliRunner().invoke(cli, ["push", str(run.root)])
    assert refused.exit_code == 2, refused.output
    assert f"has no tokenizer. Restore it with `tf-tokclf fit {run.root} --resume`" in " ".join(refused.stderr.split())
    (run.model / "tf_tokclf.json").unlink()
    refused = CliRunner().invoke(cli, ["push", str(run.root)])
    assert refused.exit_code == 2, refused.output
    assert "tf_tokclf.json: is missing" in " ".join(refused.stderr.split())
