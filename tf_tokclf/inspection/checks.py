"""Checks that find problems in labelled data before training. Each check is one function.

An error is certainly wrong, or makes scores meaningless. A warning is probably wrong and should be checked. A note is
for information.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, islice

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.data.label_spellings import likely_slips, without_scheme
from tf_tokclf.inspection.hashed_split import HashedSplit
from tf_tokclf.inspection.label_variation import MAX_WORDS, Occurrence, find_variations
from tf_tokclf.inspection.problem import (
    N_EXAMPLES,
    Example,
    Inspected,
    Level,
    Problem,
    ProblemKind,
    listed_counts,
    listing,
)
from tf_tokclf.inspection.text_checks import empty_sentences, piece_problems, word_problems
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.validation import ViolationKind, detect_scheme, pair_violations

# A type with fewer spans (without a scheme: words) in the training data is reported as rare.
RARE_BELOW = 5
# Shorter sentences ("Yes .", "Thank you very much .") naturally occur more than once.
LONG_SENTENCE = 8
# Shares of a split that also occur in another split: the limits for a note, a warning and an error. Transcripts of
# language learners naturally have 9 %. For longer sentences, 10 % are an error.
COMMON_SHARE, SUSPICIOUS_SHARE, LEAKED_SHARE = 0.01, 0.2, 0.5
LEAKED_SHARE_OF_LONG = 0.1
# Number of words on each side that must be equal before two labels of the same form count as a conflict. With 1, most
# findings on nine public data sets were ambiguous language; with 2, few were.
WORDS_AROUND = 2


def find_problems(data: Inspected) -> list[Problem]:
    """All problems, errors first."""
    checks = (
        _invalid_sequences,
        _other_schemes,
        _no_spans,
        _unseen_labels,
        _rare_labels,
        _likely_slips,
        _unknown_labels,
        _case_twins,
        _shared_sentences,
        _conflicting_sentences,
        _conflicting_forms,
        word_problems,
        empty_sentences,
        piece_problems,
    )
    found = [problem for check in checks for problem in check(data)]
    return sorted(found, key=lambda problem: list(Level).index(problem.level))


def _invalid_sequences(data: Inspected) -> Iterator[Problem]:
    names = (*data.labels.names, OUTSIDE_LABEL)
    for number, split in enumerate(data.coded):
        by_kind: dict[ViolationKind, list[tuple[int, str, int]]] = {}
        for (before, here), (n, at) in _label_pairs(split, len(data.labels)).items():
            for violation in pair_violations(names[before], names[here], data.scheme):
                by_kind.setdefault(violation.kind, []).append((n, violation.message, at + violation.position))
        for kind, found in by_kind.items():
            found.sort(key=lambda item: (-item[0], item[2]))
            n = sum(count for count, _, _ in found)
            yield Problem(
                ProblemKind.INVALID_SEQUENCE,
                Level.ERROR,
                f"{split.name}: {counted(n, 'invalid label')} ({kind}). {found[0][1]}",
                n,
                "Correct the labels, or repair them: --set data.repair=conlleval (or discard).",
                tuple(data.example_at(number, place, place + 1) for _, _, place in found[:N_EXAMPLES]),
            )


def _label_pairs(split: HashedSplit, n_labels: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Pairs of neighbouring label ids -> their count, and the flat position of the second label of the first pair.

    The id `n_labels` stands for the start and the end of a sentence.
    """
    size = n_labels + 1
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for first, last in split.chunks():
        begin, end = split.starts[first], split.starts[last]
        starts = split.starts[first:last] - begin
        ends = split.starts[first + 1 : last + 1] - begin
        full = ends > starts
        here = split.labels[begin:end].astype(np.int64)
        before = np.concatenate([here[:1], here[:-1]])
        before[starts[full]] = n_labels
        pairs = np.concatenate([before * size + here, here[ends[full] - 1] * size + n_labels])
        places = np.concatenate([np.arange(end - begin), ends[full]])
        codes, firsts, counts = np.unique(pairs, return_index=True, return_counts=True)
        for code, place, count in zip(codes.tolist(), places[firsts].tolist(), counts.tolist()):
            n, at = found.get(divmod(code, size), (0, int(begin) + place))
            found[divmod(code, size)] = (n + count, at)
    return found


def _other_schemes(data: Inspected) -> Iterator[Problem]:
    """Find splits that are valid in a different scheme than the data as a whole."""
    if data.scheme is Scheme.NONE or len(data.splits) < 2:
        return
    for split in data.splits:
        own = detect_scheme(split.label_sequences())
        if own.violations.get(data.scheme, 0) > 0 and own.violations.get(own.scheme) == 0:
            yield Problem(
                ProblemKind.OTHER_SCHEME,
                Level.ERROR,
                f"{split.name} seems to use {own.scheme}, but the data as a whole uses {data.scheme}.",
                own.violations[data.scheme],
                f"Convert it: tf-tokclf convert IN OUT --scheme {own.scheme} --to-scheme {data.scheme}.",
            )


