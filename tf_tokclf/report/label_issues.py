"""Label issues for people: what each of them says, and the table on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf_tokclf.counted import counted
from tf_tokclf.data.corrections import DataIdentity, span_json
from tf_tokclf.inspection.form_occurrences import Elsewhere
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.report.inspection import visible
from tf_tokclf.report.marked_sentences import joined
from tf_tokclf.scoring.error_analysis import Outcome
from tf_tokclf.scoring.label_issues import LabelIssue

_CONTEXT_WORDS = 5


@dataclass(frozen=True)
class ListedIssue:
    """An issue with what people need to judge it.

    rank: from 1. given: the labelled spans of the sentence. place: where the sentence is. fold: the one that its model
    did not see. elsewhere: the other occurrences of the words. places: where these are, parallel to `elsewhere.places`.
    """

    rank: int
    issue: LabelIssue
    sentence: Sentence
    given: tuple[Span, ...]
    place: str
    fold: int
    elsewhere: Elsewhere
    places: tuple[str, ...]

    @property
    def change(self) -> str:
        """What the model would change.

        A missing side is written as "no label".
        """
        before, after = self._side(self.issue.before), self._side(self.issue.after)
        if self.issue.before and self.issue.after and self.issue.kind is Outcome.WRONG_TYPE:
            after = self.issue.after.type
        return f"{before} → {after}"

    @property
    def suggested(self) -> tuple[Span, ...]:
        """The spans of the sentence after the change. Given spans that overlap the new one are left out."""
        after = self.issue.after
        kept = [span for span in self.given if span != self.issue.before]
        if after:
            kept = [span for span in kept if span.end <= after.start or after.end <= span.start]
        return tuple(sorted([*kept, *([after] if after else [])]))

    @property
    def labels_elsewhere(self) -> str:
        """How the same words are labelled at other places."""
        return ", ".join(f"{label} {n:,}" for label, n in self.elsewhere.counts.items()) or "nowhere else"

    def correction(self, data: DataIdentity) -> dict[str, Any]:
        """The correction that accepting the issue makes, without the decision."""
        words = self.sentence.words
        return {
            **data.to_json(),
            "sentence": self.issue.sentence + 1,
            "before": span_json(self.issue.before, words),
            "after": span_json(self.issue.after, words),
        }

    def to_json(self, data: DataIdentity) -> dict[str, Any]:
        """A line of issues.jsonl: the correction, and everything else that is known."""
        issue = self.issue
        return {
            "rank": self.rank,
            "kind": issue.kind.value,
            **self.correction(data),
            "place": self.place,
            "quality": issue.quality,
            "confidence": issue.confidence,
            "flagged": issue.flagged,
            "fold": self.fold,
            "words": list(self.sentence.words),
            "elsewhere": {
                "labels": dict(self.elsewhere.counts),
                "places": [
                    {"sentence": one.sentence + 1, "start": one.start, "label": one.label, "place": place}
                    for one, place in zip(self.elsewhere.places, self.places)
                ],
            },
        }

    def _side(self, span: Span | None) -> str:
        if span is None:
            return "no label"
        return f"{joined(self.sentence.words[span.start : span.end])} [{span.type}]"


@dataclass(frozen=True)
class IssueList:
    """All issues, the most probable first.

    data: identifies the data in corrections. place: its name. n_spans: the number of labelled spans. f1: of the models
    on the folds that they did not see, against the given labels (0 to 1).
    """

    data: DataIdentity
    place: str
    types: tuple[str, ...]
    has_spans: bool
    n_spans: int
    n_folds: int
    f1: float
    issues: tuple[ListedIssue, ...]

    @property
    def n_flagged(self) -> int:
        """The number of issues that cleanlab flags."""
        return sum(one.issue.flagged for one in self.issues)

    @property
    def summary(self) -> str:
        """The numbers in a sentence each."""
        unit = "labelled span" if self.has_spans else "labelled word"
        score = "F1" if self.has_spans else "agreement"
        return (
            f"{counted(len(self.issues), 'issue')} in {counted(self.data.n_sentences, 'sentence')} with "
            f"{counted(self.n_spans, unit)}; confident learning flags {self.n_flagged:,} of them. "
            f"{score} of the {counted(self.n_folds, 'model')} on sentences that they did not see: {100 * self.f1:.1f}."
        )


def issue_table(found: IssueList, n_rows: int) -> RenderableType:
    """The first issues for the terminal."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("issue", overflow="fold", min_width=14)
    table.add_column("given → suggested", overflow="fold", ratio=3)
    table.add_column("model", justify="right", no_wrap=True)
    table.add_column("same words elsewhere", overflow="fold", ratio=1)
    for one in found.issues[:n_rows]:
        mark = Text("" if one.issue.flagged else " ?", style="dim")
        table.add_row(
            str(one.rank),
            Text.assemble(one.issue.kind.value, mark),
            Text("\n").join(_cell(one)),
            f"{100 * one.issue.confidence:.0f} %",
            Text(visible(one.labels_elsewhere)),
        )
    notes = ["Model: the confidence of the model in its version. ?: not flagged by confident learning."]
    if len(found.issues) > n_rows:
        notes.insert(0, f"... and {len(found.issues) - n_rows:,} more.")
    return Group(*([table] if found.issues else []), Text(""), Text(found.summary), Text(" ".join(notes), style="dim"))


def _cell(one: ListedIssue) -> Iterator[Text]:
    yield Text(visible(one.change), style="bold")
    span, words = one.issue.place, one.sentence.words
    first, last = max(0, span.start - _CONTEXT_WORDS), min(len(words), span.end + _CONTEXT_WORDS)
    before, after = "… " * (first > 0), " …" * (last < len(words))
    yield Text(visible(f"{before}{joined(words[first:last])}{after}"))
    yield Text(visible(one.place), style="dim")
