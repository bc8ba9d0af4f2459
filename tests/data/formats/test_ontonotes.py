"""OntoNotes in columns."""

from __future__ import annotations

from tests.data.converting import case


def test_parts_of_speech():
    assert case("ontonotes.conll", "--task", "pos").sentences[1] == "Nobody/NN cares/VBZ"
