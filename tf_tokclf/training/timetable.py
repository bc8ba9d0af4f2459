"""When a run's epochs end, when it scores the validation sentences, and when it ends, in optimizer steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from tf_tokclf.config.schema import TrainingConfig
from tf_tokclf.counted import counted


@dataclass(frozen=True)
class Timetable:
    """The steps of a run, numbered from 1 over all epochs.

    scored: the steps after which the validation sentences are scored, in ascending order. The last step is always one
    of them.
    """

    steps_per_epoch: int
    n_steps: int
    scored: Sequence[int]

    def __post_init__(self) -> None:
        if self.steps_per_epoch < 1 or self.scored[-1] != self.n_steps:
            raise ValueError(f"a run needs steps, and its last step is scored: {self}")

    @classmethod
    def of(cls, training: TrainingConfig, n_batches: int) -> Timetable:
        """The timetable of a run whose epochs have `n_batches` batches. The last step of an epoch may use fewer."""
        per_epoch = -(-n_batches // training.gradient_accumulation_steps)
        n_steps = training.max_steps or per_epoch * training.num_train_epochs
        distances = {"epoch": per_epoch, "steps": training.steps_between_scorings, "no": n_steps}
        distance = distances[training.eval_by]
        return cls(per_epoch, n_steps, [*range(distance, n_steps, distance), n_steps])

    @property
    def n_epochs(self) -> int:
        """The number of epochs. The last one may be incomplete."""
        return -(-self.n_steps // self.steps_per_epoch)

    def steps_in(self, epoch: int) -> int:
        """The number of steps of an epoch, which is numbered from 0."""
        return min(self.steps_per_epoch, self.n_steps - epoch * self.steps_per_epoch)

    def next_scored(self, n_done: int) -> int:
        """The first step after `n_done` steps that is scored. Raises IndexError if there is none."""
        return self.scored[bisect_right(self.scored, n_done)]

    def epochs(self, n_done: int) -> int | float:
        """The number of epochs that `n_done` steps are: a whole number if the last one is complete.

        >>> timetable = Timetable(4, 8, [4, 8])
        >>> timetable.epochs(4), timetable.epochs(6)
        (1, 1.5)
        """
        whole, rest = divmod(n_done, self.steps_per_epoch)
        return round(n_done / self.steps_per_epoch, 4) if rest else whole

    @property
    def about(self) -> str:
        """The steps in words, such as "100 (2 epochs of 50 steps)"."""
        epochs = counted(self.epochs(self.n_steps), "epoch")
        return f"{self.n_steps:,} ({epochs} of {counted(self.steps_per_epoch, 'step')})"
