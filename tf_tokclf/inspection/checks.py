"""Problems in labelled data, found before training. Each check is one function.

An error is certainly wrong or makes scores meaningless; a warning is most likely wrong and worth a look; a
note is something to know. Thresholds are named below, with what they are for.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations, islice

import numpy as np

from tf_tokclf.counted import counted
from tf_tokclf.data.spellings import likely_slips, without_scheme
from tf_tokclf.data.splits import Split
from tf_tokclf.inspection.hashed_split import CodedSplit, word_batches
from tf_tokclf.inspection.label_variation import MAX_WORDS, Occurrence, find_variations
from tf_tokclf.inspection.statistics import SplitStatistics
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import OUTSIDE_LABEL, Scheme
from tf_tokclf.labels.validation import ViolationKind, detect_scheme, pair_violations

N_EXAMPLES = 5
# A type with fewer spans (without a scheme: words) to learn from is called rare.
RARE_BELOW = 5
# Shorter sentences ("Yes .", "Thank you very much .") are expected to come again.
LONG_SENTENCE = 8
# Shares of a split that are in another one too: worth a note, suspicious, and making its scores
# meaningless. Learners' speech has 9 % by nature. Of longer sentences, a tenth is enough.
COMMON_SHARE, SUSPICIOUS_SHARE, LEAKED_SHARE = 0.01, 0.2, 0.5
LEAKED_SHARE_OF_LONG = 0.1
# Words on both sides of a form that must be equal before its labels are expected to be equal too. With 1,
# most findings on nine public data sets were ambiguous language; with 2, few.
WORDS_AROUND = 2
# Above this share of unknown pieces the vocabulary does not fit the language or the casing.
UNKNOWN_RATE = 0.01


class Level(StrEnum):
    """How bad a problem is. Only errors make `--strict` fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class ProblemKind(StrEnum):
    """What was checked; the values are stable names for `--json`."""

    INVALID_SEQUENCE = "invalid-sequence"
    OTHER_SCHEME = "other-scheme"
    NO_SPANS = "no-spans"
    UNSEEN_LABEL = "unseen-label"
    RARE_LABEL = "rare-label"
    LIKELY_SLIP = "likely-slip"
    UNKNOWN_LABEL = "unknown-label"
    CASE_TWINS = "case-twins"
    SHARED_SENTENCE = "shared-sentence"
    CONFLICTING_SENTENCE = "conflicting-sentence"
    CONFLICTING_FORM = "conflicting-form"
    INVISIBLE_CHARACTER = "invisible-character"
    WHITESPACE_SPAN = "whitespace-span"
    WHITESPACE_WORD = "whitespace-word"
    EMPTY_SENTENCE = "empty-sentence"
    WORD_WITHOUT_PIECE = "word-without-piece"
    UNKNOWN_PIECES = "unknown-pieces"


@dataclass(frozen=True)
class Example:
    """Words of the data with their labels, and where they stand."""

    place: str
    words: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """One finding. message: a whole sentence. count: how many places. hint: what to do about it."""

    kind: ProblemKind
    level: Level
    message: str
    count: int
    hint: str = ""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Inspected:
    """What the checks look at: the splits as they are on disk, as integers, and in numbers."""

    splits: tuple[Split, ...]
    coded: tuple[CodedSplit, ...]
    statistics: tuple[SplitStatistics, ...]
    labels: LabelSet

    @property
    def scheme(self) -> Scheme:
        return self.labels.scheme

    @property
    def train(self) -> tuple[SplitStatistics, ...]:
        """The split to learn from; none where only others are inspected."""
        return tuple(split for split in self.statistics if split.name == "train")

    def example(self, split: int, sentence: int, first: int = 0, last: int | None = None) -> Example:
        """The words from `first` to `last` of a sentence, with the place of the sentence."""
        row = self.splits[split].table.slice(sentence, 1).to_pylist()[0]
        place = f"{row['path']}, {row['unit']} {row['number']}" if row["path"] else f"sentence {sentence + 1}"
        return Example(place, tuple(row["words"][first:last]), tuple(row["labels"][first:last]))

    def example_at(self, split: int, start: int, end: int, around: int = 3) -> Example:
        """The words at the flat positions from `start` to `end` of a split, and some words around them."""
        sentence, first = self.coded[split].sentence_of(start)
        shown = self.example(split, sentence, max(first - around, 0), first + end - start + around)
        return replace(shown, place=f"{shown.place}, word {first + 1}")


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
        _words,
        _empty_sentences,
        _pieces,
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
                f"{split.name}: {counted(n, 'place')} against {data.scheme} ({kind}). {found[0][1]}",
                n,
                "Correct the file, or repair the labels: data.repair conlleval (as scorers do) or discard.",
                tuple(data.example_at(number, place, place + 1) for _, _, place in found[:N_EXAMPLES]),
            )


