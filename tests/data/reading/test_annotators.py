"""Records with annotations by several annotators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.data.converting import case, converted
from tf_tokclf.cli.main import cli

TWO = "ls_two_annotators.json"


def test_several_annotations_of_a_task_are_reported():
    result = case(TWO)
    assert result.sentences == ["Marie/B-PER lives/O in/O Paris/O"]
    assert "1 record with several annotations, the first one used (data.annotations)" in result.messages


def of_annotators(*annotations: tuple[str, str, list[list[Any]]]) -> list[dict[str, Any]]:
    """A Label Studio task with annotations by these annotators at these times."""
    done = [
        {
            "completed_by": annotator,
            "created_at": time,
            "result": [{"value": {"start": start, "end": end, "labels": [type]}} for start, end, type in spans],
        }
        for annotator, time, spans in annotations
    ]
    return [{"data": {"text": "Marie left Paris"}, "annotations": done}]


MARIE, PARIS = [0, 5, "PER"], [11, 16, "LOC"]


@pytest.mark.parametrize(
    ("choice", "sentences"),
    [
        ("first", ["Marie/B-PER left/O Paris/O"]),
        ("latest", ["Marie/B-PER left/O Paris/B-LOC"]),
        ("agreed", []),
        ("bob", ["Marie/O left/O Paris/B-LOC"]),
        ("7", ["Marie/B-PER left/O Paris/O"]),
        ("eve", []),
    ],
)
def test_a_setting_chooses_among_annotations(tmp_path: Path, choice: str, sentences: list[str]):
    tasks = of_annotators(
        ({"id": 7, "email": "ann@x.org"}, "2024-01-02", [MARIE]),
        ("cleo", "2024-03-01", [MARIE, PARIS]),
        ("bob", "2024-02-01", [PARIS]),
    )
    agreed = of_annotators(("ann", "1", [PARIS]), ("bob", "2", [PARIS]))
    result = converted(tmp_path, "a.json", json.dumps([*tasks, *agreed]), "--annotations", choice)
    assert result.exit_code == (2 if choice == "eve" else 0)
    assert result.sentences[: len(sentences)] == sentences
    if choice == "agreed":
        assert result.sentences == ["Marie/O left/O Paris/B-LOC"]
        assert "1 record left out: annotators disagree" in result.messages
    if choice == "eve":
        assert "2 records left out: not annotated by eve" in result.messages


def test_inspect_says_how_far_annotators_agree(tmp_path: Path):
    tasks = of_annotators(("ann", "1", [MARIE]), ("bob", "2", [MARIE, PARIS])) * 2
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "a.json"), "--json"])
    (pair,) = json.loads(result.stdout)["annotators"]
    assert pair["annotators"] == ["ann", "bob"]
    assert (pair["n_records"], pair["n_words"], pair["n_equal"]) == (2, 6, 4)
    assert pair["kappa"] == pytest.approx(0.5)
    shown = CliRunner().invoke(cli, ["inspect", str(tmp_path / "a.json")]).stdout
    assert "Cohen's kappa" in shown
    assert "0.500" in shown


def test_a_fault_in_an_annotation_that_is_not_used_stops_nothing(tmp_path: Path):
    tasks = of_annotators(("ann", "1", [MARIE]), ("bob", "2", [[0, 99, "PER"]]))
    result = converted(tmp_path, "a.json", json.dumps(tasks))
    assert result.sentences == ["Marie/B-PER left/O Paris/O"]
