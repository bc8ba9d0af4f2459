"""Messages of the library in a Python session or a notebook, where nobody has configured logging."""

from __future__ import annotations

import logging
import sys

from tf_tokclf.control_characters import plain_text
from tf_tokclf.redaction import redact

_NAME = "tf_tokclf"


class LibraryHandler(logging.Handler):
    """Prints warnings as the command line does, unless the program that uses the library has configured logging.

    A call such as `logging.warning(...)` in any library configures the root logger with a format that begins with the
    level and the module. This is not regarded as the user's configuration, and our messages do not reach it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._has_stopped = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, or leave it to the handlers of the program."""
        ours = logging.getLogger(_NAME)
        if _is_configured(self):
            if self._has_stopped:
                ours.propagate, self._has_stopped = True, False
            return
        # The logger reads `propagate` after it has called its own handlers, so the change applies to this record too.
        self._has_stopped = self._has_stopped or ours.propagate
        ours.propagate = False
        if record.levelno >= logging.WARNING and sys.stderr is not None:
            try:
                print(f"{record.levelname.capitalize()}: {plain_text(redact(self.format(record)))}", file=sys.stderr)
            except Exception:
                self.handleError(record)


def _is_configured(own: logging.Handler) -> bool:
    """Whether logging is configured in another way than `logging.basicConfig()` does without arguments."""
    root = logging.getLogger()
    is_default = root.level == logging.WARNING and all(map(_is_basic, root.handlers))
    return not is_default or logging.getLogger(_NAME).handlers != [own]


def _is_basic(handler: logging.Handler) -> bool:
    form = getattr(handler.formatter, "_fmt", None)
    return type(handler) is logging.StreamHandler and handler.stream is sys.stderr and form == logging.BASIC_FORMAT


def show_warnings() -> None:
    """Show the library's warnings in this process. The command line replaces the handler by its own."""
    ours = logging.getLogger(_NAME)
    if not ours.handlers:
        ours.addHandler(LibraryHandler())
