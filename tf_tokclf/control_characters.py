"""Escape control characters in untrusted text, which could otherwise control the terminal."""

from __future__ import annotations

import codecs
import io
import sys
from typing import IO, Any, TextIO

# C0 and C1 control characters except tab and line feed, characters that reverse the direction of text, and surrogates,
# which cannot be encoded.
_CODES = (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in _CODES if chr(code) not in "\t\n"}


def plain_text(text: str) -> str:
    """`text` with control characters replaced.

    >>> plain_text("a\\x1b[2Jb")
    'a�[2Jb'
    """
    return text.translate(_CONTROLS)


def shown_on(stream: TextIO | None, text: str) -> str:
    """`text` for printing on `stream`: unchanged, unless that is a terminal."""
    return plain_text(text) if stream is not None and stream.isatty() else text


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print untrusted text. Control characters are replaced in messages, and in data on a terminal."""
    import click

    click.echo(plain_text(text) if err else shown_on(sys.stdout, text), err=err, nl=nl)


class PlainOutput(io.RawIOBase):
    """Writes UTF-8 text to a terminal as `plain_text`. It does not close the binary file."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        # A character may be split between two blocks.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def writable(self) -> bool:
        """Always True."""
        return True

    def write(self, data: Any) -> int:
        """Write all bytes."""
        block = bytes(data)
        self._file.write(plain_text(self._decoder.decode(block)).encode())
        return len(block)

    def flush(self) -> None:
        """Flush the file."""
        if not self._file.closed:
            self._file.flush()
