"""Text of strangers on a terminal: what could command it is shown as a sign, never sent."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Any, TextIO

# C0 and C1 control characters but tab and line feed, which could command a terminal, signs that turn the order of what
# follows around, and halves of characters, which no terminal can be sent.
_CODES = (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in _CODES if chr(code) not in "\t\n"}


def plain_text(text: str) -> str:
    """`text` without characters that could command a terminal.

    >>> plain_text("a\\x1b[2Jb")
    'a�[2Jb'
    """
    return text.translate(_CONTROLS)


def shown_on(stream: TextIO | None, text: str) -> str:
    """`text` as `stream` should get it: as it is, unless that is a terminal."""
    return plain_text(text) if stream is not None and stream.isatty() else text


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print what may hold words of strangers: messages always plain, data where a terminal shows them."""
    import click

    click.echo(plain_text(text) if err else shown_on(sys.stdout, text), err=err, nl=nl)


class PlainOutput:
    """A file that is a terminal, text or binary: what is written reaches it as `plain_text`."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    def write(self, data: str | bytes) -> None:
        """Write text, or bytes in UTF-8."""
        if isinstance(data, str):
            self._file.write(plain_text(data))
        else:
            self._file.write(plain_text(data.decode(errors="replace")).encode())

    def writelines(self, lines: Iterable[str | bytes]) -> None:
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Show what was written."""
        self._file.flush()

    def __enter__(self) -> PlainOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
