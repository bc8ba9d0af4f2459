"""Records of a text and character spans: forms of different tools, units of offsets, invalid spans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.converting import converted, of_records
from tests.data.sample_files import read
from tf_tokclf.config.schema import DataConfig
from tf_tokclf.data.splits import read_sentences
from tf_tokclf.errors import UserError


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("spacy_pairs.json", {}, [["O", "O", "B-PER", "I-PER", "O"], ["O", "O", "B-LOC", "O"]]),
        ("prodigy_one_rejected.jsonl", {}, [["O", "O", "O", "B-PER"]]),
        ("doccano_named_offsets.jsonl", {}, [["B-PER", "O", "B-LOC"]]),
        ("doccano_triples.jsonl", {}, [["B-PER", "O", "B-LOC"], ["O"]]),
        ("doccano_triples.jsonl", {"scheme": "BIOES"}, [["S-PER", "O", "S-LOC"], ["O"]]),
        ("label_studio_utf16.json", {"offset_unit": "utf16"}, [["O", "B-PER", "O", "O"]]),
        ("dataturks_inclusive_ends.json", {}, [["O", "O", "B-LOC"]]),
        ("dataturks_inclusive_ends.json", {"unannotated": "outside"}, [["O", "O", "B-LOC"], ["O"]]),
    ],
)
def test_spans_of_characters_in_each_tool_s_way(name, options, expected):
    sentences = read(name, **options)
    assert [list(s.labels) for s in sentences] == expected
    for sentence in sentences:
        assert sentence.words == tuple(sentence.text[start:end] for start, end in sentence.offsets)


@pytest.mark.parametrize("where", ["offset_unit", "meta"])
@pytest.mark.parametrize(("unit", "start"), [("codepoint", 2), ("utf16", 3), ("byte", 5)])
def test_offsets_count_what_the_record_says(tmp_path: Path, unit: str, start: int, where: str):
    says = {"offset_unit": unit} if where == "offset_unit" else {"meta": {"offset_unit": unit}}
    span = {"start": start, "end": start + 3, "label": "PER"}
    same = {"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    records = [{"text": "😀 Ada", "spans": [span], **says}, same]
    assert of_records(tmp_path, records).sentences == ["😀/O Ada/B-PER", "Ada/B-PER"]
    # The unit in the record takes precedence over the option.
    assert of_records(tmp_path, records[:1], "--offset-unit", "utf16").sentences == ["😀/O Ada/B-PER"]
    task = {"data": {"text": "😀 Ada"}, "annotations": [{"result": [{"value": {**span, "labels": ["PER"]}}]}], **says}
    assert converted(tmp_path, "t.json", json.dumps([task])).sentences == ["😀/O Ada/B-PER"]


def dataturks(text: str, *spans: tuple[int, int, str, list[str]]) -> dict[str, Any]:
    marked = [
        {"label": types, "points": [{"start": start, "end": end, "text": surface}]}
        for start, end, surface, types in spans
    ]
    return {"content": text, "annotation": marked}


BAD_SPANS = [
    dataturks("Ada Lovelace lived in London.", (2, 13, "Ada Lovelace", ["PER"]), (22, 27, "London", ["LOC"])),
    dataturks("Bob or Bob left Rome", (1, 3, "Bob", ["PER"]), (16, 19, "Rome", [])),
    dataturks("He saw Oslo twice", (6, 10, " Oslo", ["LOC"]), (12, 99, "again", ["X"]), (12, 14, "twi", ["X"])),
]


def test_single_spans_are_corrected_or_left_out_and_each_reason_is_counted(tmp_path: Path):
    result = of_records(tmp_path, BAD_SPANS)
    assert result.exit_code == 2
    assert "line 1: the span PER at 2 to 14 is" in result.messages
    assert "--set data.on_error=skip" in result.messages
    result = of_records(tmp_path, BAD_SPANS, "--on-error", "skip")
    assert result.sentences == [
        "Ada/B-PER Lovelace/I-PER lived/O in/O London/B-LOC ./O",
        "Bob/O or/O Bob/O left/O Rome/O",
        "He/O saw/O Oslo/B-LOC twice/O",
    ]
    for said in (
        "1 span moved to the nearby place where the text occurs",
        "1 span dropped: another text at the offsets",
        "1 span dropped: no type",
        "1 span trimmed: white space at the ends",
        "1 span dropped: offsets outside the text",
        "1 span dropped: not at word borders",
    ):
        assert said in result.messages


@pytest.mark.parametrize("policy", ["expand", "contract", "drop"])
def test_a_span_is_moved_to_its_text_under_each_policy(tmp_path: Path, policy: str):
    result = of_records(tmp_path, BAD_SPANS[:1], "--span-policy", policy)
    assert result.sentences == ["Ada/B-PER Lovelace/I-PER lived/O in/O London/B-LOC ./O"]
    assert "1 span moved to the nearby place where the text occurs" in result.messages


def test_a_span_that_stands_elsewhere_stops_the_reading_by_default(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(json.dumps(BAD_SPANS[0]))
    with pytest.raises(UserError, match=r"It fits|Check the offsets"):
        list(read_sentences(tmp_path / "a.jsonl", DataConfig()))