def _no_spans(data: Inspected) -> Iterator[Problem]:
    if data.scheme is Scheme.NONE:
        return
    for split in data.statistics:
        if split.n_words and not split.n_spans:
            yield Problem(
                ProblemKind.NO_SPANS,
                Level.ERROR,
                f"{split.name} has no spans: every word is {OUTSIDE_LABEL}.",
                split.n_sentences,
                "Check the column of labels. A split without labels can be used with predict, but not scored.",
            )


def _unseen_labels(data: Inspected) -> Iterator[Problem]:
    for train in data.train:
        for split in data.statistics:
            unseen = {label: n for label, n in split.labels.items() if label not in train.labels}
            if unseen:
                n = sum(unseen.values())
                yield Problem(
                    ProblemKind.UNSEEN_LABEL,
                    Level.WARNING,
                    f"{split.name}: {counted(n, 'word')} with labels that are not in train: {listed_counts(unseen)}.",
                    n,
                    "The model cannot learn these labels, so they count as missed.",
                )


def _rare_labels(data: Inspected) -> Iterator[Problem]:
    for train in data.train:
        counts, what = (train.labels, "word") if data.scheme is Scheme.NONE else (train.spans, "span")
        rare = {name: n for name, n in counts.items() if n < RARE_BELOW}
        if rare:
            types = counted(len(rare), "type")
            yield Problem(
                ProblemKind.RARE_LABEL,
                Level.NOTE,
                f"{train.name}: {types} with fewer than {RARE_BELOW} {what}s: {listed_counts(rare)}.",
                len(rare),
                "The model learns little from so few examples, and the scores of these types are unreliable.",
            )


def _likely_slips(data: Inspected) -> Iterator[Problem]:
    for slip in likely_slips(_label_counts(data), data.scheme):
        yield Problem(
            ProblemKind.LIKELY_SLIP,
            Level.WARNING,
            f"{slip}.",
            slip.n,
            "Correct the label in the file.",
            tuple(_words_labelled(data, slip.label)),
        )


def _unknown_labels(data: Inspected) -> Iterator[Problem]:
    counts = _label_counts(data)
    slips = {slip.label for slip in likely_slips(counts, data.scheme)}
    for label, n in without_scheme(counts, data.scheme).items():
        if label not in slips:
            yield Problem(
                ProblemKind.UNKNOWN_LABEL,
                Level.WARNING,
                f"{label} ({counted(n, 'time')}) is not a label of {data.scheme} and is read as {OUTSIDE_LABEL}.",
                n,
                "Correct it, or name the scheme (--scheme) or the column of labels (--label-column-name).",
                tuple(islice(_words_labelled(data, label), N_EXAMPLES)),
            )


def _label_counts(data: Inspected) -> Counter[str]:
    return sum((Counter(split.labels) for split in data.statistics), Counter[str]())


def _words_labelled(data: Inspected, label: str) -> Iterator[Example]:
    """All words with a given label, each with a few words around it."""
    for number, split in enumerate(data.coded):
        for place in np.flatnonzero(split.labels == data.labels.id_by_label[label]).tolist():
            yield data.example_at(number, place, place + 1)


def _case_twins(data: Inspected) -> Iterator[Problem]:
    counts: Counter[str] = Counter()
    for split in data.statistics:
        counts.update(split.labels if data.scheme is Scheme.NONE else split.spans)
    twins: dict[str, list[str]] = {}
    for name in counts:
        twins.setdefault(re.sub(r"[\s_-]+", "-", name.strip()).casefold(), []).append(name)
    for key, names in twins.items():
        if len(names) > 1 and any(map(str.isalnum, key)):
            names.sort(key=lambda name: -counts[name])
            yield Problem(
                ProblemKind.CASE_TWINS,
                Level.WARNING,
                f"{' and '.join(names)} differ only in case or punctuation "
                f"({' and '.join(f'{counts[name]:,}' for name in names)} times).",
                sum(counts[name] for name in names[1:]),
                "The model treats them as different types. Rename one of them.",
            )