def _label_pairs(split: CodedSplit, n_labels: int) -> dict[tuple[int, int], tuple[int, int]]:
    """Neighbouring label ids -> how often, and the flat position of the first one's second label.

    `n_labels` stands for the edges of sentences.
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
    """A split that by itself is valid in another scheme than the one that fits all splits together."""
    if data.scheme is Scheme.NONE or len(data.splits) < 2:
        return
    for split in data.splits:
        own = detect_scheme(split.label_sequences())
        if own.violations.get(data.scheme, 0) > 0 and own.violations.get(own.scheme) == 0:
            yield Problem(
                ProblemKind.OTHER_SCHEME,
                Level.ERROR,
                f"{split.name} looks like {own.scheme}, the data as a whole like {data.scheme}.",
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
                f"{split.name} has no span at all: every word is {OUTSIDE_LABEL}.",
                split.n_sentences,
                "Check the column of labels; a test set without labels can be predicted, not scored.",
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
                    f"{split.name}: {counted(n, 'word')} with labels that train lacks: {_counted(unseen)}.",
                    n,
                    "They cannot be learnt and count as missed.",
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
                f"{train.name}: {types} with fewer than {RARE_BELOW} {what}s: {_counted(rare)}.",
                len(rare),
                "Hardly anything can be learnt from so few, and their scores are chance.",
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
                f"{label} ({n:,}) is not a label of {data.scheme} and is read as {OUTSIDE_LABEL}.",
                n,
                "Correct it, or name the scheme or the column of labels.",
                tuple(islice(_words_labelled(data, label), N_EXAMPLES)),
            )


def _label_counts(data: Inspected) -> Counter[str]:
    return sum((Counter(split.labels) for split in data.statistics), Counter[str]())


def _words_labelled(data: Inspected, label: str) -> Iterator[Example]:
    """All words with a label, and some words around each."""
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
                f"{' and '.join(names)} differ in case or punctuation only "
                f"({' and '.join(f'{counts[name]:,}' for name in names)} times).",
                sum(counts[name] for name in names[1:]),
                "They are learnt as different types; rename one.",
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
        first = np.zeros(len(theirs), bool)
        first[np.unique(theirs, return_index=True)[1]] = True
        rows = np.flatnonzero(shared & first)
        longest_first = rows[np.argsort(-lengths[rows], kind="stable")][:N_EXAMPLES].tolist()
        yield Problem(
            ProblemKind.SHARED_SENTENCE,
            level,
            f"{counted(n, 'sentence')} of {other} ({100 * n / len(theirs):.1f} %) also in {one}, {n_long:,} "
            f"of them with {LONG_SENTENCE} or more words.",
            n,
            ""
            if level is Level.NOTE
            else f"Scores on {other} are then partly scores of memory; remove them from {one}.",
            tuple(data.example(j, row) for row in longest_first),
        )


def _leak_level(share: float, share_of_long: float) -> Level | None:
    """How bad it is that these shares of a split, and of its longer sentences, are in another split too."""
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
    # The longer a sentence, the less likely that it means two things.
    shown = np.argsort(-lengths[ones], kind="stable")[:N_EXAMPLES].tolist()
    yield Problem(
        ProblemKind.CONFLICTING_SENTENCE,
        Level.WARNING if n_long else Level.NOTE,
        f"{counted(len(ones), 'sentence')} in two or more labellings, {n_long:,} of them with {LONG_SENTENCE} "
        "or more words.",
        len(ones),
        "All but one of the labellings are likely to be wrong.",
        tuple(example for i in shown for example in _difference(data, int(ones[i]), int(others[i]))),
    )


def _difference(data: Inspected, *rows: int) -> Iterator[Example]:
    """The sentences in these rows of all splits together, around the first word whose labels differ."""
    places = [_place(data, row) for row in rows]
    starts = [int(data.coded[number].starts[row]) for number, row in places]
    labels = zip(*(data.example(number, row).labels for number, row in places))
    at = next(i for i, both in enumerate(labels) if len(set(both)) > 1)
    for (number, _), start in zip(places, starts):
        yield data.example_at(number, start + at, start + at + 1, around=12)


def _place(data: Inspected, row: int) -> tuple[int, int]:
    """A row of all splits together as the split's number and the row in it."""
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
        listed.append(f"“{' '.join(example.words)}” ({_counted(counts)})")
        shown += [data.example_at(o.split, o.start, o.end, WORDS_AROUND) for o in (one, other)]
    yield Problem(
        ProblemKind.CONFLICTING_FORM,
        Level.WARNING,
        f"{counted(len(variations), 'form')} labelled differently between the same {WORDS_AROUND} words on "
        f"each side: {_listed(listed, len(variations))}.",
        len(variations),
        "Likely annotation errors: read them."
        + (f" Only each split's first {MAX_WORDS:,} words were compared." if cut else ""),
        tuple(shown),
    )


