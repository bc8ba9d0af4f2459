"""Run a command of this process on a pseudo-terminal, and read the commands that it recommends."""

from __future__ import annotations

import io
import os
import re
import shlex
import threading
from pathlib import Path
from unittest import mock

from tf_tokclf.cli.main import cli
from tf_tokclf.report.terminal import stderr_console, stdout_console

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def read_to_end(reader: int, writer: int) -> bytes:
    """What processes that have ended wrote to a pseudo-terminal. Closes both of its ends."""
    os.write(writer, b"\0")  # the end, so that reading does not wait
    shown = b""
    while not shown.endswith(b"\0"):
        shown += os.read(reader, 1 << 16)
    os.close(writer)
    os.close(reader)
    return shown.removesuffix(b"\0")


def on_terminal(*arguments: object, text: str = "", stdout: Path | None = None) -> str:
    """What `tf-tokclf ARGUMENTS` shows on a terminal. The command must succeed.

    text: its standard input. stdout: a file to which standard output is redirected.
    """
    stdout_console.cache_clear()
    stderr_console.cache_clear()
    reader, writer = os.openpty()
    seen: list[bytes] = []

    def read() -> None:
        try:
            while block := os.read(reader, 1 << 16):
                seen.append(block)
        except OSError:  # the other end is closed
            return

    reading = threading.Thread(target=read)
    reading.start()
    code: object = 0
    redirected = (stdout or Path(os.devnull)).open("w", encoding="utf-8")
    with os.fdopen(writer, "w", encoding="utf-8") as screen, redirected as file:
        given = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
        output = file if stdout else screen
        with mock.patch.multiple("sys", stdin=given, stdout=output, stderr=screen):
            try:
                cli.main([str(word) for word in arguments], prog_name="tf-tokclf")
            except SystemExit as ended:
                code = ended.code
    reading.join()
    os.close(reader)
    stdout_console.cache_clear()
    stderr_console.cache_clear()
    shown = without_escapes(b"".join(seen))
    assert not code, shown
    return shown


def without_escapes(shown: bytes) -> str:
    """The text that a terminal received, without the sequences that control it."""
    return _ESCAPES.sub("", shown.decode())


def next_commands(shown: str) -> list[str]:
    """The commands below "Next:" on a terminal, each in one line."""
    _, heading, after = shown.partition("\nNext:\n")
    joined = after.replace(" \\\n", " ") if heading else ""
    return [re.sub(" +", " ", line.strip()) for line in joined.splitlines() if line.startswith("    ")]


def words_of(command: str) -> list[list[str]]:
    """The words of each command in a pipeline, as a shell splits them."""
    words: list[list[str]] = [[]]
    for word in shlex.split(command):
        if word == "|":
            words.append([])
        else:
            words[-1].append(word)
    return words
