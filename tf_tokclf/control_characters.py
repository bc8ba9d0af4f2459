"""Text of strangers on a terminal: what could command it is shown as a sign, never sent."""

from __future__ import annotations

import codecs
import io
import sys
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


class PlainOutput(io.RawIOBase):
    """A binary file that is a terminal: text in UTF-8 that is written reaches it as `plain_text`. It stays open."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        # A character may come in two parts.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, data: Any) -> int:
        """Write all of the bytes."""
        block = bytes(data)
        self._file.write(plain_text(self._decoder.decode(block)).encode())
        return len(block)

    def flush(self) -> None:
        """Show what was written."""
        if not self._file.closed:
            self._file.flush()
