"""Complete runs of a tiny encoder through the public function."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import WORDS
from tests.encoders import make_bert
from tf_tokclf import Config, evaluate, fit, load, load_config
from tf_tokclf.config.loading import save_config
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.model.backend import tf
from tf_tokclf.training.history import read_history
from tf_tokclf.training.plan import plan_run
from tf_tokclf.training.train import RunResult

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def _two_lanes() -> Iterator[None]:
    """Compute the halves of batches in parallel, however many cores there are."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("tf_tokclf.model.forward", "tf_tokclf.training.step"):
            patch.setattr(f"{module}.n_lanes", lambda: 2)
        yield


RUN_FILES = {
    "config.yaml",
    "finished.json",
    "history.jsonl",
    "report.html",
    "results.json",
    "model/README.md",
    "model/config.json",
    "model/model.safetensors",
    "model/special_tokens_map.json",
    "model/tf_tokclf.json",
    "model/tokenizer.json",
    "model/tokenizer_config.json",
    "predictions/test.jsonl",
    "predictions/validation.jsonl",
}


def config_for(files: dict[str, str], encoder: Path, output: Path, **options: object) -> Config:
    settings = {f"data.{name}": path for name, path in files.items()}
    settings |= {
        "recipe": "none",
        "model.name_or_path": str(encoder),
        "output_dir": str(output),
        "optimizer.learning_rate": 3e-3,
        "training.num_train_epochs": 4,
        "training.per_device_train_batch_size": 4,
        "training.precision": "float32",
        **options,
    }
    return load_config(options=settings)


