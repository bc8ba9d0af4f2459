"""Select the sentences of a stream to label next: those about which a model is uncertain, and that differ."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.data.labelled_before import sentence_key
from tf_tokclf.errors import UserError
from tf_tokclf.inference.candidates import BestCandidates, Candidate, within_budget
from tf_tokclf.inference.diversity import diverse, surface_vectors
from tf_tokclf.inference.partial_output import Progress
from tf_tokclf.inference.prediction_job import PredictionJob, Watcher
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.tagged_sentence import TaggedSentence
from tf_tokclf.records.base import PredictedRecord, Record
from tf_tokclf.records.stream import RecordStream
from tf_tokclf.run_dir import RunDir
from tf_tokclf.scoring.uncertainty import MEASURES, Doubt, Questions
from tf_tokclf.seed_scores import median_seed, seeds_in

log = logging.getLogger(__name__)

STRATEGIES = (*MEASURES, "disagreement", "random")
DIVERSITIES = ("embeddings", "words", "none")
# With diversity, the selection is made among the most uncertain sentences: so many times the number that is wanted.
CANDIDATES_PER_SENTENCE = 5
# Without it, some more words than wanted are kept, because the last long sentence may not fit.
_CANDIDATES_PER_WORD = 2
_SHOWN_EVERY = 1000


@dataclass(frozen=True)
class Wanted:
    """What to select: `number` sentences, or `budget_words` words.

    strategy: one of `STRATEGIES`. types: the types whose uncertainty counts; None for all. diversity: one of
    `DIVERSITIES`; None for the default, which depends on the strategy and the engine.
    """

    number: int | None = None
    budget_words: int | None = None
    strategy: str = MEASURES[0]
    types: tuple[str, ...] | None = None
    diversity: str | None = None
    seed: int = 0

    def diversity_with(self, tagger: Tagger) -> str:
        """The diversity that is used. Raises UserError if the engine cannot compute embeddings."""
        if self.diversity == "embeddings" and not tagger.has_hidden_states:
            problem = f"{tagger.forward_pass.facts.engine} returns no embeddings of sentences."
            raise UserError(
                problem, hint="Pass --diversity words, or --engine tensorflow with a model that has weights."
            )
        if self.diversity is not None:
            return self.diversity
        if self.strategy == "random":
            return "none"
        return "embeddings" if tagger.has_hidden_states else "words"

    def exceeds(self, chosen: Sequence[Candidate]) -> bool:
        """Whether more is wanted than these candidates."""
        if self.number is not None:
            return len(chosen) < self.number
        return sum(one.n_words for one in chosen) < (self.budget_words or 0)

    def best(self, diversity: str) -> BestCandidates:
        """An empty collection of candidates, of the size that this needs."""
        if self.number is not None:
            return BestCandidates(most=self.number * (1 if diversity == "none" else CANDIDATES_PER_SENTENCE))
        factor = _CANDIDATES_PER_WORD if diversity == "none" else CANDIDATES_PER_SENTENCE
        return BestCandidates(most_words=(self.budget_words or 0) * factor)


@dataclass(frozen=True)
class Selected:
    """The selected sentences, best first, and what was read.

    n_read: sentences with words. n_labelled: those that are labelled already. n_too_long: those with more words than
    the budget. n_problems: records that could not be read. is_all: whether more was wanted than there is, so that all
    sentences that are left were selected.
    """

    records: tuple[PredictedRecord, ...]
    is_all: bool
    n_read: int
    n_labelled: int
    n_too_long: int
    n_problems: int

    @property
    def n_words(self) -> int:
        return sum(len(tagged.sentence) for _, tagged in self.records)


class Committee:
    """The models of the other seeds of a run, whose votes are compared with those of the median one."""

    def __init__(self, members: Sequence[Tagger]) -> None:
        self.members = members

    @classmethod
    def of(cls, spec: PredictionSpec, tagger: Tagger) -> Committee:
        """The committee of the run in `spec`, whose model is `tagger`. Raises UserError if it is a single run."""
        run = RunDir(Path(spec.model))
        seeds = seeds_in(run)
        if not seeds:
            problem = "--strategy disagreement compares the runs of several seeds, but this is a single run or model."
            hint = "Train one with tf-tokclf fit --seeds 1,2,3, or choose another strategy."
            raise UserError(problem, path=spec.model, hint=hint)
        own = median_seed(run)
        options = {**spec.loading, "thresholds": False}
        others = [Tagger.load(run.of_seed(seed).root, **options) for seed in seeds if seed != own]
        if any(other.labels.names != tagger.labels.names for other in others):
            problem = "the runs of the seeds have different labels, so their votes cannot be compared."
            raise UserError(problem, path=spec.model, hint="Train the seeds on the same data.")
        return cls(others)

    def log_probabilities(self, records: Sequence[Record]) -> list[list[np.ndarray]]:
        """For each member, (words, labels) for each record."""
        sentences = [record.sentence for record in records]
        n_words = sum(map(len, sentences)) + len(sentences)
        blocks = (list(one.tag_blocks(sentences, look_ahead_words=n_words)) for one in self.members)
        return [[tagged.log_probabilities for block in one for tagged in block] for one in blocks]


def select(
    spec: PredictionSpec,
    wanted: Wanted,
    tagger: Tagger,
    stream: RecordStream,
    *,
    labelled: Set[int] = frozenset(),
    watcher: Watcher | None = None,
) -> Selected:
    """Select sentences of `stream`, which is read once.

    labelled: the keys (`sentence_key`) of sentences that are labelled already. Raises UserError if no sentence is left,
    or if the model cannot answer what is wanted.
    """
    questions = questions_of(wanted, tagger)
    diversity = wanted.diversity_with(tagger)
    reading = _Reading(wanted, labelled, wanted.best(diversity))
    job = spec.job(tagger, stream, "jsonl", watcher=watcher)
    if wanted.strategy == "random":
        reading.read_unlabelled(job)
    else:
        committee = Committee.of(spec, tagger) if wanted.strategy == "disagreement" else None
        reading.read(job, questions, committee)
    reading.check_some_left(stream.place)
    candidates = reading.best.ranked()
    chosen = _chosen(candidates, wanted, diversity, tagger)
    labels = _labelled(chosen, tagger)
    records = tuple(
        (replace(one.record, selection=_selection(rank, one, wanted)), tagged)
        for rank, (one, tagged) in enumerate(zip(chosen, labels, strict=True), 1)
    )
    is_all = len(chosen) == len(candidates) and wanted.exceeds(chosen)
    return Selected(
        records, is_all, reading.n_read, reading.n_labelled, reading.n_too_long, reading.progress.n_problems
    )


def questions_of(wanted: Wanted, tagger: Tagger) -> Questions:
    """What is asked about each word. Raises UserError for a type that the model does not have."""
    labels = tagger.labels
    try:
        return Questions.about(labels, wanted.types, crf=tagger.info.crf is not None)
    except ValueError as error:
        hint = f"Its types are {', '.join(labels.types)}."
        raise UserError(f"--types: the model does not have the type {error}.", hint=hint) from error


class _Reading:
    """Reads a stream, and keeps the best sentences that are not labelled yet."""

    def __init__(self, wanted: Wanted, labelled: Set[int], best: BestCandidates) -> None:
        self._wanted = wanted
        self._labelled = labelled
        self.best = best
        self.progress = Progress()
        self.n_read = self.n_labelled = self.n_too_long = 0

    def read(self, job: PredictionJob, questions: Questions, committee: Committee | None) -> None:
        """Label the records, and keep the ones about which the model is least certain."""
        for block in job.blocks():
            left = [(*one, key) for one in block.records if (key := self._key(one[0])) is not None]
            records, tagged = [one[0] for one in left], [one[1] for one in left]
            doubts = self._doubts(records, tagged, questions, committee)
            for (record, predicted, key), doubt in zip(left, doubts, strict=True):
                self._offer(record, predicted, key, doubt)
            self.progress = job.advance(self.progress, block, 0)

    def _doubts(
        self,
        records: Sequence[Record],
        tagged: Sequence[TaggedSentence],
        questions: Questions,
        committee: Committee | None,
    ) -> Iterator[Doubt]:
        own = questions.probabilities([one.log_probabilities for one in tagged])
        if committee is None:
            for one, probabilities in zip(tagged, own):
                yield questions.doubt(probabilities, one.sentence.words, one.spans, self._wanted.strategy)
            return
        others = [questions.probabilities(one) for one in committee.log_probabilities(records)]
        for one, *members in zip(tagged, own, *others):
            yield questions.dissent(members, one.sentence.words, one.spans, own=members[0])

    def read_unlabelled(self, job: PredictionJob) -> None:
        """Keep records at random. They are not labelled yet, because most of them will not be selected."""
        counter = job.stream.counter
        for record in job.stream.records():
            if (key := self._key(record)) is not None:
                self._offer(record, None, key, None)
            before = self.progress
            n_words, n_problems = before.n_words + len(record.sentence), before.n_problems + bool(record.problem)
            self.progress = Progress(before.n_records + 1, n_words, 0, n_problems)
            if self.progress.n_records % _SHOWN_EVERY == 0:
                job.show(self.progress, counter.n_read if counter else None)

    def _key(self, record: Record) -> int | None:
        """The key of a sentence that may be selected, else None."""
        words = record.sentence.words
        if not words or record.problem:
            return None
        self.n_read += 1
        key = sentence_key(words)
        if key in self._labelled:
            self.n_labelled += 1
            return None
        if self._wanted.budget_words is not None and len(words) > self._wanted.budget_words:
            self.n_too_long += 1
            return None
        return key

    def _offer(self, record: Record, tagged: TaggedSentence | None, key: int, doubt: Doubt | None) -> None:
        order = sentence_key(record.sentence.words, salt=str(self._wanted.seed))
        candidate = Candidate(key, order, record, tagged, doubt)
        if self.best.accepts(candidate):
            # The arrays are views of those of a whole block, which would stay in memory.
            self.best.add(replace(candidate, tagged=_alone(tagged) if tagged else None))

    def check_some_left(self, place: str) -> None:
        """Raise UserError if there is no candidate."""
        if len(self.best):
            return
        name = "standard input" if place == "-" else place
        if not self.n_read:
            raise UserError(
                f"{name} contains no sentences.", hint="Name a file with text, or pass text on standard input."
            )
        if self.n_labelled == self.n_read:
            n = counted(self.n_read, "sentence")
            raise UserError(f"no sentence is left to select: {name} has {n}, and all are labelled already.")
        problem = (
            f"no sentence that is not labelled yet has {counted(self._wanted.budget_words or 0, 'word')} or fewer."
        )
        raise UserError(problem, hint="Pass a larger --budget-words.")


def _alone(tagged: TaggedSentence) -> TaggedSentence:
    head = None if tagged.head_scores is None else tagged.head_scores.copy()
    return replace(tagged, log_probabilities=tagged.log_probabilities.copy(), head_scores=head)


def _chosen(candidates: Sequence[Candidate], wanted: Wanted, diversity: str, tagger: Tagger) -> list[Candidate]:
    """The candidates to select, in their order."""
    first: list[Candidate] = []
    if diversity != "none" and (n := _n_clusters(candidates, wanted)) < len(candidates):
        sentences = [one.record.sentence for one in candidates]
        vectors = tagger.sentence_vectors(sentences) if diversity == "embeddings" else surface_vectors(sentences)
        weights = np.array([one.doubt.score if one.doubt else 1.0 for one in candidates])
        first = [candidates[i] for i in diverse(vectors, weights, n, seed=wanted.seed)]
    # If clusters do not use up the number or the budget, the best of the others follow.
    keys = {one.key for one in first}
    preferred = [*first, *(one for one in candidates if one.key not in keys)]
    if wanted.number is not None:
        chosen = preferred[: wanted.number]
    else:
        chosen = list(within_budget(preferred, wanted.budget_words or 0))
    return sorted(chosen, key=lambda one: one.rank, reverse=True)


def _n_clusters(candidates: Sequence[Candidate], wanted: Wanted) -> int:
    """About the number of sentences that will be selected."""
    if wanted.number is not None:
        return wanted.number
    mean = sum(one.n_words for one in candidates) / len(candidates)
    return max(round((wanted.budget_words or 0) / mean), 1)


def _labelled(chosen: Sequence[Candidate], tagger: Tagger) -> list[TaggedSentence]:
    """The sentences with predicted labels."""
    done = [one.tagged for one in chosen if one.tagged is not None]
    if len(done) == len(chosen):
        return done
    # With names of documents that are all different, no sentence is the context of another.
    alone = [replace(one.record.sentence, document=str(i)) for i, one in enumerate(chosen)]
    return [replace(tagged, sentence=one.record.sentence) for one, tagged in zip(chosen, tagger.tag(alone))]


def _selection(rank: int, candidate: Candidate, wanted: Wanted) -> dict[str, Any]:
    """Why a sentence was selected, for the output."""
    why: dict[str, Any] = {"reason": "drawn at random"}
    if candidate.doubt is not None:
        why = {"uncertainty": round(candidate.doubt.score, 6), "reason": candidate.doubt.reason}
    return {"rank": rank, "strategy": wanted.strategy, **why, "place": str(candidate.record.origin)}
