"""fit: from a configuration to a trained, scored model folder."""

from __future__ import annotations

import gc
import json
import logging
import math
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import save_config
from tf_tokclf.counted import counted
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.data.splits import Split
from tf_tokclf.errors import JobError
from tf_tokclf.files import disk_problem, open_whole, write_json
from tf_tokclf.inference.evaluate import evaluate_sentences
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.loading import n_parameters, new_classifier
from tf_tokclf.model.memory import give_back_memory
from tf_tokclf.model.saving import check_saved
from tf_tokclf.report.run_page import write_report
from tf_tokclf.report.terminal import duration, stderr_console
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.error_analysis import training_of
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.training.averaging import WeightAverage
from tf_tokclf.training.batches import BatchPlan
from tf_tokclf.training.checkpoints import Checkpoint, Position
from tf_tokclf.training.distribution import Devices, find_devices
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.history import EpochRecord, best_epoch, epochs_since_best
from tf_tokclf.training.optimizer import (
    create_slots,
    decay_rates_by_layer,
    defer_embedding,
    freeze_embeddings,
    learning_rate_at,
    make_optimizer,
)
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.progress import ProgressBar, StepLog
from tf_tokclf.training.resume import Finished, RunSaver, check_data, explained_errors, resume_folder, stopped
from tf_tokclf.training.run_identity import Identity
from tf_tokclf.training.run_lock import claim_folder, locked
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.training.stopping import StopAsked, StopRequest
from tf_tokclf.training.tracking import tracking_callbacks
from tf_tokclf.version import __version__

log = logging.getLogger(__name__)

# Several hosts ask each other so often whether to stop.
STEPS_BETWEEN_STOPS = 8


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, its epochs, and its scores by split."""

    run: RunDir
    history: tuple[EpochRecord, ...]
    evaluations: dict[str, Evaluation]


def train(
    plan: RunPlan,
    *,
    resume: bool = False,
    resume_from: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> RunResult:
    """Train, choose the best epoch by dev F1, save it, and score dev and test with what was saved.

    resume: go on with the run in the plan's folder from its newest checkpoint. resume_from: from the one there.
    callbacks: more Keras callbacks to call along the way. Raises UserError for what the user has to change, JobError
    when the job itself fails, and Stopped after Ctrl-C or SIGTERM.
    """
    devices = find_devices(plan.config.training)
    if not devices.is_chief:
        return _train_beside_the_chief(plan, devices)
    with locked(plan.run), StopRequest() as stop, explained_errors(plan.run, devices):
        identity = Identity.of(plan.config, plan.splits, plan.encoder_folder, n_replicas=devices.n_replicas)
        begin = start_or_resume(plan, identity, resume=resume, resume_from=resume_from)
        saver = RunSaver(plan, identity, begin)
        try:
            end = _train_as_chief(plan, devices, stop, saver, callbacks)
            # The model that was trained and the functions traced from it hold each other: 0.1 GB for MiniLM-L6.
            gc.collect()
            give_back_memory()
            check_saved(plan.run.model, trust_remote_code=plan.config.model.trust_remote_code)
            if begin is None or isinstance(begin, Checkpoint):
                saver.record(end)
            try:
                evaluations = score_run(plan, stop)
            except StopAsked as asked:
                raise stopped(stop, end, plan.run) from asked
        except tf.errors.ResourceExhaustedError as error:
            # TensorFlow's name for full disks too
            raise error if disk_problem(error) else _out_of_memory(plan) from error
        check_data(plan.run)
        warn_of_no_spans(evaluations)
        write_results(plan, end.history, evaluations, end.run_seconds)
        assert plan.splits.train is not None  # it was trained on
        write_report(plan.run, training=training_of(plan.splits.train, plan.splits.scheme))
        saver.finish(end)
        devices.leave()
        return RunResult(plan.run, end.history, evaluations)


def _train_as_chief(
    plan: RunPlan,
    devices: Devices,
    stop: StopRequest,
    saver: RunSaver,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Position:
    """All epochs, saved. Returns where they end; the model that was trained goes with the call."""
    trainer = Trainer(plan, devices, stop, saver, callbacks=callbacks)
    try:
        trainer.run()
    except StopAsked as asked:
        raise stopped(stop, trainer.position, plan.run) from asked
    return trainer.position


def _train_beside_the_chief(plan: RunPlan, devices: Devices) -> RunResult:
    """The part of another worker than the chief in a run: it computes with the others and writes nothing."""
    logging.getLogger("tf_tokclf").setLevel(logging.WARNING)
    with StopRequest() as stop, explained_errors(plan.run, devices):
        trainer = Trainer(plan, devices, stop, saver=None)
        try:
            history = trainer.run()
        except StopAsked as asked:
            raise stopped(stop, trainer.position, plan.run) from asked
        devices.wait()
        return RunResult(plan.run, history, {})


def start_or_resume(
    plan: RunPlan, identity: Identity, *, resume: bool, resume_from: Path | None
) -> Checkpoint | Finished | None:
    """Claim the run's folder for a new run, or make it ready to go on; returns what to go on from."""
    if not (resume or resume_from):
        claim_folder(plan.run, overwrite=plan.config.overwrite, inputs=run_inputs(plan.config))
        begin = None
    else:
        begin = resume_folder(plan, identity, resume_from)
    if begin is None:
        save_config(plan.config, plan.run.config)
    if plan.splits.cut:
        write_json(plan.run.validation_cut, plan.splits.cut.to_json())
    return begin


