"""`crf.json` in a model folder: the transitions of a CRF. transformers ignores the file and loads a linear head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.encoding.folder_files import is_there
from tf_tokclf.encoding.hints import AGAIN
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_links, sha256_of, write_json
from tf_tokclf.json_text import read_json
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.label_set import LabelSet

FILE_NAME = "crf.json"
FORMAT_VERSION = 1
# Learned transitions are rarely above 10, and -50 practically forbids a transition. With larger ones, the sums of
# `labels/lattice.py` could lose sequences: two steps cost at most 2 * (100 + 200), and floats end at about exp(-745).
LARGEST = 50.0


def write_crf(folder: Path, names: Sequence[str], chain: Chain) -> None:
    """Write `crf.json` to a model folder, completely or not at all. Transitions that are not allowed are null."""
    start, transitions, end = (_with_null(part.astype(np.float32).tolist()) for part in chain.parts)
    content = {"labels": list(names), "start": start, "transitions": transitions, "end": end}
    write_json(folder / FILE_NAME, {"format_version": FORMAT_VERSION, **content})


def read_crf(folder: Path, labels: LabelSet) -> Chain:
    """The transitions in a model folder.

    Raises UserError if the file is missing or damaged, if it is for other labels, or if it allows other transitions
    than the scheme of the labels.
    """
    path, chain = folder / FILE_NAME, read_crf_for(folder, labels.names)
    rules = Chain.of_rules(labels.names, labels.scheme)
    if any((np.isfinite(one) != np.isfinite(two)).any() for one, two in zip(chain.parts, rules.parts)):
        problem = f"allows other transitions than the scheme {labels.scheme.value} in tf_tokclf.json."
        raise UserError(problem, path=path, hint=AGAIN)
    return chain


def read_crf_for(folder: Path, names: Sequence[str]) -> Chain:
    """The transitions between the labels `names`. Like `read_crf`, but their scheme is not known."""
    path = folder / FILE_NAME
    if not is_there(path):
        raise UserError("is missing, but tf_tokclf.json says that the model has a CRF.", path=path, hint=AGAIN)
    own, chain = _read(path)
    if own != tuple(names):
        raise UserError("is for other labels than those in config.json.", path=path, hint=AGAIN)
    return chain


def crf_to_start_from(folder: Path) -> tuple[tuple[str, ...], Chain] | None:
    """The labels and the transitions in the folder of an encoder; None if it has no CRF. Raises UserError if the file
    is damaged.
    """
    return _read(folder / FILE_NAME) if is_there(folder / FILE_NAME) else None


def crf_sha256(folder: Path) -> str | None:
    """The SHA-256 of the file; None if the folder has none."""
    return sha256_of(folder / FILE_NAME) if is_there(folder / FILE_NAME) else None


def _read(path: Path) -> tuple[tuple[str, ...], Chain]:
    check_links(path.parent, [path], hint="Copy the file into the folder.")
    values: Any = read_json(path, hint=AGAIN)
    try:
        version = values["format_version"]
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ValueError("format_version must be a whole number from 1")
        if version > FORMAT_VERSION:
            hint = "Upgrade with pip install -U tf-tokclf."
            raise UserError("was written by a newer version of tf-tokclf.", path=path, hint=hint)
        names = values["labels"]
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise ValueError("labels must be a list of names")
        n = len(names)
        start, end = (_numbers(values[name], n, name) for name in ("start", "end"))
        rows = values["transitions"]
        if not (isinstance(rows, list) and len(rows) == n):
            raise ValueError("transitions must have one row per label")
        return tuple(names), Chain(start, np.stack([_numbers(row, n, "transitions") for row in rows]), end)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"cannot be read: {repr(error)[:200]}.", path=path, hint=AGAIN) from error


def _numbers(row: Any, n: int, name: str) -> np.ndarray:
    """(n,) float64, -inf for null."""
    if not (isinstance(row, list) and len(row) == n):
        raise ValueError(f"{name} must have one number per label")
    for number in row:
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if number is not None and not (is_number and abs(number) <= LARGEST):
            raise ValueError(f"{name} must have numbers from -{LARGEST:g} to {LARGEST:g}, or null")
    return np.array([-math.inf if number is None else number for number in row], np.float64)


def _with_null(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_null(one) for one in value]
    return value if math.isfinite(value) else None
