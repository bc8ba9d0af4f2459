"""Utterances of Snips."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.converting import converted


def test_slots_by_name_before_entities(tmp_path: Path):
    pieces = [{"text": "at "}, {"text": "nine", "entity": "snips/time", "slot_name": "when"}]
    document = {"intents": {"Wake": {"utterances": [{"data": pieces}, {"data": [{"text": "wake up"}]}]}}}
    assert converted(tmp_path, "a.json", json.dumps(document)).sentences == ["at/O nine/B-when", "wake/O up/O"]
    line = json.dumps({"data": pieces}) + "\n"
    assert converted(tmp_path, "a.jsonl", line + line).sentences == ["at/O nine/B-when"] * 2
