"""Compare systems on the same sentences: their scores, the differences with intervals and p-values, and examples."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.counted import counted
from tf_tokclf.data.run_settings import run_config, settings_for
from tf_tokclf.data.split_names import SPLITS
from tf_tokclf.errors import UserError
from tf_tokclf.html_form import HtmlForm
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.bootstrap import N_SAMPLES, Difference, compare
from tf_tokclf.scoring.entities import Mode
from tf_tokclf.scoring.predictions import (
    Prediction,
    PredictionFile,
    gold_of,
    is_folder_of_predictions,
    score_predictions,
)
from tf_tokclf.scoring.scores import Scores
from tf_tokclf.seed_scores import f1_by_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class System:
    """A system and the scores of its runs (one per seed)."""

    name: str
    sources: tuple[PredictionFile, ...] = field(repr=False)
    scores: tuple[Scores, ...]

    def f1(self, type_: str | None = None) -> list[float]:
        """F1 of each run, for one type or for all types together."""
        return [(s.by_type[type_].f1 if type_ in s.by_type else 0.0) if type_ else s.overall.f1 for s in self.scores]

    @property
    def right(self) -> np.ndarray:
        """(runs, sentences) bool: True where the run finds exactly the gold spans of the sentence."""
        counts = np.stack([s.table.of_sentences() for s in self.scores])
        right: np.ndarray = (counts == counts[..., :1]).all(axis=-1)
        return right


@dataclass(frozen=True)
class PairsOfRuns:
    """How often a run of one system has a higher F1 than a run of another, over all pairs of their runs.

    If nearly all pairs agree, the systems differ by more than their seeds do.
    """

    n: int
    first_better: int
    other_better: int


@dataclass(frozen=True)
class Comparison(HtmlForm):
    """Systems, and how each later one differs from the first, by type. The key "" holds the overall difference."""

    systems: tuple[System, ...]
    differences: tuple[dict[str, Difference], ...]

    def split_sentences(self, other: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the sentences that all runs of one system get right and all runs of the other get wrong.

        Returns those that only the first system gets right, then those that only system `other` gets right.
        """
        a, b = self.systems[0].right, self.systems[other].right
        a_alone, b_alone = a.all(axis=0) & ~b.any(axis=0), b.all(axis=0) & ~a.any(axis=0)
        return np.flatnonzero(a_alone), np.flatnonzero(b_alone)

    def pairs_of_runs(self, other: int) -> PairsOfRuns:
        """Compare the overall F1 of each run of system `other` with that of each run of the first system."""
        gaps = np.subtract.outer(self.systems[other].f1(), self.systems[0].f1())
        return PairsOfRuns(gaps.size, int((gaps < 0).sum()), int((gaps > 0).sum()))

    def examples(self, other: int, numbers: Iterable[int]) -> list[tuple[Prediction, Prediction]]:
        """These sentences as the first run of the first system and of system `other` labelled them."""
        wanted = set(np.asarray(list(numbers)).tolist())
        scheme = self.systems[0].sources[0].scheme
        sides = (self.systems[i].sources[0].in_scheme(scheme)() for i in (0, other))
        return [pair for number, pair in enumerate(zip(*sides)) if number in wanted]

    def to_json(self) -> dict[str, Any]:
        """Scores, differences and the numbers (from 1) of the sentences that only one system gets right."""
        return {
            "systems": [
                {
                    "name": system.name,
                    "runs": [str(source.path) for source in system.sources],
                    "f1": _spread(system.f1()),
                    "by_type": {name: _spread(system.f1(name)) for name in system.scores[0].by_type},
                    "scores": [scores.to_json() for scores in system.scores],
                }
                for system in self.systems
            ],
            "differences": [self._difference_json(i, each) for i, each in enumerate(self.differences, 1)],
        }

    def _difference_json(self, other: int, differences: dict[str, Difference]) -> dict[str, Any]:
        first_alone, other_alone = self.split_sentences(other)

        def numbers(one: Difference) -> dict[str, Any]:
            return {
                "f1": [one.a, one.b],
                "difference": one.difference,
                "interval": one.interval,
                "p": one.p_value,
            }

        return {
            "systems": [self.systems[0].name, self.systems[other].name],
            "overall": numbers(differences[""]),
            "by_type": {name: numbers(one) for name, one in differences.items() if name},
            "pairs_of_runs": asdict(self.pairs_of_runs(other)),
            "right_in_first_only": (first_alone + 1).tolist(),
            "right_in_other_only": (other_alone + 1).tolist(),
        }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "standard_deviation": deviation, "runs": list(values)}


