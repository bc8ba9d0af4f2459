"""`seeds.json`: the scores of the runs of several seeds, in the folder that holds these runs and the median one."""

from __future__ import annotations

import logging

from tf_tokclf.errors import UserError
from tf_tokclf.json_text import read_json
from tf_tokclf.run_dir import RunDir

log = logging.getLogger(__name__)

_HINT = "Delete it to use the median run alone, or write it again with `tf-tokclf fit RUN --resume`."


def f1_by_seed(run: RunDir) -> dict[int, dict[str, float]]:
    """The F1 of each seed's run by split, in the order of training; empty if `run` is not a folder of several seeds.

    Raises UserError if the file is damaged.
    """
    if not run.seeds.is_file():
        return {}
    try:
        seeds = read_json(run.seeds, hint=_HINT)["seeds"]
        return {
            int(seed): {str(split): float(f1) for split, f1 in scores["f1"].items()} for seed, scores in seeds.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError("does not list the scores of the seeds.", path=run.seeds, hint=_HINT) from error


def seeds_in(run: RunDir) -> tuple[int, ...]:
    """The seeds of a folder of several seeds: those in `seeds.json` in the order of training, then any others that have
    a run in the folder. Empty if `run` is a single run, or if the runs of its seeds were deleted.
    """
    there = run.seeds_with_folder
    if not there:
        return ()
    try:
        listed = tuple(f1_by_seed(run))
    except UserError as error:
        log.warning("%s", error)
        listed = ()
    seeds = tuple(dict.fromkeys([*listed, *there]))
    return seeds if len(seeds) > 1 else ()


def median_seed(run: RunDir) -> int | None:
    """The seed whose model a folder of several seeds has; None if `seeds.json` does not say it."""
    try:
        return int(read_json(run.seeds, hint=_HINT)["median"])
    except (UserError, OSError, ValueError, TypeError, KeyError):
        return None
