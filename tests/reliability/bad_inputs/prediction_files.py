"""Predictions that cannot be scored."""

from __future__ import annotations

from tests.reliability.bad_inputs.cells import (
    DEEP,
    ESC,
    GOOD,
    SAID,
    WIDE,
    Bad,
    Cell,
    Content,
    Impossible,
    folder,
    json_lines,
    unreadable,
)


def predictions() -> list[Cell]:
    """Files of predictions, scored by `evaluate` and `compare`."""
    cells: list[Cell] = []
    good = json_lines(SAID)

    def bad(fault: str, content: Content | None, *says: str, options: str = "", **others: Content) -> None:
        files: dict[str, Content] = {"gold.conll": GOOD, **others}
        if content is not None:
            files["p.jsonl"] = content
        cells.append(
            Bad("predictions", fault, files, f"evaluate --predictions p.jsonl {options} --output s.json", says)
        )

    def changed(**values: object) -> bytes:
        return good + json_lines({**SAID, **values})

    bad("missing", None, "'p.jsonl' does not exist", "--predictions")
    bad("missing", json_lines({**SAID, "gold": None}), "p.jsonl, line 1: The predictions have no gold", "--gold")
    bad("empty", b"", "p.jsonl: contains no sentences", "Check the program that wrote it")
    bad(
        "truncated",
        good + good[:30],
        "p.jsonl, line 2: is not valid JSON",
        "Each line must be a JSON object with the lists words",
    )
    bad(
        "truncated",
        good + good,
        "gold.conll: ends after 1 sentence",
        "the same sentences",
        options="--gold gold.conll",
    )
    bad("wrong type", good + b"5\n", "p.jsonl, line 2: has no words", "Each line must be a JSON object")
    bad("wrong type", changed(scores=["a", "b"]), "p.jsonl, line 2: scores is not a list of numbers", "Each line")
    bad("wrong type", changed(words="Ada smiled"), "p.jsonl, line 2: words is not a list of texts", "Each line")
    bad("wrong encoding", good.replace(b"Ada", b"Jos\xe9"), "p.jsonl, line 1: byte 0xe9 is not valid utf-8", "encoding")
    bad("wrong length", changed(predicted=["O"]), "p.jsonl, line 2: 2 words but 1 predicted", "Each line")
    short = json_lines({"words": ["Ada"], "predicted": ["O"]})
    bad(
        "wrong length",
        short,
        "p.jsonl, line 1: 1 word, but 2 in gold.conll",
        "the same words",
        options="--gold gold.conll",
    )
    bad("out of range", changed(scores=[7, float("nan")]), "p.jsonl, line 2: ", "from 0 to 1", "Each line")
    bad("out of range", good, "no label scheme 'klingon'", "Label schemes", options="--scheme klingon")
    bad("duplicated", good + good, "gold.conll: ends after 1", "the same sentences", options="--gold gold.conll")
    bad("hostile", good + f"{ESC}\n".encode(), "p.jsonl, line 2: is not valid JSON", "Each line")
    bad("hostile", good + DEEP + b"\n", "p.jsonl, line 2: is not valid JSON", "Each line")
    bad("huge", good + b'{"words": ["' + WIDE, "p.jsonl, line 2: is not valid JSON", "Each line")
    bad("unreadable", unreadable, "p.jsonl: cannot be read", "Check")
    bad("unreadable", folder, "p.jsonl: contains no predictions", "Check the program that wrote it")
    other = json_lines({**SAID, "gold": ["O", "O"]})
    for fault, files, says in (
        ("missing", {"a.jsonl": good}, ("b.jsonl: is neither a run nor a file", "Check the path")),
        (
            "empty",
            {"a.jsonl": good, "b.jsonl": b""},
            ("b.jsonl: contains no sentences", "Check the program that wrote it"),
        ),
        (
            "truncated",
            {"a.jsonl": good, "b.jsonl": good[:30]},
            ("b.jsonl: contains no records", "Check the program that wrote it"),
        ),
        (
            "wrong type",
            {"a.jsonl": good, "b.jsonl": folder},
            ("b.jsonl: contains no predictions for test", "tf-tokclf evaluate"),
        ),
        (
            "wrong encoding",
            {"a.jsonl": good, "b.jsonl": good.replace(b"Ada", b"\xe9")},
            ("b.jsonl, line 1: byte", "enc"),
        ),
        ("wrong length", {"a.jsonl": good, "b.jsonl": good * 2}, ("b.jsonl: has 2 sentences", "the same sentences")),
        (
            "duplicated",
            {"a.jsonl": good, "b.jsonl": other},
            ("b.jsonl: 1 sentence has different gold", "the same sentences"),
        ),
        ("hostile", {"a.jsonl": good, "b.jsonl": good + DEEP}, ("b.jsonl, line 2: is not valid JSON", "Each line")),
        ("unreadable", {"a.jsonl": good, "b.jsonl": unreadable}, ("b.jsonl", "Check")),
    ):
        cells.append(Bad("systems to compare", fault, files, "compare a.jsonl b.jsonl --output c.json", says))
    cells.append(
        Bad(
            "systems to compare",
            "out of range",
            {"a.jsonl": good},
            "compare a.jsonl",
            ("nothing to compare", "at least two"),
        )
    )
    cells.append(Impossible("systems to compare", "huge", "its files are predictions: see there"))
    return cells
