"""The plan of a run: everything that is read, checked and computed before the first training step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from tf_tokclf.config.schema import Config, recipe_settings
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.drawing import AnyDrawing
from tf_tokclf.data.extra import load_extra
from tf_tokclf.data.splits import TrainingSplits, load_training_splits
from tf_tokclf.encoding.crf_file import crf_to_start_from
from tf_tokclf.encoding.encoded_split import encode_split, joined_windows
from tf_tokclf.encoding.model_config import model_config
from tf_tokclf.encoding.model_folders import local_model_folder, public_name
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.encoding.run_inputs import check_complete, check_there
from tf_tokclf.encoding.tokenizers import load_tokenizer
from tf_tokclf.encoding.windows import ALIGNMENTS, WindowSettings
from tf_tokclf.errors import UserError
from tf_tokclf.labels.word_splitting import rule_keeping
from tf_tokclf.model.precision import Precision, choose_precision
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.measures import MEASURES, Measure
from tf_tokclf.training.batches import SoftTargets, TrainingBatches
from tf_tokclf.training.estimate import estimate
from tf_tokclf.training.loss import PieceLoss
from tf_tokclf.training.recipe import Choice, Encoder, TrainingData, follow, slow_note
from tf_tokclf.training.schedule import POLYNOMIAL_END, Schedule
from tf_tokclf.training.timetable import Timetable
from tf_tokclf.training.tracking import check_trackers

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

log = logging.getLogger(__name__)

# Sentences that the rule of word splitting is derived from.
SAMPLED_SENTENCES = 3000
# If the recipe chose both, its text contains them.
RATES = {"optimizer.learning_rate", "optimizer.layer_decay"}


@dataclass(frozen=True)
class RunPlan:
    """A configuration applied to its data on this machine.

    config: without a recipe. choices: what the recipe chose, for people. note: about an encoder that learns slowly.
    """

    config: Config
    run: RunDir
    splits: TrainingSplits
    encoder_folder: Path
    tokenizer: PreTrainedTokenizerFast
    info: ModelInfo
    batches: TrainingBatches
    timetable: Timetable
    schedule: Schedule
    precision: Precision
    choices: tuple[Choice, ...] = ()
    note: str | None = None

    @property
    def measure(self) -> Measure:
        """The measure by which the best model is chosen."""
        return MEASURES[self.config.training.metric_for_best_model]

    @property
    def has_crf(self) -> bool:
        """Whether transitions between labels are learned."""
        return self.config.model.head == "crf"

    @property
    def loss(self) -> PieceLoss:
        """The loss that training minimises with a linear head."""
        training, labels = self.config.training, self.info.labels
        outside = None if labels.outside is None else labels.id_by_label[labels.outside]
        return PieceLoss(training.label_smoothing, training.span_weight, outside)


def plan_run(config: Config, *, drawn_before: AnyDrawing | None = None) -> RunPlan:
    """Read and check everything that `config` refers to. Raises UserError before anything is written.

    drawn_before: which of the training sentences were drawn for other splits when the run started, to resume it.
    """
    check_settings(config)
    run = RunDir.of(config.output_dir)
    name = config.model.name_or_path or ""
    folder = local_model_folder(name, revision=config.model.revision, trust_remote_code=config.model.trust_remote_code)
    tokenizer = load_tokenizer(folder, trust_remote_code=config.model.trust_remote_code)
    splits = load_training_splits(config.data, task=config.task, drawn_before=drawn_before)
    splits = replace(
        splits, extra=load_extra(config.data, task=config.task, splits=splits, can_be_soft=config.can_be_soft)
    )
    reading = WindowSettings.of(config.alignment, folder, tokenizer)
    encoder = model_config(folder)
    windows, weights, soft = _windows(config, splits, tokenizer, reading, n_embeddings=encoder.get("vocab_size"))
    # A damaged file is reported before anything is written.
    earlier = crf_to_start_from(folder)
    if earlier and config.model.head != "crf":
        log.info(
            "the transitions of the CRF in %s are not used, because the head is linear (--head crf uses them)", name
        )
    config, choices, note = _with_recipe(config, encoder, tokenizer, splits, windows)
    info = ModelInfo(
        reading,
        splits.trained_labels,
        word_splitting=word_splitting(config, splits),
        task=config.task.value,
        base_model=public_name(name),
        decoding=config.evaluation.decoding,
    )
    training = config.training
    batches = TrainingBatches(
        windows,
        tokenizer,
        batch_size=training.per_device_train_batch_size,
        max_pieces=training.max_pieces_per_batch,
        seed=training.seed,
        one_shape_a_width=training.jit_compile,
        weights=weights,
        soft=soft,
    )
    if not len(batches):
        raise UserError(
            "the training sentences contain no words.", hint="Check the training file, its format and its columns."
        )
    timetable = Timetable.of(training, len(batches))
    precision = choose_precision(training.precision, model_type=encoder.get("model_type", ""))
    schedule = Schedule.of(config.optimizer, timetable.n_steps)
    warn_of_ignored(config, schedule)
    return RunPlan(config, run, splits, folder, tokenizer, info, batches, timetable, schedule, precision, choices, note)


def _windows(
    config: Config,
    splits: TrainingSplits,
    tokenizer: PreTrainedTokenizerFast,
    reading: WindowSettings,
    *,
    n_embeddings: int | None,
) -> tuple[Dataset, np.ndarray | None, SoftTargets | None]:
    """The windows to train on, their weights in the loss, (windows,) float32, and the soft labels of extra sentences.

    The weights are None if there is no extra file.
    """
    options: dict[str, Any] = {"cache": Cache.of(config.data), "n_embeddings": n_embeddings}
    labels, for_crf, extra = splits.trained_labels, config.model.head == "crf", splits.extra
    encoded = [encode_split(split, labels, tokenizer, reading, **options, for_crf=for_crf) for split in splits.trained]
    if extra is None:
        return encoded[0], None, None
    numbers, soft = None, None
    if extra.soft is not None:
        numbers = encode_split(extra.split, labels, tokenizer, reading, **options, numbered=True)
        soft = SoftTargets(extra.soft, len(labels))
    weights = np.repeat(np.array([1, config.training.extra_weight], np.float32), list(map(len, encoded)))
    return joined_windows(*encoded, n_sentences=len(splits.train), numbers=numbers), weights, soft


def _with_recipe(
    config: Config,
    model: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerFast,
    splits: TrainingSplits,
    windows: Dataset,
) -> tuple[Config, tuple[Choice, ...], str | None]:
    """The configuration with the settings that its recipe chooses, the choices, and a note about the encoder.

    model: the content of the encoder's config.json.
    """
    encoder = Encoder.of(model, tokenizer)
    n_pieces = pc.sum(pc.list_value_length(windows.data.column("input_ids"))).as_py() or 0
    n_sentences = sum(map(len, splits.trained))
    data = TrainingData.of(splits.trained_labels, n_sentences=n_sentences, n_windows=len(windows), n_pieces=n_pieces)
    config, choices = follow(config, encoder, data)
    return config, choices, slow_note(config, encoder, data)


# How each rule splits raw text.
_SPLITTING = {
    "words": "at white space and punctuation",
    "whitespace": "at white space",
    "characters": "of one character each",
}


def word_splitting(config: Config, splits: TrainingSplits) -> str:
    """The rule by which prediction will split raw text: the configured one if it was set or if the data contains texts,
    else the one that fits the training words.
    """
    sample = list(splits.train.slice(0, SAMPLED_SENTENCES))
    asked = config.data.word_splitting
    if "word_splitting" in config.data.model_fields_set or any(sentence.text is not None for sentence in sample):
        return asked
    rule = rule_keeping(word for sentence in sample for word in sentence.words)
    if rule != asked:
        log.info(
            "raw text will be split into words %s, because the training data is split that way "
            "(--word-splitting changes this)",
            _SPLITTING[rule],
        )
    return rule


def check_settings(config: Config) -> None:
    """Raise UserError if settings, files or packages that the run needs are missing."""
    check_complete(config)
    check_there(config)
    optimizer = config.optimizer
    if optimizer.lr_scheduler_type == "polynomial" and optimizer.learning_rate <= POLYNOMIAL_END:
        raise UserError(
            f"optimizer.learning_rate must be above {POLYNOMIAL_END:g}, where the polynomial schedule ends.",
            hint="Pass a higher --learning-rate or another --lr-scheduler-type.",
        )
    check_trackers(config.training.report_to)


def warn_of_ignored(config: Config, schedule: Schedule) -> None:
    """Warn about settings that have no effect because of others, and about a warm-up that does not end."""
    training, optimizer, n_warmup = config.training, config.optimizer, schedule.n_warmup_steps
    if config.data.extra_file is None:
        for option, is_set in (
            ("--extra-weight", training.extra_weight != 1),
            ("--extra-min-score", config.data.extra_min_score is not None),
        ):
            if is_set:
                log.warning("%s has no effect without --extra-file.", option)
    if training.eval_steps and training.eval_by != "steps":
        log.warning("--eval-steps has no effect, because --eval-strategy is %s.", training.eval_by)
    if not n_warmup:
        return
    if schedule.kind == "constant":
        log.warning(
            "the warm-up has no effect, because the learning rate is constant. To warm up, pass --lr-scheduler-type "
            "constant_with_warmup."
        )
    elif optimizer.warmup_steps and optimizer.warmup_ratio:
        by_ratio = f"--warmup-ratio {optimizer.warmup_ratio:g}"
        log.warning("%s has no effect, because --warmup-steps is %d.", by_ratio, n_warmup)
    if schedule.kind != "constant" and n_warmup >= schedule.n_steps:
        log.warning(
            "the warm-up takes %s, but the run has only %s. The learning rate stays below %g.",
            counted(n_warmup, "step"),
            counted(schedule.n_steps, "step"),
            optimizer.learning_rate,
        )


def plan_rows(plan: RunPlan) -> list[tuple[str, str]]:
    """The plan as rows of a name and a text."""
    training, optimizer = plan.config.training, plan.config.optimizer
    labels = plan.info.labels
    reading = plan.info.reading
    windows = plan.batches.windows
    n_sentences = pc.count_distinct(windows.data.column("sentence")).as_py()
    overlap = f"overlapping by {reading.overlap}" if len(windows) > n_sentences else "one for each sentence"
    length = counted(reading.max_length, "subword token")
    batch = training.batch_text
    if training.gradient_accumulation_steps > 1:
        batch += f", {counted(training.gradient_accumulation_steps, 'batch', 'batches')} per step"
    rate = f"{optimizer.learning_rate:g}, {plan.schedule.about}"
    if optimizer.layer_decay != 1:
        rate += f", multiplied by {optimizer.layer_decay:g} for each layer below the head"
    spans = f"words in spans have weight {training.span_weight:g}, other words 1"
    if labels.outside is None:
        spans = f"span weight {training.span_weight:g} has no effect, because the labels do not include O"
    choices = [choice.text for choice in plan.choices if choice.text]
    chosen = {name for choice in plan.choices for name in choice.values}
    clip = f"clipped to a norm of {optimizer.clip_norm:g}" if optimizer.clip_norm else "not clipped"
    return [
        ("task", plan.config.task.value),
        ("encoder", plan.config.model.name_or_path or ""),
        *([("", plan.note)] if plan.note else []),
        *[("data" if i == 0 else "", size) for i, size in enumerate(_sizes(plan))],
        ("labels", f"{len(labels)}, scheme {labels.scheme.value}: {_shortened(labels.names)}"),
        *([("head", "a linear layer and a CRF, whose transitions are learned")] if plan.has_crf else []),
        ("alignment", ALIGNMENTS[reading.strategy]),
        ("recipe", _recipe_text(plan)),
        *[("", text) for text in choices],
        ("windows", f"{len(windows):,} of at most {length}, {overlap}"),
        ("batches", f"{batch}, padded to {counted(len(plan.batches.widths), 'different length')}"),
        ("steps", plan.timetable.about),
        *([("scoring", _scoring(plan))] if training.eval_by != "epoch" or plan.measure is not MEASURES["f1"] else []),
        ("schedule", plan.schedule.about) if chosen >= RATES else ("learning rate", rate),
        ("weight decay", f"{optimizer.weight_decay:g}"),
        ("gradients", clip),
        *([("loss", spans)] if training.span_weight != 1 and "training.span_weight" not in chosen else []),
        *([("averaging", f"of the weights, decay {training.ema_decay:g} per step")] if training.ema_decay else []),
        ("computation", _computation(plan)),
        ("seed", str(training.seed)),
        *([("decoding", plan.config.evaluation.decoding)] if "evaluation.decoding" not in chosen else []),
        *([("cost", str(cost))] if (cost := estimate(plan)) else []),
        ("output", str(plan.run.root)),
    ]


def _sizes(plan: RunPlan) -> list[str]:
    """The size of each split in words."""
    drawing, extra = plan.splits.drawing, plan.splits.extra
    sizes = []
    for split in plan.splits:
        size = f"{split.name}: {counted(len(split), 'sentence')}, {counted(split.n_words, 'word')}"
        if drawing and split.name in drawing.names:
            size += f", {drawing.how(split.name)}"
        if extra and split is extra.split:
            what = ", soft labels" if extra.soft else ""
            weight = f"weight {plan.config.training.extra_weight:g} in the loss"
            size = "; ".join([f"{size}{what}, {weight}", *extra.left_out])
        sizes.append(size)
    return sizes


def _computation(plan: RunPlan) -> str:
    training = plan.config.training
    compiled = ", compiled with XLA" if training.jit_compile else ""
    again = ", layers computed again for the gradients" if training.gradient_checkpointing else ""
    return f"precision {plan.precision}{compiled}{again}"


def _recipe_text(plan: RunPlan) -> str:
    """The recipe. A configuration contains the values of a fixed recipe instead of its name."""
    if plan.choices:
        return "auto: chosen from the encoder and the data"
    best = recipe_settings("best", plan.config.model)
    config = plan.config.model_dump(include=set(best))
    if all(config[section][key] == value for section, keys in best.items() for key, value in keys.items()):
        return f"best: fixed learning rate, layer decay{'' if plan.has_crf else ', span weight'} and decoding"
    return "none: fixed values for settings that are not set"


def _scoring(plan: RunPlan) -> str:
    """When the validation sentences are scored, and which model is kept."""
    training = plan.config.training
    by = training.eval_by
    if by != "epoch" and len(plan.timetable.scored) == 1:
        patience = f", and patience {training.patience} has no effect" if training.patience else ""
        return f"at the end of training, so the last model is kept{patience}"
    when = f"every {counted(training.steps_between_scorings, 'step')}" if by == "steps" else "after each epoch"
    return f"{when}; the model with the best validation {plan.measure.name} is kept"


def _shortened(names: tuple[str, ...], limit: int = 60) -> str:
    text = ", ".join(names)
    return text if len(text) <= limit else text[:limit].rpartition(", ")[0] + ", ..."
