"""Runs with extra sentences: what their weight does, in every way in which a step is computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PEOPLE, PLACES, VERBS, WORDS
from tests.encoders import make_bert
from tests.training.stopping import StopAfter
from tests.training.test_optimizer import SMALL
from tf_tokclf import Config, fit, load_config
from tf_tokclf.config.schema import OptimizerConfig
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.model.backend import keras, tf, transformers
from tf_tokclf.training.distribution import rows_of_part
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.optimizer import create_slots, make_optimizer
from tf_tokclf.training.plan import plan_rows, plan_run
from tf_tokclf.training.schedule import Schedule
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.training.train import RunResult

pytestmark = pytest.mark.long

Labelled = tuple[tuple[str, ...], tuple[str, ...]]


@pytest.fixture
def eager() -> Iterator[None]:
    """Trace nothing in tests of whole runs."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def sentences(words: Sequence[str], *, types: tuple[str, str] = ("B-PER", "B-LOC"), verb: int = 0) -> list[Labelled]:
    """Two names and a verb between them. The place of a name says nothing about its type. verb: the first one."""
    return [
        ((first, VERBS[(verb + i + j) % 4], second), (types[first in PLACES], "O", types[second in PLACES]))
        for i, first in enumerate(words)
        for j, second in enumerate(words)
    ]


def written(path: Path, rows: Sequence[Labelled]) -> str:
    text = "\n".join("".join(f"{word}\t{label}\n" for word, label in zip(*row)) for row in rows)
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("encoder") / "bert", WORDS, num_hidden_layers=1)


@pytest.fixture
def config(tmp_path: Path, encoder: Path) -> Callable[..., Config]:
    """A configuration of a run in a new folder. files: the sentences of each split."""
    validation = sentences((*PEOPLE, *PLACES), verb=1)[::3]

    def made(name: str, files: dict[str, list[Labelled]], **options: object) -> Config:
        (folder := tmp_path / f"{name}-data").mkdir()
        paths = {
            f"data.{split}_file": written(folder / f"{split}.conll", rows)
            for split, rows in {"validation": validation, **files}.items()
        }
        settings = {
            "recipe": "none",
            "model.name_or_path": str(encoder),
            "output_dir": str(tmp_path / name),
            "optimizer.learning_rate": 1e-2,
            "training.num_train_epochs": 2,
            "training.per_device_train_batch_size": 8,
            "training.precision": "float32",
            **paths,
            **{key.replace("__", "."): value for key, value in options.items()},
        }
        return load_config(options=settings)

    return made


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "options",
    [{"model__head": "crf"}, {"training__max_pieces_per_batch": 40, "training__gradient_accumulation_steps": 2}],
    ids=str,
)
def test_extra_sentences_of_weight_1_are_training_sentences(config: Callable[..., Config], options: dict[str, object]):
    """Bit for bit what a run without the option trains."""
    rows = sentences((*PEOPLE, *PLACES))
    plain = fit(config("plain", {"train": rows}, **options))
    extra = fit(config("extra", {"train": rows[:20], "extra": rows[20:]}, **options))
    for one, other in zip(plain.history, extra.history, strict=True):
        assert (one.train_loss, one.dev_loss) == (other.train_loss, other.dev_loss)
    weights = [(run.run.model / "model.safetensors").read_bytes() for run in (plain, extra)]
    assert weights[0] == weights[1]


@pytest.mark.usefixtures("eager")
def test_right_labels_help_and_with_a_weight_near_0_labels_do_not_matter(config: Callable[..., Config]):
    gold, names = sentences((PEOPLE[0], PLACES[0])) * 4, (*PEOPLE, *PLACES)

    def trained(name: str, extra: list[Labelled], weight: float) -> RunResult:
        files = {"train": gold, "extra": extra}
        return fit(config(name, files, training__extra_weight=weight, training__num_train_epochs=6))

    assert trained("right", sentences(names), 1.0).evaluations["validation"].scores.overall.f1 > 0.95
    unheard = [
        trained(name, sentences(names, types=types), 1e-12).history
        for name, types in {"unheard": ("B-PER", "B-LOC"), "unheard-wrong": ("B-LOC", "B-PER")}.items()
    ]
    assert unheard[0][-1].dev_f1 < 0.85
    for one, other in zip(*unheard):
        assert one.dev_loss == pytest.approx(other.dev_loss, rel=1e-2)


