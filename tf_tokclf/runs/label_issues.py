"""`label-issues`: find wrong labels in the training data by cross-fitting, and write them for people to judge."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.config.schema import Config
from tf_tokclf.data.corrections import DataIdentity
from tf_tokclf.data.inputs import run_inputs
from tf_tokclf.data.writing.base import Writing
from tf_tokclf.errors import UserError
from tf_tokclf.files import check_no_input, open_whole
from tf_tokclf.inspection.form_occurrences import FormIndex
from tf_tokclf.json_text import json_line
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.report.label_issues import IssueList, ListedIssue
from tf_tokclf.report.label_issues_page import write_page
from tf_tokclf.report.label_issues_tasks import write_tasks
from tf_tokclf.report.terminal import status
from tf_tokclf.run_dir import RunDir
from tf_tokclf.run_lock import locked
from tf_tokclf.runs.cross_fitting import CrossFit, FoldsDir, cross_fit, training_data
from tf_tokclf.scoring.label_issues import check_cleanlab, find_issues, labelled_spans, word_scores
from tf_tokclf.scoring.scores import Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IssuesDir:
    """The files that `label-issues` writes. Only this class contains their names."""

    root: Path

    @property
    def folds(self) -> FoldsDir:
        """The probabilities of the folds."""
        return FoldsDir(self.root / "folds")

    @property
    def issues(self) -> Path:
        """All issues, a JSON line for each, the most probable first."""
        return self.root / "issues.jsonl"

    @property
    def page(self) -> Path:
        """The page on which people accept or reject issues."""
        return self.root / "issues.html"

    def tasks(self, format: str) -> Path:
        """The sentences with issues as tasks for an annotation tool."""
        return self.root / f"tasks.{format}.json{'' if format == 'label-studio' else 'l'}"


def find_label_issues(
    config: Config, folder: Path, *, n_folds: int = 5, formats: Sequence[str] = (), force: bool = False
) -> IssueList:
    """Find wrong labels in the training data of `config`, and write them to `folder`.

    n_folds: number of models; each is trained without one of the folds. formats: annotation tools to write tasks for.
    force: replace results in the folder that belong to other data or settings.

    Raises UserError for what the user has to change, and Stopped after Ctrl-C or SIGTERM. The same call then continues.
    """
    check_cleanlab()
    if config.sweep:
        raise UserError("label-issues trains with fixed settings, and not with a sweep.", hint="Leave out the sweep.")
    there = IssuesDir(folder)
    written = (there.folds.root, there.issues, there.page, *map(there.tasks, formats))
    for path in written:
        check_no_input(path, run_inputs(config))
    splits = training_data(config)
    if formats and splits.scheme is Scheme.NONE:
        problem = f"the labels form no spans, so there are no tasks for {formats[0]}."
        raise UserError(problem, path=splits["train"].place, hint="Leave out --tasks.")
    with locked(RunDir(there.folds.root), hint="Wait for it, or choose another --output."):
        fitted = cross_fit(config, splits, there.folds, n_folds, force=force)
        with status("finding issues"):
            found = issues_of(fitted, config)
        with open_whole(there.issues) as file:
            file.writelines(json_line(issue.to_json(found.data)) for issue in found.issues)
        write_page(found, there.page)
        for format in formats:
            writing = Writing(config.task, splits.scheme, splits.labels.names)
            write_tasks(found, there.tasks(format), format, writing)
    return found


def issues_of(fitted: CrossFit, config: Config) -> IssueList:
    """The issues with everything that people need to judge them."""
    splits, judged = fitted.splits, fitted.judged
    scheme = splits.scheme
    found = find_issues(judged, word_scores(judged, splits.trained_labels), scheme)
    if found.n_unknown:
        log.warning("not judged, because their types occur in a single fold: %d of the labelled spans", found.n_unknown)
    sentences = [one.sentence for one in judged]
    index = FormIndex(
        ((one, labelled_spans(one.labels or (), scheme)) for one in sentences),
        {sentences[one.sentence].words[one.place.start : one.place.end] for one in found.issues},
    )
    scorer = Scorer(scheme, mode=config.evaluation.mode)
    for one in judged:
        scorer.add(one.sentence.labels or (), one.predicted, one.sentence.words, one.sentence.origin)
    issues = []
    for rank, issue in enumerate(found.issues, 1):
        sentence = sentences[issue.sentence]
        form = sentence.words[issue.place.start : issue.place.end]
        elsewhere = index.elsewhere(form, issue.sentence, issue.place.start)
        places = tuple(place_of(sentences[one.sentence], one.sentence) for one in elsewhere.places)
        issues.append(
            ListedIssue(
                rank=rank,
                issue=issue,
                sentence=sentence,
                given=tuple(labelled_spans(sentence.labels or (), scheme)),
                place=place_of(sentence, issue.sentence),
                fold=int(fitted.folds[issue.sentence]),
                elsewhere=elsewhere,
                places=places,
            )
        )
    return IssueList(
        data=DataIdentity.of(splits["train"].place, sentences),
        place=splits["train"].place,
        types=splits.trained_labels.types,
        has_spans=scheme is not Scheme.NONE,
        n_spans=sum(len(labelled_spans(one.labels or (), scheme)) for one in sentences),
        n_folds=int(fitted.folds.max()),
        f1=scorer.scores().overall.f1,
        issues=tuple(issues),
    )


def place_of(sentence: Sentence, index: int) -> str:
    """Where a sentence is, for people."""
    return str(sentence.origin) if sentence.origin else f"sentence {index + 1}"
