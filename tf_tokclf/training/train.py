"""Train a run: from its plan to a saved and scored model."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.loading import save_config
from tf_tokclf.counted import counted
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.errors import JobError
from tf_tokclf.files import disk_problem, write_json
from tf_tokclf.model.backend import keras, tf
from tf_tokclf.model.memory import give_back_memory, keep_freed_memory, traced_gradients_forgotten
from tf_tokclf.model.saving import check_saved
from tf_tokclf.report.html_tables import html_table
from tf_tokclf.report.inline_report import InlineReport
from tf_tokclf.report.result_tables import epochs_table, overall_table
from tf_tokclf.report.run_page import write_report
from tf_tokclf.report.terminal import status
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
from tf_tokclf.scoring.error_analysis import training_of
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.measures import MEASURES, Measure
from tf_tokclf.training.advice import Advice, advice
from tf_tokclf.training.checkpoints import Checkpoint, Position
from tf_tokclf.training.distribution import Devices, find_devices
from tf_tokclf.training.history import EpochRecord, best_epoch
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.results import score_run, write_results
from tf_tokclf.training.resume import Finished, RunSaver, check_data, explained_errors, resume_folder, stopped
from tf_tokclf.training.run_folder import claim_folder
from tf_tokclf.training.run_identity import Identity
from tf_tokclf.training.stopping import StopAsked, StopRequest
from tf_tokclf.training.trainer_factory import make_trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        run: The folder of the run.
        history: Losses, scores and times of each scoring of the validation sentences, usually one per epoch.
        evaluations: The scores of the splits `"validation"` and, if there is one, `"test"`.
        measure: The measure by which the best model was chosen.
        stands_out: What stands out, and what to try next. None if nothing does.
    """

    run: RunDir
    history: tuple[EpochRecord, ...]
    evaluations: dict[str, Evaluation]
    measure: Measure = MEASURES["f1"]
    stands_out: Advice | None = None

    @property
    def report(self) -> InlineReport:
        """The report of the run, which notebooks show inline."""
        return InlineReport(self.run.report)

    def _repr_html_(self) -> str:
        """The epochs, the scores and what stands out, as notebooks show them."""
        best = self.history.index(best_epoch(self.history, self.measure))
        epochs = html_table(epochs_table(((one.epoch, one.logs()) for one in self.history), best=best))
        facts = {"run": str(self.run.root)}
        scores = html_table(overall_table(self.evaluations, facts)) if self.evaluations else ""
        return epochs + scores + (self.stands_out.to_html(self.run.root) if self.stands_out else "")