def _two_labels(occurrences: Sequence[Occurrence]) -> tuple[Occurrence, Occurrence]:
    one = occurrences[0]
    return one, next(other for other in occurrences if other.label != one.label)


# Characters that nobody sees but tokenizers do, but for joiners, which scripts and emoji need.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e"
    "\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufeff\uffa0\ufff0-\ufffd\U000e0000-\U000e007f]"
)
# Directions and typographic spaces belong to good text now and then; the others hardly ever do.
_HARMLESS = re.compile("[\u00a0\u061c\u2000-\u200a\u200e\u200f\u202a-\u202f\u205f\u2066-\u2069\u3000]")
# Several of these have no name in Unicode.
_NAMES = {"\t": "TAB", "\n": "LINE FEED", "\r": "CARRIAGE RETURN", "\x1b": "ESCAPE", "\x00": "NULL"}


@dataclass
class _WordFindings:
    """What is not seen in a split's words.

    hidden: in how many words each character is. places: a flat position for each. blank: (words,) bool.
    """

    hidden: Counter[str]
    places: dict[str, int]
    n_hidden_words: int
    n_white: int
    blank: np.ndarray


def _words(data: Inspected) -> Iterator[Problem]:
    for number, split in enumerate(data.splits):
        found = _look_at_words(split, data.coded[number].n_words)
        yield from _hidden_characters(data, number, found)
        yield from _white_words(data, number, found)
        yield from _blank_spans(data, number, found.blank)


def _look_at_words(split: Split, n_words: int) -> _WordFindings:
    found = _WordFindings(Counter(), {}, 0, 0, np.zeros(n_words, bool))
    at = 0
    for batch in word_batches(split):
        counts = np.bincount(batch.codes, minlength=len(batch.distinct))
        is_blank = np.array([_is_blank(word) for word in batch.distinct], bool)
        found.blank[at : at + len(batch.codes)] = is_blank[batch.codes]
        found.n_white += sum(int(counts[i]) for i in np.flatnonzero(is_blank) if _is_white(batch.distinct[i]))
        if _HIDDEN.search("".join(batch.distinct)):
            for code, word in enumerate(batch.distinct):
                characters = set() if _is_white(word) else set(_HIDDEN.findall(word))
                found.n_hidden_words += int(counts[code]) if characters else 0
                for character in characters:
                    found.hidden[character] += int(counts[code])
                    if character not in found.places:
                        found.places[character] = at + int(np.argmax(batch.codes == code))
        at += len(batch.codes)
    return found


def _is_white(word: str) -> bool:
    return not word or word.isspace()


def _is_blank(word: str) -> bool:
    return _is_white(word) or all(unicodedata.category(c) in _UNSEEN for c in word)


_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})


def _hidden_characters(data: Inspected, number: int, found: _WordFindings) -> Iterator[Problem]:
    if not found.hidden:
        return
    harmful = [character for character in found.hidden if not _HARMLESS.match(character)]
    listed = [f"{_character_name(c)} in {n:,}" for c, n in found.hidden.most_common(N_EXAMPLES)]
    shown = sorted(found.hidden, key=lambda c: (c not in harmful, -found.hidden[c]))[:N_EXAMPLES]
    yield Problem(
        ProblemKind.INVISIBLE_CHARACTER,
        Level.WARNING if harmful else Level.NOTE,
        f"{data.coded[number].name}: {counted(found.n_hidden_words, 'word')} with invisible characters: "
        f"{_listed(listed, len(found.hidden))}.",
        found.n_hidden_words,
        "Words that look alike are then different pieces; clean the text before labelling or training.",
        tuple(data.example_at(number, found.places[c], found.places[c] + 1) for c in shown),
    )


