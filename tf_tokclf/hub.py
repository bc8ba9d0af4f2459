"""Access to the Hub: every request ends, reads are repeated a few times, tokens stay out of sight, and what goes wrong
becomes one message that says what to do.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from functools import cache
from typing import TYPE_CHECKING, Any

from tf_tokclf.errors import JobError, UserError

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 10.0
# A read is not repeated if the Hub asks to wait longer.
LONGEST_RETRY_AFTER_S = 60.0
N_READ_RETRIES = 3
_LOGIN = "Log in with `hf auth login` or set HF_TOKEN."
_CHECK_NETWORK = "Check the network, proxies and HF_ENDPOINT"
_READ_FROM_CACHE = "; what is in the cache works with HF_HUB_OFFLINE=1"


@contextmanager
def hub_errors(subject: str, *, reading: bool = True) -> Iterator[None]:
    """Around calls of huggingface_hub, datasets, transformers about `subject` (such as "model ORG/NAME").

    Their requests get a time limit, and what they raise over the Hub becomes a UserError, where the user
    has to change something (name, revision, token, rights, offline mode), else a JobError. reading: the cache may have
    what is asked for.
    """
    bound_requests()
    try:
        yield
    except (UserError, JobError):
        raise
    except Exception as error:
        explained = explain(error, subject, reading=reading)
        if explained is None:
            raise
        raise explained from error


def explain(error: Exception, subject: str, *, reading: bool = True) -> UserError | JobError | None:
    """The message for `error`, or None if it has nothing to do with the Hub."""
    failure = _Failure(error, subject, reading)
    return failure.of_access() or failure.of_load() or failure.of_connection() or failure.of_other_status()


@dataclass(frozen=True)
class _Failure:
    """An error raised over the Hub, and the messages that it may deserve."""

    error: Exception
    subject: str
    reading: bool

    @property
    def status(self) -> int | None:
        """The HTTP status of the Hub's answer, where it gave one."""
        return status_of(self.error)

    def found(self, *kinds: type[BaseException]) -> Any:
        """The first of the error and its causes that is of one of these kinds."""
        return next((one for one in causes(self.error) if isinstance(one, kinds)), None)

    def user_error(self, problem: str, hint: str) -> UserError:
        """A message without the token."""
        return UserError(redact(problem, _token()), hint=hint)

    def job_error(self, problem: str, hint: str = "") -> JobError:
        """The same where the user has nothing to change."""
        return JobError(redact(f"{problem} {hint}".rstrip(), _token()))

    def of_access(self) -> UserError | None:
        """What is not there, or not for this user."""
        from huggingface_hub import constants
        from huggingface_hub import errors as hub

        error, subject, status = self.error, self.subject, self.status
        if gated := self.found(hub.GatedRepoError):
            anonymous = status_of(gated) == 401
            hint = _LOGIN if anonymous else "Ask for access on its page, with the account that your token belongs to."
            return self.user_error(f"{subject} is gated: its owner decides who may read it.", hint)
        if self.found(hub.RevisionNotFoundError):
            hint = "Its page on the Hub lists branches, tags and commits."
            return self.user_error(f"{subject} has no such revision.", hint)
        if status == 401 and not self.found(hub.RepositoryNotFoundError):
            if _token() is None and not _sent_token(error):
                return self.user_error(f"{subject}: the Hub wants to know who you are.", _LOGIN)
            remedy = f"Make a new one at {constants.ENDPOINT}/settings/tokens, then `hf auth login`, or set HF_TOKEN."
            return self.user_error(f"{subject}: the Hub does not accept your token.", remedy)
        if self.found(hub.RepositoryNotFoundError):
            login = _LOGIN[0].lower() + _LOGIN[1:]
            remedy = "your token's account has to be allowed to read it." if _sent_token(error) else login
            hint = f"Check the name; if it is private, {remedy}"
            return self.user_error(f"{subject} is not on the Hub, or not for you to see.", hint)
        if status == 400 and isinstance(error, ValueError):
            # Only a card is checked for what it says.
            text = " ".join(str(error).split())
            return self.user_error(
                f"{subject}: {text}.", "Correct the metadata at the top of README.md or its template."
            )
        if status == 403:
            said = _server_message(error)
            return self.user_error(
                f"{subject}: your token lacks the right{f' ({said})' if said else ''}.",
                "Use a token with write access, of an account that belongs to the repository's owner.",
            )
        return None

    def of_load(self) -> JobError | None:
        """A Hub that limits requests, or has problems of its own."""
        if self.status == 429:
            hint = _try_again(self.error) or "Try again later; with a token the limits are higher."
            return self.job_error(f"{self.subject}: the Hub limits how often you may ask (429).", hint)
        if self.status and self.status >= 500:
            hint = _try_again(self.error) or "Try again later."
            return self.job_error(f"{self.subject}: the Hub has a problem of its own ({self.status}).", hint)
        return None

    def of_connection(self) -> UserError | JobError | None:
        """A Hub that cannot be reached, and what a cache lacks without it."""
        import requests
        from huggingface_hub import constants
        from huggingface_hub import errors as hub

        subject, endpoint = self.subject, constants.ENDPOINT
        check_network = f"{_CHECK_NETWORK}{_READ_FROM_CACHE if self.reading else ''}."
        not_cached = self.found(hub.LocalEntryNotFoundError)
        if self.found(hub.OfflineModeIsEnabled) or (constants.HF_HUB_OFFLINE and not_cached):
            return self.user_error(
                f"{subject} is not complete in the local cache, and offline mode is on.",
                "Fetch it once with a network, or unset HF_HUB_OFFLINE.",
            )
        if self.found(hub.EntryNotFoundError) and not not_cached:
            problem = f"{subject} lacks a file that is needed: {_first_line(self.error)}"
            return self.user_error(problem, "Is it the right repository?")
        if self.found(requests.Timeout):
            return self.job_error(f"{subject}: the Hub at {endpoint} does not answer in time.", check_network)
        if not_cached or self.found(requests.ConnectionError, ConnectionError):
            return self.job_error(f"{subject}: the Hub at {endpoint} cannot be reached.", check_network)
        if invalid := self.found(hub.HFValidationError):
            return self.user_error(f"{subject}: {_first_line(invalid)}", "A Hub id is NAME or ORG/NAME.")
        return None

    def of_other_status(self) -> JobError | None:
        """An answer that has no message of its own."""
        if not self.status:
            return None
        said = _server_message(self.error) or _first_line(self.error)
        return self.job_error(f"{self.subject}: the Hub refused ({self.status}): {said}.")


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from, and so on."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        yield current
        seen.append(current)
        current = current.__cause__ or current.__context__


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind `error`."""
    response = _response(error)
    return None if response is None else int(response.status_code)


def retry_after_s(error: BaseException) -> float | None:
    """Seconds that the Hub asks to wait."""
    response = _response(error)
    return None if response is None else seconds_to_wait(response.headers.get("Retry-After"))


def _try_again(error: BaseException) -> str:
    seconds = retry_after_s(error)
    return f"Try again in {waiting_time(seconds)}." if seconds else ""


def waiting_time(seconds: float) -> str:
    """A time to wait, in words.

    >>> waiting_time(7), waiting_time(3600)
    ('7 s', '60 minutes')
    """
    return f"{seconds:.0f} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"


def _response(error: BaseException) -> Any:
    responses = (getattr(one, "response", None) for one in causes(error))
    return next((response for response in responses if hasattr(response, "status_code")), None)


def _sent_token(error: BaseException) -> bool:
    request = getattr(_response(error), "request", None)
    return request is not None and "authorization" in request.headers


def _server_message(error: BaseException) -> str:
    response = _response(error)
    return "" if response is None else response.headers.get("X-Error-Message", "")


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__


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
