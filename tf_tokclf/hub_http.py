"""How we talk to the Hub: every request ends, reads are repeated a few times, tokens stay out of sight."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from email.utils import mktime_tz, parsedate_tz
from functools import cache
from typing import TYPE_CHECKING, Any

from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 10.0
# A read is not repeated if the Hub asks to wait longer.
LONGEST_RETRY_AFTER_S = 60.0
N_READ_RETRIES = 3


@cache
def bound_requests() -> None:
    """Give huggingface_hub's requests a time limit, which most have not, and repeat failed reads."""
    from huggingface_hub import configure_http_backend

    configure_http_backend(backend_factory=_session)
    # Its notes on repeated requests show signed addresses.
    if not logging.getLogger("tf_tokclf").isEnabledFor(logging.DEBUG):
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        hide_progress_bars()


def hide_progress_bars() -> None:
    """No moving bars of huggingface_hub from now on."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()


def answer_timeout_s() -> float:
    """Seconds that the Hub may take to begin an answer: TF_TOKCLF_HUB_TIMEOUT_S, 60 unless set."""
    value = os.environ.get("TF_TOKCLF_HUB_TIMEOUT_S", "60")
    try:
        return float(value)
    except ValueError:
        raise UserError(f"TF_TOKCLF_HUB_TIMEOUT_S is {value!r}.", hint="Give a number of seconds.") from None


def seconds_to_wait(retry_after: str | None) -> float | None:
    """The seconds that a Retry-After header asks to wait, as a number or as a date. None without a readable header.

    >>> seconds_to_wait("120"), seconds_to_wait("Thu, 01 Jan 1970 00:00:00 GMT"), seconds_to_wait("soon")
    (120.0, 0.0, None)
    """
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    date = parsedate_tz(retry_after)
    return max(0.0, mktime_tz(date) - time.time()) if date else None


def redact(text: str, *tokens: str | None) -> str:
    """`text` without tokens: those given, that of HF_TOKEN, and whatever looks like one.

    >>> redact("https://user:hf_abcdefghijklmnop@huggingface.co/a/b", None)
    'https://***@huggingface.co/a/b'
    >>> redact("token hf_abcdefghijklmnop")
    'token ***'
    """
    for token in (*tokens, os.environ.get("HF_TOKEN")):
        # A word that short is no token, and would be found everywhere.
        if token and len(token) >= 8:
            text = text.replace(token, "***")
    text = re.sub(r"(https?://)[^/@\s]+@", r"\1***@", text)
    return re.sub(r"\bhf_[A-Za-z0-9_]{8,}", "***", text)


def _session() -> requests.Session:
    """What huggingface_hub 0.x makes per thread; from 1.0 on this is a client factory for httpx."""
    import requests
    from huggingface_hub import constants
    from huggingface_hub.utils._http import OfflineAdapter, UniqueRequestIdAdapter
    from urllib3.exceptions import MaxRetryError
    from urllib3.util import Retry

    class BoundedRetry(Retry):
        def get_retry_after(self, response: Any) -> float | None:
            return seconds_to_wait(response.headers.get("Retry-After"))

        def increment(self, method: Any = None, url: Any = None, response: Any = None, *rest: Any, **more: Any) -> Any:
            asked_s = None if response is None else self.get_retry_after(response)
            if asked_s is not None and asked_s > LONGEST_RETRY_AFTER_S:
                # urllib3 then returns the response as it is.
                raise MaxRetryError(more.get("_pool"), url)  # type: ignore[arg-type]
            return super().increment(method, url, response, *rest, **more)

    class BoundedAdapter(UniqueRequestIdAdapter):
        def send(self, request: Any, *arguments: Any, timeout: Any = None, **options: Any) -> Any:
            if constants.HF_HUB_OFFLINE:
                return OfflineAdapter().send(request)
            limit = timeout or (CONNECT_TIMEOUT_S, answer_timeout_s())
            return super().send(request, *arguments, timeout=limit, **options)

    retry = BoundedRetry(
        total=N_READ_RETRIES,
        connect=0,
        read=False,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter(max_retries=retry))
    return session
