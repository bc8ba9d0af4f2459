"""Manifests of SageMaker Ground Truth."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.converting import converted


def manifest(**jobs: list[dict[str, object]]) -> str:
    record: dict[str, object] = {"source": "Marie left"}
    for day, (job, entities) in enumerate(jobs.items(), 1):
        record[job] = {"annotations": {"entities": entities}}
        record[f"{job}-metadata"] = {"creation-date": f"2023-01-0{day}"}
    return json.dumps(record) + "\n"


PERSON = {"label": "PER", "startOffset": 0, "endOffset": 5}


def test_labelling_jobs_are_annotators(tmp_path: Path):
    text = manifest(first=[PERSON], second=[])
    result = converted(tmp_path, "a.manifest", text)
    assert result.sentences == ["Marie/B-PER left/O"]
    assert "1 record with several annotations" in result.messages
    for choice in ("second", "latest"):
        assert converted(tmp_path, "a.manifest", text, "--annotations", choice).sentences == ["Marie/O left/O"]