def compare_systems(
    systems: Sequence[str | Path],
    *,
    split: str = "test",
    gold: Path | None = None,
    data: DataConfig | None = None,
    task: Task | None = None,
    predicted_columns: Sequence[str | int] = (),
    mode: Mode = "conlleval",
    n_samples: int = N_SAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two or more systems on the same sentences. Every later system is compared with the first.

    Args:
        systems: Runs, folders of runs, files of predictions, or `"NAME=PATH,PATH,..."` of any of them. Several runs
            under one name are the seeds of one system, and so are the runs of `fit --seeds`.
        split: The split whose predictions are read from runs.
        gold: A file with the gold labels, for files of predictions without them.
        data: How gold labels and predictions are read. If one of the systems is a run, the settings that are missing
            here are those of the first run.
        task: The task, if it differs from that of the first run.
        predicted_columns: The column of predicted labels, one for all systems or one for each. If empty, the columns
            are recognised by their names and order.
        mode: How invalid label sequences are read: `"conlleval"` or `"strict"`.
        n_samples: Number of bootstrap samples.
        seed: Random seed of the resampling.

    Returns:
        The scores of the systems, and the differences of F1 with intervals and p-values.

    Raises:
        UserError: There is nothing to compare, or the systems were not scored on the same sentences.
    """
    names = [str(system) for system in systems]
    if len(names) < 2:
        raise UserError("There is nothing to compare with.", hint="Give at least two runs or files of predictions.")
    if len(predicted_columns) not in (0, 1, len(names)):
        n_columns = counted(len(predicted_columns), "column")
        problem = f"{n_columns} of predictions named for {counted(len(names), 'system')}."
        raise UserError(problem, hint="Give --predicted-column-name once, or once for each system.")
    reading = _reading(names, gold, data or DataConfig(), task)
    columns = predicted_columns if len(predicted_columns) == len(names) else [*predicted_columns, None][:1] * len(names)
    named = [_named_sources(name, split, reading, column) for name, column in zip(names, columns)]
    sources = [source for _, sources in named for source in sources]
    scheme = sources[0].scheme
    for source in sources:
        source.survey.check()
    _check_same_gold(sources)
    scored = tuple(_system(name, sources, scheme, mode) for name, sources in _with_own_names(named, names))
    tables = [[scores.table for scores in system.scores] for system in scored]
    differences = (compare(tables[0], other, n_samples=n_samples, seed=seed) for other in tables[1:])
    return Comparison(scored, tuple(differences))


Named = tuple[str, tuple[PredictionFile, ...]]


def files_of_systems(systems: Iterable[str], split: str) -> list[Path]:
    """The files of predictions that `compare_systems` reads for `systems`."""
    return [file for text in systems for place in _places(text)[1] for file in _prediction_files(Path(place), split)]


def _reading(names: Sequence[str], gold: Path | None, data: DataConfig, task: Task | None) -> PredictionFile:
    """How all sources are read. The path is left empty. A gold file is read like the data of the first run."""
    configs = (run_config(place) for name in names for place in _places(name)[1])
    config = next((config for config in configs if config), None)
    task = task or (config.task if config else Task.NER)
    gold_data = settings_for(str(gold), data, config, task=task) if gold and config else None
    if config and config.data.scheme != "auto" and "scheme" not in data.model_fields_set:
        data = data.model_copy(update={"scheme": config.data.scheme})
    return PredictionFile(Path(), gold, data, task, gold_data=gold_data)


def _places(text: str) -> tuple[str, list[str]]:
    """The name of a system and the places of its runs."""
    name, equals, paths = text.partition("=")
    if Path(text).exists() or not equals:
        name, paths = Path(text).name or str(Path(text).resolve().name), text
    return name, [paths] if Path(paths).exists() else paths.split(",")


def _named_sources(text: str, split: str, reading: PredictionFile, column: str | int | None) -> Named:
    name, places = _places(text)
    files = [file for place in places for file in _prediction_files(Path(place), split)]
    return name, tuple(replace(reading, path=file, predicted_column=column) for file in files)


def _prediction_files(place: Path, split: str) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError("is neither a run nor a file of predictions.", path=place, hint="Check the path.")
    runs = _runs_of_seeds(RunDir(place))
    if runs:
        files = [run.predictions_for(split) for run in runs]
        missing = [run for run, file in zip(runs, files) if not file.is_file()]
        if missing:
            raise _no_predictions(missing[0].root, split)
        return files
    folders = [place, *sorted(folder for folder in place.iterdir() if folder.is_dir())]
    files = [RunDir(folder).predictions_for(split) for folder in folders]
    found = [file for file in files if file.is_file()]
    if found:
        return found[:1] if found[0] == files[0] else found
    if is_folder_of_predictions(place):
        return [place]
    raise _no_predictions(place, split)


def _runs_of_seeds(run: RunDir) -> list[RunDir]:
    """The runs of all seeds if `run` is a folder that `fit --seeds` wrote.

    Empty for other folders, and if only the median run was kept. Its model and predictions are in the folder itself.
    """
    runs = [run.of_seed(seed) for seed in f1_by_seed(run)]
    if not runs:
        return []
    if not any(one.root.is_dir() for one in runs):
        log.warning("%s: the runs of the seeds are missing, so only the median run is compared", run.root)
        return []
    return runs


def _no_predictions(place: Path, split: str) -> UserError:
    folders = [place, *sorted(folder for folder in place.iterdir() if folder.is_dir())]
    there = [name for name in SPLITS if any(RunDir(folder).predictions_for(name).is_file() for folder in folders)]
    choices = f"Choose {' or '.join(f'--split {name}' for name in there)}, or write" if there else "Write"
    hint = f"{choices} them with `tf-tokclf evaluate`."
    return UserError(f"contains no predictions for {split}.", path=place, hint=hint)


def _with_own_names(named: Sequence[Named], texts: Sequence[str]) -> Iterator[Named]:
    names = [name for name, _ in named]
    for (name, sources), text in zip(named, texts):
        yield (name if names.count(name) == 1 else text), sources


def _system(name: str, sources: tuple[PredictionFile, ...], scheme: Scheme, mode: Mode) -> System:
    score = partial(score_predictions, scheme=scheme, mode=mode)
    return System(name, sources, tuple(score(source.in_scheme(scheme)) for source in sources))


def _check_same_gold(sources: Sequence[PredictionFile]) -> None:
    first, *others = sources
    reference = _gold_hashes(first)
    for other in others:
        hashes = _gold_hashes(other)
        if len(hashes) != len(reference):
            raise UserError(
                f"has {counted(len(hashes), 'sentence')}, {first.path} has {len(reference)}.",
                path=other.path,
                hint="Compare systems on the same sentences.",
            )
        differing = np.flatnonzero(hashes != reference)
        if len(differing):
            has = "has" if len(differing) == 1 else "have"
            raise UserError(
                f"{counted(len(differing), 'sentence')} {has} different gold labels than {first.path}; the first one is"
                f" number {differing[0] + 1}.",
                path=other.path,
                hint="Compare systems on the same sentences.",
            )


def _gold_hashes(source: PredictionFile) -> np.ndarray:
    return np.fromiter((hash(tuple(gold_of(one))) for one in source.predictions()), np.int64)
