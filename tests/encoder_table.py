"""The table of model types in docs/encoders.md: what is checked for each cell, and reading and writing the table.

`scripts/make_encoder_table` writes the outcomes. The slow tests check that the cells are still what is found.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.reference_models import (
    FLOAT32,
    ReferenceModel,
    check_gradients,
    check_logits,
    check_saved_tensors,
    check_training,
    logits_of,
    losses_in_training,
)
from tf_tokclf import fit, load, load_config
from tf_tokclf.config.schema import DataConfig, OptimizerConfig
from tf_tokclf.encoding.tokenizers import save_tokenizer
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.model.loading import load_classifier
from tf_tokclf.model.portable_weights import portable_weights
from tf_tokclf.model.precision import Precision, choose_precision
from tf_tokclf.publishing.export.export import export_model
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import decay_rates_by_layer, freeze_embeddings, make_optimizer
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.training.train import RunResult

PAGE = Path(__file__).parents[1] / "docs" / "encoders.md"
BEGINS = "<!-- table of model types: written by scripts/make_encoder_table -->"
ENDS = "<!-- end of the table -->"
YES, NO, REFUSED = "yes", "no", "refused"
WORDS = {YES, NO, REFUSED}
SENTENCES = (
    "ada/B-PER lovelace/I-PER visited/O london/B-LOC ./O",
    "rome/B-LOC saw/O alan/B-PER turing/I-PER ./O",
    "edsger/B-PER left/O oslo/B-LOC and/O paris/B-LOC with/O grace/B-PER hopper/I-PER ./O",
    "paris/B-LOC likes/O ada/B-PER",
)


@dataclass(frozen=True)
class Subject:
    """A model type, and a folder for what is made with it."""

    type: str
    folder: Path

    @cached_property
    def reference(self) -> ReferenceModel:
        return ReferenceModel.of(self.type)

    @cached_property
    def encoder(self) -> Path:
        """The folder of the reference model with a tokenizer that makes a subword token of each letter."""
        folder = self.folder / "encoder"
        folder.mkdir()
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(self.reference.folder / name, folder / name)
        pad = self.reference.values("padded")["input_ids"][-1, -1]
        vocabulary = {f"<{i}>": i for i in range(6)} | {letter: 6 + i for i, letter in enumerate(LETTERS)}
        backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=f"<{UNKNOWN}>"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        # The first letter of the alphabet stands for the special tokens around a text.
        backend.post_processor = processors.TemplateProcessing(single="x $A x", special_tokens=[("x", vocabulary["x"])])
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token=f"<{pad}>", unk_token=f"<{UNKNOWN}>"
        )
        save_tokenizer(tokenizer, folder)
        return folder

    @cached_property
    def data(self) -> Path:
        path = self.folder / "train.conll"
        sentences = ["\n".join(word.replace("/", "\t") for word in line.split()) for line in SENTENCES * 3]
        path.write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
        return path

    @cached_property
    def run(self) -> RunResult:
        """A complete run in float32."""
        return self.fit("run")

    def fit(self, name: str, *callbacks: Any, resume: bool = False) -> RunResult:
        options = {
            "data.train_file": str(self.data),
            "data.validation_file": str(self.data),
            "recipe": "none",
            "model.name_or_path": str(self.encoder),
            "optimizer.learning_rate": 2e-3,
            "training.num_train_epochs": 2,
            "training.per_device_train_batch_size": 4,
            "training.precision": "float32",
            "training.deterministic": True,
            "output_dir": str(self.folder / name),
            # What failed before may have left files.
            "overwrite": not resume,
        }
        return fit(load_config(options=options), resume=resume, callbacks=callbacks)


LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
UNKNOWN = 3


class _Interrupt(keras.callbacks.Callback):
    """Asks the run to stop in its second epoch, like the user's Ctrl-C."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)


def _logits(subject: Subject) -> str:
    check_logits(subject.reference, subject.reference.load())
    return YES


def _training(subject: Subject) -> str:
    check_gradients(subject.reference, subject.reference.load())
    check_training(subject.reference)
    return YES


def _saving(subject: Subject) -> str:
    check_saved_tensors(subject.reference, portable_weights(subject.reference.load()))
    return YES


def _long_texts(subject: Subject) -> str:
    """Each word of a text that is longer than a window has scores."""
    tagger = load(subject.run.run.root)
    words = ["ada", "visited", "london"] * (tagger.info.reading.max_length // 10 + 1)
    assert sum(map(len, words)) > tagger.info.reading.max_length
    [tagged] = tagger.tag([Sentence(tuple(words))])
    assert not np.isnan(tagged.log_probabilities).any()
    return YES


def _float32(subject: Subject) -> str:
    first, *_, last = (record.train_loss for record in subject.run.history)
    assert last < first
    return YES


def _mixed(policy: str) -> Callable[[Subject], str]:
    def trains(subject: Subject) -> str:
        try:
            is_refused = choose_precision(policy, model_type=subject.type).policy != policy
        except UserError:
            is_refused = True
        if is_refused:
            return REFUSED
        losses = losses_in_training(subject.reference, Precision(policy, "test"))
        np.testing.assert_allclose(losses[0], subject.reference.expected["adamw.losses"][0], rtol=0.03)
        assert losses[-1] < losses[0]
        return YES

    return trains


def _one_step(subject: Subject, *, decay: float, freeze: bool) -> dict[str, np.ndarray]:
    """The largest change of each weight, by its name in PyTorch, divided by the learning rate."""
    model = subject.reference.load()
    rate = 1e-3
    before = portable_weights(model)
    schedule = Schedule(n_steps=1, n_warmup_steps=0)
    optimizer = make_optimizer(OptimizerConfig(learning_rate=rate, weight_decay=0), schedule, loss_scaling=False)
    if freeze:
        freeze_embeddings(model)
    decay_rates_by_layer(optimizer, model, decay)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=SeededDropout(model, seed=1))
    values = subject.reference.training_batch
    # Tracing would take longer than the step.
    tf.config.run_functions_eagerly(True)
    try:
        step([{name: tf.constant(values[name]) for name in ("input_ids", "attention_mask", "labels")}])
    finally:
        tf.config.run_functions_eagerly(False)
    return {name: np.abs(array - before[name]).max() / rate for name, array in portable_weights(model).items()}


