"""BioC as JSON and XML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.converting import converted


def test_annotations_of_a_whole_document_in_bioc(tmp_path: Path):
    annotation = {"infons": {"type": "PER"}, "text": "Ada", "locations": [{"offset": 0, "length": 3}]}
    passage = {"offset": 0, "text": "Ada left", "annotations": []}
    text = json.dumps({"documents": [{"id": "1", "annotations": [annotation], "passages": [passage]}]})
    assert converted(tmp_path, "a.json", text).sentences == ["Ada/B-PER left/O"]
    passage_xml = "<passage><offset>0</offset><text>Ada left</text></passage>"
    place_xml = '<infon key="type">PER</infon><location offset="0" length="3"/>'
    annotation_xml = f"<annotation>{place_xml}<text>Ada</text></annotation>"
    text = f"<collection><document><id>1</id>{passage_xml}{annotation_xml}</document></collection>"
    assert converted(tmp_path, "a.xml", text).sentences == ["Ada/B-PER left/O"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_an_xml_file_declares_are_refused(tmp_path: Path, encoding: str):
    text = '<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<collection></collection>\n'
    result = converted(tmp_path, "a.xml", text.encode(encoding), "--from", "bioc-xml")
    assert result.exit_code == 2
    assert "declares XML entities, which are not supported" in result.messages
