"""A run as it is listed: its settings, scores and state, whatever is wrong with it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tf_tokclf.config.flat_settings import is_free, setting_values
from tf_tokclf.config.loading import check_config, read_yaml
from tf_tokclf.config.references import is_package_reference
from tf_tokclf.config.schema import Config
from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.json_text import read_json
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_history import epoch_rows
from tf_tokclf.run_lock import is_locked
from tf_tokclf.run_record import load_record
from tf_tokclf.scoring.measures import MEASURES, Measure
from tf_tokclf.seed_scores import f1_by_seed


@dataclass(frozen=True)
class ListedRun:
    """A run as it is listed. Parts that cannot be read are empty.

    Attributes:
        name: Its path below the folder that was searched.
        state: "finished", "running", "stopped after 2 of 3 epochs" or "damaged: ..." for example.
        data: The training file or data set.
        encoder: The encoder, without the folder that contains it.
        settings: All settings that affect the result.
        seeds: The seed, or all seeds of a folder of several seeds.
        f1: The F1 by split, as fractions, averaged over the seeds. For a run that is not finished, the best so far.
        modes: How invalid label sequences were read.
        seconds: The training time. For several seeds, the sum.
        date: When the run finished, or else when it was last changed.
    """

    name: str
    state: str
    data: str = ""
    encoder: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    f1: Mapping[str, float] = field(default_factory=dict)
    modes: frozenset[str] = frozenset()
    seconds: float | None = None
    date: datetime | None = None

    def to_json(self, differing: Iterable[str]) -> dict[str, Any]:
        """The run as JSON, with the settings named in `differing`."""
        return {
            "name": self.name,
            "state": self.state,
            "data": self.data,
            "encoder": self.encoder,
            "settings": {name: self.settings[name] for name in differing if name in self.settings},
            "seeds": list(self.seeds),
            "f1": dict(self.f1),
            "seconds": self.seconds,
            "date": self.date.isoformat(timespec="seconds") if self.date else None,
        }


def list_run(run: RunDir, name: str) -> ListedRun:
    """A run as it is listed, whatever is wrong with it."""
    known: dict[str, Any] = {"name": name, "date": _date(run)}
    problem = None
    try:
        config = _config(run)
        known |= {
            "data": _data_name(config),
            "encoder": _short(config.model.name_or_path or ""),
            "settings": _settings(config),
            "seeds": (config.training.seed,),
        }
    except _Damaged as error:
        config, problem = None, str(error)
    try:
        known |= _outcome(run, config)
    except _Damaged as error:
        known["state"] = str(error)
    return ListedRun(**{**known, "state": problem or known["state"]})


class _Damaged(Exception):
    """A file of a run is damaged. The text is the state of the run."""


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise _Damaged for everything that a damaged file can cause."""
    try:
        yield
    except UserError as error:
        problem = error.problem.splitlines()[0].partition(":")[0].rstrip(".")
        raise _Damaged(f"damaged: {path.name} ({problem})") from error
    except OSError as error:
        raise _Damaged(f"damaged: {path.name} ({error.strerror})") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise _Damaged(f"damaged: {path.name} ({type(error).__name__}: {first_line(error)})") from error


def _config(run: RunDir) -> Config:
    if not run.config.is_file():
        raise _Damaged(f"damaged: {run.config.name} is missing")
    with _reading(run.config):
        # A configuration without a recipe is that of an earlier version.
        return check_config({"recipe": "none", **read_yaml(run.config)})


def _settings(config: Config) -> dict[str, Any]:
    """The settings that affect the result, without those that the recipe of an unfinished sweep has not chosen."""
    left = config.left_to_recipe
    return {key: value for key, value in setting_values(config).items() if not is_free(key) and key not in left}


def _outcome(run: RunDir, config: Config | None) -> dict[str, Any]:
    """State, scores, seeds and time of a run."""
    if is_locked(run):
        return {"state": "running", **_best_so_far(run, config)}
    with _reading(run.finished):
        record = load_record(run)
    missing = [name for name in record.files if not (run.root / name).is_file()] if record else []
    if missing:
        more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
        return {"state": f"damaged: {missing[0]}{more} is missing", **_scores(run)}
    if run.seeds.is_file():
        return _mean_of_seeds(run)
    if run.sweep.is_file() or run.trials.is_dir():
        return _best_of_trials(run)
    if run.learning_curve.is_file() or run.shares.is_dir():
        return _largest_share(run)
    # Earlier versions wrote no record, and kept their checkpoints until a run was finished.
    if not run.results.is_file() or (record is None and run.checkpoints.is_dir()):
        return {"state": _progress(run, config), **_best_so_far(run, config)}
    return {"state": "finished", **_scores(run)}


def _scores(run: RunDir) -> dict[str, Any]:
    if not run.results.is_file():
        return {}
    with _reading(run.results):
        results = read_json(run.results, hint="")
        splits = results["splits"]
        return {
            "f1": {str(name): _share(values["overall"]["f1"]) for name, values in splits.items()},
            "modes": frozenset(str(values["mode"]) for values in splits.values() if values.get("mode")),
            "seconds": _seconds(results),
            "seeds": (int(results["seed"]),),
        }


