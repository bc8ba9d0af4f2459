"""For JSON with values of wrong types, the result is sentences or one error message."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.formats.documented import ENTRIES, FORMATS, example
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError

JSON = [name for name in FORMATS if "```json" in ENTRIES[name]]
ODD = [None, 0, -1, 1.5, True, "", [], {}, "x", [None], [[]], [0, 1], {"a": 1}, 10**20, ["a", "b"], [[0, 1, "X"]]]


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each nested value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*before, key)
        yield from places(inner, (*before, key))


def damaged(value: Any, chance: random.Random) -> Any:
    """The value with one of its parts replaced by something unexpected, or removed."""
    made = copy.deepcopy(value)
    *way, last = chance.choice(list(places(made)))
    inner = made
    for key in way:
        inner = inner[key]
    if chance.random() < 0.2:
        del inner[last]
    else:
        inner[last] = chance.choice(ODD)
    return made


@pytest.mark.parametrize("format", JSON)
def test_odd_values_end_in_sentences_or_a_message(tmp_path: Path, format: str):
    path = example(format, tmp_path)
    value = json.loads(path.read_text(encoding="utf-8"))
    chance = random.Random(format)
    for _ in range(20):
        path.write_text(json.dumps(damaged(value, chance)) + "\n", encoding="utf-8")
        data = DataConfig(format=chance.choice(["auto", format]), on_error=chance.choice(["stop", "skip"]))
        try:
            for sentence in read_sentences(path, data):
                assert sentence.labels is None or len(sentence.labels) == len(sentence.words)
        except UserError as error:
            if str(path) not in str(error):
                raise
