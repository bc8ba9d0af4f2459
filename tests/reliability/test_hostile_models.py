"""Untrusted model folders: no code runs, nothing is written elsewhere, nothing is guessed, nothing hangs."""

from __future__ import annotations

import ast
import base64
import inspect
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result
from safetensors.numpy import load_file, save_file

from tests.encoders import make_bert, make_distilbert, make_modernbert, make_roberta
from tests.killing import KillServer
from tests.requirements import need_modules
from tf_tokclf.cli.main import cli
from tf_tokclf.encoding.model_config import MOST_LABELS
from tf_tokclf.encoding.piece_cache import PieceStore
from tf_tokclf.encoding.tokenizer_files import MOST_ADDED_TOKENS
from tf_tokclf.encoding.tokenizers import load_tokenizer, save_tokenizer, tokenize_function
from tf_tokclf.errors import UserError
from tf_tokclf.model.backend import transformers
from tf_tokclf.model.loading import load_classifier, new_classifier, settings_of_type
from tf_tokclf.model.portable_weights import save_portable_weights
from tf_tokclf.model.precision import Precision
from tf_tokclf.model.saving import save_config

# Most cases predict one sentence with one model, so tracing graphs would cost more than it saves.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("untraced")]

ROOT = Path(__file__).parents[2]
FLOAT32 = Precision("float32", "test")
CODE = "import pathlib\npathlib.Path(__file__).with_name('RUN').touch()\nclass Model: pass\n"
AUTO_MAP = dict.fromkeys(("AutoConfig", "AutoTokenizer", "TFAutoModelForTokenClassification"), "canary.Model")


@pytest.fixture
def model(tiny_classifier: Path, tmp_path: Path) -> Path:
    """A copy of a classifier with a module that creates a file RUN beside it when it is imported."""
    folder = tmp_path / "stranger" / "model"
    shutil.copytree(tiny_classifier, folder)
    (folder / "canary.py").write_text(CODE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def before(tiny_classifier: Path) -> str:
    """The classifier's predictions before its copy is changed."""
    return run("predict", tiny_classifier).stdout


def change(path: Path, **values: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), encoding="utf-8")


def run(*args: str | Path, text: str = "ada visited london\n") -> Result:
    return CliRunner().invoke(cli, list(map(str, args)), input=text)


def assert_refused(result: Result, *parts: str) -> None:
    """Assert exit code 2 and one message with these parts."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    message = result.stderr.split("Error: ", 1)[1]
    for part in parts:
        assert part in message, message
    assert len(message) < 1000


def every_command(model: Path, tmp_path: Path, conll: str) -> list[list[str]]:
    """The commands that load a model from a folder."""
    here, out = str(model), str(tmp_path / "out")
    fit = ["fit", "--train-file", conll, "--recipe=none", "--model-name-or-path", here, "--output-dir", out]
    return [
        ["predict", here],
        ["evaluate", here, "--file", conll],
        ["export", here, "--format", "savedmodel", "--file", conll, "--output", out],
        fit,
        [*fit, "--dry-run"],
        ["inspect", conll, "--model-name-or-path", here],
        ["serve", here, "--port", "0"],
    ]


def code_in_a_nested_model(model: Path) -> None:
    nested = {"model_type": "not-known", "_name_or_path": str(model), "auto_map": AUTO_MAP}
    change(model / "config.json", model_type="lightglue", trust_remote_code=True, keypoint_detector_config=nested)


def code_in_a_nested_model_of_a_known_type(model: Path) -> None:
    change(model / "config.json", text_config={"model_type": "x", "_name_or_path": str(model), "auto_map": AUTO_MAP})


def trust_asked_for_by_the_model(model: Path) -> None:
    change(model / "config.json", trust_remote_code=True, auto_map=AUTO_MAP)


def a_type_of_its_own(model: Path) -> None:
    change(model / "config.json", model_type="theirs", auto_map=AUTO_MAP)


@pytest.mark.parametrize(
    "attack",
    [
        code_in_a_nested_model,
        code_in_a_nested_model_of_a_known_type,
        trust_asked_for_by_the_model,
        a_type_of_its_own,
    ],
)
def test_no_command_runs_code_of_a_model(
    attack: Callable[[Path], None], model: Path, tmp_path: Path, conll_files: dict[str, str]
):
    attack(model)
    for args in every_command(model, tmp_path, conll_files["train_file"]):
        assert_refused(run(*args), "config.json")
        assert not (model / "RUN").exists(), args
        assert "canary" not in sys.modules


def test_code_beside_a_built_in_type_is_left_alone(before: str, model: Path):
    """The built-in class is used, as for models that bring code for another task."""
    change(model / "config.json", auto_map=AUTO_MAP)
    change(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["canary.Model", "canary.Model"]})
    assert run("predict", model).stdout == before
    assert not (model / "RUN").exists()


def test_trusted_code_runs(model: Path):
    """If the same folder is trusted, its module is imported, and the class that it lacks is reported."""
    a_type_of_its_own(model)
    result = run("predict", model, "--trust-remote-code")
    assert result.exit_code == 2
    assert "cannot be loaded" in result.stderr


@pytest.mark.parametrize("value", [True, False])
def test_the_key_that_asks_for_trust_is_explained_and_never_followed(before: str, model: Path, value: bool):
    change(model / "config.json", trust_remote_code=value)
    assert_refused(
        run("predict", model),
        "config.json: sets trust_remote_code, which asks transformers to run code from the model folder.",
        "Remove the key to use the model without its code. If you trust its author, pass --trust-remote-code.",
    )
    assert run("predict", model, "--trust-remote-code").stdout == before


CONFIGURATION_CODE = """
from transformers import PretrainedConfig


class ToyConfig(PretrainedConfig):
    model_type = "toy"
"""
MODEL_CODE = """
import tensorflow as tf
from transformers import TFPreTrainedModel
from transformers.modeling_tf_outputs import TFTokenClassifierOutput
from transformers.modeling_tf_utils import keras

from .configuration_toy import ToyConfig


class TFToyForTokenClassification(TFPreTrainedModel):
    config_class = ToyConfig
    base_model_prefix = "toy"

    def __init__(self, config, *inputs, **options):
        super().__init__(config, *inputs, **options)
        self.embed = keras.layers.Embedding(config.vocab_size, config.hidden_size, name="embed")
        self.classifier = keras.layers.Dense(config.num_labels, name="classifier")

    def call(self, input_ids=None, attention_mask=None, training=False, **options):
        return TFTokenClassifierOutput(logits=self.classifier(self.embed(input_ids)))

    def build(self, input_shape=None):
        if self.built:
            return
        self.built = True
        for layer, shape in ((self.embed, None), (self.classifier, [None, None, self.config.hidden_size])):
            with tf.name_scope(layer.name):
                layer.build(shape)
