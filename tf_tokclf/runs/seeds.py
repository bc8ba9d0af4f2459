"""The same run with several seeds: mean and standard deviation, and the median run as the model."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tf_tokclf.config.schema import Config
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.errors import UserError
from tf_tokclf.files import restore_replaced, write_json
from tf_tokclf.model.backend import keras
from tf_tokclf.publishing.publish import push, write_card
from tf_tokclf.report.html_tables import html_table
from tf_tokclf.report.result_tables import seeds_result_table
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
from tf_tokclf.run_record import read_record
from tf_tokclf.runs.variants import chosen_variant, fit_unless_finished, take_over, variant
from tf_tokclf.scoring.measures import MEASURES, Measure
from tf_tokclf.seed_scores import seeds_in
from tf_tokclf.training.resume import with_earlier_choices
from tf_tokclf.training.run_folder import check_links, claim_folder


@dataclass(frozen=True)
class SeedScores:
    """The F1 (0 to 1) of one seed's run by split, and its validation score by the measure of `SeedSummary`."""

    seed: int
    f1: dict[str, float]
    value: float


@dataclass(frozen=True)
class SeedSummary:
    """The scores of several seeds.

    Attributes:
        scores: The F1 of each seed by split, as fractions.
        measure: The measure by which the median run is chosen.
    """

    scores: tuple[SeedScores, ...]
    measure: Measure = MEASURES["f1"]

    @property
    def median(self) -> int:
        """The seed with the median validation score. If two seeds are in the middle, it is the worse one."""
        ranked = sorted(self.scores, key=lambda one: (self.measure.rank(one.value), one.seed))
        return ranked[(len(ranked) - 1) // 2].seed

    def mean(self, split: str) -> float:
        """Mean F1 of a split over the seeds."""
        return statistics.mean(one.f1[split] for one in self.scores)

    def deviation(self, split: str) -> float:
        """Sample standard deviation of the F1 of a split over the seeds."""
        return statistics.stdev(one.f1[split] for one in self.scores)

    def to_json(self) -> dict[str, Any]:
        """The contents of seeds.json."""
        splits = self.scores[0].f1
        return {
            "seeds": {str(one.seed): {"f1": one.f1, **self.measure.to_json(one.value)} for one in self.scores},
            "median": self.median,
            "median_of": f"{self.measure.name} on validation",
            "mean": {split: self.mean(split) for split in splits},
            "standard_deviation": {split: self.deviation(split) for split in splits},
        }

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        return html_table(
            seeds_result_table({one.seed: one.f1 for one in self.scores}, {}, median=self.median, measure=self.measure)
        )


def seeds_to_resume(config: Config) -> tuple[int, ...]:
    """The seeds in the output folder of `config`, if it is a folder of several seeds and `config` belongs to its median
    run. Empty for any other folder.
    """
    root = RunDir.of(config.output_dir)
    seeds = seeds_in(root)
    if config.training.seed not in seeds:
        return ()
    record = read_record(root)
    is_median = record is None or record.settings.get("training.seed") == config.training.seed
    return seeds if is_median else ()


def fit_seeds(
    config: Config,
    seeds: Sequence[int],
    *,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> SeedSummary:
    """Train once for each of `seeds`, in folders seed-N of the output folder, and copy the model of the median run
    there.

    resume: keep finished seeds, and continue the others. With hub.push, the median run is published.
    """
    _check(config, seeds)
    root = RunDir.of(config.output_dir)
    with locked(root):
        return _fit_seeds(config, root, seeds, resume=resume, callbacks=callbacks)


def _fit_seeds(
    config: Config,
    root: RunDir,
    seeds: Sequence[int],
    *,
    resume: bool,
    callbacks: Sequence[keras.callbacks.Callback],
) -> SeedSummary:
    if resume:
        restore_replaced(root.model)
        check_links(root)
        config = _with_choices_of(config, root, seeds)
    else:
        claim_folder(root, overwrite=config.overwrite, inputs=run_inputs(config))
    scores, measure = [], MEASURES[config.training.metric_for_best_model]
    for seed in seeds:
        own = variant(config, root.of_seed(seed), {"training.seed": seed})
        of_run = fit_unless_finished(own, f"seed {seed}", measure, resume=resume, callbacks=callbacks)
        scores.append(SeedScores(seed, of_run.f1, of_run.value))
    summary = SeedSummary(tuple(scores), measure)
    chosen = root.of_seed(summary.median)
    median = chosen_variant(config, root, chosen, {"training.seed": summary.median}, push=config.hub.push)
    take_over(root, chosen, median)
    write_json(root.seeds, summary.to_json())
    if config.hub.push:
        push(root.root)
    else:
        write_card(root)
    return summary


def _with_choices_of(config: Config, root: RunDir, seeds: Sequence[int]) -> Config:
    """The configuration with what the recipe chose for the seeds that have started, because all seeds share it."""
    for seed in seeds:
        started = with_earlier_choices(variant(config, root.of_seed(seed), {}))
        if not started.left_to_recipe:
            return variant(started, root, {}, push=config.hub.push)
    return config


def _check(config: Config, seeds: Sequence[int]) -> None:
    if len(set(seeds)) < max(2, len(seeds)):
        raise UserError(f"--seeds {','.join(map(str, seeds))}: two or more different seeds are needed.")
    if not config.output_dir:
        raise UserError("no folder for the runs.", hint="Pass --output-dir.")
