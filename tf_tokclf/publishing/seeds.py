"""The same run over several seeds: mean and spread, and the median run as the model."""

from __future__ import annotations

import json
import logging
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import check_config, config_tree, load_config, save_config
from tf_tokclf.config.schema import Config
from tf_tokclf.errors import Stopped, UserError
from tf_tokclf.publishing.runs import fit, push, write_card
from tf_tokclf.run_dir import RunDir, write_json
from tf_tokclf.training.identity import setting_differences, settings_of
from tf_tokclf.training.run_folder import claim_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeedScores:
    """The F1 of one seed's run by split."""

    seed: int
    f1: dict[str, float]


@dataclass(frozen=True)
class SeedSummary:
    """The scores of all seeds. median: the seed whose dev F1 is in the middle, the lower one of two."""

    scores: tuple[SeedScores, ...]

    @property
    def median(self) -> int:
        """Chosen by dev, never by test."""
        by_dev = sorted(self.scores, key=lambda one: (one.f1["validation"], one.seed))
        return by_dev[(len(by_dev) - 1) // 2].seed

    def mean(self, split: str) -> float:
        """The mean F1 over seeds."""
        return statistics.mean(one.f1[split] for one in self.scores)

    def deviation(self, split: str) -> float:
        """The sample standard deviation of F1 over seeds."""
        return statistics.stdev(one.f1[split] for one in self.scores)

    def to_json(self) -> dict[str, Any]:
        """What seeds.json holds."""
        splits = self.scores[0].f1
        return {
            "seeds": {str(one.seed): {"f1": one.f1} for one in self.scores},
            "median": self.median,
            "mean": {split: self.mean(split) for split in splits},
            "standard_deviation": {split: self.deviation(split) for split in splits},
        }


def fit_seeds(config: Config, seeds: Sequence[int], *, resume: bool = False) -> SeedSummary:
    """Train once for each of `seeds`, in folders seed-N of the run's folder; the median run becomes the model there.

    resume: leave finished seeds as they are and go on with the others. With hub.push the median run is published.
    """
    _check(config, seeds)
    root = RunDir(Path(config.output_dir or "."))
    if not resume:
        claim_folder(root, overwrite=config.overwrite)
    summary = SeedSummary(tuple(_one_seed(config, root, seed, resume=resume) for seed in seeds))
    _take_over(root, root.of_seed(summary.median), config)
    write_json(root.seeds, summary.to_json())
    others = [root.of_seed(seed) for seed in seeds if seed != summary.median]
    if config.hub.push:
        push(root.root, other_seeds=[one.root for one in others])
    else:
        write_card(root, other_seeds=others)
    return summary


def _check(config: Config, seeds: Sequence[int]) -> None:
    if len(set(seeds)) < max(2, len(seeds)):
        raise UserError(f"--seeds {','.join(map(str, seeds))}: give two or more different ones.")
    if not config.output_dir:
        raise UserError("there is no place for the runs: give --output-dir.")


def _one_seed(config: Config, root: RunDir, seed: int, *, resume: bool) -> SeedScores:
    run = root.of_seed(seed)
    own = _changed(config, seed=seed, run=run)
    if not (resume and _is_finished(run, own)):
        log.info("seed %d: %s", seed, run.root)
        try:
            fit(own, resume=resume)
        except Stopped as stopped:
            message = f"seed {seed}: {stopped} (or all seeds by the same command as now with --resume)"
            raise Stopped(message, exit_code=stopped.exit_code) from stopped
        # What one run leaves in memory the next one does not need.
        _clear_session()
    splits = json.loads(run.results.read_text(encoding="utf-8"))["splits"]
    return SeedScores(seed, {name: float(values["overall"]["f1"]) for name, values in splits.items()})


def _changed(config: Config, *, seed: int, run: RunDir, push: bool = False) -> Config:
    """The configuration with another seed and folder."""
    tree = config_tree(config)
    tree["output_dir"] = str(run.root)
    tree["training"] = {**tree.get("training", {}), "seed": seed}
    tree["hub"] = {**tree.get("hub", {}), "push": push}
    return check_config(tree)


def _is_finished(run: RunDir, config: Config) -> bool:
    if not run.results.is_file():
        return False
    differences = setting_differences(settings_of(config), settings_of(load_config(run.config)))
    if differences:
        raise UserError(
            f"this is another run than the one to go on with; changed: {', '.join(differences)}.",
            path=run.root,
            hint="Change it back, or train anew in another --output-dir.",
        )
    return True


def _take_over(root: RunDir, run: RunDir, config: Config) -> None:
    """Make `root` a run folder like `run`, without what only going on needs."""
    seed = load_config(run.config).training.seed
    for source, target in zip(run.files, root.files):
        if source in (run.config, run.checkpoints, run.logs, run.seeds) or not source.exists():
            continue
        partial = target.with_name(target.name + ".partial")
        if source.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source, partial)
            shutil.rmtree(target, ignore_errors=True)
        else:
            shutil.copyfile(source, partial)
        partial.replace(target)
    save_config(_changed(config, seed=seed, run=root, push=config.hub.push), root.config)


def _clear_session() -> None:
    from tf_tokclf.model.backend import keras

    keras.backend.clear_session()
