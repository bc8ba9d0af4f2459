"""The page on which people accept or reject label issues. It works without a server.

Its only script is `templates/label_issues.js`. The Content-Security-Policy names the hash of that script, so the
browser runs no other one, even if escaping failed.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from tf_tokclf.files import open_whole
from tf_tokclf.labels.sentence import Span
from tf_tokclf.report.label_issues import IssueList, ListedIssue
from tf_tokclf.report.marked_sentences import Shown, first_shown, marked_words
from tf_tokclf.report.marking import TypeColours
from tf_tokclf.report.page_environment import page_environment

# With more issues, the page would be slow. Nobody judges more in one go.
MAX_ISSUES = 500


@dataclass(frozen=True)
class PageIssue:
    """An issue on the page. correction: as JSON in ASCII. given, suggested: the sentence with its spans."""

    listed: ListedIssue
    correction: str
    given: Sequence[Shown]
    suggested: Sequence[Shown]


@dataclass(frozen=True)
class IssuePage:
    """Everything that the template shows."""

    found: IssueList

    @cached_property
    def colours(self) -> TypeColours:
        """The colours of the types."""
        return TypeColours(self.found.types)

    @cached_property
    def issues(self) -> list[PageIssue]:
        """The first issues."""
        return [self._shown(one) for one in self.found.issues[:MAX_ISSUES]]

    @property
    def n_left_out(self) -> int:
        """The number of issues that are only in issues.jsonl."""
        return len(self.found.issues) - len(self.issues)

    def _shown(self, one: ListedIssue) -> PageIssue:
        words, given, suggested = one.sentence.words, one.given, one.suggested
        if not self.found.has_spans:
            # Marking every word of a sentence would hide the one that matters.
            given, suggested = _of_word(one.issue.before), _of_word(one.issue.after)
        first = first_shown([(given, suggested)])
        right = {span for span in given if span in suggested}
        return PageIssue(
            listed=one,
            correction=json.dumps(one.correction(self.found.data)),
            given=marked_words(words, given, right, self.colours, first),
            suggested=marked_words(words, suggested, set(suggested), self.colours, first),
        )


def _of_word(span: Span | None) -> tuple[Span, ...]:
    return (span,) if span else ()


def write_page(found: IssueList, path: Path) -> None:
    """Write the page, completely or not at all."""
    environment = page_environment()
    script = environment.get_template("label_issues.js").render()
    digest = b64encode(sha256(script.encode()).digest()).decode()
    template = environment.get_template("label_issues.html.jinja")
    with open_whole(path) as file:
        file.write(template.render(page=IssuePage(found), script=script, digest=digest))
