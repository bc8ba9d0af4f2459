"""Checks: each problem that is planted in clean data is found, and no other problem is reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.splits import load_splits
from tf_tokclf.inspection.inspect import inspect_splits
from tf_tokclf.inspection.problem import Level, Problem, ProblemKind

Rows = list[tuple[str, str]]

# Words and labels. Every type occurs at least five times; no sentence and no context of a name occurs twice.
TRAIN: Rows = [
    ("Ada Lovelace wrote long letters home from London in spring .", "B-PER I-PER O O O O O B-LOC O O O"),
    ("In Paris the old painter Berthe Morisot met Claude again .", "O B-LOC O O O B-PER I-PER O B-PER O O"),
    ("Nobody in Rome had ever seen Galileo laugh so loudly .", "O O B-LOC O O O B-PER O O O O"),
    ("When Emmy Noether came to Göttingen she was not paid .", "O B-PER I-PER O O B-LOC O O O O O"),
    ("A train to Vienna left late because Lise Meitner waited .", "O O O B-LOC O O O B-PER I-PER O O"),
    ("The harbour of Lisbon lay quiet while Fernando slept there .", "O O O B-LOC O O O B-PER O O O"),
]
TEST: Rows = [
    ("Yesterday Mary Shelley arrived late at night in Geneva .", "O B-PER I-PER O O O O O B-LOC O"),
    ("Our guide through Athens was called Hypatia by all people .", "O O O B-LOC O O B-PER O O O O"),
]


def write(path: Path, rows: Sequence[tuple[str, str]]) -> str:
    """Write a JSONL file. Words are separated by single spaces, and `_` in a word stands for a space."""
    lines = []
    for words, labels in rows:
        tokens = [word.replace("_", " ") for word in words.split(" ")] if words else []
        lines.append(json.dumps({"tokens": tokens, "tags": labels.split()}))
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def problems(folder: Path, train: Rows, test: Rows | None = None) -> list[Problem]:
    data = DataConfig(
        train_file=write(folder / "train.jsonl", train),
        test_file=None if test is None else write(folder / "test.jsonl", test),
    )
    splits = load_splits(data, task=Task.NER, draw=False)
    return list(inspect_splits(splits).problems)


def relabelled(rows: Rows, row: int, old: str, new: str) -> Rows:
    words, labels = rows[row]
    assert old in labels
    return [*rows[:row], (words, labels.replace(old, new, 1)), *rows[row + 1 :]]


def reworded(rows: Rows, row: int, old: str, new: str) -> Rows:
    words, labels = rows[row]
    assert old in words
    return [*rows[:row], (words.replace(old, new, 1), labels), *rows[row + 1 :]]


def test_clean_data_has_no_problems(tmp_path):
    assert problems(tmp_path, TRAIN, TEST) == []


RARE = ("We all stood around Concorde and said nothing .", "O O O O B-THING O O O O")
VARYING = ("She sent letters home from London in spring !", "O O O O O O O O O")
UNLABELLED = [(words, "O " * len(words.split())) for words, _ in TEST]


@pytest.mark.parametrize(
    ("kind", "level", "train", "test"),
    [
        (ProblemKind.INVALID_SEQUENCE, Level.ERROR, relabelled(TRAIN, 0, "B-LOC", "I-LOC"), TEST),
        (ProblemKind.UNSEEN_LABEL, Level.WARNING, TRAIN, relabelled(TEST, 0, "B-LOC", "B-ORG")),
        (ProblemKind.RARE_LABEL, Level.NOTE, [*TRAIN, RARE], TEST),
        (ProblemKind.SHARED_SENTENCE, Level.ERROR, TRAIN, [*TEST, TRAIN[2]]),
        (
            ProblemKind.CONFLICTING_SENTENCE,
            Level.WARNING,
            [*TRAIN, relabelled(TRAIN, 2, "B-PER", "O")[2]],
            TEST,
        ),
        (ProblemKind.CONFLICTING_FORM, Level.WARNING, [*TRAIN, VARYING], TEST),
        (
            ProblemKind.INVISIBLE_CHARACTER,
            Level.WARNING,
            reworded(TRAIN, 0, "letters", "let\u00adters"),
            TEST,
        ),
        (ProblemKind.INVISIBLE_CHARACTER, Level.NOTE, reworded(TRAIN, 0, "letters", "let\u00a0ters"), TEST),
        (ProblemKind.EMPTY_SENTENCE, Level.WARNING, [*TRAIN, ("", "")], TEST),
        (ProblemKind.WHITESPACE_WORD, Level.NOTE, reworded(TRAIN, 0, "home", "_"), TEST),
        (ProblemKind.NO_SPANS, Level.ERROR, TRAIN, UNLABELLED),
    ],
    ids=lambda value: value.value if isinstance(value, ProblemKind | Level) else "",
)
def test_a_planted_problem_is_found_and_no_other(tmp_path, kind, level, train, test):
    found = problems(tmp_path, train, test)
    assert [(problem.kind, problem.level) for problem in found] == [(kind, level)]


def test_case_twins_are_found(tmp_path):
    found = problems(tmp_path, relabelled(TRAIN, 5, "B-LOC", "B-loc"), TEST)
    assert [problem.kind for problem in found] == [ProblemKind.CASE_TWINS, ProblemKind.RARE_LABEL]
    assert found[0].message == "LOC and loc differ only in case or punctuation (7 and 1 times)."


def test_a_span_of_white_space_is_an_error_and_one_that_ends_in_it_a_warning(tmp_path):
    blank = problems(tmp_path, reworded(TRAIN, 0, "London", "_"), TEST)
    assert [(p.kind, p.level) for p in blank] == [
        (ProblemKind.WHITESPACE_SPAN, Level.ERROR),
        (ProblemKind.WHITESPACE_WORD, Level.NOTE),
    ]
    edge = problems(tmp_path, reworded(TRAIN, 0, "Lovelace", "_"), TEST)
    assert (edge[0].kind, edge[0].level) == (ProblemKind.WHITESPACE_SPAN, Level.WARNING)


def test_a_split_in_another_scheme_is_named(tmp_path):
    other = [(words, labels.replace("B-", "I-")) for words, labels in TEST]
    found = problems(tmp_path, TRAIN, other)
    assert {problem.kind for problem in found} >= {ProblemKind.INVALID_SEQUENCE, ProblemKind.OTHER_SCHEME}
    assert any(p.message == "test seems to use IO, but the data as a whole uses IOB2." for p in found)


def test_an_invalid_sequence_is_shown_with_its_place(tmp_path):
    found = problems(tmp_path, relabelled(TRAIN, 0, "B-LOC", "I-LOC"), TEST)[0]
    assert found.message == (
        "train: 1 invalid label (start of the span not marked). "
        "I-LOC follows O, which IOB2 does not allow. The span should start with B-LOC."
    )
    assert found.examples[0].place.endswith("train.jsonl, line 1, word 8")
    assert found.examples[0].words == ("letters", "home", "from", "London", "in", "spring", ".")


def test_one_short_sentence_among_many_is_not_worth_a_note(tmp_path):
    many = [(f"Number {i} is no name of anyone .", "O O O O O O O O") for i in range(200)]
    train = [(words.replace("Number", "Figure"), labels) for words, labels in many]
    common = ("Yes , I do .", "O O O O O")
    assert problems(tmp_path, [*TRAIN, *train, common], [*TEST, *many, common]) == []


@pytest.mark.parametrize(("n_shared", "level"), [(1, Level.NOTE), (5, Level.WARNING), (12, Level.ERROR)], ids=str)
def test_how_bad_shared_short_sentences_are_depends_on_their_share(tmp_path, n_shared, level):
    own = [(f"Number {i} is nobody .", "O O O O O") for i in range(18)]
    found = problems(tmp_path, [*TRAIN, *own[:n_shared]], [*TEST, *own])
    assert [(problem.kind, problem.level) for problem in found] == [(ProblemKind.SHARED_SENTENCE, level)]


def test_a_form_that_varies_in_other_surroundings_is_no_problem(tmp_path):
    elsewhere = ("We read about London all through that winter .", "O " * 9)
    assert problems(tmp_path, [*TRAIN, elsewhere], TEST) == []


def test_repeated_sentences_are_no_varying_forms(tmp_path):
    found = problems(tmp_path, [*TRAIN, relabelled(TRAIN, 0, "B-LOC", "O")[0]], TEST)
    assert [problem.kind for problem in found] == [ProblemKind.CONFLICTING_SENTENCE]


def test_a_sentence_in_two_labellings_is_shown_where_they_differ(tmp_path):
    words = " ".join(f"word{i}" for i in range(100))
    one, other = (f"{'O ' * 90}{label} {'O ' * 9}".strip() for label in ("B-LOC", "O"))
    (found,) = problems(tmp_path, [*TRAIN, (words, one), (words, other)], TEST)
    assert [example.place.rpartition(", ")[2] for example in found.examples] == ["word 91", "word 91"]
    assert {"B-LOC" in example.labels for example in found.examples} == {True, False}


def test_tags_of_punctuation_are_no_case_twins(tmp_path):
    rows = [
        ("a - b _ c d e f", "DET - DET _ DET DET DET DET"),
        ("g - h - i - j _ _ _ _", "DET - DET - DET - DET _ _ _ _"),
    ]
    kinds = {problem.kind for problem in problems(tmp_path, rows)}
    assert ProblemKind.CASE_TWINS not in kinds


def test_joiners_and_variation_selectors_are_left_alone(tmp_path):
    assert problems(tmp_path, reworded(TRAIN, 0, "letters", "می\u200cروم❤\ufe0f👩\u200d💻"), TEST) == []


def test_labels_without_a_scheme_are_checked_too(tmp_path):
    tagged = [
        ("He runs home fast", "PRON VERB ADV ADV"),
        ("We saw him as that ran home .", "PRON VERB PRON ADP DET VERB ADV PUNCT"),
        ("They saw him as that ran home .", "PRON VERB PRON ADP PRON VERB ADV PUNCT"),
    ]
    rows = tagged + [("It did", "PRON VERB")] * 5
    kinds = {problem.kind for problem in problems(tmp_path, rows)}
    assert kinds == {ProblemKind.CONFLICTING_FORM, ProblemKind.RARE_LABEL}


def test_the_same_data_gives_the_same_report(tmp_path):
    rows = [*TRAIN, relabelled(TRAIN, 2, "B-PER", "O")[2], relabelled(TRAIN, 3, "B-LOC", "O")[3]]
    assert problems(tmp_path, rows, TEST) == problems(tmp_path, rows, TEST)
