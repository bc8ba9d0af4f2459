"""A learning curve: runs on shares of the training data, each of which contains the smaller ones.

Each run has a folder of its own in the output folder, which gets the model of the median run on the largest share. For
each seed, other sentences are drawn, so that the spread over the seeds includes that of the data. Validation and test
sentences are the same in all runs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from tf_tokclf.config.cluster import cluster_of
from tf_tokclf.config.flat_settings import is_free, setting_values
from tf_tokclf.config.loading import check_config, config_tree, load_config, save_config, with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.data.splits import load_training_splits
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole, restore_replaced, write_json
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.model.backend import keras
from tf_tokclf.publishing.publish import prepare_repository, push, write_card
from tf_tokclf.report.figures import standalone
from tf_tokclf.report.learning_curve import curve_chart
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
from tf_tokclf.runs.seeds import SeedScores, SeedSummary
from tf_tokclf.runs.single import PlanRows
from tf_tokclf.runs.variants import chosen_variant, fit_unless_finished, take_over, variant
from tf_tokclf.scoring.error_analysis import training_of
from tf_tokclf.scoring.learning_curve import HINT, LearningCurve, ShareRun
from tf_tokclf.scoring.measures import MEASURES
from tf_tokclf.training.estimate import estimate, rough_duration
from tf_tokclf.training.plan import plan_rows, plan_run
from tf_tokclf.training.run_folder import check_links, check_room_for, claim_folder
from tf_tokclf.training.run_identity import another_run, check_same, setting_differences, settings_of

KIND = "learning curve"
_SHARE, _SHARE_SEED, _SEED = "data.train_fraction", "data.train_fraction_seed", "training.seed"
# Rows of the plan of a run that a learning curve has rows of its own for.
_OF_A_RUN = ("seed", "cost", "output")


@dataclass(frozen=True)
class Sizes:
    """The size of a share. n_spans: None if the labels form no spans."""

    n_sentences: int
    n_words: int
    n_spans: int | None

    def __str__(self) -> str:
        spans = "" if self.n_spans is None else f", {counted(self.n_spans, 'span')}"
        return f"{counted(self.n_sentences, 'sentence')}, {counted(self.n_words, 'word')}{spans}"


@dataclass(frozen=True)
class Curve:
    """A learning curve to train: `config` on each of the shares with each of the seeds."""

    config: Config
    shares: tuple[float, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, config: Config, shares: Sequence[float], seeds: Sequence[int] = ()) -> Curve:
        """Check the settings, and sort the shares. seeds: by default that of `config`.

        Raises UserError for what cannot be trained.
        """
        listed = f"--learning-curve {','.join(f'{share:g}' for share in shares)}"
        if odd := [share for share in shares if not 0 < share <= 1]:
            raise UserError(f"{listed}: {odd[0]:g} is not a share above 0 and at most 1.")
        if len(set(shares)) < max(2, len(shares)):
            raise UserError(f"{listed}: two or more different shares are needed.", hint="For example: 0.1,0.25,0.5,1")
        if len(set(seeds)) < len(seeds):
            raise UserError(f"--seeds {','.join(map(str, seeds))}: the seeds have to be different.")
        if not config.output_dir:
            raise UserError("no folder for the runs.", hint="Pass --output-dir.")
        if config.data.train_fraction != 1:
            hint = f"Remove {_SHARE}."
            raise UserError(f"--learning-curve and {_SHARE} cannot be combined.", hint=hint)
        if cluster_of(config.training.strategy):
            problem = "the runs of a learning curve are trained on one host."
            raise UserError(problem, hint="Unset TF_CONFIG, or pass --strategy mirrored.")
        return cls(config, tuple(sorted(shares)), tuple(seeds) or (config.training.seed,))

    @property
    def root(self) -> RunDir:
        """The output folder."""
        return RunDir.of(self.config.output_dir)

    def values(self, share: float, seed: int) -> dict[str, Any]:
        """The settings of a run. On the share 1 it is the same as any run with this seed."""
        of_share = {} if share == 1 else {_SHARE: share, _SHARE_SEED: seed}
        return {_SEED: seed, **of_share}

    def own(self, share: float, seed: int) -> Config:
        """The configuration of a run."""
        return variant(self.config, self.root.of_share(share, seed), self.values(share, seed))

    def pairs(self) -> Iterator[tuple[float, int]]:
        """The share and the seed of each run."""
        return ((share, seed) for share in self.shares for seed in self.seeds)


def fit_learning_curve(
    config: Config,
    shares: Sequence[float] = (),
    seeds: Sequence[int] = (),
    *,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    show_plan: Callable[[PlanRows], object] | None = None,
) -> LearningCurve:
    """Train `config` on each of the shares of the training data, in folders of the output folder, and copy the model of
    the median run on the largest share there.

    seeds: train once for each of them on each share. By default, the seed of `config` alone. resume: keep finished
    runs, and continue the others. Shares and seeds may be added, and are those in the folder by default. With hub.push,
    the model is published. Raises UserError, before anything is trained, for what the user has to change.
    """
    if resume:
        config, shares, seeds = _continued(config, shares, seeds)
    curve = Curve.of(config, shares, seeds)
    root = curve.root
    check_room_for(config, resume=resume)
    prepare_repository(config)
    with locked(root):
        if resume:
            restore_replaced(root.model)
            check_links(root)
        sizes = _sizes(curve)
        if show_plan:
            show_plan(_plan_rows(curve, sizes))
        if not resume:
            claim_folder(root, overwrite=config.overwrite, inputs=run_inputs(config))
        if not root.config.is_file():
            save_config(with_settings(config, {"recipe": config.recipe}), root.config)
        return _train(curve, sizes, resume=resume, callbacks=callbacks)


def _train(
    curve: Curve,
    sizes: Mapping[tuple[float, int], Sizes],
    *,
    resume: bool,
    callbacks: Sequence[keras.callbacks.Callback],
) -> LearningCurve:
    root, config = curve.root, curve.config
    measure = MEASURES[config.training.metric_for_best_model]
    _write(curve, {"runs": []})
    runs: list[ShareRun] = []
    of_largest: list[SeedScores] = []
    for share, seed in curve.pairs():
        name = f"share {share:g}, seed {seed}"
        scores = fit_unless_finished(curve.own(share, seed), name, measure, resume=resume, callbacks=callbacks)
        run = ShareRun(
            share, seed, **asdict(sizes[share, seed]), f1=scores.f1, half_width=_half_widths(curve, share, seed)
        )
        runs.append(run)
        if share == curve.shares[-1]:
            of_largest.append(SeedScores(seed, scores.f1, scores.value))
        _write(curve, {"runs": [asdict(one) for one in runs]})
    result = LearningCurve(tuple(runs), SeedSummary(tuple(of_largest), measure).median)
    share, seed = curve.shares[-1], result.chosen
    chosen = root.of_share(share, seed)
    take_over(root, chosen, chosen_variant(config, root, chosen, curve.values(share, seed), push=config.hub.push))
    _write(curve, result.to_json())
    with open_whole(root.learning_curve_picture) as file:
        file.write(standalone([("F1 by the number of training sentences", curve_chart(result))]))
    if config.hub.push:
        push(root.root)
    else:
        write_card(root)
    return result


def _half_widths(curve: Curve, share: float, seed: int) -> dict[str, float]:
    """Half of the interval of F1 by split, from the results of a finished run."""
    text = curve.root.of_share(share, seed).results.read_text(encoding="utf-8")
    widths = {}
    for split, values in json.loads(text)["splits"].items():
        low, high = values["f1_interval"]["overall"]
        widths[split] = (high - low) / 2
    return widths


def _write(curve: Curve, results: Mapping[str, Any]) -> None:
    """Write learning_curve.json with the settings that all runs share."""
    asked = {"shares": list(curve.shares), "seeds": list(curve.seeds), "config": config_tree(curve.config)}
    write_json(curve.root.learning_curve, {**asked, **results})


def is_curve(config: Config) -> bool:
    """Whether the output folder of `config` is that of a learning curve."""
    root = RunDir.of(config.output_dir)
    return root.learning_curve.is_file() or root.shares.is_dir()


def _continued(
    config: Config, shares: Sequence[float], seeds: Sequence[int]
) -> tuple[Config, Sequence[float], Sequence[int]]:
    """The configuration, shares and seeds of the learning curve in the output folder, with those that are added.

    Raises UserError if it is another one.
    """
    root = RunDir.of(config.output_dir)
    if not root.learning_curve.is_file():
        if root.results.is_file() and not root.shares.is_dir():
            raise UserError(
                f"contains a run that is not a {KIND}.", path=root.root, hint="Choose another --output-dir."
            )
        if not shares:
            problem = f"{root.learning_curve.name} is missing, so the shares are not known."
            hint = "Continue with the command that started the learning curve (fit CONFIG --learning-curve ...) and "
            raise UserError(problem, path=root.root, hint=f"{hint}--resume.")
        return config, shares, seeds
    before = _begun(root)
    config = _shared_config(config, before)
    check_same(setting_differences(settings_of(config), settings_of(before.config)), root, kind=KIND)
    for what, asked, old in (("share", shares, before.shares), ("seed", seeds, before.seeds)):
        if asked and (missing := [one for one in old if one not in asked]):
            raise another_run(f"it has the {what} {missing[0]:g}, which is not listed", root, kind=KIND)
    return config, shares or before.shares, seeds or before.seeds


def _begun(root: RunDir) -> Curve:
    """The learning curve in a folder, as it was asked for. Raises UserError if the file is damaged."""
    try:
        values = read_json(root.learning_curve, hint=HINT)
        shares, seeds = tuple(map(float, values["shares"])), tuple(map(int, values["seeds"]))
        return Curve(check_config(values["config"]), shares, seeds)
    except (ValueError, TypeError, KeyError) as error:
        problem = "does not describe a learning curve."
        hint = f"Remove it. {HINT}"
        raise UserError(problem, path=root.learning_curve, hint=hint) from error


def _shared_config(config: Config, before: Curve) -> Config:
    """The configuration that the runs share. In the end, the one in the folder is that of the chosen run."""
    root = RunDir.of(config.output_dir)
    if not root.config.is_file() or settings_of(config) != settings_of(load_config(root.config)):
        return config
    own = ("recipe", "sweep", "sweep_trials")
    free = {name: value for name, value in setting_values(config).items() if is_free(name) and name not in own}
    return with_settings(before.config, free)


def _sizes(curve: Curve) -> dict[tuple[float, int], Sizes]:
    """The sizes of all shares. Raises UserError if a share has no spans, or the same sentences as another one."""
    with _quiet():
        sizes = {pair: _size(curve.own(*pair), pair[0]) for pair in curve.pairs()}
    for seed in curve.seeds:
        for smaller, larger in pairwise(curve.shares):
            n = sizes[smaller, seed].n_sentences
            if n >= sizes[larger, seed].n_sentences:
                hint = (
                    "Choose shares that differ more. Documents stay whole: --split-by sentence draws single sentences."
                )
                both = f"the shares {smaller:g} and {larger:g} both give {counted(n, 'sentence')}"
                raise UserError(f"--learning-curve: {both} with seed {seed}.", hint=hint)
    return sizes


def _size(config: Config, share: float) -> Sizes:
    splits = load_training_splits(config.data, task=config.task)
    train = splits.train
    if splits.scheme is Scheme.NONE:
        return Sizes(len(train), train.n_words, None)
    n_spans = sum(training_of(train, splits.scheme).n_spans.values())
    if not n_spans:
        problem = f"--learning-curve: the share {share:g} ({counted(len(train), 'sentence')}) contains no spans."
        raise UserError(problem, path=train.place, hint="Check the labels of the training data with tf-tokclf inspect.")
    return Sizes(len(train), train.n_words, n_spans)


def planned_curve(curve: Curve) -> PlanRows:
    """The plan of the run on the largest share, and the sizes and times of all runs with the first seed."""
    return _plan_rows(curve, _sizes(curve))


def _plan_rows(curve: Curve, sizes: Mapping[tuple[float, int], Sizes]) -> PlanRows:
    largest = plan_run(curve.own(curve.shares[-1], curve.seeds[0]))
    rows = [row for row in plan_rows(largest) if row[0] not in _OF_A_RUN]
    seconds, texts = 0.0, []
    for share in curve.shares:
        with _quiet():
            plan = plan_run(curve.own(share, curve.seeds[0]))
            cost = estimate(plan)
        seconds += cost.seconds * len(curve.seeds) if cost else 0.0
        time = f", about {rough_duration(cost.seconds)} per run" if cost else ""
        texts.append(
            f"share {share:g}: {sizes[share, curve.seeds[0]]}, {counted(plan.timetable.n_steps, 'step')}{time}"
        )
    n_runs = len(curve.shares) * len(curve.seeds)
    times = f"{counted(len(curve.shares), 'share')} x {counted(len(curve.seeds), 'seed')}: {counted(n_runs, 'run')}"
    total = f", about {rough_duration(seconds)} in all if the machine does nothing else" if seconds else ""
    return [
        *rows,
        ("seeds", ", ".join(map(str, curve.seeds))),
        (KIND, times + total),
        *(("", text) for text in texts),
        ("output", str(curve.root.root)),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes about data that each of the runs logs again."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
