"""Records of Prodigy, accepted or rejected."""

from __future__ import annotations

from pathlib import Path

from tests.data.converting import of_records
from tests.data.sample_files import SAMPLES
from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.detection import open_reader
from tf_tokclf.data.reading.base import Problems


def test_rejected_records_are_counted():
    problems = Problems()
    list(open_reader(SAMPLES / "prodigy_one_rejected.jsonl", DataConfig(), Task.NER).sentences(problems))
    assert problems.changes() == ["1 record left out: not accepted by the annotator"]


def test_what_prodigy_accepts_without_spans_is_annotated(tmp_path: Path):
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    records = [{"text": "Ada left", "spans": spans, "answer": "accept"}, {"text": "It rains", "answer": "accept"}]
    assert of_records(tmp_path, records).sentences == ["Ada/B-PER left/O", "It/O rains/O"]
