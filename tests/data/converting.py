"""Read files through `tf-tokclf convert`, and return its output and messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tf_tokclf.cli.main import cli

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Converted:
    """Exit code, messages, and each sentence as `word/label` pairs, or as words if it has no labels."""

    exit_code: int
    messages: str
    sentences: list[str]


def convert(source: Path, *options: str) -> Converted:
    """Convert a file to JSON lines."""
    result = CliRunner().invoke(cli, ["convert", *options, "--to", "jsonl", str(source), "-"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return Converted(result.exit_code, result.stderr, [_shown(record) for record in records])


def converted(tmp_path: Path, name: str, content: str | bytes, *options: str) -> Converted:
    """Convert a file with this content."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return convert(path, *options)


def of_records(tmp_path: Path, records: list[Any], *options: str, name: str = "a.jsonl") -> Converted:
    """Convert a file with these JSON records, one per line."""
    return converted(tmp_path, name, "".join(json.dumps(record) + "\n" for record in records), *options)


def case(name: str, *options: str) -> Converted:
    """Convert one of the small files in tests/data/cases."""
    return convert(CASES / name, *options)


def _shown(record: dict[str, list[str]]) -> str:
    labels = next((value for key, value in record.items() if key.endswith("_tags")), None)
    if labels is None:
        return " ".join(record["tokens"])
    return " ".join(f"{word}/{label}" for word, label in zip(record["tokens"], labels))
