"""Load models from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tf_tokclf.inference.tagger import Tagger


def load(reference: str | Path, **options: Any) -> Tagger:
    """Load a trained classifier.

    Args:
        reference: The folder of a run, a model folder, a Hub id, or `package:NAME/PATH` of an installed package.
        **options: The options of `Tagger.load`.

    Returns:
        A `Tagger`, which you call with texts.

    Raises:
        UserError: There is no such model, or it cannot be used.
    """
    return Tagger.load(reference, **options)