def _shared_sentences(data: Inspected) -> Iterator[Problem]:
    hashes = [split.sentence_hashes() for split in data.coded]
    for (i, ours), (j, theirs) in combinations(enumerate(hashes), 2):
        lengths = np.diff(data.coded[j].starts)
        shared = np.isin(theirs, ours) & (lengths > 0)
        long = lengths >= LONG_SENTENCE
        n, n_long = int(shared.sum()), int((shared & long).sum())
        level = _leak_level(n / max(len(theirs), 1), n_long / max(int(long.sum()), 1))
        if level is None:
            continue
        one, other = data.coded[i].name, data.coded[j].name
        among = f", {n_long:,} of them with {LONG_SENTENCE} or more words" if n_long else ""
        first = np.zeros(len(theirs), bool)
        first[np.unique(theirs, return_index=True)[1]] = True
        rows = np.flatnonzero(shared & first)
        longest_first = rows[np.argsort(-lengths[rows], kind="stable")][:N_EXAMPLES].tolist()
        yield Problem(
            ProblemKind.SHARED_SENTENCE,
            level,
            f"{other}: {counted(n, 'sentence')} ({100 * n / len(theirs):.1f} %) also in {one}{among}.",
            n,
            "" if level is Level.NOTE else f"Scores on {other} are too high because of them. Remove them from {one}.",
            tuple(data.example(j, row) for row in longest_first),
        )


def _leak_level(share: float, share_of_long: float) -> Level | None:
    """The level of the problem, given the shares of a split and of its longer sentences that are in another split."""
    if share_of_long >= LEAKED_SHARE_OF_LONG or share >= LEAKED_SHARE:
        return Level.ERROR
    if share_of_long > 0 or share >= SUSPICIOUS_SHARE:
        return Level.WARNING
    return Level.NOTE if share >= COMMON_SHARE else None


def _conflicting_sentences(data: Inspected) -> Iterator[Problem]:
    words = np.concatenate([split.sentence_hashes() for split in data.coded])
    labellings = np.concatenate([split.labelling_hashes() for split in data.coded])
    lengths = np.concatenate([np.diff(split.starts) for split in data.coded])
    order = np.lexsort((labellings, words))
    ones, others = order[:-1], order[1:]
    conflict = (words[ones] == words[others]) & (labellings[ones] != labellings[others]) & (lengths[ones] > 0)
    ones, others = ones[conflict], others[conflict]
    _, first = np.unique(words[ones], return_index=True)
    ones, others = ones[first], others[first]
    if not len(ones):
        return
    n_long = int((lengths[ones] >= LONG_SENTENCE).sum())
    among = f", {n_long:,} of them with {LONG_SENTENCE} or more words" if n_long else ""
    # Longer sentences come first: they are less likely to be ambiguous.
    shown = np.argsort(-lengths[ones], kind="stable")[:N_EXAMPLES].tolist()
    yield Problem(
        ProblemKind.CONFLICTING_SENTENCE,
        Level.WARNING if n_long else Level.NOTE,
        f"{counted(len(ones), 'sentence')} labelled in different ways{among}.",
        len(ones),
        "Most likely only one of the labellings is correct.",
        tuple(example for i in shown for example in _difference(data, int(ones[i]), int(others[i]))),
    )


def _difference(data: Inspected, *rows: int) -> Iterator[Example]:
    """The sentences in these rows, counted over all splits, around the first word whose labels differ."""
    places = [_place(data, row) for row in rows]
    starts = [int(data.coded[number].starts[row]) for number, row in places]
    labels = zip(*(data.example(number, row).labels for number, row in places))
    at = next(i for i, both in enumerate(labels) if len(set(both)) > 1)
    for (number, _), start in zip(places, starts):
        yield data.example_at(number, start + at, start + at + 1, around=12)


def _place(data: Inspected, row: int) -> tuple[int, int]:
    """Convert a row counted over all splits to the number of the split and the row in it."""
    for number, split in enumerate(data.coded):
        if row < split.n_sentences:
            return number, row
        row -= split.n_sentences
    raise IndexError(row)


def _conflicting_forms(data: Inspected) -> Iterator[Problem]:
    variations = find_variations(data.coded, data.labels, n_around=WORDS_AROUND)
    if not variations:
        return
    cut = any(split.n_words > MAX_WORDS for split in data.coded)
    shown: list[Example] = []
    listed = []
    for variation in variations[:N_EXAMPLES]:
        one, other = _two_labels(variation.occurrences)
        example = data.example_at(one.split, one.start, one.end, around=0)
        counts = Counter(occurrence.label for occurrence in variation.occurrences)
        listed.append(f"“{' '.join(example.words)}” ({listed_counts(counts)})")
        shown += [data.example_at(o.split, o.start, o.end, WORDS_AROUND) for o in (one, other)]
    yield Problem(
        ProblemKind.CONFLICTING_FORM,
        Level.WARNING,
        f"{counted(len(variations), 'word or phrase', 'words or phrases')} labelled in different ways in the same "
        f"context ({WORDS_AROUND} words on each side): {listing(listed, len(variations))}.",
        len(variations),
        "These are probably annotation errors. Check them."
        + (f" Only the first {MAX_WORDS:,} words of each split were compared." if cut else ""),
        tuple(shown),
    )


def _two_labels(occurrences: Sequence[Occurrence]) -> tuple[Occurrence, Occurrence]:
    one = occurrences[0]
    return one, next(other for other in occurrences if other.label != one.label)
