"""However a file is damaged, the result is sentences or one error message."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError

SAMPLES = Path(__file__).parents[1] / "samples"
CASES = Path(__file__).parents[1] / "cases"
FILES = sorted(path for folder in (SAMPLES, CASES) for path in folder.iterdir() if path.is_file())
STRAY = [b"\t", b"\n", b" ", b'"', b"{", b"]", b",", b"#", b"-", b"\xff", b"\r", b"null", b"1e9", b"[]", b"\n\n", b"O"]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The content with a part removed, something inserted, or its end cut off."""
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(content) + 1)
        what = chance.randrange(3)
        if what == 0:
            content = content[:at] + content[at + chance.randint(1, 30) :]
        elif what == 1:
            content = content[:at] + chance.choice(STRAY) + content[at:]
        else:
            content = content[: max(at, 1)]
    return content


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_damage_ends_in_sentences_or_a_message(tmp_path, path, on_error):
    chance = random.Random(path.name)
    for _ in range(8):
        copy = tmp_path / path.name
        copy.write_bytes(damaged(path.read_bytes(), chance))
        data = DataConfig(on_error=on_error, span_policy=chance.choice(["fail", "expand", "contract", "drop"]))
        try:
            for sentence in read_sentences(copy, data, task=chance.choice(list(Task))):
                assert sentence.labels is None or len(sentence.labels) == len(sentence.words)
        except UserError as error:
            if str(copy) not in str(error):
                raise
