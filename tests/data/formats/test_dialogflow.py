"""Training phrases of Dialogflow."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.converting import converted


def test_entities_of_dialogflow_without_a_parameter(tmp_path: Path):
    pieces = [{"text": "to ", "userDefined": False}, {"text": "Oslo", "meta": "@sys.geo-city"}]
    assert converted(tmp_path, "a.json", json.dumps([{"data": pieces}])).sentences == ["to/O Oslo/B-sys.geo-city"]


def test_a_list_of_texts_in_data_is_no_list_of_pieces(tmp_path: Path):
    document = {"data": [{"text": "Ada left", "label": [[0, 3, "PER"]]}, {"text": "Bye", "label": []}]}
    assert converted(tmp_path, "a.json", json.dumps(document)).sentences == ["Ada/B-PER left/O", "Bye/O"]