"""


def make_model_with_code(folder: Path, tokenizer_of: Path) -> Path:
    """A token classifier whose model type is defined only by the code in its folder."""
    folder.mkdir()
    (folder / "configuration_toy.py").write_text(CONFIGURATION_CODE, encoding="utf-8")
    (folder / "modeling_toy.py").write_text(MODEL_CODE, encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_of / name, folder)
    known = json.loads((tokenizer_of / "config.json").read_text(encoding="utf-8"))
    config = {
        **{name: known[name] for name in ("vocab_size", "max_position_embeddings", "id2label", "label2id")},
        "hidden_size": 16,
        "model_type": "toy",
        "architectures": ["ToyForTokenClassification"],
        "auto_map": {
            "AutoConfig": "configuration_toy.ToyConfig",
            "TFAutoModelForTokenClassification": "modeling_toy.TFToyForTokenClassification",
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rng = np.random.default_rng(5)
    shapes = {
        "embed/embeddings:0": (config["vocab_size"], 16),
        "classifier/kernel:0": (16, len(config["id2label"])),
        "classifier/bias:0": (len(config["id2label"]),),
    }
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(arrays, folder / "model.safetensors", metadata={"format": "tf"})
    return folder


def test_a_trusted_model_with_code_of_its_own_is_trained_saved_and_used(
    tiny_classifier: Path, tmp_path: Path, conll_files: dict[str, str]
):
    """The code is copied, so that the saved model is complete."""
    theirs = make_model_with_code(tmp_path / "theirs", tiny_classifier)
    assert_refused(run("predict", theirs), "runs only with --trust-remote-code")
    assert run("predict", theirs, "--trust-remote-code").exit_code == 0
    files = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    fit = [
        "fit",
        *files,
        "--recipe=none",
        "--model-name-or-path",
        theirs,
        "--num-train-epochs",
        "1",
        "--output-dir",
        tmp_path / "run",
    ]
    result = run(*fit, "--trust-remote-code")
    assert result.exit_code == 0, result.output
    assert {"configuration_toy.py", "modeling_toy.py"} <= listing(tmp_path / "run" / "model")
    shutil.rmtree(theirs)
    assert_refused(run("predict", tmp_path / "run"), "runs only with --trust-remote-code")
    assert run("predict", tmp_path / "run", "--trust-remote-code").exit_code == 0


def test_models_configurations_and_tokenizers_have_one_way_in():
    """`from_pretrained` and similar functions are called only in the functions that check models."""
    found = set()
    for path in sorted((ROOT / "tf_tokclf").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and node.attr in ("from_pretrained", "pipeline", "cached_file"):
                    found.add((path.relative_to(ROOT / "tf_tokclf").as_posix(), function.name))
    assert found == {
        ("encoding/tokenizer_process.py", "serve"),  # a child process that tests whether loading terminates
        ("encoding/tokenizers.py", "_from_folder"),
        ("model/loading.py", "_loaded_by_its_code"),
    }


def test_the_model_types_are_those_of_transformers():
    from transformers.models.auto.modeling_tf_auto import TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

    from tf_tokclf.encoding.model_types import MODEL_TYPES
    from tf_tokclf.model.architectures.registry import own_class

    assert set(MODEL_TYPES) == {*TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES, *filter(own_class, MODEL_TYPES)}


def test_every_setting_of_a_tokenizer_is_known():
    """Each argument of these tokenizer types is kept, or is the name of a file."""
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    from tf_tokclf.encoding.model_types import MODEL_TYPES
    from tf_tokclf.encoding.tokenizer_files import KEPT

    files = {"vocab_file", "merges_file", "tokenizer_file", "self", "args", "kwargs"}
    for model_type in MODEL_TYPES:
        if (name := TOKENIZER_MAPPING_NAMES[model_type][1]) is not None:
            arguments = set(inspect.signature(getattr(transformers, name).__init__).parameters)
            assert not arguments - KEPT - files, name


def test_no_module_of_a_model_is_imported_from_its_folder(model: Path):
    """The child process that tokenizes imports the same modules as its parent, and none from the current folder."""
    edit_tokenizer(model, pre_tokenizer=splitting(r"[^\S\r\n]+"))
    for name in ("tf_tokclf", "tokenizers", "json", "weakref"):
        (model / f"{name}.py").write_text(CODE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from tf_tokclf.cli.main import cli; cli()", "predict", "."],
        cwd=model,
        input="ada visited london\n",
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert not (model / "RUN").exists()
    assert done.returncode == 0, done.stderr[-2000:]


# Paths that are not files, or files that are too large


FILES_OF_A_MODEL = [
    "config.json",
    "model.safetensors",
    "tf_tokclf.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
]


@pytest.mark.parametrize("name", FILES_OF_A_MODEL)
def test_what_is_in_the_place_of_a_file_is_named(name: str, model: Path):
    """Continuing without the file would give a different model."""
    (model / name).unlink()
    (model / name).mkdir()
    assert_refused(run("predict", model), f"{name}: is not a file")
    (model / name).rmdir()
    os.mkfifo(model / name)
    assert_refused(run("predict", model), f"{name}: is not a file")
    (model / name).unlink()
    (model / name).symlink_to("/nowhere")
    assert_refused(run("predict", model), f"{name}: is a link to a file that does not exist")


@pytest.mark.parametrize(
    "name", ["config.json", "tf_tokclf.json", "tokenizer_config.json", "model.safetensors.index.json"]
)
def test_a_file_that_fills_the_memory_is_not_read(name: str, model: Path):
    if name.endswith("index.json"):
        (model / "model.safetensors").unlink()
    with (model / name).open("ab") as file:
        file.truncate(300 << 20)
    assert_refused(run("predict", model), f"{name}: not valid JSON: it has more than")


@pytest.mark.parametrize("name", FILES_OF_A_MODEL)
def test_a_pointer_of_git_lfs_is_named(name: str, model: Path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (model / name).write_text(pointer, encoding="utf-8")
    assert_refused(run("predict", model), name, "Git LFS", "git lfs pull")


def test_a_model_without_a_tokenizer_is_named(model: Path):
    (model / "tokenizer.json").unlink()
    assert_refused(run("predict", model), "has no tokenizer. Expected tokenizer.json, or a vocabulary")


def test_a_link_to_elsewhere_is_not_published(model: Path, tmp_path: Path):
    (tmp_path / "secret.txt").write_text("secret\n", encoding="utf-8")
    (model / "notes.txt").symlink_to(tmp_path / "secret.txt")
    assert_refused(run("push", model, "--hub-model-id", "a/b"), "notes.txt: is a link to", "Remove the link")


LINKED = ["config.json", "tf_tokclf.json", "model.safetensors"]


@pytest.mark.parametrize("name", LINKED)
def test_a_link_to_ones_own_file_elsewhere_is_used_and_its_content_parsed(
    before: str, name: str, model: Path, tmp_path: Path
):
    """A file of another kind gives a message that shows nothing of its content."""
    elsewhere = link_to_elsewhere(model / name, tmp_path / "elsewhere")
    assert run("predict", model).stdout == before
    elsewhere.write_text("s3cr3t: this is no such file\n", encoding="utf-8")
    refused = run("predict", model)
    assert_refused(refused, name)
    assert "s3cr3t" not in refused.output


def link_to_elsewhere(path: Path, folder: Path) -> Path:
    """Move the file into `folder`, add content that is not of a model, and put a link in its place."""
    folder.mkdir(exist_ok=True)
    elsewhere = path.rename(folder / f"{path.stem} file")
    if path.suffix == ".json":
        content = {**json.loads(elsewhere.read_text(encoding="utf-8")), "secret": "s3cr3t", "nested": {"s3cr3t": 1}}
        elsewhere.write_text(json.dumps(content), encoding="utf-8")
    path.symlink_to(elsewhere)
    return elsewhere


@pytest.mark.filterwarnings("ignore")  # of the converter
def test_unknown_content_and_links_are_in_no_export(
    before: str, model: Path, tmp_path: Path, conll_files: dict[str, str]
):
    need_modules("ai_edge_litert", extra="export")
    for name in LINKED:
        link_to_elsewhere(model / name, tmp_path / "elsewhere")
    assert run("predict", model).stdout == before
    exported = tmp_path / "export"
    file = conll_files["test_file"]
    done = run("export", model, "--format", "tflite", "--file", file, "--output", exported)
    assert done.exit_code == 0, done.output
    files = [path for path in exported.rglob("*") if path.is_file()]
    assert files
    assert not any(path.is_symlink() or b"s3cr3t" in path.read_bytes() for path in files)


@pytest.mark.parametrize("values", [{"base_model": {"secret": 1}}, {"base_model": "x" * 10_000}, {"task": "secret"}])
def test_what_describes_a_model_is_what_it_claims_to_be(values: dict[str, Any], model: Path):
    edit_info(model, **values)
    assert_refused(run("predict", model), "tf_tokclf.json: cannot be read")


def test_folders_are_copied_in_one_place_only():
    """That place rejects links that point outside the folder."""
    found = {
        path.relative_to(ROOT / "tf_tokclf").as_posix()
        for path in (ROOT / "tf_tokclf").rglob("*.py")
        if re.search(r"\bcopytree\b|shutil\.(copy|copy2|move)\b", path.read_text(encoding="utf-8"))
    }
    assert found == {"files.py"}


def test_a_run_whose_model_is_a_link_to_some_folder_is_not_published(tmp_path: Path):
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret\n", encoding="utf-8")
    stranger = tmp_path / "run"
    stranger.mkdir()
    (stranger / "config.yaml").write_text("output_dir: run\n", encoding="utf-8")
    (stranger / "model").symlink_to(tmp_path / "private")
    assert_refused(run("push", stranger, "--hub-model-id", "a/b"), "model: is a link to", "not a model folder")
    assert [path.name for path in (tmp_path / "private").iterdir()] == ["key"]


# Files of tokenizers


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


CHAT_TEMPLATE = [{"name": "../../x", "template": "owned"}, {"name": "default", "template": "y"}]


def test_a_chat_template_writes_no_file(model: Path, tmp_path: Path):
    change(model / "tokenizer_config.json", chat_template=CHAT_TEMPLATE)
    target = tmp_path / "a" / "b" / "target"
    target.mkdir(parents=True)
    before = listing(tmp_path)
    save_tokenizer(load_tokenizer(model), target)
    assert listing(tmp_path) - before == {
        f"a/b/target/{name}" for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
    }
    assert "owned" not in "".join(path.read_text(encoding="utf-8") for path in target.iterdir())


def test_a_chat_template_of_ones_own_tokenizer_writes_no_file_either(tiny_bert: Path, tmp_path: Path):
    """A tokenizer loaded by another program, as with the Keras callback."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.chat_template = {"../../x": "owned", "default": "y"}
    target = tmp_path / "a" / "b" / "target"
    target.mkdir(parents=True)
    save_tokenizer(tokenizer, target)
    assert not list(tmp_path.rglob("*x.jinja*"))
    assert tokenizer.chat_template["default"] == "y"


