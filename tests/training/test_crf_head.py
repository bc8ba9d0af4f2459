"""Runs with a CRF head: trained, resumed, saved, and used by the other commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import WORDS
from tests.encoders import make_bert
from tests.training.stopping import StopAfter
from tf_tokclf import Config, evaluate, fit, load, load_config
from tf_tokclf.config.schema import ModelConfig
from tf_tokclf.encoding.crf_file import FILE_NAME as CRF
from tf_tokclf.encoding.crf_file import read_crf
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.inference.calibrate import calibrate
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.decoding import log_marginals, viterbi
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import transformers
from tf_tokclf.publishing.export.export import export_model
from tf_tokclf.training.train import RunResult

pytestmark = [pytest.mark.usefixtures("untraced"), pytest.mark.long]

SENTENCE = ("ada", "lovelace", "visited", "london", ".")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("encoder") / "bert", WORDS, num_hidden_layers=1)


def config_for(files: dict[str, str], encoder: Path, output: Path, **options: object) -> Config:
    settings = {f"data.{name}": path for name, path in files.items()}
    settings |= {
        "recipe": "none",
        "model.name_or_path": str(encoder),
        "model.head": "crf",
        "output_dir": str(output),
        "optimizer.learning_rate": 3e-3,
        "optimizer.layer_decay": 0.9,
        "training.num_train_epochs": 3,
        "training.precision": "float32",
        "training.ema_decay": 0.5,
        **options,
    }
    return load_config(options=settings)


@pytest.fixture(scope="module")
def run(conll_files: dict[str, str], encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return fit(config_for(conll_files, encoder, tmp_path_factory.mktemp("runs") / "run"))


def test_it_learns_and_the_saved_model_scores_what_the_run_said(run: RunResult):
    assert run.history[-1].train_loss < 0.9 * run.history[0].train_loss
    best = max(run.history, key=lambda record: record.dev_f1)
    found = evaluate(run.run.root, split="validation")
    assert found.scores.overall.f1 == best.dev_f1
    assert found.loss == pytest.approx(best.dev_loss, rel=1e-4)
    chain = read_crf(run.run.model, load(run.run.root).labels)
    assert all(np.any(part[np.isfinite(part)] != 0) for part in chain.parts)


def test_labels_and_scores_are_those_of_the_crf(run: RunResult):
    """Compared with the logits of transformers' class, which does not know the CRF."""
    tagger = load(run.run.root)
    assert tagger.decoding == "viterbi"
    (tagged,) = tagger.tag([Sentence(SENTENCE)])
    model = transformers.TFAutoModelForTokenClassification.from_pretrained(run.run.model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(run.run.model)
    encoded = tokenizer(list(SENTENCE), is_split_into_words=True, return_tensors="tf")
    firsts = [encoded.word_ids().index(word) for word in range(len(SENTENCE))]
    logits = model(encoded).logits.numpy()[0, firsts].astype(np.float64)
    crf = read_crf(run.run.model, tagger.labels)
    assert tagged.labels == tuple(tagger.labels.names[i] for i in viterbi(logits, crf))
    marginals = log_marginals(logits, np.array([0, len(SENTENCE)]), tagger.labels, crf)
    np.testing.assert_allclose(tagged.log_probabilities, marginals, atol=1e-4)
    (by_argmax,) = load(run.run.root, decoding="argmax").tag([Sentence(SENTENCE)])
    assert by_argmax.labels == tuple(tagger.labels.names[i] for i in marginals.argmax(axis=1))


def test_the_weights_file_is_that_of_a_linear_head(run: RunResult):
    assert not [name for name in load_file(run.run.model / "model.safetensors") if "crf" in name]
    info = json.loads((run.run.model / "tf_tokclf.json").read_text(encoding="utf-8"))
    # Versions that do not know the CRF must not ignore it.
    assert (info["head"], info["format_version"]) == ("crf", 2)
    assert "transformers ignores them" in (run.run.model / "README.md").read_text(encoding="utf-8").replace("\n", " ")


@pytest.mark.parametrize("n_batches", [1, 2])
def test_a_stopped_run_goes_on_bit_by_bit(
    run: RunResult, n_batches: int, conll_files: dict[str, str], encoder: Path, tmp_path: Path
):
    more = {"training.gradient_accumulation_steps": n_batches, "training.per_device_train_batch_size": 16 // n_batches}
    undisturbed = run
    if n_batches > 1:
        undisturbed = fit(config_for(conll_files, encoder, tmp_path / "undisturbed", **more))
    config = config_for(conll_files, encoder, tmp_path / "stopped", **more)
    with pytest.raises(Stopped):
        fit(config, callbacks=[StopAfter(5)])
    resumed = fit(config, resume=True)
    for name in ("model.safetensors", CRF, "tf_tokclf.json"):
        assert (resumed.run.model / name).read_bytes() == (undisturbed.run.model / name).read_bytes(), name
    losses = [[record.train_loss for record in one.history] for one in (resumed, undisturbed)]
    assert losses[0] == losses[1]


def test_exports_that_only_give_logits_are_announced(run: RunResult, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    export_model(run.run.root, tmp_path / "saved", format="savedmodel", max_sentences=2)
    assert "the CRF is not part of a savedmodel model: its logits do not include the transitions" in caplog.text
    caplog.clear()
    export_model(run.run.root, tmp_path / "onnx", format="onnx", max_sentences=2)
    assert "CRF is not part" not in caplog.text


def test_a_lost_crf_of_a_finished_run_is_restored(run: RunResult, conll_files: dict[str, str], tmp_path: Path):
    copied = shutil.copytree(run.run.root, tmp_path / "run")
    before = (copied / "model" / CRF).read_bytes()
    (copied / "model" / CRF).unlink()
    with pytest.raises(UserError, match=r"crf\.json: is missing"):
        load(copied)
    config = load_config(copied / "config.yaml", options={"output_dir": str(copied)})
    fit(config, resume=True)
    assert (copied / "model" / CRF).read_bytes() == before


def test_another_run_starts_from_its_transitions(run: RunResult, conll_files: dict[str, str], tmp_path: Path):
    options = {"optimizer.learning_rate": 1e-12, "training.max_steps": 1, "training.ema_decay": None}
    again = fit(config_for(conll_files, run.run.model, tmp_path / "again", **options))
    labels = load(run.run.root).labels
    for one, other in zip(read_crf(again.run.model, labels).parts, read_crf(run.run.model, labels).parts):
        np.testing.assert_allclose(one, other, atol=1e-6)
    linear = fit(config_for(conll_files, run.run.model, tmp_path / "linear", **options, **{"model.head": "linear"}))
    assert not (linear.run.model / CRF).exists()
    assert load(linear.run.root).info.crf is None


def test_calibration_changes_scores_and_no_label(run: RunResult, tmp_path: Path):
    copied = shutil.copytree(run.run.root, tmp_path / "run")
    before = [tagged.labels for tagged in load(copied).tag([Sentence(SENTENCE)])]
    path = copied / "model" / "tf_tokclf.json"
    calibrate(copied)
    info = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**info, "temperature": 2.0}), encoding="utf-8")
    (tagged,) = load(copied).tag([Sentence(SENTENCE)])
    (untempered,) = load(run.run.root).tag([Sentence(SENTENCE)])
    assert [tagged.labels] == before
    assert max(tagged.scores) < max(untempered.scores)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"training.span_weight": 2.0}, r"training\.span_weight must be 1 with model\.head: crf"),
        ({"training.label_smoothing": 0.1}, r"training\.label_smoothing must be 0"),
        ({"alignment.strategy": "all"}, r"alignment\.strategy must be first"),
    ],
)
def test_what_a_crf_has_no_meaning_for_is_refused(
    options: dict[str, object], problem: str, conll_files: dict[str, str], encoder: Path, tmp_path: Path
):
    with pytest.raises(UserError, match=problem):
        config_for(conll_files, encoder, tmp_path / "run", **options)


