"""What stands out in a finished run, and one thing to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.report.html_tables import html_findings
from tf_tokclf.report.next_steps import ours
from tf_tokclf.report.run_page import SEE_ERRORS
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.scores import Scores
from tf_tokclf.training.history import EpochRecord

# Pre-trained encoders forget what they know at higher learning rates.
HIGHEST_RATE = 1e-2
# At a lower rate than this, a loss that does not fall suggests a higher one.
LOW_RATE = 2e-4
# F1 that still rises by this much at the end, as a fraction.
RISE = 0.005
# A loss that falls by less than this share counts as steady.
FALL = 0.05
# From so many scorings on, a loss that is steady after the first third of them is not only slow.
LONG_RUN = 6
_MOST_NAMES = 5
# Fewer examples of a type say little about it: in the training data, and among the scored sentences.
FEWEST_TRAINING, FEWEST_SCORED = 20, 5
# Validation has been scored this often without a better F1: more epochs would hardly help.
STEADY_SCORINGS = 2
# After fewer steps, losses and scores do not yet show what a model can learn. The number of epochs that is recommended
# then gives at least MORE_STEPS times as many.
FEWEST_STEPS, MORE_STEPS = 20, 5


@dataclass(frozen=True)
class Advice:
    """findings: a sentence about each thing that stands out. option: the option of `fit` to try next, SEE_ERRORS, or
    None. is_serious: whether the model is probably useless.
    """

    findings: tuple[str, ...]
    option: str | None
    is_serious: bool = False

    def text(self, folder: Path) -> str:
        """The findings, and the command line to try next. folder: that of the run."""
        listed = "".join(f"\n  - {finding}" for finding in self.findings)
        command = self.command(folder)
        return f"What stands out:{listed}" + (f"\nTo try next: {command}" if command else "")

    def to_html(self, folder: Path) -> Markup:
        """The same for notebooks."""
        return html_findings(self.findings, self.command(folder))

    def command(self, folder: Path) -> str | None:
        """The command line to try next. With an option, it trains the run in `folder` in a new folder next to it, to
        its sweep or to its learning curve.
        """
        if self.option is None:
            return None
        if self.option == SEE_ERRORS:
            return " ".join(ours("evaluate", folder, "--errors"))
        name, value = self.option.split()
        named = _named(folder)
        if named.parent in RunDir(named.parent.parent).folders_of_runs:
            # Another run does not belong to the trials of a sweep, or to the shares of a learning curve.
            whole = _named(named.parent.parent)
            named = whole.parent / f"{whole.name}-{named.parent.name.removesuffix('s')}-{named.name}"
        there = named.parent / f"{named.name}-{name.strip('-').rpartition('-')[2]}-{value}"
        return " ".join(ours("fit", folder, name, value, "--output-dir", str(there)))

    def to_json(self) -> dict[str, object]:
        """The entry in results.json, which does not depend on the folder of the run."""
        return {"findings": list(self.findings), "try": self.option}


def _named(folder: Path) -> Path:
    """The folder by its name: "." and ".." have no name of their own to which an ending could be added."""
    return folder if folder.name not in ("", "..") else folder.resolve()


def advice(
    config: Config,
    history: Sequence[EpochRecord],
    scores: Mapping[str, Scores],
    n_training: Mapping[str, int],
    *,
    n_steps: int,
) -> Advice | None:
    """What stands out in a run. None if nothing does.

    config: without a recipe. scores: those of the saved model by split, "validation" and, if there is one, "test".
    n_training: number of training spans of each type, or of words with each label if there is no label scheme.
    n_steps: number of steps of the run.
    """
    serious = [_high_rate(config), _steady_loss(config, history), _no_spans(config, history, scores)]
    others = [
        _rising_f1(config, history),
        _types_at_zero(config, history, scores, n_training),
        _types_at_zero_on_test(scores, n_training),
    ]
    # The first finding decides what to try: it is the most likely cause of the others.
    found = [finding for finding in (*serious, *others) if finding]
    if n_steps < FEWEST_STEPS and found:
        serious = [_high_rate(config), _diverged(config, history)]
        found = [finding for finding in (*serious, _few_steps(config, n_steps)) if finding]
    if not found:
        return None
    return Advice(tuple(text for text, _ in found), found[0][1], is_serious=any(serious))


# A finding, and what may remedy it, if that is known.
_Finding = tuple[str, str | None]


def _high_rate(config: Config) -> _Finding | None:
    rate = config.optimizer.learning_rate
    if rate <= HIGHEST_RATE:
        return None
    text = f"The learning rate {rate:g} is above {HIGHEST_RATE:g}. Such rates usually undo the pre-training."
    # With a layer decay, the rate is that of the head.
    return text, f"--learning-rate {'1e-4' if config.optimizer.layer_decay == 1 else '1e-3'}"


def _steady_loss(config: Config, history: Sequence[EpochRecord]) -> _Finding | None:
    """A training loss that hardly falls, or rises, from the first scoring of the validation sentences to the last."""
    if len(history) < 2:
        return None
    first, last = history[0].train_loss, history[-1].train_loss
    if math.isfinite(last) and last < first * (1 - FALL):
        return None
    rate = config.optimizer.learning_rate
    other = rate * 5 if rate < LOW_RATE else rate / 5
    verb = "hardly fell" if last < first else "did not fall"
    text = f"The training loss {verb}: it was {first:.4f} at first and {last:.4f} at the end."
    return text, f"--learning-rate {other:.2g}"


def _diverged(config: Config, history: Sequence[EpochRecord]) -> _Finding | None:
    """A training loss that is NaN or infinite."""
    is_finite = all(math.isfinite(record.train_loss) for record in history)
    return None if is_finite else _steady_loss(config, [*history[:1], *history])


def _few_steps(config: Config, n_steps: int) -> _Finding:
    """A run that is too short to judge by its scores. No option is recommended to users who limited the steps."""
    training = config.training
    text = f"The model was trained for only {counted(n_steps, 'step')}. Its scores do not yet show what it can learn."
    if training.max_steps is not None:
        return f"{text} For a full training, leave out --max-steps.", None
    n_epochs = training.num_train_epochs * math.ceil(MORE_STEPS * FEWEST_STEPS / n_steps)
    return text, f"--num-train-epochs {n_epochs}"


def _no_spans(config: Config, history: Sequence[EpochRecord], scores: Mapping[str, Scores]) -> _Finding | None:
    """A model that finds no spans in validation sentences that contain some.

    If the training loss has hardly fallen since an early epoch, the updates have probably destroyed what the encoder
    knew. A lower rate prevents this, and more epochs do not help.
    """
    validation = scores.get("validation")
    if validation is None or validation.overall.predicted or not validation.overall.gold:
        return None
    text = (
        "The model labels every word of the validation sentences as O: it has learned no spans. Check with tf-tokclf "
        "inspect that the column of labels is the right one."
    )
    early, last = history[len(history) // 3], history[-1]
    if len(history) >= LONG_RUN and not _can_weigh_spans(config) and last.train_loss > early.train_loss * (1 - FALL):
        text += f" The training loss has hardly fallen since epoch {early.epoch:g}."
        return text, f"--learning-rate {config.optimizer.learning_rate / 2:.2g}"
    return text, _more_weight_or_epochs(config)


def _rising_f1(config: Config, history: Sequence[EpochRecord]) -> _Finding | None:
    """A validation F1 that is clearly higher at the end than before."""
    if len(history) < 2:
        return None
    before, last = max(record.dev_f1 for record in history[:-1]), history[-1].dev_f1
    if last - before < RISE:
        return None
    text = f"Validation F1 was still rising at the end, from {before * 100:.2f} to {last * 100:.2f}."
    return text, _more_epochs(config)


def _types_at_zero(
    config: Config, history: Sequence[EpochRecord], scores: Mapping[str, Scores], n_training: Mapping[str, int]
) -> _Finding | None:
    """Types with enough examples that are never found in the validation sentences."""
    zero = _never_found(scores.get("validation"), n_training)
    if not zero:
        return None
    validation = scores["validation"]
    text = f"F1 on validation is 0 for {_listed(zero, validation)}."
    if validation.has_spans and _can_weigh_spans(config):
        return f"{text} A higher weight of words in spans may help.", _more_weight_or_epochs(config)
    if (best := _last_rise(history)) is not None:
        why = f"Validation F1 has not risen since epoch {best.epoch:g}, so more epochs would hardly help"
        return f"{text} {why}. Label more examples, or look for labels that contradict each other.", SEE_ERRORS
    return f"{text} More epochs may help.", _more_epochs(config)


def _types_at_zero_on_test(scores: Mapping[str, Scores], n_training: Mapping[str, int]) -> _Finding | None:
    """The same for test sentences, if validation has too few examples of a type. Settings must not be chosen by test
    scores, so there is no advice.
    """
    validation = scores.get("validation")
    judged = {name for name, counts in validation.by_type.items() if counts.gold >= FEWEST_SCORED} if validation else ()
    zero = {name: n for name, n in _never_found(scores.get("test"), n_training).items() if name not in judged}
    if not zero:
        return None
    few = f"The validation sentences contain fewer than {FEWEST_SCORED} of each type"
    return f"F1 on test is 0 for {_listed(zero, scores['test'])}. {few}.", None


def _never_found(scores: Scores | None, n_training: Mapping[str, int]) -> dict[str, int]:
    """The number of gold spans of each type that has enough examples and is never found."""
    # That a model finds nothing at all is another finding.
    if scores is None or not scores.overall.predicted:
        return {}
    return {
        name: counts.gold
        for name, counts in scores.by_type.items()
        if counts.gold >= FEWEST_SCORED and not counts.correct and n_training.get(name, 0) >= FEWEST_TRAINING
    }


def _listed(n_gold: Mapping[str, int], scores: Scores) -> str:
    """Types and their numbers of spans or words, the most frequent first."""
    kind = "span" if scores.has_spans else "word"
    names = sorted(n_gold, key=lambda name: (-n_gold[name], name))
    named = ", ".join(f"{name} ({counted(n_gold[name], kind)})" for name in names[:_MOST_NAMES])
    return named + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")


def _last_rise(history: Sequence[EpochRecord]) -> EpochRecord | None:
    """The best scoring, if it was followed by several that were no better. None if F1 may still rise."""
    best = max(range(len(history)), key=lambda i: history[i].dev_f1, default=0)
    is_steady = len(history) - 1 - best >= STEADY_SCORINGS and history[best].dev_f1 > 0
    return history[best] if is_steady else None


def _more_weight_or_epochs(config: Config) -> str:
    """More weight for the words in spans, if they have the same as others, else more epochs."""
    return "--span-weight 2" if _can_weigh_spans(config) else _more_epochs(config)


def _can_weigh_spans(config: Config) -> bool:
    """Whether all words have the same weight, and other weights are possible. With a CRF they are not."""
    return config.training.span_weight == 1 and config.model.head != "crf"


def _more_epochs(config: Config) -> str:
    training = config.training
    if training.max_steps is not None:
        return f"--max-steps {training.max_steps * 2}"
    return f"--num-train-epochs {training.num_train_epochs * 2}"
