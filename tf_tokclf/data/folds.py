"""Folds for cross-fitting: each sentence is in exactly one of k folds, and is scored by a model that did not see it.

Documents stay whole. Where the data has none, sentences with the same words stay together. Each fold gets its share of
the sentences and of the spans of each type (`stratify`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.data.drawing import digests, documents_of, numbered, type_counts
from tf_tokclf.data.split_cache import Split
from tf_tokclf.data.stratify import Unit, draw_parts
from tf_tokclf.errors import UserError


def draw_folds(
    split: Split, n_folds: int, data: DataConfig, *, standard: Mapping[str, str] | None = None
) -> np.ndarray:
    """The fold of each sentence: (sentences,) int64, from 0.

    data: `split_by` and `split_seed` say what stays whole, and how folds are drawn. standard: label -> standard
    spelling. Raises UserError if there are fewer documents, or fewer different sentences, than folds.
    """
    members = _members(split, n_folds, data)
    counts = type_counts(split, members, standard or {})
    sizes = np.bincount(members)
    units = [Unit(int(size), count) for size, count in zip(sizes, counts)]
    wanted = {str(fold): max(1, round(len(split) / n_folds)) for fold in range(n_folds - 1)}
    # The sentences that are left after the other folds were drawn are the last one.
    fold_of_unit = np.full(len(units), n_folds - 1, np.int64)
    for name, drawn in draw_parts(units, wanted, data.split_seed).items():
        fold_of_unit[drawn] = int(name)
    folds: np.ndarray = fold_of_unit[members]
    return folds


def _members(split: Split, n_folds: int, data: DataConfig) -> np.ndarray:
    """The unit (from 0) to which each sentence belongs."""
    documents = None if data.split_by == "sentence" else documents_of(split)
    if documents is None and data.split_by == "document":
        hint = "Draw single sentences with --split-by sentence."
        raise UserError("the data does not say which document a sentence belongs to.", path=split.place, hint=hint)
    what, hint = "document", "Pass a smaller --folds, or divide documents with --split-by sentence."
    if documents is None:
        what, hint = "different sentence", "Pass a smaller --folds, or add sentences."
        documents = numbered(digests(split))
    n_units = len(np.unique(documents))
    if n_units < n_folds:
        problem = f"{counted(n_units, what)} cannot be divided into {counted(n_folds, 'fold')}."
        raise UserError(problem, path=split.place, hint=hint)
    return documents
