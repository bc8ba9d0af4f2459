"""Model folders that cannot be loaded."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

from tests.reliability.bad_inputs.cells import (
    DEEP,
    ESC,
    PNG,
    Cell,
    Cells,
    cut,
    folder,
    in_place_of,
    model,
    safetensors,
    unreadable,
    with_content,
    with_values,
    without,
)


def models() -> list[Cell]:
    """Model folders, used by `predict` on a line of text."""
    cells = Cells("predict", in__txt=b"ada saw rome\n")
    no = cells.no

    def bad(fault: str, change: Callable[[Path], None], *says: str, subject: str, options: str = "") -> None:
        cells.bad(subject, fault, f"m in.txt -o out.jsonl {options}", *says, m=model(change))

    subject, file = "model: config.json", "config.json"
    bad("missing", without(file), "m has no config.json", "Check the path", subject=subject)
    bad("empty", with_content(file, b""), "config.json: not valid JSON", "Fetch or save", subject=subject)
    bad("truncated", cut(file, 100), "config.json: not valid JSON", "Fetch or save", subject=subject)
    bad(
        "wrong type",
        with_content(file, b"[]"),
        "config.json: is not a JSON object",
        "Fetch",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, id2label=[1]),
        "config.json: id2label does not map ids to label names",
        "Correct it",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, hidden_size="x"),
        "config.json: hidden_size is x, which is not a whole number",
        "Fetch or save the model again",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, model_type="klingon"),
        "config.json: there is no TensorFlow token classifier of type klingon",
        "Choose a BERT",
        subject=subject,
    )
    bad(
        "wrong type",
        with_values(file, architectures=["BertModel"]),
        "m contains BertModel, not a token classifier",
        "Train one first",
        subject=subject,
    )
    bad(
        "wrong encoding",
        with_content(file, b"\xff\xfe{}"),
        "config.json: not valid JSON",
        "Fetch or save",
        subject=subject,
    )
    bad(
        "wrong length",
        with_values(file, id2label={"0": "O"}, label2id={"O": 0}),
        "model.safetensors: classifier.weight is 5 x 32 in the file, but config.json describes 1 x 32",
        "fetch or save the model again",
        subject=subject,
    )
    bad(
        "wrong length",
        with_values(file, num_hidden_layers=7),
        "weights of the model are not in its file, such as bert.encoder.layer.2",
        "must belong together",
        subject=subject,
    )
    gap = {"0": "O", "2": "B-X"}
    bad(
        "out of range",
        with_values(file, id2label=gap),
        "config.json: the ids in id2label are not 0, 1, 2",
        "Correct",
        subject=subject,
    )
    bad(
        "out of range",
        with_values(file, max_position_embeddings=-5),
        "config.json: max_position_embeddings is -5, and must be at least 1",
        "Fetch or save the model again",
        subject=subject,
    )
    same = dict.fromkeys(map(str, range(5)), "O")
    bad("duplicated", with_values(file, id2label=same), "config.json", "more than once", subject=subject)
    bad(
        "hostile",
        with_values(file, id2label={**dict.fromkeys("0123", ESC), "4": "O"}),
        "config.json",
        "Give each id a different label",
        subject=subject,
    )
    bad("hostile", with_content(file, DEEP), "config.json: not valid JSON", "Fetch or save", subject=subject)
    bad(
        "huge",
        with_values(file, num_labels=10**9, id2label=None),
        "config.json: num_labels is 1,000,000,000",
        "fetch or save the model again",
        subject=subject,
    )
    bad(
        "huge",
        with_values(file, vocab_size=10**12),
        "config.json: vocab_size is 1000000000000, which is out of range",
        "Fetch or save the model again",
        subject=subject,
    )
    bad(
        "huge",
        with_values(file, max_position_embeddings=10**6),
        "config.json: describes 1,000,000 positions of 32 numbers",
        "Fetch or save the model again",
        subject=subject,
    )
    bad("unreadable", in_place_of(file, unreadable), "config.json: cannot be read", "Fetch or save", subject=subject)
    bad("unreadable", in_place_of(file, folder), "config.json: is not a file", "Fetch the model again", subject=subject)

    subject, file = "model: weights", "model.safetensors"
    bad("missing", without(file), "m has no weights", "Expected one of", subject=subject)
    bad("empty", with_content(file, b""), "model.safetensors: is damaged", "Fetch or save", subject=subject)
    bad("truncated", cut(file, 5000), "model.safetensors: is damaged", "Fetch or save", subject=subject)
    bad("wrong type", with_content(file, PNG * 10), "model.safetensors: is damaged", "Fetch or save", subject=subject)
    no(subject, "wrong encoding", "it contains numbers")
    header = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "__metadata__": {"format": "pt"}}
    bad(
        "wrong length",
        with_content(file, safetensors(header, b"1234")),
        "model.safetensors: is damaged",
        "Fetch",
        subject=subject,
    )
    none = {"__metadata__": {"format": "pt"}}
    bad(
        "out of range",
        with_content(file, safetensors(none)),
        "weights of the model are not in its file",
        "must belong together",
        subject=subject,
    )
    no(subject, "duplicated", "names are keys of a mapping")
    header = {
        "__metadata__": {"format": "pt"},
        "x": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
    }
    damaged = ("model.safetensors: is damaged", "Fetch")
    bad("huge", with_content(file, safetensors(header, b"1234")), *damaged, subject=subject)
    bad("hostile", with_content(file, struct.pack("<Q", 2**62)), *damaged, subject=subject)
    bad("unreadable", in_place_of(file, folder), "model.safetensors: is not a file", "Fetch", subject=subject)
    bad(
        "unreadable",
        in_place_of(file, unreadable),
        "model.safetensors: is damaged",
        "Fetch or save the weights again",
        subject=subject,
    )

    subject, file = "model: tokenizer", "tokenizer.json"

    def alone(change: Callable[[Path], None]) -> Callable[[Path], None]:
        def both(path: Path) -> None:
            without("vocab.txt")(path)
            change(path)

        return both

    again = ("m/tokenizer", "Fetch or save the model again")
    bad("missing", alone(without(file)), "m: has no tokenizer", "Expected tokenizer.json", subject=subject)
    bad("empty", alone(with_content(file, b"")), *again, subject=subject)
    bad("truncated", alone(cut(file, 300)), *again, subject=subject)
    bad("wrong type", alone(with_content(file, b"[]")), *again, subject=subject)
    bad("wrong type", with_content("tokenizer_config.json", b"[]"), *again, subject=subject)
    bad("wrong encoding", alone(with_content(file, b"\xff\xfe{}")), *again, subject=subject)
    no(subject, "wrong length", "subword tokens beyond the encoder's vocabulary: see out of range")

    def beyond(path: Path) -> None:
        values = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        values["model"]["vocab"]["ada"] = 10**6
        (path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")

    bad("out of range", beyond, "m", "vocabulary", "belong to different models", subject=subject)
    no(subject, "duplicated", "for a duplicate subword token, the last id is used")
    bad("hostile", alone(with_content(file, DEEP)), *again, subject=subject)
    no(subject, "huge", "the window length is in tf_tokclf.json: see there")
    bad("unreadable", alone(in_place_of(file, unreadable)), "m/tokenizer.json: is a link", "Copy", subject=subject)
    bad("unreadable", alone(in_place_of(file, folder)), "tokenizer.json: is not a file", "Fetch", subject=subject)

    subject, file = "model: tf_tokclf.json", "tf_tokclf.json"
    again = ("tf_tokclf.json: ", "again")
    no(subject, "missing", "models from other tools have none: defaults are used")
    bad("empty", with_content(file, b""), *again, subject=subject)
    bad("truncated", cut(file, 60), *again, subject=subject)
    bad("wrong type", with_content(file, b"[]"), *again, subject=subject)
    bad("wrong type", with_values(file, reading=5), *again, subject=subject)
    bad("wrong type", with_values(file, temperature="hot"), *again, subject=subject)
    bad("wrong encoding", with_content(file, b"\xff\xfe{}"), *again, subject=subject)
    bad("wrong length", with_values(file, reading={"strategy": "first"}), *again, subject=subject)
    reading = {"strategy": "first", "max_length": 64, "overlap": 8, "truncate": False, "context_sentences": 0}
    bad("out of range", with_values(file, format_version=99), "newer version", "pip install -U", subject=subject)
    bad("out of range", with_values(file, temperature=0), *again, subject=subject)
    bad("out of range", with_values(file, temperature=float("nan")), *again, subject=subject)
    bad("out of range", with_values(file, scheme="klingon"), *again, subject=subject)
    bad(
        "out of range",
        with_values(file, word_splitting="klingon"),
        "'klingon' is not one of words, whitespace",
        "again",
        subject=subject,
    )
    bad("out of range", with_values(file, fallback_label="B-KLINGON"), *again, subject=subject)
    bad("out of range", with_values(file, decoding="klingon"), *again, subject=subject)
    bad(
        "out of range",
        with_values(file, reading={**reading, "max_length": -1}),
        "tf_tokclf.json: cannot be read",
        "again",
        subject=subject,
    )
    no(subject, "duplicated", "of duplicate keys, the last one is used")
    bad("hostile", with_content(file, DEEP), *again, subject=subject)
    bad(
        "hostile",
        with_values(file, reading={**reading, "context_sentences": -1}),
        "tf_tokclf.json",
        "again",
        subject=subject,
    )
    bad(
        "huge",
        with_values(file, reading={**reading, "max_length": 10**12}),
        "the model reads at most 64",
        "again",
        subject=subject,
    )
    bad("unreadable", in_place_of(file, unreadable), "tf_tokclf.json: ", "again", subject=subject)
    return cells
