"""The first sentences of the sample of SNIPS that the package contains."""

from __future__ import annotations

from pathlib import Path

from tf_tokclf.config.references import resolve_reference

SAMPLE = "package:tf_tokclf/shipped/snips/"


def cut_sample(folder: Path, n_sentences: int) -> Path:
    """Write the first sentences of each split to `folder`, and return it."""
    for part in ("train", "dev", "test"):
        (folder / part).mkdir(parents=True)
        for name in ("seq.in", "seq.out"):
            lines = (resolve_reference(f"{SAMPLE}{part}") / name).read_text(encoding="utf-8").splitlines()
            (folder / part / name).write_text("\n".join(lines[:n_sentences]) + "\n", encoding="utf-8")
    return folder