class Trainer:
    """The model, its optimizer and the loop over epochs, from the beginning or from a checkpoint on."""

    def __init__(
        self,
        plan: RunPlan,
        devices: Devices,
        stop: StopRequest,
        saver: RunSaver | None,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        config = plan.config
        self.plan = plan
        self.devices = devices
        self.stop = stop
        self.saver = saver
        keras.utils.set_random_seed(config.training.seed)
        if config.training.deterministic:
            tf.config.experimental.enable_op_determinism()
        with devices.scope():
            self.model = new_classifier(
                plan.encoder_folder,
                plan.info.labels.names,
                precision=plan.precision,
                trust_remote_code=config.model.trust_remote_code,
                allow_incomplete_weights=config.model.allow_incomplete_weights,
            )
            self.optimizer = make_optimizer(
                config.optimizer, plan.schedule, loss_scaling=plan.precision.policy == "mixed_float16"
            )
            if config.training.freeze_embeddings:
                freeze_embeddings(self.model)
            decay_rates_by_layer(self.optimizer, self.model, config.optimizer.layer_decay)
            self.model.compile(optimizer=self.optimizer)
            dropout = SeededDropout(self.model, seed=config.training.seed)
            # Before restoring: a value without a variable to go to would wait for one in silence.
            create_slots(self.optimizer, self.model.trainable_variables)
            # Of batches that are added up the later ones are read before their rows could be brought up to date.
            if config.training.gradient_accumulation_steps == 1:
                defer_embedding(self.optimizer, self.model, n_steps=plan.schedule.n_steps)
            self.average = WeightAverage(
                self.model.trainable_variables,
                decay=config.training.ema_decay,
                steps_per_epoch=plan.steps_per_epoch,
                devices=devices,
            )
        self.step = TrainingStep(
            self.model,
            self.optimizer,
            clip_norm=config.optimizer.clip_norm,
            dropout=dropout,
            devices=devices,
            jit_compile=config.training.jit_compile,
            loss=plan.loss,
        )
        position = saver.start(self.model, self.optimizer, dropout, self.average) if saver else Position()
        sent = devices.from_chief(json.dumps(position.to_json()).encode())
        self.position = Position.from_json(json.loads(sent))
        state = [*self.model.variables, *self.optimizer.variables(), dropout.batch_number, *self.average.averages]
        devices.take_from_chief(state)
        self.tagger = Tagger(
            self.model,
            plan.tokenizer,
            plan.info,
            batch_size=config.evaluation.per_device_eval_batch_size,
            decoding=config.evaluation.decoding,
            share=devices if devices.n_workers > 1 else None,
        )
        self._own = self._own_callbacks()
        self.callbacks = keras.callbacks.CallbackList([*self._own, *callbacks], model=self.model)
        log.info("%s, %s", counted(n_parameters(self.model), "parameter"), plan.precision)

    def run(self) -> tuple[EpochRecord, ...]:
        """All epochs, the best of them saved. Raises StopAsked, with everything saved, when somebody asks to stop."""
        self.callbacks.on_train_begin()
        try:
            while not self._is_over():
                self._epoch()
        except BaseException as error:
            # Others than the bar and the event files may take the end of training for a success.
            for callback in self._own:
                callback.on_train_end()
            if isinstance(error, StopAsked) and self.saver:
                self.saver.save(self.position)
            raise
        self.callbacks.on_train_end()
        best = best_epoch(self.position.history)
        log.info("best: epoch %d, dev F1 %.4f", best.epoch, best.dev_f1)
        return self.position.history

    def _check_stop(self) -> None:
        """Raise StopAsked if somebody has asked to stop, on several hosts at the same step on all."""
        if self.devices.n_workers > 1 and self.position.step % STEPS_BETWEEN_STOPS == 0:
            self.stop.asked = self.devices.any(self.stop.asked)
        if self.devices.n_workers == 1 or self.position.step % STEPS_BETWEEN_STOPS == 0:
            self.stop.check()

    def _own_callbacks(self) -> list[keras.callbacks.Callback]:
        if not self.devices.is_chief:
            return []
        training, n_steps = self.plan.config.training, self.plan.steps_per_epoch
        show: keras.callbacks.Callback
        if stderr_console().is_terminal:
            show = ProgressBar(steps_per_epoch=n_steps, n_epochs=training.num_train_epochs)
        else:
            show = StepLog(
                logging_steps=training.logging_steps, steps_per_epoch=n_steps, n_epochs=training.num_train_epochs
            )
        return [show, *tracking_callbacks(self.plan.config, self.plan.run)]

    def _is_over(self) -> bool:
        training, history = self.plan.config.training, self.position.history
        if len(history) >= training.num_train_epochs:
            return True
        if not history or training.patience is None or epochs_since_best(history) < training.patience:
            return False
        log.info("stopped: no better dev F1 for %s", counted(training.patience, "epoch"))
        return True

    def _epoch(self) -> None:
        """The rest of the epoch that the run is in: train, score, save."""
        epoch = self.position.epoch
        self.callbacks.on_epoch_begin(epoch)
        self._train_epoch()
        self.step.settle()
        give_back_memory()
        with self.average.in_place():
            record = self._scored_epoch()
        give_back_memory()
        history = (*self.position.history, record)
        seconds = self.position.run_seconds + record.dev_seconds
        self.position = Position(epoch=epoch + 1, run_seconds=seconds, history=history)
        if self.saver:
            self.saver.end_epoch(self.position)
        # Some of them save the model.
        with self.average.in_place():
            self.callbacks.on_epoch_end(epoch, record.logs())

    def _scored_epoch(self) -> EpochRecord:
        began = time.perf_counter()
        validation, train_split = self.plan.splits.validation, self.plan.splits.train
        assert validation is not None, "the plan has it"
        assert train_split is not None, "the plan has it"
        # Hosts that evaluate together have to go on together.
        sentences = self.stop.checked(validation) if self.devices.n_workers == 1 else validation
        evaluation = evaluate_sentences(self.tagger, sentences, mode=self.plan.config.evaluation.mode)
        scores = evaluation.scores
        train_seconds = self.position.train_seconds
        record = EpochRecord(
            epoch=self.position.epoch + 1,
            train_loss=self.position.loss / self.plan.steps_per_epoch,
            dev_loss=evaluation.loss,
            dev_precision=scores.overall.precision,
            dev_recall=scores.overall.recall,
            dev_f1=scores.overall.f1,
            dev_token_accuracy=scores.token_accuracy,
            learning_rate=learning_rate_at(self.optimizer, int(self.optimizer.iterations.numpy()) - 1),
            train_seconds=train_seconds,
            dev_seconds=time.perf_counter() - began,
            words_per_second=train_split.n_words / train_seconds,
        )
        log.info(
            "epoch %d: train loss %.4f, dev %.4f, P %.4f, R %.4f, F1 %.4f, %s",
            record.epoch,
            record.train_loss,
            record.dev_loss,
            record.dev_precision,
            record.dev_recall,
            record.dev_f1,
            duration(record.train_seconds + record.dev_seconds),
        )
        return record

    def _train_epoch(self) -> None:
        """The rest of a pass over the training windows, a step at a time."""
        epoch, first = self.position.epoch, self.position.step
        group = self.plan.config.training.gradient_accumulation_steps
        plan = self.plan.batches.plan(epoch)[first * group :]
        if not len(plan):
            return
        began = time.perf_counter()
        batches = iter(self.plan.batches.dataset(plan))
        for done, step_batches in enumerate(_groups(batches, group)):
            number = first + done
            self.callbacks.on_train_batch_begin(number)
            loss = float(self.step(step_batches))
            if self.average.is_due(number + 1):
                self.step.settle()
                self.average.add(epoch, number + 1)
            if not math.isfinite(loss):
                raise self._not_finite(epoch, number, plan[done * group : (done + 1) * group], loss)
            now = time.perf_counter()
            self.position = self.position.after_step(loss, now - began)
            began = now
            self.callbacks.on_train_batch_end(number, {"loss": loss})
            if self.saver:
                self.saver.end_step(self.position)
            self._check_stop()

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


def score_run(plan: RunPlan, stop: StopRequest) -> dict[str, Evaluation]:
    """Score dev and test with the model as it was saved, in float32, and write the predictions."""
    config = plan.config
    tagger = Tagger.load(
        plan.run.model,
        batch_size=config.evaluation.per_device_eval_batch_size,
        decoding=config.evaluation.decoding,
        trust_remote_code=config.model.trust_remote_code,
    )
    splits: list[Split] = [split for split in (plan.splits.validation, plan.splits.test) if split is not None]
    evaluations = {}
    for split in splits:
        with open_whole(plan.run.predictions_for(split.name)) as file:
            evaluations[split.name] = evaluate_sentences(
                tagger,
                stop.checked(split),
                mode=config.evaluation.mode,
                predictions=file,
                n_repaired=plan.splits.repairs.get(split.name, 0),
            )
    return evaluations


def warn_of_no_spans(evaluations: dict[str, Evaluation]) -> None:
    """Say it where the model that was saved finds no span in validation sentences that have some."""
    validation = evaluations.get("validation")
    if validation is None or validation.scores.overall.predicted or not validation.scores.overall.gold:
        return
    log.warning(
        "the model labels every word of the validation sentences as O: it has learned no spans. Try more "
        "--num-train-epochs, --recipe best or a higher --learning-rate, and check with tf-tokclf inspect that the "
        "column of labels is the right one."
    )


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
    training = plan.config.training
    length = plan.info.reading.max_length
    if training.max_pieces_per_batch is not None:
        half = f"--max-pieces-per-batch {max(training.max_pieces_per_batch // 2, length)}"
    else:
        half = f"--per-device-train-batch-size {max(training.per_device_train_batch_size // 2, 1)}"
    half += f" --gradient-accumulation-steps {training.gradient_accumulation_steps * 2}"
    return JobError(
        f"out of memory with batches of {training.batch_text} and windows of up to {counted(length, 'piece')}. "
        f"Try {half}, which trains the same, or --max-length {max(length // 2, 32)}."
    )