@pytest.mark.parametrize("key", ["vocab_file", "sp_model", "merges_file", "tokenizer_file", "fast_tokenizer_files"])
def test_a_path_among_a_tokenizers_settings_is_not_followed(key: str, model: Path, tmp_path: Path):
    secret = tmp_path / "secret.txt"
    secret.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsecret-of-mine\n", encoding="utf-8")
    before = load_tokenizer(model)("ada visited london")["input_ids"]
    change(model / "tokenizer_config.json", **{key: [str(secret)] if key.endswith("files") else str(secret)})
    tokenizer = load_tokenizer(model)
    assert tokenizer("ada visited london")["input_ids"] == before
    (tmp_path / "target").mkdir()
    save_tokenizer(tokenizer, tmp_path / "target")
    assert "secret" not in "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "target").iterdir())


def test_a_vocabulary_that_is_a_link_to_elsewhere_is_refused(model: Path, tmp_path: Path):
    (tmp_path / "secret.txt").write_text("secret\n", encoding="utf-8")
    (model / "tokenizer.json").unlink()
    (model / "vocab.txt").symlink_to(tmp_path / "secret.txt")
    assert_refused(run("predict", model), "vocab.txt: is a link to", "Copy the file into the folder")


def test_the_links_of_the_hubs_cache_are_followed(tiny_classifier: Path, tmp_path: Path):
    """In that cache, the files of a snapshot are links to blobs named by their hashes."""
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(tiny_classifier.iterdir()):
        shutil.copy(path, blobs / f"{number}")
        (snapshot / path.name).symlink_to(Path("../../blobs") / f"{number}")
    assert run("predict", snapshot).stdout == run("predict", tiny_classifier).stdout


