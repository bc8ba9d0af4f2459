"""Evaluate models from Python."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from tf_tokclf.config.references import resolve_reference
from tf_tokclf.config.schema import Config, DataConfig, Task
from tf_tokclf.data.run_settings import DRAWING, drawing_of, run_config, run_of, settings_for, with_own_settings
from tf_tokclf.data.splits import Splits, load_splits
from tf_tokclf.encoding.model_folders import reference_text
from tf_tokclf.encoding.model_info import ModelInfo
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_output
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.decoding import decode
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, RULES, Scheme, split_label
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.labels.spans import translated_labels
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.stream import check_packages
from tf_tokclf.scoring.error_analysis import ErrorAnalyst, Training, training_of
from tf_tokclf.scoring.evaluation import Evaluation
from tf_tokclf.scoring.prediction_columns import shortened, types_of
from tf_tokclf.scoring.predictions import Prediction
from tf_tokclf.scoring.scores import Scorer
from tf_tokclf.scoring.slices import SliceCounter, slice_counter

log = logging.getLogger(__name__)


def evaluate(
    reference: str | Path,
    *,
    split: str = "test",
    data: DataConfig | None = None,
    mode: Literal["conlleval", "strict"] = "conlleval",
    predictions: Path | None = None,
    errors: bool = False,
    by: Sequence[str] = (),
    task: Task | None = None,
    thresholds: bool = False,
    **options: Any,
) -> Evaluation:
    """Score a model on labelled data.

    Args:
        reference: The model, as for `load`.
        split: The split to score: `"train"`, `"validation"` or `"test"`.
        data: The data that contains the split. The default is the data of the run. Settings that are not given here
            are those of the run.
        mode: How invalid label sequences are read: `"conlleval"` or `"strict"`.
        predictions: A file for words, labels and scores, as JSON lines.
        errors: Whether to analyse the errors.
        by: Divisions of the data into slices that are also scored: `"length"` (of sentences), `"seen"` (whether spans
            occur in the training data), `"domain"`, or columns of the labelled file.
        task: The task, if it differs from that of the run.
        thresholds: Whether spans are chosen by the thresholds that are stored with the model. By default they are not,
            so that scores of different models can be compared.
        **options: The options of `Tagger.load`.

    Returns:
        Scores (fractions between 0 and 1), the loss, confidence intervals, and the error analysis if it was requested.

    Raises:
        UserError: The model or the data cannot be used.
    """
    reference = reference_text(reference)
    check_data(reference, split, data)  # before loading the model
    tagger = _loaded(reference, thresholds=thresholds, **options)
    splits = labelled_splits(reference, split, data, tagger.info, task=task, with_training=errors or "seen" in by)
    training = training_of(splits.train, splits.scheme) if splits.train and (errors or "seen" in by) else None
    analyst = ErrorAnalyst(splits.scheme, mode, training) if errors else None
    if training is None and "seen" in by:
        training = _training_of_run(reference, tagger.info)
    # In the format that was read, which the files alone may not show.
    reading = _reading(reference, split, data).model_copy(update={"format": splits.formats[split]})
    chosen: dict[str, Any] = {"data": reading, "task": task or Task.NER, "training": training}
    slices = slice_counter(by, splits.scheme, mode, places=splits[split].places, **chosen) if by else None
    with open_output(predictions) if predictions else nullcontext() as file:
        result = evaluate_sentences(
            tagger,
            splits[split],
            mode=mode,
            scheme=splits.scheme,
            predictions=file,
            analyst=analyst,
            slices=slices,
            n_repaired=splits.repairs.get(split, 0),
        )
    return _with_origin(result, tagger)


def _with_origin(result: Evaluation, tagger: Tagger) -> Evaluation:
    """The result with how labels were computed."""
    facts = tagger.forward_pass.facts
    used = tagger.thresholds.summary() if tagger.thresholds else None
    return replace(result, engine=f"{facts.engine}, {facts.precision}", thresholds=used)


def _loaded(reference: str, *, thresholds: bool, **options: Any) -> Tagger:
    """The model. Raises UserError if its thresholds are asked for, and it has none."""
    tagger = Tagger.load(reference, thresholds=thresholds, **options)
    if thresholds and tagger.thresholds is None:
        hint = "Make them with tf-tokclf thresholds."
        raise UserError("has no thresholds.", path=reference, hint=hint)
    return tagger


def _training_of_run(reference: str, info: ModelInfo) -> Training | None:
    """The training data of a run, for a scored file that is not part of its data."""
    if run_config(reference) is None:
        return None
    own = labelled_splits(reference, "train", None, info)
    return training_of(own["train"], own.scheme)


def check_data(reference: str | Path, split: str, data: DataConfig | None) -> None:
    """Raise UserError if neither `data` nor a run `reference` names `split`, or if a package to read it is missing."""
    if data is None or not _names(data, split):
        data = own_config(reference).data
    if file := getattr(data, f"{split}_file", None):
        check_packages(str(file), data.format)


def labelled_splits(
    reference: str | Path,
    split: str,
    data: DataConfig | None,
    info: ModelInfo,
    *,
    task: Task | None = None,
    with_training: bool = False,
) -> Splits:
    """The data with the split to score.

    If `data` names the split, it is read with the settings of the run `reference`, except those set in `data`.
    Otherwise it is the split of the run, with the settings in `data`.

    info: that of the model; its rule for splitting texts into words is used unless `data` sets one. task: None for that
    of the run or model. with_training: also load the training sentences of the run. Raises UserError if none of the
    gold labels is a label of the model.
    """
    data = data or DataConfig()
    config = run_config(reference)
    task = task or (config.task if config else None) or (Task(info.task) if info.task else Task.NER)
    if not _names(data, split):
        own = with_own_settings(own_config(reference), data)
        _check_same_drawing(own_config(reference).data, own.data)
        run = run_of(reference)
        splits = load_splits(
            own.data,
            task=task,
            required=(split, "train") if with_training else (split,),
            drawn_before=drawing_of(run) if run else None,
        )
    else:
        place = str(getattr(data, f"{split}_file") or data.dataset_name)
        chosen = with_word_rule(settings_for(place, data, config, task=task), info)
        splits = _in_known_scheme(chosen, data, info, split, task)
    _check_known(splits, split, info)
    return splits


def _reading(reference: str, split: str, data: DataConfig | None) -> DataConfig:
    """The settings with which the scored file is read."""
    data = data or DataConfig()
    return data if _names(data, split) else with_own_settings(own_config(reference), data).data


def _check_same_drawing(own: DataConfig, chosen: DataConfig) -> None:
    """Raise UserError if other sentences would be drawn than in training, because the model has seen them."""
    changed = [name for name in DRAWING if getattr(own, name) != getattr(chosen, name)]
    if changed:
        problem = f"data.{changed[0]} cannot be changed after training, because the model saw other sentences."
        raise UserError(problem, hint="Leave it out, or train again with it.")


def _names(data: DataConfig | None, split: str) -> bool:
    """Whether the settings name a file for the split, or a data set."""
    return data is not None and bool(getattr(data, f"{split}_file", None) or data.dataset_name)


def _in_known_scheme(chosen: DataConfig, given: DataConfig, info: ModelInfo, split: str, task: Task) -> Splits:
    """The splits of a file that does not belong to the run.

    The labels are read in the scheme that the user set, else in that of the run or of the model if they fit it, else in
    the detected scheme.
    """

    def load(scheme: str) -> Splits:
        data = chosen.model_copy(update={"scheme": scheme})
        file = getattr(data, f"{split}_file")
        shown = {split: str(file)} if file else None
        return load_splits(data, task=task, required=(split,), draw=split != "test", shown=shown)

    if "scheme" in given.model_fields_set:
        return load(given.scheme)
    if chosen.scheme != "auto":
        splits = load(chosen.scheme)
        rules = RULES.get(splits.scheme)
        odd = [x for x in splits.labels.names if rules and split_label(x)[0] not in (*rules.prefixes, OUTSIDE_LABEL)]
        if not odd:
            return splits
        message = "%s: the run's setting is not used, because labels such as %s do not match it: scheme=%s"
        log.warning(message, splits[split].place, odd[0], chosen.scheme)
    splits = load("auto")
    own = info.labels.scheme
    if splits.detection and splits.scheme is not own and splits.detection.violations.get(own) == 0:
        return load(own.value)
    return splits


def _check_known(splits: Splits, split: str, info: ModelInfo) -> None:
    """Raise UserError if none of the gold labels is a label of the model, so that all spans would count as missed."""
    gold = splits[split].label_counts()
    known = types_of(info.labels.names)
    wanted = types_of(gold)
    if not wanted or wanted & known:
        return
    own = set(info.labels.names)
    raise UserError(
        f"none of the gold labels is a label of the model: the gold labels are {shortened(gold.keys() - own)}, "
        f"the model's labels are {shortened(own - gold.keys())}.",
        path=splits[split].place,
        hint="Name the column of labels with --label-column-name, or check that it is the right file.",
    )


def own_config(reference: str | Path) -> Config:
    """The configuration of the run `reference`. Raises UserError if it is not a run."""
    config = run_config(reference)
    if config is None:
        if not resolve_reference(str(reference)).exists():
            hint = "Check the path. If you mean a model on the Hub, also name a labelled file with --file."
            raise UserError(f"there is no folder {reference}.", hint=hint)
        raise UserError(f"{reference} is not a run, so it has no data to score on.", hint="Name a file with --file.")
    return config


def with_word_rule(data: DataConfig, info: ModelInfo) -> DataConfig:
    """`data` with the model's rule for splitting texts into words, unless `data` sets one."""
    given = "word_splitting" in data.model_fields_set
    return data if given else data.model_copy(update={"word_splitting": info.word_splitting})


