"""Responses in records of Argilla."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.converting import converted


def test_responses_of_argilla_in_columns(tmp_path: Path):
    span = {"start": 0, "end": 3, "label": "PER"}
    record = {"text": "Ada left", "span.responses": [[span], []], "span.responses.users": ["a", "b"]}
    record["span.responses.status"] = ["submitted", "discarded"]
    assert converted(tmp_path, "a.json", json.dumps([record])).sentences == ["Ada/B-PER left/O"]


ARGILLA_2 = {
    "fields": {"text": "Marie left"},
    "responses": {
        "span": [
            {"value": [{"label": "PER", "start": 0, "end": 5}], "user_id": "ann", "status": "submitted"},
            {"value": [{"label": "X", "start": 6, "end": 10}], "user_id": "bob", "status": "discarded"},
            {"value": [], "user_id": "cleo", "status": "submitted"},
        ]
    },
}


def test_responses_of_argilla_are_annotations(tmp_path: Path):
    result = converted(tmp_path, "a.json", json.dumps([ARGILLA_2]))
    assert result.sentences == ["Marie/B-PER left/O"]
    assert "1 record with several annotations" in result.messages
    result = converted(tmp_path, "a.json", json.dumps([ARGILLA_2]), "--annotations", "cleo")
    assert result.sentences == ["Marie/O left/O"]
