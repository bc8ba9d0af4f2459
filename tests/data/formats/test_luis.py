"""Utterances of LUIS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.converting import converted


@pytest.mark.parametrize(
    "record",
    [
        {"text": "go to Oslo", "intent": "x", "entities": [{"entity": "City", "startPos": 6, "endPos": 9}]},
        {"text": "go to Oslo", "entityLabels": [{"entityName": "City", "startCharIndex": 6, "endCharIndex": 9}]},
    ],
)
def test_entities_of_luis_end_inclusively(tmp_path: Path, record):
    assert converted(tmp_path, "a.json", json.dumps({"utterances": [record]})).sentences == ["go/O to/O Oslo/B-City"]
