"""A learning curve: the scores of runs on shares of the training data, and `learning_curve.json`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.html_form import HtmlForm
from tf_tokclf.json_text import read_json
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.power_law import Extrapolation, Measured, NoExtrapolation, extrapolate

HINT = "Write it again with the command that started the learning curve and --resume."
# Intervals that are narrower than this number of points are shown with a decimal.
_NARROW = 4


@dataclass(frozen=True)
class ShareRun:
    """A run on a share of the training data.

    Attributes:
        share: The share, above 0 and at most 1.
        seed: The seed of the run, with which its sentences were drawn too.
        n_sentences: The number of training sentences.
        n_words: The number of their words.
        n_spans: The number of their spans. None if the labels form no spans.
        f1: F1 by split, as fractions.
        half_width: Half of the 95 % interval of F1 by split.
    """

    share: float
    seed: int
    n_sentences: int
    n_words: int
    n_spans: int | None
    f1: Mapping[str, float]
    half_width: Mapping[str, float]


@dataclass(frozen=True)
class SharePoint:
    """The runs of all seeds on a share of the training data. Numbers of sentences, words and spans are means.

    f1: the F1 of each seed by split.
    """

    share: float
    n_sentences: float
    n_words: float
    n_spans: float | None
    f1: Mapping[str, tuple[float, ...]]

    def mean(self, split: str) -> float:
        """Mean F1 of a split over the seeds."""
        return statistics.fmean(self.f1[split])

    def deviation(self, split: str) -> float | None:
        """Sample standard deviation of the F1 of a split over the seeds. None for one seed."""
        return statistics.stdev(self.f1[split]) if len(self.f1[split]) > 1 else None


@dataclass(frozen=True)
class LearningCurve(HtmlForm):
    """The scores of runs on shares of the training data.

    Attributes:
        runs: The runs, ordered by share and seed. Each share has the same seeds.
        chosen: The seed of the run whose model is in the folder: the median run on the largest share.
    """

    runs: tuple[ShareRun, ...]
    chosen: int

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares in ascending order."""
        return tuple(dict.fromkeys(run.share for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that were scored."""
        return tuple(self.runs[0].f1)

    @property
    def split(self) -> str:
        """The split by which the curve is extrapolated: test, or validation if there is no test set."""
        return "test" if "test" in self.splits else self.splits[0]

    @cached_property
    def points(self) -> tuple[SharePoint, ...]:
        """The mean of the seeds for each share."""
        return tuple(_point([run for run in self.runs if run.share == share]) for share in self.shares)

    @cached_property
    def outlook(self) -> Extrapolation | NoExtrapolation:
        """What twice as many training sentences could bring."""
        return extrapolate([self._measured(point) for point in self.points])

    @property
    def outlook_text(self) -> str:
        """The same as sentences."""
        found = self.outlook
        if isinstance(found, NoExtrapolation):
            return f"What more labelled sentences would bring cannot be said, because {found.reason}."
        low, high = (100 * end for end in found.interval)
        digits = 1 if high - low < _NARROW else 0
        now, more = 100 * self.points[-1].mean(self.split), 100 * found.f1
        return (
            f"With twice as many sentences ({found.n_sentences:,}), {self.split} F1 could be about {more:.{digits}f} "
            f"({low:.{digits}f} to {high:.{digits}f}) instead of {now:.{digits}f}, if the curve goes on as before. "
            f"This is an extrapolation from {counted(found.n_sizes, 'size')} of training data."
        )

    def _measured(self, point: SharePoint) -> Measured:
        widths = [run.half_width.get(self.split, 0.0) for run in self.runs if run.share == point.share]
        return Measured(
            point.n_sentences, tuple(1 - f1 for f1 in point.f1[self.split]), half_width=statistics.fmean(widths)
        )

    def to_json(self) -> dict[str, Any]:
        """The results in learning_curve.json."""
        return {
            "runs": [asdict(run) for run in self.runs],
            "points": [self._point_json(point) for point in self.points],
            "extrapolation": {"split": self.split, **_outlook_json(self.outlook), "text": self.outlook_text},
            "model": {"share": self.shares[-1], "seed": self.chosen},
        }

    def _point_json(self, point: SharePoint) -> dict[str, Any]:
        f1 = {split: {"mean": point.mean(split), "standard_deviation": point.deviation(split)} for split in self.splits}
        return {**asdict(point), "f1": f1}


def _point(runs: Sequence[ShareRun]) -> SharePoint:
    spans = [run.n_spans for run in runs if run.n_spans is not None]
    return SharePoint(
        share=runs[0].share,
        n_sentences=statistics.fmean(run.n_sentences for run in runs),
        n_words=statistics.fmean(run.n_words for run in runs),
        n_spans=statistics.fmean(spans) if spans else None,
        f1={split: tuple(run.f1[split] for run in runs) for split in runs[0].f1},
    )


def _outlook_json(outlook: Extrapolation | NoExtrapolation) -> dict[str, Any]:
    if isinstance(outlook, NoExtrapolation):
        return {"reason": outlook.reason}
    return {**asdict(outlook), "interval": list(outlook.interval), "formula": "1 - F1 = a * n_sentences^-b + c"}


def run_from_json(values: Mapping[str, Any]) -> ShareRun:
    """A run from its entry in learning_curve.json. Raises ValueError, TypeError, KeyError or AttributeError."""
    run = ShareRun(
        share=float(values["share"]),
        seed=int(values["seed"]),
        n_sentences=int(values["n_sentences"]),
        n_words=int(values["n_words"]),
        n_spans=None if values["n_spans"] is None else int(values["n_spans"]),
        f1={str(split): float(f1) for split, f1 in values["f1"].items()},
        half_width={str(split): float(width) for split, width in values["half_width"].items()},
    )
    if not (0 < run.share <= 1 and run.n_sentences > 0 and run.f1 and all(0 <= f1 <= 1 for f1 in run.f1.values())):
        raise ValueError("it does not describe a run")
    return run


def read_curve(run: RunDir) -> LearningCurve | None:
    """The learning curve in a folder. None if there is none, or if it is not finished.

    Raises UserError if the file is damaged.
    """
    if not run.learning_curve.is_file():
        return None
    try:
        values = read_json(run.learning_curve, hint=HINT)
        runs = tuple(run_from_json(one) for one in values["runs"])
        if "model" not in values:
            return None
        curve = LearningCurve(runs, int(values["model"]["seed"]))
        if len({tuple(one.f1) for one in runs}) != 1 or len(runs) != len(curve.shares) * len(curve.seeds):
            raise ValueError("runs are missing")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError("does not list the runs of a learning curve.", path=run.learning_curve, hint=HINT) from error
    return curve