@pytest.mark.usefixtures("eager")
def test_a_stopped_run_goes_on_bit_by_bit_and_only_with_the_same_extra_sentences(config: Callable[..., Config]):
    rows = sentences((*PEOPLE, *PLACES))
    files = {"train": rows[:20], "extra": rows[20:]}
    undisturbed = fit(config("undisturbed", files, training__extra_weight=0.3))
    settings = config("stopped", files, training__extra_weight=0.3)
    with pytest.raises(Stopped):
        fit(settings, callbacks=[StopAfter(5)])
    extra = Path(str(settings.data.extra_file))
    content = extra.read_text(encoding="utf-8")
    extra.write_text(content.replace("rome\tB-LOC", "rome\tB-PER"), encoding="utf-8")
    with pytest.raises(UserError, match="changed: the extra data"):
        fit(settings, resume=True)
    extra.write_text(content, encoding="utf-8")
    other = settings.training.model_copy(update={"extra_weight": 0.4})
    with pytest.raises(UserError, match=r"training\.extra_weight \(was 0\.3, is 0\.4\)"):
        fit(settings.model_copy(update={"training": other}), resume=True)
    resumed = fit(settings, resume=True)
    assert [one.train_loss for one in resumed.history] == [one.train_loss for one in undisturbed.history]
    for name in ("model.safetensors", "tf_tokclf.json"):
        assert (resumed.run.model / name).read_bytes() == (undisturbed.run.model / name).read_bytes()
    # What was trained on is in the results, on the card and in the report.
    facts = json.loads(resumed.run.results.read_text(encoding="utf-8"))["data"]["extra"]
    assert (facts["n_sentences"], facts["n_words"], facts["weight"]) == (44, 132, 0.3)
    card = (resumed.run.model / "README.md").read_text(encoding="utf-8")
    assert "extra: 44 sentences, 132 words, weight 0.3 in the loss" in card.replace("\n", " ")
    assert "extra (weight 0.3)" in resumed.run.report.read_text(encoding="utf-8")


def test_the_plan_counts_all_sentences(config: Callable[..., Config], caplog: pytest.LogCaptureFixture):
    rows = sentences((*PEOPLE, *PLACES))
    extra = [*rows[20:], (("ada", VERBS[1], "ada"), ("O", "O", "O"))]
    auto = {"recipe": "auto", "training__extra_weight": 0.3}
    plan = plan_run(config("run", {"train": rows[:20], "extra": extra}, **auto))
    assert dict(plan_rows(plan))["data"] == "train: 20 sentences, 60 words"
    wanted = "extra: 44 sentences, 132 words, weight 0.3 in the loss; 1 sentence of validation or test left out"
    assert wanted in [text for _, text in plan_rows(plan)]
    # The recipe chooses the epochs as for a training file with all sentences.
    whole = plan_run(config("whole", {"train": rows}, recipe="auto"))
    assert plan.timetable == whole.timetable
    np.testing.assert_array_equal(plan.batches.weights, np.repeat(np.float32([1, 0.3]), [20, 44]))
    assert whole.batches.weights is None
    plan_run(config("ignored", {"train": rows}, training__extra_weight=0.3))
    assert "--extra-weight has no effect without --extra-file." in caplog.text