def evaluate_sentences(
    tagger: Tagger,
    sentences: Iterable[Sentence],
    *,
    mode: Literal["conlleval", "strict"] = "conlleval",
    scheme: Scheme | None = None,
    predictions: IO[str] | None = None,
    analyst: ErrorAnalyst | None = None,
    slices: SliceCounter | None = None,
    n_repaired: int = 0,
) -> Evaluation:
    """Label `sentences`, and score the result against their gold labels. Words without a gold label do not count.

    scheme: that of the gold labels, if it differs from the model's; the model's labels are then converted to it.
    predictions: a file for words, gold and predicted labels and scores, one JSON line per sentence. n_repaired: number
    of sentences with repaired gold labels, which is reported beside the scores.
    """
    own_scheme = tagger.labels.scheme
    scorer = Scorer(scheme or own_scheme, mode=mode)
    by_argmax = None if tagger.decoding == "argmax" else Scorer(scorer.scheme, mode=mode)
    known = tagger.labels.id_by_label
    n_empty = n_truncated = n_unknown = n_losses = 0
    loss = 0.0
    for whole in tagger.tag(sentences):
        tagged = whole.of_labelled_words()
        gold = tagged.sentence.labels or ()
        predicted = translated_labels(tagged.labels, own_scheme, scorer.scheme)
        scorer.add(gold, predicted, tagged.sentence.words, tagged.sentence.origin)
        if by_argmax:
            by_argmax.add(gold, translated_labels(_most_probable(tagged), own_scheme, scorer.scheme))
        own_gold = translated_labels(gold, scorer.scheme, own_scheme)
        ids = np.array([known.get(label, -1) for label in own_gold], dtype=np.int64)
        losses = -tagged.log_probabilities[np.arange(len(ids)), ids]
        counted = losses[(ids >= 0) & ~np.isnan(losses)]
        loss, n_losses = loss + float(counted.sum()), n_losses + len(counted)
        n_unknown += int((ids < 0).sum())
        n_empty += tagged.n_empty
        n_truncated += tagged.n_truncated
        if predictions or analyst or slices:
            prediction = _prediction(tagged, predicted, gold_scores=np.exp(np.where(ids >= 0, -losses, -np.inf)))
        if predictions:
            predictions.write(json_line(prediction.to_json()))
        for each in (analyst, slices):
            if each:
                each.add(prediction)
    facts = {
        "n_truncated_words": n_truncated,
        "n_empty_words": n_empty,
        "n_unseen_labels": n_unknown,
        "n_repaired_sentences": n_repaired,
    }
    return Evaluation(
        scorer.scores().with_facts(**facts),
        loss=loss / n_losses if n_losses else float("nan"),
        errors=analyst.result() if analyst else None,
        by_argmax=by_argmax.scores() if by_argmax else None,
        slices=slices.result() if slices else None,
    )


def _most_probable(tagged: TaggedSentence) -> list[str]:
    whole = np.array([0, len(tagged.labels)])
    return [tagged.label_set.names[i] for i in decode(tagged.log_probabilities, whole, tagged.label_set)]


def _prediction(tagged: TaggedSentence, predicted: Sequence[str], *, gold_scores: np.ndarray) -> Prediction:
    """predicted: the predicted labels in the scheme of the gold labels.

    gold_scores: (words,) the probability of each gold label, 0 for labels that the model does not have.
    """
    return Prediction(
        words=tagged.sentence.words,
        predicted=tuple(predicted),
        gold=tagged.sentence.labels,
        scores=_known(tagged.scores),
        gold_scores=_known(gold_scores.tolist()),
        positions=tagged.positions,
        origin=tagged.sentence.origin,
    )


def _known(scores: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(None if score != score else score for score in scores)
