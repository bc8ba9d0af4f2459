"""A share of the training sentences, to see what more labelled data brings. A smaller share is part of a larger one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tf_tokclf.config.schema import DataConfig
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import Cache
from tf_tokclf.data.drawing import marked_sentences, percent_text, whole_units
from tf_tokclf.data.split_cache import Split
from tf_tokclf.data.stratify import draw_nested
from tf_tokclf.errors import UserError


def draw_share(train: Split, data: DataConfig, *, standard: Mapping[str, str] | None = None) -> tuple[Split, str]:
    """Draw the share `data.train_fraction` of the training sentences. Returns them, and a note about them.

    Documents stay whole, or else sentences with the same words. A smaller share with the same seed contains no other
    sentences. standard: label -> standard spelling, for labels in other spellings. Raises UserError if the share is
    less than a sentence.
    """
    n_all, share = len(train), data.train_fraction
    wanted = share * n_all
    if round(wanted) < 1:
        problem = f"{percent_text(share)} of {counted(n_all, 'training sentence')} is less than one sentence."
        raise UserError(problem, path=train.place, hint="Choose a larger share.")
    if round(wanted) >= n_all:
        return train, f"train: all of {counted(n_all, 'sentence')}"
    by, members, units = whole_units(train, data, 1, standard or {})
    mask = np.isin(members, draw_nested(units, wanted, data.train_fraction_seed))
    n = int(mask.sum())
    how = f"{percent_text(share)}, drawn by {by}, seed {data.train_fraction_seed}"
    if by == "document" and round(wanted) != n:
        how += f"; documents stay whole, so the share is {percent_text(n / n_all)}"
    note = f"train: {n:,} of {counted(n_all, 'sentence')}: {how}"
    return marked_sentences(train, "train", mask, Cache.of(data)), note