def train(
    plan: RunPlan,
    *,
    resume: bool = False,
    resume_from: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> RunResult:
    """Train, save the best model by its scores on validation, and score validation and test with the saved model.

    resume: continue the run in the plan's folder from its newest checkpoint. resume_from: continue from the newest
    checkpoint in this folder. callbacks: additional Keras callbacks. Raises UserError for what the user has to change,
    JobError when the job itself fails, and Stopped after Ctrl-C or SIGTERM.
    """
    keep_freed_memory()
    devices = find_devices(plan.config.training)
    if not devices.is_chief:
        return _train_beside_the_chief(plan, devices)
    with locked(plan.run), StopRequest() as stop, explained_errors(plan.run, devices):
        soft = plan.batches.soft.labels.content_hash() if plan.batches.soft else ""
        identity = Identity.of(plan.config, plan.splits, plan.encoder_folder, n_replicas=devices.n_replicas, soft=soft)
        begin = start_or_resume(plan, identity, resume=resume, resume_from=resume_from)
        saver = RunSaver(plan, identity, begin)
        with _explained_lack_of_memory(plan):
            with traced_gradients_forgotten():
                end = _train_as_chief(plan, devices, stop, saver, callbacks)
            saver.end()
            _forget_model()
            check_saved(
                plan.run.model, encoder=plan.encoder_folder, trust_remote_code=plan.config.model.trust_remote_code
            )
            if not isinstance(begin, Finished):
                saver.record(end)
            try:
                with status("scoring the saved model"), traced_gradients_forgotten():
                    evaluations = score_run(plan, stop)
            except StopAsked as asked:
                raise stopped(stop, end, plan.run) from asked
        check_data(plan.run)
        training = training_of(plan.splits.train, plan.splits.scheme)
        scores = {name: one.scores for name, one in evaluations.items()}
        n_steps = end.n_steps(plan.timetable)
        stands_out = advice(plan.config, end.history, scores, training.n_spans, n_steps=n_steps)
        if stands_out:
            log.log(logging.WARNING if stands_out.is_serious else logging.INFO, "%s", stands_out.text(plan.run.root))
        write_results(plan, end.history, evaluations, end.run_seconds, stands_out)
        write_report(plan.run, training=training)
        saver.finish(end)
        devices.leave()
        return RunResult(plan.run, end.history, evaluations, plan.measure, stands_out)


def _train_as_chief(
    plan: RunPlan,
    devices: Devices,
    stop: StopRequest,
    saver: RunSaver,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Position:
    """Train and save all epochs. Returns the final position. The trained model is released when the call ends."""
    with status("building the model"):
        trainer = make_trainer(plan, devices, stop, saver, callbacks=callbacks)
    try:
        trainer.run()
    except StopAsked as asked:
        raise stopped(stop, trainer.position, plan.run) from asked
    return trainer.position


def _forget_model() -> None:
    """Free the trained model and the functions traced from it, which refer to each other: 0.4 GB for MiniLM-L6."""
    gc.collect()
    give_back_memory()


def _train_beside_the_chief(plan: RunPlan, devices: Devices) -> RunResult:
    """Train as a worker that is not the chief: compute with the others, write nothing."""
    logging.getLogger("tf_tokclf").setLevel(logging.WARNING)
    with StopRequest() as stop, explained_errors(plan.run, devices):
        trainer = make_trainer(plan, devices, stop, saver=None)
        try:
            history = trainer.run()
        except StopAsked as asked:
            raise stopped(stop, trainer.position, plan.run) from asked
        devices.wait()
        return RunResult(plan.run, history, {})


def start_or_resume(
    plan: RunPlan, identity: Identity, *, resume: bool, resume_from: Path | None
) -> Checkpoint | Finished | None:
    """Claim the run's folder for a new run, or prepare it for continuing. Returns what to continue from."""
    if not (resume or resume_from):
        claim_folder(plan.run, overwrite=plan.config.overwrite, inputs=run_inputs(plan.config))
        begin = None
    else:
        begin = resume_folder(plan, identity, resume_from)
    if begin is None:
        save_config(plan.config, plan.run.config)
    if plan.splits.drawing:
        write_json(plan.run.validation_cut, plan.splits.drawing.to_json())
    return begin


@contextmanager
def _explained_lack_of_memory(plan: RunPlan) -> Iterator[None]:
    """Turn TensorFlow's error into a JobError with options that need less memory."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        # TensorFlow reports a full disk with the same error.
        if disk_problem(error):
            raise
        raise _out_of_memory(plan) from error


def _out_of_memory(plan: RunPlan) -> JobError:
    training = plan.config.training
    length = plan.info.reading.max_length
    if training.max_pieces_per_batch is not None:
        half = f"--max-pieces-per-batch {max(training.max_pieces_per_batch // 2, length)}"
    else:
        half = f"--per-device-train-batch-size {max(training.per_device_train_batch_size // 2, 1)}"
    half += f" --gradient-accumulation-steps {training.gradient_accumulation_steps * 2}"
    same = f"{half}, which gives the same result"
    if not training.gradient_checkpointing:
        # Only in bfloat16 does computing a layer again round differently.
        exception = " (except for rounding in bfloat16)" if plan.precision.policy == "mixed_bfloat16" else ""
        same = f"--gradient-checkpointing{exception} or {half}, which give the same result"
    return JobError(
        f"out of memory with batches of {training.batch_text} and windows of up to {counted(length, 'subword token')}. "
        f"Try {same}, or --max-length {max(length // 2, 32)}."
    )
