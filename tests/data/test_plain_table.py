"""Without pyarrow, sentences are read into memory: the same sentences, notes and hashes as with Arrow tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

READ = """
import json, sys
if sys.argv[1] == "without":
    sys.modules["pyarrow"] = None
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.drawing import draw, drawing_from_json
from tf_tokclf.data.split_cache import content_hash
from tf_tokclf.data.splits import load_splits

settings, drawn = json.loads(sys.argv[2])
splits = load_splits(
    DataConfig(**settings), task=Task.NER, draw=drawn is not False,
    drawn_before=drawing_from_json(drawn) if drawn else None,
)
def shown(split):
    whole = [repr(sentence) for sentence in split]
    part = [repr(sentence) for sentence in split.slice(1, 2)]
    labels = [list(one) for one in split.label_sequences()]
    return whole, part, labels, sorted(split.label_counts().items()), len(split), split.n_words, content_hash(split)
print(json.dumps({
    "splits": {split.name: shown(split) for split in splits}, "notes": splits.notes, "repairs": splits.repairs,
    "labels": splits.labels.names, "drawing": splits.drawing and splits.drawing.to_json(),
}))
"""
SENTENCES = "".join(
    f"Ada{i} B-PER\nvisited O\nZ\u00fcrich{i % 7} I-LOC\n\u4e2d B-LOC\n\n" + ("left O\n\n" if i % 3 else "")
    for i in range(40)
)


def read(how: str, settings: dict[str, Any], drawn: Any) -> dict[str, Any]:
    """Read the splits in a process with or without pyarrow. drawn: the record of a drawing, None to draw, or False."""
    command = [sys.executable, "-c", READ, how, json.dumps([settings, drawn])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "train.conll"
    path.write_text(SENTENCES, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"repair": "conlleval"},
        {"max_train_samples": 3, "scheme": "iob2"},
        {"label_spelling": "standard"},
    ],
)
def test_the_same_sentences_are_read(file: str, tmp_path: Path, settings: dict[str, Any]):
    if "label_spelling" in settings:
        (tmp_path / "train.conll").write_text(SENTENCES.replace("-PER", "_PER").replace("-LOC", "_LOC"))
    found = [read(how, {"train_file": file, **settings}, False) for how in ("with", "without")]
    assert found[0] == found[1]
    assert found[0]["splits"]["train"][4] in (3, 66)


def test_sentences_that_were_drawn_are_found_again(file: str):
    settings = {"train_file": file, "validation_fraction": 0.2, "test_fraction": 0.1}
    drawn = read("with", settings, None)
    again = read("without", settings, drawn["drawing"])
    assert again == drawn
    assert set(drawn["splits"]) == {"train", "validation", "test"}