def small_model() -> keras.Model:
    keras.utils.set_random_seed(5)
    config = transformers.BertConfig(**{**SMALL, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    model = transformers.TFBertForTokenClassification(config)
    model.build_in_name_scope()
    return model


N_ROWS = 5
IDS = np.random.default_rng(2).integers(1, 9, (N_ROWS, 6))
MASK = (np.arange(6) < np.arange(2, N_ROWS + 2)[:, None]).astype(np.int64)
BATCH = {"input_ids": IDS, "attention_mask": MASK, "labels": np.where(MASK == 1, IDS % 2, -100)}
ROW_WEIGHTS = np.array([1, 0.3, 0.3, 1, 0.3], np.float32)


def expected_loss() -> float:
    """From the logits of transformers' own class, row by row."""
    logits = small_model()({"input_ids": IDS, "attention_mask": MASK}).logits.numpy().astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    total = 0.0
    for row, place in product(range(N_ROWS), range(6)):
        if MASK[row, place]:
            total -= float(ROW_WEIGHTS[row]) * logs[row, place, BATCH["labels"][row, place]]
    return total / MASK.sum()


@pytest.mark.parametrize(("n_lanes", "n_batches", "jit_compile"), [(1, 1, False), (2, 2, True)])
def test_the_loss_of_a_step_is_weighted_by_row(
    n_lanes: int, n_batches: int, jit_compile: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tf_tokclf.training.step.n_lanes", lambda: n_lanes)
    model = small_model()
    optimizer = make_optimizer(OptimizerConfig(learning_rate=1e-2), Schedule(2, 0), loss_scaling=False)
    create_slots(optimizer, model.trainable_variables)
    dropout = SeededDropout(model, seed=1)
    step = TrainingStep(model, optimizer, clip_norm=1.0, dropout=dropout, jit_compile=jit_compile, more=("weights",))
    whole = {name: tf.constant(array, tf.int64) for name, array in BATCH.items()} | {
        "weights": tf.constant(ROW_WEIGHTS)
    }
    batches = [{name: values[i::n_batches] for name, values in whole.items()} for i in range(n_batches)]
    assert float(step(batches)) == pytest.approx(expected_loss(), rel=1e-5)


def test_the_rows_of_each_part_have_their_own_weights():
    batch = {name: tf.constant(array) for name, array in BATCH.items()} | {"weights": tf.constant(ROW_WEIGHTS)}
    parts = [rows_of_part(batch, part, 2) for part in range(2)]
    found = np.concatenate([part["weights"] for part in parts])
    np.testing.assert_array_equal(found[:N_ROWS], ROW_WEIGHTS)
    assert (np.concatenate([part["labels"] for part in parts])[N_ROWS:] == -100).all()


def soft_record(words: Sequence[str], top: Sequence[Sequence[tuple[str, float]]]) -> str:
    """The line that `predict --top-k` writes."""
    tops = [[{"label": label, "score": score} for label, score in one] for one in top]
    labels = [one[0][0] for one in top]
    return json.dumps({"words": words, "labels": labels, "scores": [one[0][1] for one in top], "top": tops})


SOFT = [
    (
        ("oslo", "and", "rome"),
        [[("B-LOC", 0.5), ("O", 0.25), ("B-PER", 0.05)], [("O", 1.0)], [("O", 0.6), ("B-LOC", 0.2)]],
    ),
    (("paris", "and", "edsger"), [[("B-PER", 0.9)], [("O", 0.4), ("B-LOC", 0.4)], [("B-LOC", 0.7), ("O", 0.1)]]),
]


@pytest.fixture
def soft_config(config: Callable[..., Config], tmp_path: Path) -> Callable[..., Config]:
    """A configuration with the sentences `SOFT` in the extra file."""
    path = tmp_path / "soft.jsonl"
    path.write_text("".join(f"{soft_record(*row)}\n" for row in SOFT), encoding="utf-8")

    def made(name: str, **options: object) -> Config:
        rows = sentences((*PEOPLE, *PLACES))
        return config(name, {"train": rows}, data__extra_file=str(path), **options)

    return made


@pytest.mark.parametrize("one_shape", [False, True])
def test_soft_labels_reach_the_first_subword_token_of_their_word(soft_config: Callable[..., Config], one_shape: bool):
    options = {"training__per_device_train_batch_size": 66 + one_shape, "training__jit_compile": one_shape}
    plan = plan_run(soft_config("run", training__extra_weight=0.3, **options))
    assert "extra: 2 sentences, 6 words, soft labels, weight 0.3 in the loss" in [text for _, text in plan_rows(plan)]
    tokenizer, ids = plan.tokenizer, plan.info.labels.id_by_label
    seen = 0
    for batch in plan.batches.dataset(plan.batches.plan(0)):
        targets, labels = batch["targets"].numpy(), batch["labels"].numpy()
        assert targets.shape == (*labels.shape, len(ids))
        for row, tokens in enumerate(batch["input_ids"].numpy()):
            words = tuple(tokenizer.convert_ids_to_tokens(tokens[labels[row] >= 0]))
            expected = np.eye(len(ids))[labels[row][labels[row] >= 0]]
            for soft_words, tops in SOFT:
                if words == soft_words:
                    expected = np.zeros(expected.shape)
                    for place, top in enumerate(tops):
                        for label, score in top:
                            expected[place, ids[label]] = score / sum(p for _, p in top)
                    seen += 1
            np.testing.assert_allclose(targets[row][labels[row] >= 0], expected, rtol=1e-6)
            assert not targets[row][labels[row] < 0].any()
    assert seen == len(SOFT)


@pytest.mark.usefixtures("eager")
def test_certain_soft_labels_train_as_hard_ones(config: Callable[..., Config], tmp_path: Path):
    """With a probability of 1, and with a student whose tokenizer divides the words into several subword tokens."""
    rows = sentences((*PEOPLE, *PLACES))
    path = tmp_path / "soft.jsonl"
    lines = (soft_record(words, [[(label, 1.0)] for label in labels]) for words, labels in rows[20:])
    path.write_text("\n".join(lines), encoding="utf-8")
    other = make_bert(tmp_path / "pieces", [*"abcdefghilmnoprstuv", *(f"##{c}" for c in "abcdefghiklmnoprstuwxy")])
    options = {"data__extra_file": str(path), "model__name_or_path": str(other), "training__num_train_epochs": 1}
    losses = []
    for kind in ("hard", "soft"):
        run = fit(config(kind, {"train": rows[:20]}, data__extra_labels=kind, **options))
        losses.append((run.history[0].train_loss, run.history[0].dev_loss))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_crf_learns_only_the_labels(soft_config: Callable[..., Config]):
    crf = plan_run(soft_config("crf", model__head="crf"))
    assert crf.batches.soft is None
    with pytest.raises(UserError, match=r"data\.extra_labels cannot be soft with model\.head: crf"):
        soft_config("soft-crf", model__head="crf", data__extra_labels="soft")
    assert plan_run(soft_config("hard", data__extra_labels="hard")).batches.soft is None


@pytest.mark.usefixtures("eager")
def test_a_run_goes_on_only_with_the_same_soft_labels(soft_config: Callable[..., Config]):
    settings = soft_config("run")
    with pytest.raises(Stopped):
        fit(settings, callbacks=[StopAfter(2)])
    path = Path(str(settings.data.extra_file))
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace("0.25", "0.3"), encoding="utf-8")
    with pytest.raises(UserError, match="changed: the soft labels"):
        fit(settings, resume=True)
