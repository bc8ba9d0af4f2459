"""The option that a user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Lower cutoffs suggest options with another meaning: --task for --tpu-name, --warmup-ratio for --warmup-steps.
_CUTOFF = 0.9


def similar_option(typed: str, known: Iterable[str]) -> str | None:
    """The option of which `typed` is a misspelling or the beginning. None if there is none.

    >>> similar_option("--learnign_rate", ["--learning-rate"]), similar_option("--hub-private", ["--hub-private-repo"])
    ('--learning-rate', '--hub-private-repo')
    >>> similar_option("--fp32", ["--fp16"]), similar_option("--lr", ["--lr-scheduler-type"])
    (None, None)
    """
    name = typed.replace("_", "-")
    same_numbers = {one for one in known if _digits(one) == _digits(name)}
    near = difflib.get_close_matches(name, sorted(same_numbers), n=1, cutoff=_CUTOFF)
    if near:
        return near[0]
    # A single word is too little: --lr is not the beginning of --lr-scheduler-type.
    longer = [one for one in same_numbers if one.startswith(f"{name}-")] if "-" in name.removeprefix("--") else []
    return longer[0] if len(longer) == 1 else None


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())
