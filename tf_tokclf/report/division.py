"""The table of data that was divided into files."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.data.split_files import Division


def division_table(division: Division) -> Table:
    """A column for each file: sentences, documents, words, and the spans of each type."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", overflow="fold", max_width=32)
    parts = division.parts.values()
    for name in division.parts:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("file", *(plain_text(part.file) for part in parts))
    table.add_row("sentences", *(f"{part.n_sentences:,}" for part in parts))
    if any(part.n_documents is not None for part in parts):
        table.add_row("documents", *(f"{part.n_documents or 0:,}" for part in parts))
    table.add_row("words", *(f"{part.n_words:,}" for part in parts))
    types = dict.fromkeys(type for part in parts for type in part.types)
    if types:
        table.add_section()
        table.add_row(Text("spans" if division.has_spans else "labels", style="bold"))
    for type in types:
        table.add_row(Text(plain_text(type)), *(f"{part.types.get(type, 0):,}" for part in parts))
    return table
