"""Output for people: results on stdout, messages on stderr, colours and progress bars on terminals only."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.text import Text

from tf_tokclf.control_characters import plain_text
from tf_tokclf.redaction import redact

_WIDEST = 10_000


@cache
def stderr_console() -> Console:
    """The console for messages, progress and the plan of a run."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=sys.stderr is None or not sys.stderr.isatty())


@cache
def stdout_console() -> Console:
    """The console for the result of a command. It is 80 columns wide where stdout is not a terminal."""
    return Console(highlight=False, markup=False, width=None if sys.stdout is not None and sys.stdout.isatty() else 80)


def print_wide(table: RenderableType) -> None:
    """Print a table on stdout. Where stdout is not a terminal, its lines are as long as they need to be."""
    console = stdout_console()
    if not console.is_terminal:
        width = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
        console = Console(highlight=False, markup=False, width=max(width, 80))
    console.print(table)


def key_value_table(rows: Iterable[tuple[str, str]]) -> RenderableType:
    """Two columns, names and values. Long values are wrapped within their column."""
    return _KeyValues(list(rows))


@dataclass(frozen=True)
class _KeyValues:
    """Like `rich.table.Table`, but without trailing spaces."""

    rows: list[tuple[str, str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max((len(name) for name, _ in self.rows), default=0) + 2
        for name, value in self.rows:
            room = max(options.max_width - width, 20)
            lines = Text(plain_text(value)).wrap(console, room, overflow="fold") or [Text()]
            for number, line in enumerate(lines):
                line.rstrip()
                yield Text.assemble(("" if number else name).ljust(width), line, no_wrap=True, overflow="ignore")


class TerminalHandler(logging.Handler):
    """Prints log records on stderr without disturbing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record. Warnings and errors begin with their level."""
        try:
            text = Text(plain_text(redact(self.format(record))))
            if record.levelno >= logging.WARNING:
                style = "bold yellow" if record.levelno == logging.WARNING else "bold red"
                text = Text.assemble((f"{record.levelname.capitalize()}: ", style), text)
            stderr_console().print(text)
        except Exception:
            self.handleError(record)


def set_up_logging(*, verbose: bool = False, quiet: bool = False) -> None:
    """Print the log of tf_tokclf on stderr, from INFO on. quiet: from WARNING on. verbose: from DEBUG on."""
    ours = logging.getLogger("tf_tokclf")
    ours.handlers[:] = [TerminalHandler()]
    ours.propagate = False
    ours.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show `text` on a terminal while the block runs. In a pipe, in a notebook and with --quiet, nothing is shown.

    The line is not animated, because stderr is redirected while TensorFlow is imported.
    """
    console = stderr_console()
    # With FORCE_COLOR, a notebook counts as a terminal, where rich would ask for widgets.
    is_terminal = console.is_terminal and not console.is_jupyter
    if not (is_terminal and logging.getLogger("tf_tokclf").isEnabledFor(logging.INFO)):
        yield
        return
    line = Text(plain_text(redact(f"{text} ...")), style="dim", no_wrap=True, overflow="ellipsis")
    # Standard output is for results: rich would redirect it to stderr.
    with Live(line, console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield


def duration(seconds: float) -> str:
    """A duration as text.

    >>> duration(7.31), duration(75), duration(3700)
    ('7.3 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
