"""Log failures without the texts of requests."""

from __future__ import annotations

import logging
import traceback

log = logging.getLogger(__name__)


def log_failure(error: BaseException, where: str) -> None:
    """Log the class of an error, the classes of its causes, and the traceback. The message may quote a text."""
    names, cause = [type(error).__name__], error.__cause__
    while cause:
        names.append(type(cause).__name__)
        cause = cause.__cause__
    trace = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s %s, at:\n%s", ", caused by ".join(names), where, trace)
