"""Creates a trainer: the model, its optimizer, its callbacks and its initial state."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from tf_tokclf.config.schema import TrainingConfig
from tf_tokclf.counted import counted
from tf_tokclf.encoding.crf_file import crf_to_start_from
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.crf import add_crf, crf_of
from tf_tokclf.model.forward import TensorFlowPass
from tf_tokclf.model.loading import n_parameters, new_classifier
from tf_tokclf.model.parallel import has_gpu
from tf_tokclf.report.notebook_display import in_notebook
from tf_tokclf.report.terminal import stderr_console
from tf_tokclf.training.averaging import WeightAverage
from tf_tokclf.training.chain_loss import ChainLoss
from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.distribution import Devices
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.notebook_progress import NotebookProgress
from tf_tokclf.training.optimizer import (
    create_slots,
    decay_at_intervals,
    decay_rates_by_layer,
    defer_embedding,
    freeze_embeddings,
    make_optimizer,
)
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.progress import ProgressBar, StepLog
from tf_tokclf.training.resume import RunSaver
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.training.stopping import StopRequest
from tf_tokclf.training.tracking import tracking_callbacks
from tf_tokclf.training.trainer import Learner, Trainer

log = logging.getLogger(__name__)


def make_trainer(
    plan: RunPlan,
    devices: Devices,
    stop: StopRequest,
    saver: RunSaver | None,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Trainer:
    """A trainer at the current position of the run. saver: None on a host that writes nothing.

    The order matters: seeds are set before weights are initialised, all variables exist before a checkpoint is
    restored, and it is restored before other hosts receive the state.
    """
    _set_seeds(plan.config.training)
    defers_embedding = _defers_embedding(plan, devices, saver)
    with devices.scope():
        learner = _make_learner(plan, devices, defers_embedding=defers_embedding)
    step = _make_step(plan, learner, devices)
    position = _begin(learner, devices, saver)
    tagger = _make_tagger(plan, learner.model, devices)
    own = _own_callbacks(plan, position) if devices.is_chief else []
    log.info("%s", counted(n_parameters(learner.model), "parameter"))
    return Trainer(
        plan,
        learner,
        step,
        tagger,
        position,
        devices=devices,
        stop=stop,
        saver=saver,
        own=own,
        callbacks=keras.callbacks.CallbackList([*own, *callbacks], model=learner.model),
    )


def _set_seeds(training: TrainingConfig) -> None:
    keras.utils.set_random_seed(training.seed)
    if training.deterministic:
        tf.config.experimental.enable_op_determinism()


def _defers_embedding(plan: RunPlan, devices: Devices, saver: RunSaver | None) -> bool:
    """Whether updates of embedding rows that a batch does not read are deferred.

    On a CPU this saves most of the time of an update. A GPU updates the complete embedding in one pass over it: 23
    million weights in BERT-base, less than a millisecond. Deferring would make it wait for the program, which has to
    know how many different tokens a batch has.

    With accumulation, rows would be read by the later batches of a step before their deferred updates are applied. A
    run that is continued on another device goes on as it began, because the variables in a checkpoint depend on it.
    """
    before = saver.deferred_embedding if saver else None
    now = not has_gpu() and plan.config.training.gradient_accumulation_steps == 1
    return bool(devices.from_chief(bytes([now if before is None else before]))[0])


def _make_learner(plan: RunPlan, devices: Devices, *, defers_embedding: bool) -> Learner:
    """The model and its optimizer with all of their variables."""
    training, settings = plan.config.training, plan.config.optimizer
    model = new_classifier(
        plan.encoder_folder,
        plan.info.labels.names,
        precision=plan.precision,
        trust_remote_code=plan.config.model.trust_remote_code,
        allow_incomplete_weights=plan.config.model.allow_incomplete_weights,
    )
    if plan.has_crf:
        _add_crf(plan, model)
    optimizer = make_optimizer(settings, plan.schedule, loss_scaling=plan.precision.policy == "mixed_float16")
    if training.freeze_embeddings:
        freeze_embeddings(model)
    decay_rates_by_layer(optimizer, model, settings.layer_decay)
    model.compile(optimizer=optimizer)
    dropout = SeededDropout(model, seed=training.seed)
    # Before restoring, because TensorFlow silently postpones restoring values whose variables do not exist yet.
    create_slots(optimizer, model.trainable_variables)
    if defers_embedding:
        defer_embedding(optimizer, model, n_steps=plan.schedule.n_steps)
        decay_at_intervals(optimizer, n_steps=plan.schedule.n_steps)
    average = WeightAverage(
        model.trainable_variables,
        decay=training.ema_decay,
        timetable=plan.timetable,
        devices=devices,
    )
    return Learner(model, optimizer, dropout, average)


def _add_crf(plan: RunPlan, model: keras.Model) -> None:
    """Give the model a CRF. If its folder contains one, the transitions of labels with the same name are reused."""
    labels = plan.info.labels
    crf = add_crf(model, labels)
    if earlier := crf_to_start_from(plan.encoder_folder):
        n_reused = crf.take_over(*earlier, labels)
        log.info("CRF: the transitions of %d of %s are reused, by name", n_reused, counted(len(labels), "label"))


def _make_step(plan: RunPlan, learner: Learner, devices: Devices) -> TrainingStep:
    crf = crf_of(learner.model)
    return TrainingStep(
        learner.model,
        learner.optimizer,
        clip_norm=plan.config.optimizer.clip_norm,
        dropout=learner.dropout,
        devices=devices,
        jit_compile=plan.config.training.jit_compile,
        gradient_checkpointing=plan.config.training.gradient_checkpointing,
        loss=plan.loss if crf is None else ChainLoss(crf, fixed_shapes=plan.config.training.jit_compile),
        more=plan.batches.more,
    )


def _begin(learner: Learner, devices: Devices, saver: RunSaver | None) -> Position:
    """Restore the run's state into `learner`, and return its position. All hosts take over the chief's state."""
    model, optimizer, dropout, average = learner.model, learner.optimizer, learner.dropout, learner.average
    position = saver.start(model, optimizer, dropout, average) if saver else Position()
    sent = devices.from_chief(json.dumps(position.to_json()).encode())
    devices.take_from_chief([*model.variables, *optimizer.variables(), dropout.batch_number, *average.averages])
    return Position.from_json(json.loads(sent))


def _make_tagger(plan: RunPlan, model: keras.Model, devices: Devices) -> Tagger:
    """The tagger for scoring the validation sentences. On several hosts, each scores a share of them."""
    evaluation, crf = plan.config.evaluation, crf_of(model)
    return Tagger(
        TensorFlowPass(model),
        plan.tokenizer,
        plan.info,
        batch_size=evaluation.per_device_eval_batch_size,
        decoding=evaluation.decoding,
        share=devices if devices.n_workers > 1 else None,
        crf=crf.chain if crf else None,
    )


def _own_callbacks(plan: RunPlan, position: Position) -> list[keras.callbacks.Callback]:
    """The callbacks that show and report progress."""
    show: keras.callbacks.Callback
    if in_notebook():
        show = NotebookProgress(plan.timetable, position, name=str(plan.run.root))
    elif stderr_console().is_terminal:
        show = ProgressBar(plan.timetable, position)
    else:
        show = StepLog(plan.timetable, position, logging_steps=plan.config.training.logging_steps)
    return [show, *tracking_callbacks(plan.config, plan.run)]
