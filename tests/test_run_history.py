"""Reading history.jsonl, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tf_tokclf.errors import UserError
from tf_tokclf.run_history import epoch_rows


def test_the_lines_of_a_file_may_lack_values(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    assert epoch_rows(path) == []
    path.write_text('{"epoch": 1, "dev_f1": 0.5}\n\n{"epoch": 2}\n')
    assert epoch_rows(path) == [{"epoch": 1, "dev_f1": 0.5}, {"epoch": 2}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"epoch": 1}\n{"epo', "history.jsonl, line 2: not valid JSON: "),
        (b"[1]\n", "history.jsonl, line 1: not a JSON object."),
        (b"[" * 100_000, "history.jsonl, line 1: not valid JSON: it is nested too deeply."),
        (b"\xff\xfe", "history.jsonl: not UTF-8 text."),
    ],
)
def test_a_damaged_file_is_one_message(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        epoch_rows(path)
    assert message in str(error.value)
    assert "--resume" in str(error.value)
