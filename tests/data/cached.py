"""Files that are read through the cache, and what it contains afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tf_tokclf.config.schema import DataConfig, Task
from tf_tokclf.data.cache import cache_folder
from tf_tokclf.data.splits import Split, load_split

DAY_S = 24 * 3600


def write_conll(path: Path, n: int = 40) -> Path:
    path.write_text("".join(f"word{i}\tO\nada\tB-PER\n\n" for i in range(n)), encoding="utf-8")
    return path


def load(path: Path, **options: object) -> Split:
    return load_split(str(path), DataConfig(**options), task=Task.NER)


def tables() -> list[Path]:
    return sorted(cache_folder().rglob("*.arrow"))


def set_last_use(path: Path, days_ago: float) -> None:
    second = time.time() - days_ago * DAY_S
    os.utime(path.with_suffix(".json"), (second, second))
