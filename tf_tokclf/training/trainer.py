"""The training loop: train to the next step that is scored, score the validation sentences, and save."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.errors import JobError
from tf_tokclf.inference.evaluate import evaluate_sentences
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.model.backend import keras
from tf_tokclf.model.memory import give_back_memory
from tf_tokclf.report.terminal import duration
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.training.averaging import WeightAverage
from tf_tokclf.training.checkpoints import Position
from tf_tokclf.training.distribution import Devices
from tf_tokclf.training.dropout import SeededDropout
from tf_tokclf.training.history import EpochRecord, best_epoch, scorings_since_best
from tf_tokclf.training.optimizer import learning_rate_at
from tf_tokclf.training.plan import RunPlan
from tf_tokclf.training.resume import RunSaver
from tf_tokclf.training.step import TrainingStep
from tf_tokclf.training.step_losses import UnreadLosses
from tf_tokclf.training.stopping import StopAsked, StopRequest

log = logging.getLogger(__name__)

# Workers on several hosts agree on whether to stop every N steps.
STEPS_BETWEEN_STOPS = 8


@dataclass(frozen=True)
class Learner:
    """The model, its optimizer, and the other state of training."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    dropout: SeededDropout
    average: WeightAverage


class Trainer:
    """The loop over stretches of training, from `position` on. `trainer_factory.make_trainer` creates it.

    A stretch ends with a scoring. It is usually an epoch, and it is what the callbacks see as an epoch.

    own: callbacks of the run itself; their on_train_end is called even if training fails. callbacks: all callbacks,
    including these. saver: None on hosts that write nothing.
    """

    def __init__(
        self,
        plan: RunPlan,
        learner: Learner,
        step: TrainingStep,
        tagger: Tagger,
        position: Position,
        *,
        devices: Devices,
        stop: StopRequest,
        saver: RunSaver | None,
        own: Sequence[keras.callbacks.Callback],
        callbacks: keras.callbacks.CallbackList,
    ) -> None:
        self.position = position
        self._plan = plan
        self._optimizer = learner.optimizer
        self._average = learner.average
        self._step = step
        self._tagger = tagger
        self._devices = devices
        self._stop = stop
        self._saver = saver
        self._own = own
        self._callbacks = callbacks
        # Other callbacks may expect the loss as a number, and may save the model, so the loss must be checked first.
        others = (callback for callback in callbacks.callbacks if callback not in own)
        self._others_see_steps = any(callback._implements_train_batch_hooks() for callback in others)

    def run(self) -> tuple[EpochRecord, ...]:
        """Train all steps and save the best scored model. On a request to stop, save the state and raise StopAsked."""
        self._callbacks.on_train_begin()
        try:
            while not self._is_over():
                self._stretch()
        except BaseException as error:
            # Other callbacks could treat on_train_end as success.
            for callback in self._own:
                callback.on_train_end()
            if isinstance(error, StopAsked) and self._saver:
                self._saver.save(self.position)
            raise
        self._callbacks.on_train_end()
        measure = self._plan.measure
        best = best_epoch(self.position.history, measure)
        log.info("best epoch: %s, %s", best.epoch, measure.text(getattr(best, measure.field)))
        return self.position.history

    def _is_over(self) -> bool:
        training, measure, history = self._plan.config.training, self._plan.measure, self.position.history
        if not self.position.n_unscored and self._n_done == self._plan.timetable.n_steps:
            return True
        if not history or training.patience is None or scorings_since_best(history, measure) < training.patience:
            return False
        stretch = "epoch" if training.eval_by == "epoch" else "scoring"
        log.info("stopped early: no better validation %s for %s", measure.name, counted(training.patience, stretch))
        return True

    @property
    def _n_done(self) -> int:
        """The number of steps of the run so far."""
        return self.position.n_steps(self._plan.timetable)

    def _stretch(self) -> None:
        """The rest of the current stretch."""
        number = len(self.position.history)
        self._callbacks.on_epoch_begin(number)
        # Unscored steps begin after the last scoring, also if the next one was interrupted.
        end = self._plan.timetable.next_scored(self._n_done - self.position.n_unscored)
        while self._n_done < end:
            if self.position.step == self._plan.timetable.steps_per_epoch:
                self._next_epoch()
            self._take_steps(end - self._n_done)
        record = self._evaluate()
        self._save(record)
        # Some callbacks save the model, which must be the averaged one.
        with self._average.in_place():
            self._callbacks.on_epoch_end(number, record.logs())

    def _next_epoch(self) -> None:
        """Move to the next epoch without a scoring."""
        self.position = self.position.after_epoch()
        if self._saver:
            self._saver.end_epoch(self.position)

    def _take_steps(self, n_steps: int) -> None:
        """At most `n_steps` steps of the current pass over the training windows."""
        first, n_batches = self.position.step, self._plan.config.training.gradient_accumulation_steps
        batch_plan = self._plan.batches.plan(self.position.epoch)[first * n_batches : (first + n_steps) * n_batches]
        losses = UnreadLosses(self._move_on)
        in_stretch, n_done = self.position.n_unscored, self._n_done
        dataset = self._plan.batches.dataset(batch_plan, device=self._devices.input_device)
        for of_step in _groups(iter(dataset), n_batches):
            self._callbacks.on_train_batch_begin(in_stretch)
            loss = losses.add(self._step(of_step))
            n_done += 1
            if self._average.is_due(n_done):
                self._step.settle()
                self._average.add(n_done)
            self._callbacks.on_train_batch_end(in_stretch, {"loss": float(loss) if self._others_see_steps else loss})
            in_stretch += 1
            if self._saver and self._saver.is_due(n_done):
                losses.read()
                self._saver.save(self.position)
            if self._must_stop(n_done):
                losses.read()
                raise StopAsked
        losses.read()

    def _move_on(self, losses: Sequence[float], seconds: float) -> None:
        """Move the position past the next steps, one for each of `losses`. seconds: the time of each step."""
        for loss in losses:
            if not math.isfinite(loss):
                raise self._not_finite(loss)
            self.position = self.position.after_step(loss, seconds)

    def _must_stop(self, n_done: int) -> bool:
        """Whether there was a request to stop. On several hosts, all of them stop after the same step."""
        if self._devices.n_workers > 1:
            if n_done % STEPS_BETWEEN_STOPS:
                return False
            self._stop.asked = self._devices.any(self._stop.asked)
        return self._stop.asked

    def _evaluate(self) -> EpochRecord:
        """Score the validation sentences at the end of a stretch."""
        self._step.settle()
        give_back_memory()
        began = time.perf_counter()
        validation = self._plan.splits.validation
        # Hosts that evaluate together must not stop on their own.
        sentences = self._stop.checked(validation) if self._devices.n_workers == 1 else validation
        with self._average.in_place():
            evaluation = evaluate_sentences(self._tagger, sentences, mode=self._plan.config.evaluation.mode)
        record = self._record(evaluation, dev_seconds=time.perf_counter() - began)
        give_back_memory()
        log.info(
            "epoch %s/%s: training loss %.4f, validation loss %.4f, precision %.2f, recall %.2f, F1 %.2f, %s",
            record.epoch,
            self._plan.timetable.epochs(self._plan.timetable.n_steps),
            record.train_loss,
            record.dev_loss,
            record.dev_precision * 100,
            record.dev_recall * 100,
            record.dev_f1 * 100,
            duration(record.train_seconds + record.dev_seconds),
        )
        return record

    def _record(self, evaluation: Evaluation, *, dev_seconds: float) -> EpochRecord:
        scores, train_seconds, n_steps = evaluation.scores, self.position.train_seconds, self.position.n_unscored
        timetable = self._plan.timetable
        n_words = self._plan.splits.n_trained_words * n_steps / timetable.steps_per_epoch
        return EpochRecord(
            epoch=timetable.epochs(self._n_done),
            train_loss=self.position.loss / n_steps,
            dev_loss=evaluation.loss,
            dev_precision=scores.overall.precision,
            dev_recall=scores.overall.recall,
            dev_f1=scores.overall.f1,
            dev_token_accuracy=scores.token_accuracy,
            learning_rate=learning_rate_at(self._optimizer, int(self._optimizer.iterations.numpy()) - 1),
            train_seconds=train_seconds,
            dev_seconds=dev_seconds,
            words_per_second=n_words / train_seconds,
        )

    def _save(self, record: EpochRecord) -> None:
        """Record the scoring, move to the next epoch if this one is complete, and save the state."""
        self.position = self.position.after_scoring(record)
        if self.position.step == self._plan.timetable.steps_per_epoch:
            self.position = self.position.after_epoch()
        if self._saver:
            self._saver.end_stretch(self.position)

    def _not_finite(self, loss: float) -> JobError:
        """The error for the loss of the next step."""
        step, n_batches = self.position.step, self._plan.config.training.gradient_accumulation_steps
        batches = self._plan.batches.plan(self.position.epoch)[step * n_batches : (step + 1) * n_batches]
        rows = [int(row) for batch in batches.rows for row in batch]
        sentences = sorted({self._plan.batches.windows[row]["sentence"] for row in rows})
        places = [str(self._plan.splits.trained_sentence(number).origin) for number in sentences[:5]]
        more = f" and {len(sentences) - 5} more" if len(sentences) > 5 else ""
        return JobError(
            f"the training loss is {loss} at step {step + 1} of epoch {self.position.epoch + 1}, on the sentences at "
            f"{'; '.join(places)}{more}. Try a lower --learning-rate, or --precision float32."
        )


def _groups(batches: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while group := list(islice(batches, size)):
        yield group