@pytest.fixture(scope="module")
def run(conll_files: dict[str, str], tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return fit(config_for(conll_files, tiny_bert, tmp_path_factory.mktemp("runs") / "run"))


def test_a_run_writes_exactly_these_files(run: RunResult):
    root = run.run.root
    written = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert {name for name in written if not name.startswith("logs/")} == RUN_FILES
    assert any(name.startswith("logs/") for name in written)


def test_it_learns(run: RunResult):
    assert run.evaluations["test"].scores.overall.f1 > 0.9
    assert run.history[-1].train_loss < run.history[0].train_loss


def test_history_has_a_line_per_epoch(run: RunResult):
    assert read_history(run.run.history) == list(run.history)
    assert [record.epoch for record in run.history] == [1, 2, 3, 4]


def test_the_saved_model_scores_what_the_run_said(run: RunResult):
    assert evaluate(run.run.root, split="test").scores.to_json() == run.evaluations["test"].scores.to_json()


def test_the_written_predictions_score_the_same(run: RunResult):
    from tf_tokclf.labels.schemes import Scheme
    from tf_tokclf.scoring.scores import score_sentences

    lines = map(json.loads, run.run.predictions_for("test").read_text(encoding="utf-8").splitlines())
    scores = score_sentences(((line["gold"], line["predicted"]) for line in lines), Scheme.IOB2)
    assert scores.overall == run.evaluations["test"].scores.overall


def test_the_saved_configuration_reads_back_to_the_same(run: RunResult, tmp_path: Path):
    assert load_config(run.run.config).data == load_config(run.run.config, assignments=["output_dir=elsewhere"]).data
    assert load_config(run.run.config).output_dir == str(run.run.root)


def test_pipeline_gives_names_and_the_same_labels(run: RunResult):
    from tf_tokclf.model.backend import transformers

    # torch_dtype: the default of 4.54 names torch, which is not installed.
    pipe = transformers.pipeline("token-classification", model=str(run.run.model), framework="tf", torch_dtype=None)
    answers = pipe("ada lovelace visited london .")
    tagged = next(iter(load(run.run.root).tag([Sentence(("ada", "lovelace", "visited", "london", "."))])))
    first_pieces = {answer["start"]: answer["entity"] for answer in answers}
    starts = [0, 4, 13, 21, 28]
    assert [first_pieces.get(start, "O") for start in starts] == list(tagged.labels)


def test_a_second_run_in_the_same_folder_is_refused(run: RunResult, conll_files: dict[str, str], tiny_bert: Path):
    with pytest.raises(UserError, match=r"already is a run in .* --force"):
        fit(config_for(conll_files, tiny_bert, run.run.root))
    assert run.run.results.is_file()


@pytest.mark.parametrize("name", ["model", "logs"])
def test_force_removes_no_folder_that_a_run_did_not_make(
    name: str, conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    theirs = tmp_path / name / "theirs.txt"
    theirs.parent.mkdir()
    theirs.write_text("years of work")
    config = config_for(conll_files, tiny_bert, tmp_path, overwrite=True)
    with pytest.raises(UserError, match=f"{name}: is in the way, and was not written by a run"):
        fit(config)
    # A configuration as fit writes it does not make other files in the folder part of a run.
    save_config(config, tmp_path / "config.yaml")
    with pytest.raises(UserError, match=f"{name}: is in the way"):
        fit(config)
    assert theirs.read_text() == "years of work"


def test_force_removes_no_configuration_that_somebody_wrote(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    config = config_for(conll_files, tiny_bert, tmp_path, overwrite=True)
    save_config(config, tmp_path / "config.yaml")
    text = (tmp_path / "config.yaml").read_text(encoding="utf-8") + "# The rate is Ada's.\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.yaml: is in the way"):
        fit(config)
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == text


def test_the_same_seed_gives_the_same_model(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    losses = []
    for seed, turn in ((1, 0), (1, 1), (2, 0)):
        options = {"training.seed": seed, "training.num_train_epochs": 1}
        config = config_for(conll_files, tiny_bert, tmp_path / f"{seed}-{turn}", **options)
        losses.append(fit(config).history[0].train_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-5)


def test_training_in_float16_scales_the_loss_and_keeps_the_head_in_float32(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    result = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **{"training.precision": "mixed_float16"}))
    assert result.evaluations["test"].scores.overall.f1 > 0.9


def test_a_set_smaller_than_a_batch_trains(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    options = {"training.per_device_train_batch_size": 64, "data.max_train_samples": 3, "training.num_train_epochs": 1}
    record = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options)).history[0]
    assert record.train_loss == record.train_loss
    assert record.learning_rate > 0


def test_the_schedule_ends_with_the_last_batch_of_a_budget_in_pieces(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    options = {"training.max_pieces_per_batch": 40, "training.gradient_accumulation_steps": 2}
    options |= {"training.num_train_epochs": 2, "optimizer.learning_rate": 3e-3}
    config = config_for(conll_files, tiny_bert, tmp_path / "run", **options)
    history = fit(config).history
    n_steps = plan_run(config).schedule.n_steps
    assert history[0].learning_rate == pytest.approx(3e-3 * (n_steps / 2 + 1) / n_steps)
    assert history[-1].learning_rate == pytest.approx(3e-3 / n_steps)
    assert history[-1].train_loss < history[0].train_loss


@pytest.fixture(scope="module")
def bert_without_dropout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dropout masks depend on the shapes in which a batch is computed."""
    folder = tmp_path_factory.mktemp("encoders") / "without_dropout"
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return make_bert(folder, WORDS, num_hidden_layers=1, **still)


@pytest.mark.parametrize("group", [1, 2])
def test_a_compiled_step_trains_what_a_plain_one_does(
    group: int, conll_files: dict[str, str], bert_without_dropout: Path, tmp_path: Path
):
    options = {"training.gradient_accumulation_steps": group, "training.num_train_epochs": 2}
    plain, compiled = (
        fit(config_for(conll_files, bert_without_dropout, tmp_path / name, **options, **{"training.jit_compile": jit}))
        for name, jit in (("plain", False), ("compiled", True))
    )
    for one, other in zip(plain.history, compiled.history):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
        assert other.dev_loss == pytest.approx(one.dev_loss, rel=1e-3)
    weights = [load_file(result.run.model / "model.safetensors") for result in (plain, compiled)]
    for name, values in weights[0].items():
        np.testing.assert_allclose(weights[1][name], values, rtol=0, atol=2e-3, err_msg=name)


def test_words_of_spans_weigh_what_the_settings_say(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    plan = plan_run(config_for(conll_files, tiny_bert, tmp_path / "run", **{"training.span_weight": 2.0}))
    labels = tf.constant([[plan.info.labels.id_by_label[label] for label in ("B-PER", "I-PER", "O", "B-LOC", "O")]])
    assert float(plan.loss.weight(labels)) == 2 + 2 + 1 + 2 + 1


def test_accumulated_batches_train_as_one_large_batch_does(
    conll_files: dict[str, str], bert_without_dropout: Path, tmp_path: Path
):
    runs = {}
    for size, group in ((32, 1), (8, 4)):
        options = {
            "training.per_device_train_batch_size": size,
            "training.gradient_accumulation_steps": group,
            "training.num_train_epochs": 3,
            # The weight of a batch is the total weight of its words, not their number.
            "training.span_weight": 3.0,
        }
        runs[size] = fit(config_for(conll_files, bert_without_dropout, tmp_path / str(size), **options))
    assert runs[8].history[-1].train_loss == pytest.approx(runs[32].history[-1].train_loss, rel=1e-3)


def test_labels_only_in_dev_count_as_misses(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    dev = tmp_path / "dev.conll"
    dev.write_text("ada\tB-PER\nsaw\tO\nrome\tB-CITY\n", encoding="utf-8")
    files = {**conll_files, "validation_file": str(dev)}
    result = fit(config_for(files, tiny_bert, tmp_path / "run", **{"training.num_train_epochs": 1}))
    scores = result.evaluations["validation"].scores
    assert scores.by_type["CITY"].gold == 1
    assert scores.by_type["CITY"].correct == 0
    notes = json.loads(result.run.results.read_text())["notes"]
    assert any("B-CITY" in note for note in notes)
    # A logit for this label could only reduce the probability of the others.
    config = json.loads((result.run.model / "config.json").read_text())
    assert "B-CITY" not in config["label2id"]
    assert set(config["label2id"]) == {"O", "B-PER", "I-PER", "B-LOC"}


def test_early_stopping_ends_after_patience_epochs(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    options = {"training.patience": 1, "training.num_train_epochs": 12}
    history = fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options)).history
    best = max(record.dev_f1 for record in history)
    assert len(history) < 12
    assert history[-1].dev_f1 <= best == history[-2].dev_f1


def test_a_loss_that_is_not_finite_names_the_step_and_its_sentences(
    conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path
):
    options = {"optimizer.learning_rate": 1e30, "optimizer.clip_norm": None}
    with pytest.raises(JobError, match=r"step \d+ of epoch \d+, on the sentences at .*train.conll, line \d+"):
        fit(config_for(conll_files, tiny_bert, tmp_path / "run", **options))


def test_a_fine_tuned_model_goes_on_by_label_name(run: RunResult, conll_files: dict[str, str], tmp_path: Path):
    options = {"training.num_train_epochs": 1, "optimizer.learning_rate": 1e-9}
    renamed = tmp_path / "train.conll"
    text = Path(conll_files["train_file"]).read_text(encoding="utf-8")
    # An additional label that sorts first shifts the ids of all others.
    renamed.write_text(text + "\n\nold\tB-AGE\n", encoding="utf-8")
    again = fit(config_for({**conll_files, "train_file": str(renamed)}, run.run.model, tmp_path / "run", **options))
    assert again.evaluations["test"].scores.overall.f1 == run.evaluations["test"].scores.overall.f1


def test_dev_is_cut_off_where_there_is_none(conll_files: dict[str, str], tiny_bert: Path, tmp_path: Path):
    files = {"train_file": conll_files["train_file"]}
    result = fit(config_for(files, tiny_bert, tmp_path / "run", **{"training.num_train_epochs": 1}))
    assert set(result.evaluations) == {"validation"}
    results = json.loads(result.run.results.read_text())
    assert results["drawn"] == {"validation": "drawn from train.conll: 10 %, by sentence, seed 42"}
    assert any(results["drawn"]["validation"] in note for note in results["notes"])