# Not the projections after the embeddings, such as electra.embeddings_project.weight.
_EMBEDDINGS = re.compile(r"(^|\.)(\w+_)?embeddings?\.(?!embedding_transformation)")


def _freezing(subject: Subject) -> str:
    changes = _one_step(subject, decay=1, freeze=True)
    embeddings = {name for name in changes if _EMBEDDINGS.search(name) and ".encoder." not in name}
    assert embeddings
    assert {name for name in embeddings if changes[name]} == set()
    assert changes["classifier.weight"] > 0.9
    return YES


def _layer_decay(subject: Subject) -> str:
    """Adam's first step changes a weight by the learning rate, so the change is the factor of the layer."""
    free = _one_step(subject, decay=1, freeze=False)
    try:
        slowed = _one_step(subject, decay=0.5, freeze=False)
    except UserError:
        return REFUSED
    depths = {name: -np.log2(slowed[name] / free[name]) for name in free if free[name] > 0.5}
    assert all(abs(depth - round(depth)) < 0.01 for depth in depths.values())
    assert {round(depth) for name, depth in depths.items() if name.startswith("classifier")} == {0}
    # Head, two layers or more, embeddings.
    found = sorted({round(depth) for depth in depths.values()})
    assert found == list(range(max(found[-1], 3) + 1))
    return YES


def _resuming(subject: Subject) -> str:
    try:
        subject.fit("interrupted", _Interrupt())
    except Stopped:
        resumed = subject.fit("interrupted", resume=True)
    whole = subject.run
    assert [record.train_loss for record in resumed.history] == [record.train_loss for record in whole.history]
    first, second = ((result.run.model / "model.safetensors").read_bytes() for result in (whole, resumed))
    assert first == second
    return YES


def _export(format: str) -> Callable[[Subject], str]:
    def exports(subject: Subject) -> str:
        output = subject.folder / format
        agreement = export_model(
            subject.run.run.root, output, format=format, data=DataConfig(test_file=str(subject.data))
        )
        assert agreement.problems == []
        return YES

    return exports


# Name of the column -> the check. An exception means "no".
COLUMNS: Mapping[str, Callable[[Subject], str]] = {
    "logits": _logits,
    "training": _training,
    "saving": _saving,
    "long texts": _long_texts,
    "float32": _float32,
    "bfloat16": _mixed("mixed_bfloat16"),
    "float16": _mixed("mixed_float16"),
    "freezing": _freezing,
    "layer decay": _layer_decay,
    "resuming": _resuming,
    "SavedModel": _export("savedmodel"),
    "TFLite": _export("tflite"),
    "ONNX": _export("onnx"),
}
# Columns that need PyTorch, which the tests do without: only `scripts/make_encoder_table` fills them.
TORCH_COLUMNS = ("PyTorch 4", "PyTorch 5")
# Modules of the extra "export", which a column needs.
NEEDED = {"TFLite": ("ai_edge_litert",), "ONNX": ("onnxruntime", "tf2onnx")}
# Columns that tests of the default run check for each reference model.
CHECKED_BY_DEFAULT = ("logits", "training", "saving")


def outcome(column: str, subject: Subject) -> tuple[str, Exception | None]:
    """What stands in the cell, and the exception that is the reason for "no"."""
    try:
        return COLUMNS[column](subject), None
    except Exception as error:  # whatever a model type raises
        return NO, error


def save_for_torch(subject: Subject, folder: Path) -> None:
    """A trained model as `fit` saves it, and expected.safetensors with the logits of a batch."""
    shutil.copytree(subject.run.run.model, folder)
    batch = subject.reference.values("whole")
    batch["logits"] = logits_of(load_classifier(folder, precision=FLOAT32), batch).numpy()
    save_file(batch, folder / "expected.safetensors")


Cells = dict[tuple[str, str], str]


def cells_in(page: str) -> Cells:
    """The table of the page: (model type, column) -> content."""
    heading, _, *rows = _table_of(page)
    columns = _row(heading)[1:]
    found = {}
    for row in rows:
        name, *contents = _row(row)
        found.update({(name.strip("`"), column): content for column, content in zip(columns, contents)})
    return found


def with_cells(page: str, cells: Cells) -> str:
    """The page with a table of `cells`."""
    columns = (*COLUMNS, *TORCH_COLUMNS)
    types = sorted({name for name, _ in cells})
    rows = [
        "| type | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
        *(f"| `{name}` | " + " | ".join(cells.get((name, column), "") for column in columns) + " |" for name in types),
    ]
    before, _, rest = page.partition(BEGINS)
    after = rest.partition(ENDS)[2]
    return before + "\n\n".join([BEGINS, "\n".join(rows), ENDS]) + after


def _table_of(page: str) -> list[str]:
    inside = page.partition(BEGINS)[2].partition(ENDS)[0]
    return [line for line in inside.splitlines() if line.startswith("|")]


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