def _character_name(character: str) -> str:
    name = unicodedata.name(character, _NAMES.get(character, "control character"))
    return f"U+{ord(character):04X} {name}"


def _white_words(data: Inspected, number: int, found: _WordFindings) -> Iterator[Problem]:
    if found.n_white:
        yield Problem(
            ProblemKind.WHITESPACE_WORD,
            Level.NOTE,
            f"{data.coded[number].name}: {counted(found.n_white, 'word')} of nothing but white space "
            f"({100 * found.n_white / data.coded[number].n_words:.1f} % of all words).",
            found.n_white,
            "Most tokenizers make no piece of them, so that they get the label of unseen words.",
        )


def _blank_spans(data: Inspected, number: int, blank: np.ndarray) -> Iterator[Problem]:
    if not blank.any():
        return
    split = data.coded[number]
    whole: list[tuple[int, int]] = []
    edges: list[tuple[int, int]] = []
    for spans in split.spans(data.labels):
        suspects = np.flatnonzero(blank[spans.starts] | blank[spans.ends - 1])
        for start, end in zip(spans.starts[suspects].tolist(), spans.ends[suspects].tolist()):
            (whole if blank[start:end].all() else edges).append((start, end))
    for places, level, what in (
        (whole, Level.ERROR, "of nothing but white space"),
        (edges, Level.WARNING, "that begin or end with white space"),
    ):
        if places:
            yield Problem(
                ProblemKind.WHITESPACE_SPAN,
                level,
                f"{split.name}: {counted(len(places), 'span')} {what}.",
                len(places),
                "Label the visible words only.",
                tuple(data.example_at(number, start, end) for start, end in places[:N_EXAMPLES]),
            )


def _empty_sentences(data: Inspected) -> Iterator[Problem]:
    for number, split in enumerate(data.coded):
        rows = np.flatnonzero(np.diff(split.starts) == 0)
        if len(rows):
            yield Problem(
                ProblemKind.EMPTY_SENTENCE,
                Level.WARNING,
                f"{split.name}: {counted(len(rows), 'sentence')} without words.",
                len(rows),
                "They teach nothing; remove them.",
                tuple(data.example(number, row) for row in rows[:N_EXAMPLES].tolist()),
            )


def _pieces(data: Inspected) -> Iterator[Problem]:
    for split in data.statistics:
        if split.pieces is None:
            continue
        without = {_spelled(w): n for w, n in split.pieces.words_without.items() if not _is_blank(w)}
        if without:
            n = sum(without.values())
            yield Problem(
                ProblemKind.WORD_WITHOUT_PIECE,
                Level.WARNING,
                f"{split.name}: {counted(n, 'word')} without any piece: {_counted(without)}.",
                n,
                f"The model never sees them; they get the label {data.labels.fallback}.",
            )
        if split.pieces.unknown_rate >= UNKNOWN_RATE:
            yield Problem(
                ProblemKind.UNKNOWN_PIECES,
                Level.WARNING,
                f"{split.name}: {100 * split.pieces.unknown_rate:.1f} % of the pieces are unknown ones.",
                split.pieces.n_unknown,
                "Choose a model whose vocabulary covers this language and script.",
            )


def _spelled(word: str) -> str:
    """The word, or the numbers of its characters where there is nothing to see but marks."""
    if all(unicodedata.category(c) in _UNSEEN | {"Mn", "Me"} for c in word):
        return " ".join(f"U+{ord(c):04X}" for c in word)
    return word


def _listed(names: Sequence[str], n: int) -> str:
    return ", ".join(names) + (f" and {n - len(names):,} more" if n > len(names) else "")


def _counted(counts: Mapping[str, int], limit: int = 8) -> str:
    """The most frequent names with their counts.

    >>> _counted({"B-LOC": 2, "O": 10})
    'O 10, B-LOC 2'
    """
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return _listed([f"{name} {n:,}" for name, n in ranked[:limit]], len(ranked))
