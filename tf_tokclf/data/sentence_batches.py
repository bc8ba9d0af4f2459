"""Batches of sentences: Arrow record batches, or lists of sentences where pyarrow is not installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from tf_tokclf.data.reading.base import Reader
from tf_tokclf.labels.sentence import Sentence

if TYPE_CHECKING:
    from tf_tokclf.data.reading.tables import TableReader

HAS_PYARROW = find_spec("pyarrow") is not None

_form = import_module("tf_tokclf.data.arrow" if HAS_PYARROW else "tf_tokclf.data.plain_table")
# Turn sentences into batches, and a batch into sentences.
batches_of: Callable[[Iterable[Sentence]], Iterator[Any]] = _form.batches_of
sentences_of: Callable[[Any], Iterator[Sentence]] = _form.sentences_of


def is_table(reader: Reader) -> TypeGuard[TableReader]:
    """Whether a reader reads an Arrow table. Without pyarrow, none does."""
    if not HAS_PYARROW:
        return False
    from tf_tokclf.data.reading.tables import TableReader

    return isinstance(reader, TableReader)


def chosen_rows(batch: Any, mask: np.ndarray) -> Any:
    """The sentences of a batch for which the mask, (sentences,) bool, is true."""
    if not HAS_PYARROW:
        return batch.filter(mask)
    import pyarrow as pa

    return batch.filter(pa.array(mask))