def test_a_saved_tokenizer_is_the_one_that_was_loaded(tmp_path: Path, tiny_bert: Path, tiny_roberta: Path):
    """Compare settings and output of a WordPiece and a byte-level tokenizer."""
    for folder in (tiny_bert, tiny_roberta):
        tokenizer = load_tokenizer(folder)
        target = tmp_path / folder.name
        target.mkdir()
        save_tokenizer(tokenizer, target)
        shutil.copy(folder / "config.json", target)
        again = transformers.AutoTokenizer.from_pretrained(target)
        words = ["ada", "visited", "London", "x9#"]
        assert again.is_fast
        assert again(words, is_split_into_words=True) == tokenizer(words, is_split_into_words=True)
        assert again.model_max_length == tokenizer.model_max_length


def test_settings_of_transformers_5_are_read(model: Path):
    """transformers 5 writes special tokens as a list under another key, and classes that transformers 4 lacks."""
    change(
        model / "tokenizer_config.json",
        tokenizer_class="TokenizersBackend",
        backend="tokenizers",
        extra_special_tokens=["london"],
    )
    assert "london" in load_tokenizer(model).additional_special_tokens
    assert run("predict", model).exit_code == 0


def test_names_of_extra_tokens_are_no_attributes_of_the_tokenizer(tmp_path: Path, model: Path):
    """transformers would set such attributes, even `save_pretrained`. The tokens themselves are kept."""
    extra = {"save_pretrained": "y", "chat_template": "../../x", "place_token": "london"}
    change(model / "tokenizer_config.json", extra_special_tokens=extra, additional_special_tokens=["ada"])
    tokenizer = load_tokenizer(model)
    assert tokenizer.additional_special_tokens == ["ada", "y", "../../x", "london"]
    (tmp_path / "saved").mkdir()
    save_tokenizer(tokenizer, tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").additional_special_tokens == tokenizer.additional_special_tokens


@pytest.mark.parametrize("extra", ["x", 1, {"a_token": 1}, {"a_token": ["x"]}, [1], [{"a": 1}]])
def test_extra_tokens_that_are_none_are_refused(extra: Any, model: Path):
    change(model / "tokenizer_config.json", extra_special_tokens=extra)
    assert_refused(run("predict", model), "tokenizer")


@pytest.mark.parametrize("function", [1, 0.5, True, ["gelu"], "nope"])
def test_an_activation_that_is_no_function_is_refused(function: Any, model: Path):
    change(model / "config.json", hidden_act=function)
    assert_refused(run("predict", model), str(model))


def test_names_of_architectures_are_shortened(model: Path):
    change(model / "config.json", architectures=["x" * 10**4] * 100)
    result = run("predict", model)
    assert_refused(result, "not a token classifier")
    assert len(result.stderr) < 2000


@pytest.mark.parametrize("limit", ["x", -5, 0, 0.5, True, [1], float("nan")])
def test_a_longest_text_that_is_none_is_refused(limit: Any, model: Path):
    (model / "tf_tokclf.json").unlink()
    change(model / "tokenizer_config.json", model_max_length=limit)
    assert_refused(run("predict", model), "tokenizer_config.json: model_max_length is")


@pytest.mark.parametrize("number", [102, 2**31, 2**32 - 1])
@pytest.mark.parametrize("word", ["ada", "[CLS]"])
def test_a_piece_without_an_embedding_is_refused(word: str, number: int, model: Path):
    content = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["vocab"][word] = number
    if word == "[CLS]":
        content["added_tokens"] = [one for one in content["added_tokens"] if one["content"] != word]
        content["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": [word, number]}
    edit_tokenizer(model, **content)
    assert_refused(run("predict", model), "the tokenizer returns the token id", "the model's vocabulary has")


# Weights: complete, or an error


def change_weights(folder: Path, edit: Callable[[dict[str, np.ndarray]], None], **metadata: str) -> None:
    arrays = dict(load_file(folder / "model.safetensors"))
    edit(arrays)
    save_file(arrays, folder / "model.safetensors", metadata=metadata or {"format": "pt"})


def drop(*names: str) -> Callable[[dict[str, np.ndarray]], None]:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        for name in [name for name in arrays if name.startswith(names)]:
            del arrays[name]

    return edit


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("classifier",), "2 weights of the model are not in its file, such as classifier."),
        (("classifier.bias",), "1 weight of the model is not in its file: classifier.bias"),
        (("bert.encoder.layer.1",), "16 weights of the model are not in its file, such as bert.encoder.layer.1."),
        (("bert.encoder.layer.0.output.dense.bias",), "bert.encoder.layer.0.output.dense.bias"),
        (("bert.embeddings.LayerNorm.weight",), "bert.embeddings.LayerNorm.weight"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_classifier_without_some_weights_is_refused(
    command: str, names: tuple[str, ...], named: str, model: Path, conll_files: dict[str, str]
):
    change_weights(model, drop(*names))
    args = ["--file", conll_files["test_file"]] if command == "evaluate" else []
    assert_refused(run(command, model, *args), "do not match config.json", named)


def test_a_classifier_with_more_weights_than_it_uses_is_refused(model: Path):
    change_weights(model, lambda arrays: arrays.update({"crf.transitions": np.zeros((5, 5), np.float32)}))
    assert_refused(run("predict", model), "1 tensor of the file is not used by the model: crf.transitions")


@pytest.mark.parametrize(("n_layers", "part"), [(1, "are not used by the model"), (3, "are not in its file")])
def test_another_number_of_layers_than_the_file_has_is_refused(n_layers: int, part: str, model: Path):
    change(model / "config.json", num_hidden_layers=n_layers)
    assert_refused(run("predict", model), part, "bert.encoder.layer.")


@pytest.mark.parametrize("n_layers", [-1, 0, 10**6, 1.5, "2", True])
def test_a_number_of_layers_that_is_none_is_refused(n_layers: Any, model: Path):
    change(model / "config.json", num_hidden_layers=n_layers)
    assert_refused(run("predict", model), "config.json: num_hidden_layers is")


def test_a_pooler_may_be_there_or_not(before: str, model: Path):
    pooler = {"bert.pooler.dense.weight": np.zeros((32, 32), np.float32), "bert.embeddings.position_ids": np.arange(64)}
    change_weights(model, lambda arrays: arrays.update(pooler))
    assert run("predict", model).stdout == before


def encoder_with(tmp_path: Path, edit: Callable[[dict[str, np.ndarray]], None], **changes: Any) -> Path:
    folder = make_bert(tmp_path / "encoder", ["ada"])
    change_weights(folder, edit)
    change(folder / "config.json", **changes)
    return folder


def test_an_encoder_may_bring_heads_and_lack_its_own(tmp_path: Path):
    """As in pretrained encoders and in classifiers of whole sentences."""

    def edit(arrays: dict[str, np.ndarray]) -> None:
        for name in list(arrays):
            arrays[f"bert.{name}" if not name.startswith("bert.") else name] = arrays.pop(name)
        arrays["cls.predictions.bias"] = np.zeros(9, np.float32)
        arrays["classifier.weight"] = np.full((3, 32), 7, np.float32)

    model = new_classifier(encoder_with(tmp_path, edit), ["O", "B-X", "I-X"], precision=FLOAT32)
    # The head of the other task is not used, although it has the same number of rows.
    assert np.abs(model.classifier.kernel.numpy()).max() < 1


def test_an_encoder_that_does_not_match_its_file_is_refused_unless_allowed(
    tmp_path: Path, conll_files: dict[str, str], caplog: pytest.LogCaptureFixture
):
    encoder = encoder_with(tmp_path, drop("bert.encoder.layer.1", "encoder.layer.1"))
    args = [
        "fit",
        "--train-file",
        conll_files["train_file"],
        "--recipe=none",
        "--model-name-or-path",
        encoder,
        "--output-dir",
    ]
    assert_refused(run(*args, tmp_path / "run"), "encoder.layer.1.", "--allow-incomplete-weights")
    logging.getLogger("tf_tokclf").handlers.clear()
    logging.getLogger("tf_tokclf").propagate = True
    with caplog.at_level("WARNING", logger="tf_tokclf"):
        new_classifier(encoder, ["O", "B-X"], precision=FLOAT32, allow_incomplete_weights=True)
    assert "16 weights of the model are not in its file" in caplog.text


def test_an_encoder_with_fewer_layers_than_its_file_is_refused(tmp_path: Path):
    encoder = encoder_with(tmp_path, lambda arrays: None, num_hidden_layers=1)
    with pytest.raises(UserError, match="16 tensors of the file are not used by the model"):
        new_classifier(encoder, ["O", "B-X"], precision=FLOAT32)


def test_a_tensor_turned_the_other_way_is_refused(model: Path):
    """It has the same number of values, but would be read as a different matrix."""
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    change_weights(model, lambda arrays: arrays.update({name: np.ascontiguousarray(arrays[name].T)}))
    assert_refused(run("predict", model), f"{name} is 32 x 64 in the file, but config.json describes 64 x 32")


def test_whole_numbers_are_no_weights(model: Path):
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    change_weights(model, lambda arrays: arrays.update({name: np.ones((64, 32), np.int8)}))
    assert_refused(run("predict", model), name, "int8")


@pytest.mark.parametrize("metadata", [{}, {"format": "np"}, {"by": "somebody"}])
def test_weights_without_the_mark_of_their_layout_are_read_by_their_names(
    before: str, metadata: dict[str, str], model: Path
):
    arrays = load_file(model / "model.safetensors")
    save_file(arrays, model / "model.safetensors", metadata=metadata or None)
    assert run("predict", model).stdout == before


def test_shards_and_keras_files_are_read_like_one_file(before: str, model: Path, tmp_path: Path):
    arrays = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    shards = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(arrays)}
    for shard in set(shards.values()):
        save_file({name: arrays[name] for name in arrays if shards[name] == shard}, model / shard)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    assert run("predict", model).stdout == before

    loaded = load_classifier(model, precision=FLOAT32)
    (model / "model.safetensors.index.json").unlink()
    loaded.save_weights(model / "tf_model.h5")
    rewrite_as_transformers_does(loaded, model / "tf_model.h5")
    assert run("predict", model).stdout == before


