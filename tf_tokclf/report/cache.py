"""Tables of the contents of the cache, and messages about removed entries."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.counted import counted
from tf_tokclf.data.cache import KINDS, CacheContents, CacheEntry, Cleared
from tf_tokclf.report.terminal import key_value_table

_PERIODS = (("day", 24 * 3600), ("h", 3600), ("min", 60))


def cache_tables(contents: CacheContents, *, each: bool = False) -> RenderableType:
    """Folder, limit and size, then a row for each kind of entry, or for each entry if `each` is true."""
    total = counted(len(contents.entries), "entry", "entries")
    if contents.in_use:
        total += f", {len(contents.in_use)} in use"
    limit = "none" if contents.max_bytes is None else size_text(contents.max_bytes)
    size = sum(entry.n_bytes for entry in contents.entries)
    rows = [("folder", str(contents.folder)), ("limit", limit), ("size", f"{size_text(size)} in {total}")]
    head = key_value_table(rows)
    if not contents.entries:
        return head
    return Group(head, "", _each(contents) if each else _by_kind(contents))


def cleared_text(cleared: Cleared, *, dry_run: bool) -> str:
    """A message about the removed entries, and those in use, which were kept."""
    n_bytes = sum(entry.n_bytes for entry in cleared.removed)
    done = "Would remove" if dry_run else "Removed"
    text = f"{done} {counted(len(cleared.removed), 'entry', 'entries')} ({size_text(n_bytes)})."
    if cleared.in_use:
        verb = "is" if len(cleared.in_use) == 1 else "are"
        were = "was" if len(cleared.in_use) == 1 else "were"
        text += f" {counted(len(cleared.in_use), 'entry', 'entries')} {verb} in use and {were} kept."
    return text


def size_text(n_bytes: int) -> str:
    """A size in a readable unit.

    >>> size_text(0), size_text(1234), size_text(5_000_000_000)
    ('0 bytes', '1.2 kB', '5.0 GB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return counted(n_bytes, "byte")


def age_text(seconds: float) -> str:
    """An age in a readable unit.

    >>> age_text(5), age_text(3600), age_text(100_000), age_text(1e6)
    ('now', '1 h ago', '1 day ago', '11 days ago')
    """
    for unit, length in _PERIODS:
        if n := int(seconds // length):
            return f"{n} {unit}{'s' if unit == 'day' and n > 1 else ''} ago"
    return "now"


def _by_kind(contents: CacheContents) -> Table:
    table = _table("kind", ">entries", ">in use", ">size", "last used")
    for name, entries in _kinds(contents.entries).items():
        n_in_use = sum(entry in contents.in_use for entry in entries)
        size = size_text(sum(entry.n_bytes for entry in entries))
        newest, oldest = (age_text(pick(entry.age_s for entry in entries)) for pick in (min, max))
        ages = newest if newest == oldest else f"{newest} (oldest {oldest})"
        table.add_row(name, f"{len(entries):,}", f"{n_in_use:,}", size, ages)
    return table


def _each(contents: CacheContents) -> Table:
    table = _table("made from", "kind", ">size", "last used", "in use")
    for entry in sorted(contents.entries, key=lambda entry: entry.age_s):
        used = "yes" if entry in contents.in_use else ""
        source = Text(plain_text(entry.source))
        table.add_row(source, _kind(entry), size_text(entry.n_bytes), age_text(entry.age_s), used)
    return table


def _kinds(entries: Iterable[CacheEntry]) -> dict[str, list[CacheEntry]]:
    found: dict[str, list[CacheEntry]] = {}
    for entry in entries:
        found.setdefault(_kind(entry), []).append(entry)
    return found


def _kind(entry: CacheEntry) -> str:
    return KINDS[entry.kind] if entry.is_complete else "unfinished"


def _table(*names: str) -> Table:
    """A plain table. Columns whose name starts with ">" are aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    for number, name in enumerate(names):
        heading = Text(name.removeprefix(">"))
        table.add_column(
            heading, justify="right" if name.startswith(">") else "left", no_wrap=number > 0, overflow="fold"
        )
    return table
