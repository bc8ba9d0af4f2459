"""Label issues as tasks for annotation tools.

Each sentence with issues is a task. Its spans are the given ones, so a task that nobody changes keeps its labels. What
the model suggests is a prediction in Label Studio, and a note in Prodigy and doccano.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tf_tokclf.data.formats.registry import formats_by_name
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.files import open_whole
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.char_spans import char_spans
from tf_tokclf.labels.sentence import text_of
from tf_tokclf.report.label_issues import IssueList, ListedIssue

Task = dict[str, Any]
_MODEL = "tf-tokclf label-issues"


def write_tasks(found: IssueList, path: Path, format: str, writing: Writing) -> None:
    """Write the sentences with issues as tasks, completely or not at all. format: one of TASK_FORMATS. Sentences with
    the most probable issues come first.
    """
    by_sentence: dict[int, list[ListedIssue]] = {}
    for one in found.issues:
        by_sentence.setdefault(one.issue.sentence, []).append(one)
    lines = formats_by_name()[format].write
    assert lines is not None, "all TASK_FORMATS have a writer"
    text = "".join(lines((issues[0].sentence for issues in by_sentence.values()), writing))
    is_list = text.startswith("[")
    tasks = json.loads(text) if is_list else [json.loads(line) for line in text.splitlines()]
    noted = [TASK_FORMATS[format](task, issues) for task, issues in zip(tasks, by_sentence.values(), strict=True)]
    with open_whole(path) as file:
        if is_list:
            file.write("[\n" + ",\n".join(json_line(task).rstrip("\n") for task in noted) + "\n]\n")
        else:
            file.writelines(map(json_line, noted))


def _notes(issues: list[ListedIssue]) -> list[str]:
    return [f"{one.issue.kind.value}: {one.change} ({one.issue.confidence:.0%})" for one in issues]


def _label_studio(task: Task, issues: list[ListedIssue]) -> Task:
    """A prediction with the spans of the sentence after all changes. Its score is the highest confidence."""
    score = max(one.issue.confidence for one in issues)
    prediction = {"model_version": _MODEL, "score": score, "result": list(_results(issues))}
    return {**task, "predictions": [prediction], "meta": {**task.get("meta", {}), "issues": _notes(issues)}}


def _results(issues: list[ListedIssue]) -> Iterator[Task]:
    sentence = issues[0].sentence
    changed = {one.issue.before for one in issues}
    new = {one.issue.after: one.issue.confidence for one in issues if one.issue.after}
    kept = [span for span in issues[0].given if span not in changed]
    kept = [span for span in kept if not any(span.start < one.end and one.start < span.end for one in new)]
    spans = sorted([*kept, *new])
    text, offsets = text_of(sentence)
    for span, place in zip(spans, char_spans(spans, text, offsets)):
        score = {"score": new[span]} if span in new else {}
        value = {"start": place.start, "end": place.end, "text": place.surface, "labels": [place.type]}
        yield {"from_name": "label", "to_name": "text", "type": "labels", **score, "value": value}


def _prodigy(task: Task, issues: list[ListedIssue]) -> Task:
    """The task without an answer, with the issues below the text."""
    unanswered = {name: value for name, value in task.items() if name != "answer"}
    return {**unanswered, "meta": {"issues": "; ".join(_notes(issues)), "place": issues[0].place}}


def _doccano(task: Task, issues: list[ListedIssue]) -> Task:
    """doccano shows other fields than the text and its labels as metadata."""
    return {**task, "issues": "; ".join(_notes(issues)), "place": issues[0].place}


# Format -> adds what the model suggests to a task.
TASK_FORMATS: dict[str, Callable[[Task, list[ListedIssue]], Task]] = {
    "label-studio": _label_studio,
    "prodigy": _prodigy,
    "doccano": _doccano,
}