def test_a_fixed_recipe_leaves_out_what_a_crf_cannot_use():
    for recipe, span_weight in (("best", 2.0), ("none", 1.0)):
        for config in (
            load_config(options={"recipe": recipe, "model.head": "crf"}),
            Config(recipe=recipe, model=ModelConfig(head="crf")),
        ):
            assert (config.training.span_weight, config.evaluation.decoding) == (1.0, "viterbi")
        assert load_config(options={"recipe": recipe}).training.span_weight == span_weight
    argmax = load_config(options={"recipe": "none", "model.head": "crf", "evaluation.decoding": "argmax"})
    assert argmax.evaluation.decoding == "argmax"


def test_transitions_that_the_scheme_forbids_stay_forbidden(run: RunResult):
    labels = load(run.run.root).labels
    assert labels.scheme is Scheme.IOB2
    expected = Chain.of_rules(labels.names, labels.scheme)
    for one, other in zip(read_crf(run.run.model, labels).parts, expected.parts):
        assert (np.isinf(one) == np.isinf(other)).all()


def test_labels_are_matched_by_name():
    from tf_tokclf.model.crf import Crf

    old = ("O", "B-X", "I-X", "B-Y")
    chain = Chain(np.arange(4.0), np.arange(16.0).reshape(4, 4), -np.arange(4.0))
    labels = LabelSet(("I-X", "O", "B-Z", "I-Z"), Scheme.NONE)
    crf = Crf(labels, model_name="model")
    assert crf.take_over(old, chain, labels) == 2
    found = crf.chain()
    assert found.start.tolist() == [2, 0, 0, 0]
    assert found.transitions[:2, :2].tolist() == [[10, 8], [2, 0]]
    assert not found.transitions[2:].any()
