"""Files of sample texts to predict."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = ("ada", "london", "visited", "grace", "x", "and", ".")


def sample_texts(n: int = 40) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 12))) for _ in range(n)]


def write_source(name: str, folder: Path, n: int = 40) -> Path:
    """The sample texts in the format of the suffix of `name`."""
    texts, path = sample_texts(n), folder / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"id": range(n), "text": texts}), path)
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps({"id": i, "tokens": text.split()}) + "\n" for i, text in enumerate(texts)))
    elif name == "words.csv":
        rows = [f"{i},{word}\n" for i, text in enumerate(texts) for word in text.split()]
        path.write_text("sentence_id,word\n" + "".join(rows))
    elif name.endswith("csv"):
        path.write_text("id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(texts)))
    elif name.endswith("conll"):
        blocks = ("".join(f"{word} NN\n" for word in text.split()) for text in texts if text)
        path.write_text("-DOCSTART- X\n\n" + "\n".join(blocks))
    else:
        content = "\n".join(texts).encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return path
