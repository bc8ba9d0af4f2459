"""fit: from a configuration to a trained, scored model folder."""

from __future__ import annotations

import logging
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import Any

from tf_tokclf.config.loading import save_config
from tf_tokclf.config.schema import Config
from tf_tokclf.data.splits import Split
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.inference.evaluating import evaluate_sentences
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.loading import n_parameters, new_classifier
from tf_tokclf.model.saving import check_saved, save_model_folder
from tf_tokclf.report.html import write_report
from tf_tokclf.report.terminal import duration, stderr_console
from tf_tokclf.run_dir import RunDir, write_json
from tf_tokclf.scoring.error_analysis import training_of
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.training.batches import BatchPlan
from tf_tokclf.training.history import EpochRecord, best_epoch, epochs_since_best, write_history
from tf_tokclf.training.optimizer import learning_rate_at, make_optimizer
from tf_tokclf.training.plan import RunPlan, plan_run
from tf_tokclf.training.progress import ProgressBar, StepLog
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.version import __version__

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its epochs, and its scores by split."""

    run: RunDir
    history: tuple[EpochRecord, ...]
    evaluations: dict[str, Evaluation]


def fit(config: Config, *, callbacks: Sequence[keras.callbacks.Callback] = ()) -> RunResult:
    """Train, choose the best epoch by dev F1, save it, and score dev and test with what was saved.

    callbacks: more Keras callbacks to call along the way. Raises UserError for what the user has to change, and
    JobError when the job itself fails.
    """
    return train(plan_run(config), callbacks=callbacks)


def train(plan: RunPlan, *, callbacks: Sequence[keras.callbacks.Callback] = ()) -> RunResult:
    """Carry out a plan."""
    claim_folder(plan.run, overwrite=plan.config.overwrite)
    save_config(plan.config, plan.run.config)
    began = time.perf_counter()
    trainer = Trainer(plan, callbacks)
    try:
        history = trainer.run()
    except tf.errors.ResourceExhaustedError as error:
        raise _out_of_memory(plan) from error
    check_saved(plan.run.model)
    seconds = time.perf_counter() - began
    evaluations = score_run(plan)
    write_results(plan, history, evaluations, seconds)
    assert plan.splits.train is not None  # it was trained on
    write_report(plan.run, training=training_of(plan.splits.train, plan.splits.scheme))
    return RunResult(plan.run, tuple(history), evaluations)


def claim_folder(run: RunDir, *, overwrite: bool) -> None:
    """Make the run's folder. A run that is there already goes only when `overwrite` is on, and nothing else does."""
    there = [path for path in run.files if path.exists()]
    if there and not overwrite:
        raise UserError(
            f"there already is a run in {run.root} ({there[0].name}).",
            hint="Choose another --output-dir, or replace that run with --force.",
        )
    for path in there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        run.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder cannot be made: {error.strerror}.", path=run.root) from error


