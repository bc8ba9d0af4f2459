"""Progress of prediction: a bar with throughput and time left on a terminal, else a log line every 30 seconds."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from tf_tokclf.counted import counted
from tf_tokclf.report.terminal import duration, stderr_console

log = logging.getLogger(__name__)

# Seconds between two log lines where stderr is not a terminal.
_LINE_EVERY_S = 30.0
# The widths of a bar in characters.
_SHORTEST_BAR, _LONGEST_BAR = 8, 40


class Counts(Protocol):
    """The number of records and words that were processed so far."""

    @property
    def n_records(self) -> int: ...

    @property
    def n_words(self) -> int: ...


class TimeLeftColumn(TimeRemainingColumn):
    """The estimated time left, once it is known."""

    def render(self, task: Task) -> Text:
        """Such as "0:01:23 left"."""
        if task.finished or task.time_remaining is None:
            return Text("")
        return super().render(task).append(" left")


class OneLineProgress(Progress):
    """A progress display that never wraps: what does not fit into the width of the terminal is left out."""

    def get_renderables(self) -> Iterator[RenderableType]:
        """A line for each task."""
        for task in self.tasks:
            yield _OneLine([column(task) for column in self.columns if isinstance(column, ProgressColumn)])


@dataclass(frozen=True)
class _OneLine:
    """Cells in a line. If they do not fit, the bar gets shorter. If that is not enough, the bar and the cells after it
    are left out, except the last one, which is the time left. At last, the end of the first cell is cut off.
    """

    cells: list[RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = [cell for cell in self.cells if not (isinstance(cell, Text) and not cell.plain)]
        while len(cells) > 1 and _width(cells, bar=_SHORTEST_BAR) > options.max_width:
            bars = [i for i, cell in enumerate(cells) if isinstance(cell, ProgressBar)]
            # The last but one, until only the first and the last are left.
            del cells[bars[0] if bars else max(len(cells) - 2, 1)]
        room = max(options.max_width - _width(cells, bar=0), 0)
        for cell in cells:
            if isinstance(cell, ProgressBar):
                cell.width = min(room, _LONGEST_BAR)
        line = Table.grid(*(Column(no_wrap=True, overflow="ellipsis") for _ in cells), padding=(0, 1))
        line.add_row(*cells)
        yield line


def _width(cells: Iterable[RenderableType], *, bar: int) -> int:
    """The width of the cells with a space between them."""
    widths = [cell.cell_len if isinstance(cell, Text) else bar for cell in cells]
    return sum(widths) + len(widths) - 1


class RecordProgress:
    """Shows the number of sentences, the throughput and, if the size of the input is known, the time left."""

    def __init__(self) -> None:
        self._since = self._last_line = time.perf_counter()
        self._begun_at: tuple[int, int, int] | None = None
        self._records = self._words = 0
        self._bar: Progress | None = None

    def __enter__(self) -> RecordProgress:
        if sys.stderr.isatty() and log.isEnabledFor(logging.INFO):
            self._bar = OneLineProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeLeftColumn(),
                console=stderr_console(),
                transient=True,
            )
            self._task = self._bar.add_task("predicting", total=None)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, progress: Counts, bytes_read: int | None, bytes_in_all: int | None) -> None:
        """Update the display. The first call sets the point from which throughput is measured."""
        now = time.perf_counter()
        if self._begun_at is None:
            self._begun_at = (progress.n_records, progress.n_words, bytes_read or 0)
            self._since = self._last_line = now
        self._records = progress.n_records - self._begun_at[0]
        self._words = progress.n_words - self._begun_at[1]
        if self._bar:
            self._bar.update(
                self._task,
                description=self._text(progress),
                completed=bytes_read or 0,
                total=bytes_in_all,
            )
        elif now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            left = self._seconds_left(now, bytes_read, bytes_in_all)
            shown = f", about {duration(left)} left" if left is not None else ""
            log.info("%s%s", self._text(progress), shown)

    def _seconds_left(self, now: float, bytes_read: int | None, bytes_in_all: int | None) -> float | None:
        begun = self._begun_at[2] if self._begun_at else 0
        if not bytes_read or not bytes_in_all or bytes_read <= begun:
            return None
        return (now - self._since) / (bytes_read - begun) * (bytes_in_all - bytes_read)

    def summarise(self, n_problems: int) -> None:
        """Log the number of sentences, the time and the throughput, and warn of records that could not be read."""
        seconds = time.perf_counter() - self._since
        if self._records:
            log.info("%s in %s (%s)", counted(self._records, "sentence"), duration(seconds), self._throughput())
        if n_problems:
            log.warning("%s could not be read, so no labels were predicted", counted(n_problems, "record"))

    def _text(self, progress: Counts) -> str:
        if not self._words:
            return "predicting"
        return f"{counted(progress.n_records, 'sentence')}, {self._throughput()}"

    def _throughput(self) -> str:
        rate = self._words / max(time.perf_counter() - self._since, 1e-6)
        return f"{rate:,.0f} words per second" if rate >= 10 else f"{rate:.1f} words per second"
