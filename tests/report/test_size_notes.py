"""Small test sets: evaluate and compare say that the scores show little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tf_tokclf.cli.main import cli


def predictions(path: Path, n_sentences: int, n_spans: int) -> str:
    """A file of predictions with this number of sentences, and of spans in each. One span is missed."""
    gold = ["B-PER", "O"] * n_spans
    rows = [{"words": ["Ada", "saw"] * n_spans, "gold": gold, "predicted": gold} for _ in range(n_sentences)]
    rows[0] = {**rows[0], "predicted": ["O", *gold[1:]]}
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("n_sentences", "n_spans", "note"),
    [
        (10, 1, "Only 10 gold spans in 10 sentences"),
        (10, 5, "Only 10 sentences"),
        (50, 1, None),
    ],
)
def test_evaluate_and_compare_tell_of_too_few_sentences(
    tmp_path: Path, n_sentences: int, n_spans: int, note: str | None
):
    a = predictions(tmp_path / "a.jsonl", n_sentences, n_spans)
    b = predictions(tmp_path / "b.jsonl", n_sentences, n_spans)
    for args in (["evaluate", "--predictions", a], ["compare", a, b]):
        done = CliRunner().invoke(cli, args, catch_exceptions=False)
        assert done.exit_code == 0
        shown = " ".join(done.stdout.split())
        if note:
            assert shown.endswith(f"{note}: too few to conclude much from these scores. Label more sentences.")
        else:
            assert "too few" not in shown