def rewrite_as_transformers_does(model: Any, path: Path) -> None:
    """Write `tf_model.h5` with a group for each layer, and in it a data set for each weight under its full name."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            for weight in layer.weights:
                file.create_dataset(f"{layer.name}/{weight.name}", data=weight.numpy())


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/passwd", "a/b.safetensors", "..\\x.safetensors", "x.bin", 7]
)
def test_a_shard_that_is_elsewhere_is_refused(name: Any, model: Path):
    (model / "model.safetensors").rename(model.parent / "x.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}), encoding="utf-8")
    assert_refused(
        run("predict", model),
        "model.safetensors.index.json: names the file",
        "not a .safetensors file in the same folder",
    )


def h5_external_link(file: h5py.File, elsewhere: Path) -> None:
    file["bert"] = h5py.ExternalLink(str(elsewhere), "/x")


def h5_soft_link(file: h5py.File, elsewhere: Path) -> None:
    file["bert"] = h5py.SoftLink("/y")


def h5_external_storage(file: h5py.File, elsewhere: Path) -> None:
    file.create_dataset("bert/m/x:0", shape=(4,), dtype="f4", external=[(str(elsewhere), 0, 16)])


def h5_virtual(file: h5py.File, elsewhere: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(elsewhere), "x", shape=(4,))
    file.create_virtual_dataset("bert/m/x:0", layout)


@pytest.mark.parametrize("link", [h5_external_link, h5_soft_link, h5_external_storage, h5_virtual])
def test_an_h5_file_that_leads_elsewhere_is_refused(
    link: Callable[[h5py.File, Path], None], model: Path, tmp_path: Path
):
    (model / "model.safetensors").unlink()
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file["x"] = np.zeros(4, np.float32)
    with h5py.File(model / "tf_model.h5", "w") as file:
        link(file, tmp_path / "elsewhere.h5")
    assert_refused(run("predict", model), "tf_model.h5: bert", "is a link to another place")


def test_an_h5_file_without_weights_is_refused(model: Path):
    (model / "model.safetensors").unlink()
    h5py.File(model / "tf_model.h5", "w").close()
    assert_refused(run("predict", model), "weights of the model are not in its file")


def test_an_h5_file_that_claims_more_than_it_holds_is_refused(model: Path):
    (model / "model.safetensors").unlink()
    with h5py.File(model / "tf_model.h5", "w") as file:
        file.create_dataset("bert/m/x:0", shape=(10**12,), dtype="f4", chunks=(1000,))
    assert_refused(run("predict", model), "tf_model.h5: bert/m/x:0 is larger than the file")


def test_groups_of_an_h5_file_that_lead_through_each_other_are_refused(model: Path):
    """Four names for each nested group give 4 ** 100 paths."""
    (model / "model.safetensors").unlink()
    with h5py.File(model / "tf_model.h5", "w") as file:
        group = file.create_group("g")
        for name in "abcd":
            group[name] = group
    assert_refused(run("predict", model), "tf_model.h5: g/a is a link to another place")


def test_a_tensor_with_a_name_of_a_megabyte_is_a_short_message(model: Path):
    change_weights(model, lambda arrays: arrays.update({"x" * 10**6: np.zeros(1, np.float32)}))
    assert_refused(run("predict", model), "1 tensor of the file is not used by the model: xxx")


# Switches that change what a call returns


@pytest.mark.parametrize(
    "switches",
    [
        {"return_dict": False},
        {"output_attentions": True, "output_hidden_states": True},
        {"torchscript": True, "use_bfloat16": True, "torch_dtype": "float16"},
        {"to_dict": "x", "save_pretrained": 1, "use_return_dict": False},
        {"tf_legacy_loss": True, "gradient_checkpointing": True, "chunk_size_feed_forward": 3},
    ],
)
def test_switches_of_a_configuration_have_no_effect(before: str, switches: dict[str, Any], model: Path):
    change(model / "config.json", **switches)
    result = run("predict", model)
    assert (result.exit_code, result.stdout) == (0, before)


# Every switch of transformers' PretrainedConfig, and some of BERT and XLM, with a value other than the default.
SWITCHES: list[dict[str, Any]] = [
    {"add_cross_attention": True},
    {"architectures": ["BertForTokenClassification", "EvilModel"]},
    {"attn_implementation": "sdpa", "_attn_implementation": "sdpa"},
    {"bad_words_ids": [[1]], "min_length": 5, "temperature": 0.1, "num_beams": 4},
    {"bos_token_id": 7, "eos_token_id": 7, "sep_token_id": 7, "decoder_start_token_id": 7},
    {"causal": True},
    {"chunk_size_feed_forward": 3},
    {"cross_attention_hidden_size": 8},
    {"finetuning_task": "x", "problem_type": "regression", "prefix": "x"},
    {"gradient_checkpointing": True},
    {"is_decoder": True},
    {"is_decoder": "yes"},
    {"is_decoder": True, "add_cross_attention": True, "use_cache": True},
    {"is_encoder": False},
    {"is_encoder_decoder": True},
    {"layerdrop": 0.9, "torchscript": True},
    {"num_labels": 7},
    {"output_attentions": True},
    {"output_hidden_states": True},
    {"position_embedding_type": "relative_key"},
    {"pruned_heads": {"0": [0]}},
    {"return_dict": False, "use_return_dict": False},
    {"task_specific_params": {"x": {"is_decoder": True}}},
    {"tf_legacy_loss": True},
    {"tie_encoder_decoder": True, "tie_word_embeddings": False},
    {"tokenizer_class": "BertTokenizer"},
    {"torch_dtype": "float16", "dtype": "float16", "use_bfloat16": True},
    {"use_cache": True},
    {"xla_device": True},
]
REFUSED = {"add_cross_attention", "causal", "is_decoder", "is_encoder", "position_embedding_type", "pruned_heads"}


@pytest.fixture(scope="module", params=["bert", "roberta", "distilbert", "modernbert"])
def small_classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("switches") / request.param
    make = {
        "bert": make_bert,
        "roberta": lambda folder: make_roberta(folder, ["ada", "london"]),
        "distilbert": make_distilbert,
        "modernbert": lambda folder: make_modernbert(folder, ["ada", "london"]),
    }
    make[request.param](folder)
    trained = new_classifier(folder, ["O", "B-LOC"], precision=FLOAT32)
    save_config(trained, folder)
    save_portable_weights(trained, folder / "model.safetensors")
    return folder


def logits(folder: Path) -> np.ndarray:
    model = load_classifier(folder, precision=FLOAT32)
    ids = np.array([[5, 6, 7, 8, 9], [9, 8, 1, 1, 1]], np.int32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], np.int32)
    return model(input_ids=ids, attention_mask=mask, training=False).logits.numpy()


@pytest.fixture(scope="module")
def small_classifiers_logits(small_classifier: Path) -> np.ndarray:
    return logits(small_classifier)


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda switches: next(iter(switches)))
def test_a_switch_leaves_the_logits_as_they_are_or_is_refused(
    switches: dict[str, Any], small_classifier: Path, small_classifiers_logits: np.ndarray, tmp_path: Path
):
    folder = tmp_path / "model"
    shutil.copytree(small_classifier, folder)
    change(folder / "config.json", **switches)
    refused = REFUSED & set(switches)
    if "position_embedding_type" in switches and small_classifier.name in ("distilbert", "modernbert"):
        refused = set()  # DistilBERT has no such setting
    if refused:
        with pytest.raises(UserError, match=rf"config\.json: ({'|'.join(refused)}) is "):
            load_classifier(folder, precision=FLOAT32)
    else:
        assert np.array_equal(logits(folder), small_classifiers_logits)


def test_every_setting_that_a_model_reads_is_kept():
    """Includes settings that transformers' TensorFlow classes read, but that no configuration's constructor has."""
    from tf_tokclf.encoding.model_config import DECIDED_HERE
    from tf_tokclf.encoding.model_config import SWITCHES as REFUSED_SWITCHES
    from tf_tokclf.encoding.model_types import MODEL_TYPES

    # Settings for text generation or other tasks, or computed by the constructor.
    others = {"pooler_hidden_size", "asm_cutoffs", "asm_div_value", "id2lang", "lang2id", "num_blocks"}
    others |= {"use_return_dict"}
    others |= {"classifhidden_dropout_probier_dropout", "tie_word_embeddings", "true_hidden_size", "n_layers", "d_head"}
    for model_type, facts in MODEL_TYPES.items():
        kind = transformers.CONFIG_MAPPING[model_type]
        module = sys.modules[transformers.TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING[kind].__module__]
        source = inspect.getsource(module)
        read = set(re.findall(r"\bconfig\.(\w+)", source)) | set(re.findall(r"\bconfig, *[\"'](\w+)", source))
        read = {name for name in read if not callable(getattr(kind, name, None))}
        assert not read - settings_of_type(model_type) - DECIDED_HERE - set(REFUSED_SWITCHES) - others, model_type
        assert facts.extra_settings <= read, model_type


@pytest.mark.filterwarnings("ignore")  # of the converter
def test_a_trained_model_inherits_only_settings_of_its_type(tmp_path: Path, conll_files: dict[str, str]):
    """Any other content of an untrusted configuration would be published with the trained model."""
    need_modules("ai_edge_litert", extra="export")
    foreign = {
        "torch_dtype": "float16",
        "return_dict": False,
        "_name_or_path": "/home/a",
        "auto_map": AUTO_MAP,
        "foreign": "hello",
        "nested": {"foreign": 1},
        "custom_pipelines": {"x": {"impl": "canary.Model"}},
        "quantization_config": {"load_in_8bit": True},
        "task_specific_params": {"x": {"y": 1}},
        "use_return_dict": "x",
        "transformers_version": "4.0.0-foreign",
        "finetuning_task": "foreign",
    }
    encoder = encoder_with(tmp_path, lambda arrays: None)
    known = settings_of_type("bert") | {"architectures", "id2label", "label2id", "model_type", "transformers_version"}
    change(encoder / "config.json", **foreign)
    run_folder, export = tmp_path / "run", tmp_path / "export"
    files = [f"--{name.replace('_', '-')}={path}" for name, path in conll_files.items()]
    options = ["--num-train-epochs=1", "--precision=float32", f"--output-dir={run_folder}"]
    done = run("fit", *files, "--recipe=none", f"--model-name-or-path={encoder}", *options)
    assert done.exit_code == 0, done.output
    change(run_folder / "model" / "config.json", **foreign)
    done = run("export", run_folder, "--format", "tflite", "--output", export)
    assert done.exit_code == 0, done.output
    text = (export / "config.json").read_text(encoding="utf-8")
    assert set(json.loads(text)) <= known
    assert "foreign" not in text


# Limits


# A shorter limit.
SOONER = "import tf_tokclf.encoding.tokenizer_process; tf_tokclf.encoding.tokenizer_process.LOAD_LIMIT_S = 3.0"


def assert_stopped(kill_server: KillServer, model: Path, *parts: str, text: str = "ada visited london\n") -> None:
    """Assert a message with these parts from a separate process that can be killed."""
    done = kill_server.command("predict", model, "--word-splitting", "whitespace", before=SOONER, text=text)
    assert done.returncode == 2, done.stderr[-2000:]
    for part in parts:
        assert part in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr


def test_a_million_labels_are_refused(model: Path):
    change(model / "config.json", id2label={str(i): f"L{i}" for i in range(10**6)})
    assert_refused(run("predict", model), f"id2label has 1,000,000 labels, but the limit is {MOST_LABELS:,}")


@pytest.mark.parametrize("values", [{"intermediate_size": 10**6}, {"hidden_size": 4096, "num_attention_heads": 2}])
def test_more_weights_than_the_file_holds_are_not_made(values: dict[str, int], model: Path):
    change(model / "config.json", **values)
    assert_refused(run("predict", model), "config.json: describes more weights than the file contains")


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"inner_group_num": 200}, "describes 400 layers, including repeated ones, but the limit is 256"),
        ({"block_sizes": [4, 4], "block_repeats": [100, 1]}, "describes 404 layers"),
        ({"max_position_embeddings": 1_000_000}, "describes 1,000,000 positions of 32 numbers"),
        ({"attention_window": [8, 10**6]}, "attention_window is [8, 1000000], which is more than the 64 positions"),
        ({"pad_token_id": "x"}, "pad_token_id is x, which is not a whole number"),
        ({"pad_token_id": [1]}, "pad_token_id is [1], which is not a whole number"),
        ({"initializer_range": 1e30}, "initializer_range is 1e+30, which is out of range"),
        ({"hidden_dropout_prob": "x"}, "hidden_dropout_prob is x, which is not a number"),
        ({"classifier_dropout": [0.1]}, "classifier_dropout is [0.1], which is not a number"),
        ({"layer_norm_eps": "x"}, "layer_norm_eps is x, which is not a number"),
    ],
)
def test_a_number_that_no_model_has_is_refused(values: dict[str, Any], part: str, model: Path):
    change(model / "config.json", **values)
    assert_refused(run("predict", model), f"config.json: {part}")


def test_numbers_that_do_not_describe_the_model_are_free(before: str, model: Path):
    """Tools write arbitrary keys into config.json."""
    change(model / "config.json", tokens_seen=3 * 10**12, trained_at_ms=1_700_000_000_000)
    assert run("predict", model).stdout == before


def edit_info(folder: Path, **values: Any) -> None:
    """Change tf_tokclf.json, in which null is a value; "reading" is merged with the existing keys."""
    path = folder / "tf_tokclf.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    reading = {**content["reading"], **values.pop("reading", {})}
    path.write_text(json.dumps({**content, **values, "reading": reading}), encoding="utf-8")


def test_context_without_end_ends(before: str, model: Path):
    edit_info(model, reading={"context_sentences": 2**62})
    assert run("predict", model).stdout == before


@pytest.mark.parametrize("temperature", [1e-300, 1e300, -1, float("nan")])
def test_a_temperature_that_leaves_no_scores_is_refused(temperature: float, model: Path):
    edit_info(model, temperature=temperature)
    assert_refused(run("predict", model), "tf_tokclf.json", "temperature must be between 0.001 and 1000")


def edit_tokenizer(folder: Path, **values: Any) -> None:
    change(folder / "tokenizer.json", **values)


def test_too_many_added_tokens_are_refused(model: Path):
    tokens = [{"id": 200 + i, "content": f"<{i}>", "special": False} for i in range(300_000)]
    edit_tokenizer(model, added_tokens=tokens)
    assert_refused(
        run("predict", model), f"tokenizer.json: adds 300,000 tokens to the vocabulary, more than {MOST_ADDED_TOKENS:,}"
    )


@pytest.mark.parametrize("key", ["additional_special_tokens", "added_tokens_decoder"])
def test_too_many_added_tokens_in_the_settings_are_refused(key: str, model: Path):
    names = [f"<{i}>" for i in range(300_000)]
    tokens = names if key == "additional_special_tokens" else dict.fromkeys(names)
    change(model / "tokenizer_config.json", **{key: tokens})
    assert_refused(run("predict", model), "tokenizer_config.json: adds 300,000 tokens")


def template(n_pieces: int, n_ids: int) -> dict[str, Any]:
    special, text = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    token = {"id": "[CLS]", "ids": [2] * n_ids, "tokens": ["[CLS]"] * n_ids}
    return {
        "type": "TemplateProcessing",
        "single": [*[special] * n_pieces, text],
        "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": token},
    }


@pytest.mark.parametrize(("n_pieces", "n_ids"), [(100_000, 1), (1, 100_000), (400, 400)])
def test_special_pieces_without_end_are_refused(n_pieces: int, n_ids: int, model: Path):
    edit_tokenizer(
        model, post_processor={"type": "Sequence", "processors": [template(1, 1), template(n_pieces, n_ids)]}
    )
    assert_refused(run("predict", model), "tokenizer.json: adds", "special tokens to each text, more than 1,000")


GROWING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
CHARSMAP = base64.b64encode((4).to_bytes(4, "little") + b"\0\0\0\0" + b"x" * 5000 + b"\0").decode()


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "Sequence", "normalizers": [GROWING] * 4},
        {"type": "Replace", "pattern": {"Regex": "."}, "content": "b" * 1000},
        {"type": "Prepend", "prepend": "x" * 10_000},
        {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": CHARSMAP}]},
    ],
    ids=["replace", "regex", "prepend", "charsmap"],
)
def test_a_normalizer_that_multiplies_text_is_refused(normalizer: dict[str, Any], model: Path):
    edit_tokenizer(model, normalizer=normalizer)
    assert_refused(run("predict", model), "tokenizer.json: makes texts more than 256 times longer")


def test_a_deep_or_long_chain_of_steps_is_refused(model: Path):
    edit_tokenizer(model, pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}] * 100})
    assert_refused(run("predict", model), "tokenizer.json: has 10", "steps of normalization and splitting, more than")


def test_a_longest_word_that_takes_without_end_is_refused(model: Path):
    content = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    for longest in (10**9, 10_000):
        edit_tokenizer(model, model={**content["model"], "max_input_chars_per_word": longest})
        assert_refused(run("predict", model), f"tokenizer.json: has max_input_chars_per_word {longest:,}")


SLOW, SLOW_WORD = "(a+)+$", f"{'a' * 21}!" * 400


def splitting(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def test_a_regular_expression_that_never_ends_is_stopped(kill_server: KillServer, model: Path):
    """Each further letter doubles the time, up to a limit of the library: 0.3 s for every 21 letters."""
    edit_tokenizer(model, pre_tokenizer=splitting(SLOW))
    assert run("predict", model, text="london\n").exit_code == 0
    assert_stopped(kill_server, model, "tokenizer.json", SLOW, "s of CPU time", text=f"{SLOW_WORD}\n")


def test_other_regular_expressions_give_the_same_pieces_as_without_a_child(before: str, model: Path):
    """A harmless expression that is in no list of known ones."""
    edit_tokenizer(model, pre_tokenizer=splitting(r"[^\S\r\n]+"))
    assert run("predict", model).stdout == before


def test_a_normalizer_whose_expression_never_ends_is_stopped_on_loading(kill_server: KillServer, model: Path):
    """Added tokens are normalised when the tokenizer is loaded."""
    edit_tokenizer(model, normalizer={"type": "Replace", "pattern": {"Regex": SLOW}, "content": ""})
    token = {"content": SLOW_WORD, "normalized": True, "special": False}
    change(model / "tokenizer_config.json", added_tokens_decoder={"101": token})
    assert_stopped(kill_server, model, "tokenizer.json", "did not end within 3 s of CPU time")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The child processes for tokenizing, in the order of their start."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def recording(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **options))
        return started[-1]

    monkeypatch.setattr("tf_tokclf.encoding.tokenizer_process.subprocess.Popen", recording)
    return started


def tokenizer_in_a_child(model: Path, children: list[subprocess.Popen[bytes]]) -> Callable[..., list[list[int]]]:
    edit_tokenizer(model, pre_tokenizer=splitting(r"[^\S\r\n]+"))
    tokenize = tokenize_function(load_tokenizer(model))
    tokenize(["ada"])
    assert len(children) == 2  # one that only tested loading, and this one
    return tokenize


def test_a_tokenizer_that_waits_for_the_processor_is_not_refused(
    model: Path, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
):
    """On a busy machine, elapsed time says nothing about the tokenizer, so CPU time counts."""
    tokenize = tokenizer_in_a_child(model, children)
    before = tokenize(["london"])
    monkeypatch.setattr("tf_tokclf.encoding.tokenizer_process.LOAD_LIMIT_S", 2.0)
    os.kill(children[-1].pid, signal.SIGSTOP)
    later = threading.Timer(4.0, os.kill, (children[-1].pid, signal.SIGCONT))
    later.start()
    assert tokenize(["london"]) == before
    later.join()
    assert len(children) == 2


def test_a_tokenizer_that_never_answers_is_stopped_by_the_clock(
    model: Path, children: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
):
    tokenize = tokenizer_in_a_child(model, children)
    before = tokenize(["london"])
    monkeypatch.setattr("tf_tokclf.encoding.tokenizer_process.CLOCK_FACTOR", 0.1)
    os.kill(children[-1].pid, signal.SIGSTOP)
    with pytest.raises(UserError, match="did not end within 1 s"):
        tokenize(["london"])
    assert children[-1].poll() == -signal.SIGKILL
    monkeypatch.undo()
    assert tokenize(["london"]) == before


def test_a_panic_of_the_tokenizer_is_a_message(model: Path, monkeypatch: pytest.MonkeyPatch):
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def encode(self: Any, words: Any, **options: Any) -> Any:
        raise panic("index out of bounds")

    class Backend:
        normalizer = pre_tokenizer = None
        encode_batch = encode

    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.backend_tokenizer", Backend())
    store = PieceStore(transformers.PreTrainedTokenizerFast.__new__(transformers.PreTrainedTokenizerFast))
    with pytest.raises(UserError, match="index out of bounds"):
        store.pieces(["a"])


def test_random_changes_do_no_harm(tiny_classifier: Path, tmp_path: Path):
    """A few cases of `scripts/dev/fuzz_models`, which runs thousands of them."""
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "scripts" / "dev" / "fuzz_models",
            tiny_classifier,
            "--cases",
            "12",
            "--seed",
            "7",
            "--limit",
            "120",
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "12 model folders:" in done.stdout
    assert "0 failed" in done.stdout


def test_byte_level_tokenizers_are_loaded_as_before(tmp_path: Path):
    """With a space before each word, and without token types in the output."""
    tokenizer = load_tokenizer(make_roberta(tmp_path / "roberta", ["ada", "london"]))
    assert type(tokenizer).__name__ == "RobertaTokenizerFast"
    assert tokenizer.add_prefix_space
    assert "token_type_ids" not in tokenizer("ada")