class Trainer:
    """The model, its optimizer and the loop over epochs."""

    def __init__(self, plan: RunPlan, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        config = plan.config
        self.plan = plan
        keras.utils.set_random_seed(config.training.seed)
        if config.training.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.model = new_classifier(
            plan.encoder_folder,
            plan.info.labels.names,
            precision=plan.precision,
            trust_remote_code=config.model.trust_remote_code,
        )
        self.optimizer = make_optimizer(
            config.optimizer, plan.schedule, loss_scaling=plan.precision.policy == "mixed_float16"
        )
        self.model.compile(optimizer=self.optimizer)
        self.step = TrainingStep(self.model, self.optimizer, clip_norm=config.optimizer.clip_norm)
        self.tagger = Tagger(
            self.model,
            plan.tokenizer,
            plan.info,
            batch_size=config.evaluation.per_device_eval_batch_size,
            decoding=config.evaluation.decoding,
        )
        self.callbacks = keras.callbacks.CallbackList([*self._own_callbacks(), *callbacks], model=self.model)
        log.info("%s parameters, %s", f"{n_parameters(self.model):,}", plan.precision)

    def run(self) -> list[EpochRecord]:
        """All epochs, the best of them saved."""
        history: list[EpochRecord] = []
        self.callbacks.on_train_begin()
        try:
            for epoch in range(self.plan.config.training.num_train_epochs):
                history.append(self._epoch(epoch))
                write_history(self.plan.run.history, history)
                if best_epoch(history) is history[-1]:
                    save_model_folder(self.model, self.plan.tokenizer, self.plan.info, self.plan.run.model)
                self.callbacks.on_epoch_end(epoch, history[-1].logs())
                if self._is_over(history):
                    break
        finally:
            self.callbacks.on_train_end()
        best = best_epoch(history)
        log.info("best: epoch %d, dev F1 %.4f", best.epoch, best.dev_f1)
        return history

    def _own_callbacks(self) -> list[keras.callbacks.Callback]:
        training, n_steps = self.plan.config.training, self.plan.steps_per_epoch
        show: keras.callbacks.Callback
        if stderr_console().is_terminal:
            show = ProgressBar(steps_per_epoch=n_steps, n_epochs=training.num_train_epochs)
        else:
            show = StepLog(
                logging_steps=training.logging_steps, steps_per_epoch=n_steps, n_epochs=training.num_train_epochs
            )
        board = keras.callbacks.TensorBoard(str(self.plan.run.logs), write_graph=False, update_freq="epoch")
        return [show, board]

    def _is_over(self, history: list[EpochRecord]) -> bool:
        patience = self.plan.config.training.patience
        if patience is None or epochs_since_best(history) < patience:
            return False
        log.info("stopped: no better dev F1 for %d epochs", patience)
        return True

    def _epoch(self, epoch: int) -> EpochRecord:
        self.callbacks.on_epoch_begin(epoch)
        began = time.perf_counter()
        loss = self._train_epoch(epoch)
        trained = time.perf_counter()
        validation, train_split = self.plan.splits.validation, self.plan.splits.train
        assert validation is not None and train_split is not None  # the plan has both
        evaluation = evaluate_sentences(self.tagger, validation, mode=self.plan.config.evaluation.mode)
        scores = evaluation.scores
        record = EpochRecord(
            epoch=epoch + 1,
            train_loss=loss,
            dev_loss=evaluation.loss,
            dev_precision=scores.overall.precision,
            dev_recall=scores.overall.recall,
            dev_f1=scores.overall.f1,
            dev_token_accuracy=scores.token_accuracy,
            learning_rate=learning_rate_at(self.optimizer, int(self.optimizer.iterations) - 1),
            train_seconds=trained - began,
            dev_seconds=time.perf_counter() - trained,
            words_per_second=train_split.n_words / (trained - began),
        )
        log.info(
            "epoch %d: train loss %.4f, dev loss %.4f, dev precision %.4f, recall %.4f, F1 %.4f, %s",
            record.epoch,
            record.train_loss,
            record.dev_loss,
            record.dev_precision,
            record.dev_recall,
            record.dev_f1,
            duration(record.train_seconds + record.dev_seconds),
        )
        return record

    def _train_epoch(self, epoch: int) -> float:
        """One pass over the training windows; returns the mean loss of its steps."""
        plan = self.plan.batches.plan(epoch)
        group = self.plan.config.training.gradient_accumulation_steps
        batches = iter(self.plan.batches.dataset(plan))
        total = 0.0
        for number, step_batches in enumerate(_groups(batches, group)):
            self.callbacks.on_train_batch_begin(number)
            loss = float(self.step(step_batches))
            if loss != loss or loss in (float("inf"), float("-inf")):
                raise self._not_finite(epoch, number, plan[number * group : (number + 1) * group], loss)
            total += loss
            self.callbacks.on_train_batch_end(number, {"loss": loss})
        return total / self.plan.steps_per_epoch

    def _not_finite(self, epoch: int, step: int, plan: BatchPlan, loss: float) -> JobError:
        train_split = self.plan.splits.train
        assert train_split is not None
        rows = [int(row) for batch in plan.rows for row in batch]
        sentences = sorted({self.plan.batches.windows[row]["sentence"] for row in rows})
        places = [str(next(iter(train_split.slice(number, 1))).origin) for number in sentences[:5]]
        more = f" and {len(sentences) - 5} more" if len(sentences) > 5 else ""
        return JobError(
            f"the training loss is {loss} at step {step + 1} of epoch {epoch + 1}, on the sentences at "
            f"{'; '.join(places)}{more}. Try a lower --learning-rate or --precision float32."
        )


def score_run(plan: RunPlan) -> dict[str, Evaluation]:
    """Score dev and test with the model as it was saved, in float32, and write the predictions."""
    config = plan.config
    tagger = Tagger.load(
        plan.run.model,
        batch_size=config.evaluation.per_device_eval_batch_size,
        decoding=config.evaluation.decoding,
        trust_remote_code=config.model.trust_remote_code,
    )
    splits: list[Split] = [split for split in (plan.splits.validation, plan.splits.test) if split is not None]
    return {
        split.name: evaluate_sentences(
            tagger, split, mode=config.evaluation.mode, predictions=plan.run.predictions_for(split.name)
        )
        for split in splits
    }


def write_results(
    plan: RunPlan, history: Sequence[EpochRecord], evaluations: dict[str, Evaluation], seconds: float
) -> None:
    """Write results.json: scores per split and how they were made."""
    write_json(plan.run.results, results_json(plan, history, evaluations, seconds))


def results_json(
    plan: RunPlan, history: Sequence[EpochRecord], evaluations: dict[str, Evaluation], seconds: float
) -> dict[str, Any]:
    """Plain values of everything a score depends on."""
    return {
        "splits": {name: evaluation.to_json() for name, evaluation in evaluations.items()},
        "data": {
            split.name: {"n_sentences": len(split), "n_words": split.n_words, "fingerprint": split.fingerprint}
            for split in plan.splits
        },
        "notes": list(plan.splits.notes),
        "repairs": dict(plan.splits.repairs),
        "best_epoch": best_epoch(history).epoch,
        "n_epochs": len(history),
        "seed": plan.config.training.seed,
        "precision": {"training": plan.precision.policy, "scoring": "float32"},
        "seconds": round(seconds, 1),
        "versions": versions(),
        "machine": {"processor": platform.processor() or platform.machine(), "system": platform.system()},
    }


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    names = ("tensorflow", "tf-keras", "transformers", "datasets", "tokenizers", "seqeval", "numpy")
    ours = {"python": platform.python_version(), "tf-tokclf": __version__}
    return ours | {name: version(name) for name in names}


def _groups(batches: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while group := list(islice(batches, size)):
        yield group


def _out_of_memory(plan: RunPlan) -> JobError:
    size = plan.config.training.per_device_train_batch_size
    group = plan.config.training.gradient_accumulation_steps
    length = plan.info.reading.max_length
    return JobError(
        f"out of memory with batches of {size} windows of up to {length} pieces. Try "
        f"--per-device-train-batch-size {max(size // 2, 1)} --gradient-accumulation-steps {group * 2}, which trains the "
        f"same, or --max-length {max(length // 2, 32)}."
    )
