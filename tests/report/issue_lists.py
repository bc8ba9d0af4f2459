"""Issue lists for tests of the page and the table."""

from __future__ import annotations

from collections.abc import Sequence

from tf_tokclf.data.corrections import DataIdentity
from tf_tokclf.inspection.form_occurrences import Elsewhere, FormOccurrence
from tf_tokclf.labels.sentence import Sentence, Span
from tf_tokclf.report.label_issues import IssueList, ListedIssue
from tf_tokclf.scoring.error_analysis import Outcome
from tf_tokclf.scoring.label_issues import LabelIssue


def make_issue_list(
    words: Sequence[str] = ("Ada", "Lovelace", "saw", "Paris"), type_: str = "LOC", place: str = "a.conll, line 1"
) -> IssueList:
    """A list with an issue of each kind but the last, in the same sentence."""
    given = (Span(0, 2, "PER"), Span(3, 4, "PER"))
    changes = [
        (Outcome.WRONG_TYPE, Span(3, 4, "PER"), Span(3, 4, type_)),
        (Outcome.MISSED, None, Span(2, 3, type_)),
        (Outcome.SPURIOUS, Span(3, 4, "PER"), None),
        (Outcome.WRONG_BOUNDARY, Span(0, 2, "PER"), Span(0, 1, "PER")),
    ]
    sentence = Sentence(tuple(words), ("B-PER", "I-PER", "O", "B-PER"))
    elsewhere = Elsewhere({type_: 3, "O": 1}, (FormOccurrence(4, 0, type_),))
    issues = [
        ListedIssue(
            rank,
            LabelIssue(kind, 0, before, after, 0.01, 0.95, rank < 3),
            sentence,
            given,
            place,
            1,
            elsewhere,
            (place,),
        )
        for rank, (kind, before, after) in enumerate(changes, 1)
    ]
    data = DataIdentity.of("a.conll", [sentence])
    return IssueList(data, "a.conll", ("PER", type_), True, 2, 5, 0.876, tuple(issues))