def _share(value: Any) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError(f"{value} is not a score")
    return share


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value} is not a number of epochs")
    return value


def _seconds(results: Mapping[str, Any]) -> float:
    seconds = float(results["seconds"])
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{seconds} is not a time")
    return seconds


def _mean_of_seeds(run: RunDir) -> dict[str, Any]:
    with _reading(run.seeds):
        by_seed = f1_by_seed(run)
        if not by_seed:
            raise ValueError("it lists no seed")
        splits = next(iter(by_seed.values()))
        f1 = {split: _share(statistics.fmean(one[split] for one in by_seed.values())) for split in splits}
    return {
        **_scores(run),
        "state": f"finished, mean of {counted(len(by_seed), 'seed')}",
        "seeds": tuple(by_seed),
        "f1": f1,
        "seconds": _seconds_of_seeds(run, by_seed),
    }


def _seconds_of_seeds(run: RunDir, seeds: Iterable[int]) -> float | None:
    """The training time of all seeds. None if the results of one are missing."""
    scores = [_scores(run.of_seed(seed)) for seed in seeds]
    return math.fsum(one["seconds"] for one in scores) if all(scores) else None


def _best_of_trials(run: RunDir) -> dict[str, Any]:
    trials: Mapping[str, Any] = {}
    if run.sweep.is_file():
        with _reading(run.sweep):
            trials = dict(read_json(run.sweep, hint="")["trials"])
    if not run.results.is_file():
        n_done = sum(run.of_trial(name).results.is_file() for name in run.trials_with_config)
        return {"state": f"sweep stopped after {counted(n_done, 'trial')}"}
    return {**_scores(run), "state": f"finished, best of {counted(len(trials), 'trial')}"}


def _largest_share(run: RunDir) -> dict[str, Any]:
    """The mean of the seeds on the largest share of a learning curve."""
    # It imports numpy, which no other run needs.
    from tf_tokclf.scoring.learning_curve import read_curve

    with _reading(run.learning_curve):
        curve = read_curve(run)
    if curve is None:
        n_done = sum(path.is_file() for path in run.shares.glob(f"*/{run.results.name}"))
        return {"state": f"learning curve stopped after {counted(n_done, 'run')}"}
    runs = [run.of_share(one.share, one.seed) for one in curve.runs]
    scores = [_scores(one) for one in runs]
    return {
        **_scores(run),
        "state": f"finished, learning curve of {counted(len(runs), 'run')}",
        "seeds": curve.seeds,
        "f1": {split: curve.points[-1].mean(split) for split in curve.splits},
        "seconds": math.fsum(one["seconds"] for one in scores) if all(scores) else None,
    }


def _scorings(run: RunDir, measure: Measure = MEASURES["f1"]) -> list[tuple[float, float, float]]:
    """The number of epochs, the validation F1 and its rank by `measure` of each scoring so far."""
    with _reading(run.history):
        return [
            (_number(row["epoch"]), _share(row["dev_f1"]), measure.rank(row.get(measure.field)))
            for row in epoch_rows(run.history)
        ]


def _best_so_far(run: RunDir, config: Config | None) -> dict[str, Any]:
    """The validation F1 of the model that is the best so far."""
    measure = MEASURES[config.training.metric_for_best_model if config else "f1"]
    scorings = _scorings(run, measure)
    return {"f1": {"validation": max(scorings, key=lambda one: one[2])[1]}} if scorings else {}


def _progress(run: RunDir, config: Config | None) -> str:
    """The state of a run that is not finished."""
    n_epochs = max((epoch for epoch, *_ in _scorings(run)), default=0)
    if not n_epochs and not run.checkpoints.is_dir():
        return "stopped before the first checkpoint"
    if not config or config.training.max_steps:
        return f"stopped after {counted(n_epochs, 'epoch')}"
    return f"stopped after {n_epochs:,} of {counted(config.training.num_train_epochs, 'epoch')}"


def _date(run: RunDir) -> datetime | None:
    for path in (run.results, run.history, run.config, run.root):
        try:
            return datetime.fromtimestamp(path.stat().st_mtime).astimezone()
        except OSError:
            continue
    return None


def _data_name(config: Config) -> str:
    return config.data.dataset_name or _short(config.data.train_file or "", parts=2)


def _short(path: str, *, parts: int = 1) -> str:
    """The end of a path. A name on the Hub or in a package stays.

    >>> _short("/data/wnut17/train.conll", parts=2), _short("google/bert"), _short("./encoders/bert")
    ('wnut17/train.conll', 'google/bert', 'bert')
    """
    if is_package_reference(path) or (parts == 1 and path.count("/") <= 1 and not path.startswith((".", "/", "~"))):
        return path
    return "/".join(Path(path).parts[-parts:]) if path else ""
