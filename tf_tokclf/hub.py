"""Access to the Hub: requests with timeouts, retries of reads, hidden tokens, and clear error messages."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_tokclf.errors import JobError, UserError
from tf_tokclf.redaction import redact
from tf_tokclf.similar_names import did_you_mean

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 10.0
# A read is not retried if the Hub requests a longer wait.
LONGEST_RETRY_AFTER_S = 60.0
N_READ_RETRIES = 3
LOGIN = "Log in with `hf auth login` or set HF_TOKEN."
_CHECK_NETWORK = "Check the network, proxies and HF_ENDPOINT"
_READ_FROM_CACHE = ", or use cached files only (HF_HUB_OFFLINE=1)"


@contextmanager
def hub_errors(subject: str, *, reading: bool = True, folder: str | None = None) -> Iterator[None]:
    """A context for calls of huggingface_hub, datasets and transformers about `subject` (such as "model OWNER/NAME").

    Their requests get a timeout, and their errors about the Hub become a UserError if the user must change something
    (name, revision, token, access, offline mode), or otherwise a JobError. reading: whether files are read, which may
    be in the cache. folder: the folder that does not exist, if the user may have meant one. The messages say so.
    """
    bound_requests()
    try:
        yield
    except (UserError, JobError):
        raise
    except Exception as error:
        explained = explain(error, subject, reading=reading, folder=folder)
        if explained is None:
            raise
        raise explained from error


def explain(
    error: Exception, subject: str, *, reading: bool = True, folder: str | None = None
) -> UserError | JobError | None:
    """The message for `error`, or None if it has nothing to do with the Hub."""
    failure = _Failure(error, subject, reading, folder)
    return failure.of_access() or failure.of_load() or failure.of_connection() or failure.of_other_status()


@dataclass(frozen=True)
class _Failure:
    """An error about the Hub, and the messages for it."""

    error: Exception
    subject: str
    reading: bool
    folder: str | None = None

    @property
    def no_folder(self) -> str:
        """The beginning of a message, if the user may have meant a folder."""
        return f"there is no folder {self.folder} here, and " if self.folder else ""

    @property
    def status(self) -> int | None:
        """The HTTP status of the Hub's response, if there is one."""
        return status_of(self.error)

    def found(self, *kinds: type[BaseException]) -> Any:
        """The first exception of these kinds among the error and its causes."""
        return next((one for one in causes(self.error) if isinstance(one, kinds)), None)

    def user_error(self, problem: str, hint: str) -> UserError:
        """A UserError without the token in its text."""
        return UserError(redact(problem, stored_token()), hint=hint)

    def job_error(self, problem: str, hint: str = "") -> JobError:
        """A JobError without the token in its text."""
        return JobError(redact(f"{problem} {hint}".rstrip(), stored_token()))

    def of_access(self) -> UserError | None:
        """The message for something that does not exist or that the user may not access."""
        from huggingface_hub import constants
        from huggingface_hub import errors as hub

        error, subject, status = self.error, self.subject, self.status
        if gated := self.found(hub.GatedRepoError):
            anonymous = status_of(gated) == 401
            hint = LOGIN if anonymous else "Request access on its page, with the account of your token."
            return self.user_error(f"{subject} is gated: its owner decides who may read it.", hint)
        if self.found(hub.RevisionNotFoundError):
            hint = "Its page on the Hub lists the branches, tags and commits."
            return self.user_error(f"{subject} does not have this revision.", hint)
        if status == 401 and not self.found(hub.RepositoryNotFoundError):
            if stored_token() is None and not _sent_token(error):
                return self.user_error(f"{subject}: the Hub requires a login.", LOGIN)
            page = f"{constants.ENDPOINT}/settings/tokens"
            remedy = f"Create a new one at {page}, then run `hf auth login` or set HF_TOKEN."
            return self.user_error(f"{subject}: the Hub rejected your token.", remedy)
        if self.found(hub.RepositoryNotFoundError):
            login = LOGIN[0].lower() + LOGIN[1:]
            remedy = "check that your token's account has access." if _sent_token(error) else login
            hint = f"Check the name. If it is private, {remedy}"
            problem = f"{self.no_folder}{subject} does not exist on the Hub, or you do not have access to it."
            return self.user_error(problem, hint)
        if status == 400 and isinstance(error, ValueError) and not isinstance(error, hub.HfHubHTTPError):
            # Only the metadata of a card is rejected in this way.
            text = " ".join(str(error).split())
            return self.user_error(
                f"{subject}: {text}.", "Correct the metadata at the top of README.md or its template."
            )
        if status == 403:
            said = _server_message(error)
            return self.user_error(
                f"{subject}: your token does not have the required permission{f' ({said})' if said else ''}.",
                "Use a token with write access from an account that may write to the repository.",
            )
        return None

    def of_load(self) -> JobError | None:
        """The message for a rate limit or a server error of the Hub."""
        if self.status == 429:
            hint = _try_again(self.error) or "Try again later, or log in: limits are higher with a token."
            return self.job_error(f"{self.subject}: the Hub's rate limit was exceeded (429).", hint)
        if self.status and self.status >= 500:
            hint = _try_again(self.error) or "Try again later."
            return self.job_error(f"{self.subject}: the Hub had a server error ({self.status}).", hint)
        return None

    def of_connection(self) -> UserError | JobError | None:
        """The message for a Hub that cannot be reached, or a file that is not in the cache."""
        import requests
        from huggingface_hub import constants
        from huggingface_hub import errors as hub

        subject = self.subject
        place = f"{self.no_folder or f'{subject}: '}the Hub at {constants.ENDPOINT}"
        check_network = f"{_CHECK_NETWORK}{_READ_FROM_CACHE if self.reading else ''}."
        not_cached = self.found(hub.LocalEntryNotFoundError)
        if self.found(hub.OfflineModeIsEnabled) or (constants.HF_HUB_OFFLINE and not_cached):
            return self.user_error(
                f"{self.no_folder}{subject} is not completely in the local cache, and offline mode is on.",
                "Unset HF_HUB_OFFLINE, or download it on a machine with a network.",
            )
        if self.found(hub.EntryNotFoundError) and not not_cached:
            problem = f"{subject} does not contain a required file: {_first_line(self.error)}"
            return self.user_error(problem, "Check that it is the right repository.")
        if self.found(requests.Timeout):
            return self.job_error(f"{place} did not respond in time.", check_network)
        if not_cached or self.found(requests.ConnectionError, ConnectionError):
            if self.folder and is_mistyped(self.folder):
                return self.user_error(f"{place} cannot be reached.", did_you_mean(self.folder, "Check the path."))
            return self.job_error(f"{place} cannot be reached.", check_network)
        if invalid := self.found(hub.HFValidationError):
            return self.user_error(f"{subject}: {_first_line(invalid)}", "A Hub id is NAME or OWNER/NAME.")
        return None

    def of_other_status(self) -> JobError | None:
        """The message for any other status."""
        if not self.status:
            return None
        said = _server_message(self.error) or _first_line(self.error)
        return self.job_error(f"{self.subject}: the Hub rejected the request ({self.status}): {said}.")


def is_mistyped(folder: str) -> bool:
    """Whether a folder that does not exist is more likely a mistyped path than a name on the Hub: the folder above it
    exists, or a similar name does.
    """
    above = Path(folder).parent
    return (above != Path() and above.is_dir()) or bool(did_you_mean(folder, ""))


def stored_token() -> str | None:
    """The token in HF_TOKEN, or the stored login."""
    from huggingface_hub import get_token

    return get_token()


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error`, its cause, the cause of that, and so on."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        yield current
        seen.append(current)
        current = current.__cause__ or current.__context__


def never_connected(error: BaseException) -> bool:
    """Whether no connection was made: the name of the host is unknown, or the host or the proxy does not accept one."""
    from urllib3 import exceptions as http

    kinds = (http.NewConnectionError, http.ConnectTimeoutError, http.ProxyError, http.SSLError)
    return any(isinstance(one, kinds) for one in causes(error))


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the response that caused `error`, if there is one."""
    response = _response(error)
    return None if response is None else int(response.status_code)


def retry_after_s(error: BaseException) -> float | None:
    """The wait in seconds that the Hub requested (Retry-After)."""
    response = _response(error)
    return None if response is None else seconds_to_wait(response.headers.get("Retry-After"))


def _try_again(error: BaseException) -> str:
    seconds = retry_after_s(error)
    return f"Try again in {waiting_time(seconds)}." if seconds else ""


def waiting_time(seconds: float) -> str:
    """A waiting time as text.

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
    """Give huggingface_hub's requests a timeout, which most do not have, and retry failed reads."""
    from huggingface_hub import configure_http_backend

    configure_http_backend(backend_factory=_session)
    # Its log messages about retries contain signed URLs.
    if not logging.getLogger("tf_tokclf").isEnabledFor(logging.DEBUG):
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        hide_progress_bars()


def hide_progress_bars() -> None:
    """Turn off the progress bars of huggingface_hub."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()


def answer_timeout_s() -> float:
    """Timeout for the start of a response, in seconds: TF_TOKCLF_HUB_TIMEOUT_S, by default 60."""
    value = os.environ.get("TF_TOKCLF_HUB_TIMEOUT_S", "60")
    try:
        return float(value)
    except ValueError:
        problem = f"TF_TOKCLF_HUB_TIMEOUT_S is {value!r}, which is not a number."
        raise UserError(problem, hint="Set it to a number of seconds.") from None


def seconds_to_wait(retry_after: str | None) -> float | None:
    """The wait in seconds in a Retry-After header, which is a number or a date. None if it is missing or invalid.

    >>> seconds_to_wait("120"), seconds_to_wait("Thu, 01 Jan 1970 00:00:00 GMT"), seconds_to_wait("soon")
    (120.0, 0.0, None)
    """
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    date = parsedate_tz(retry_after)
    return max(0.0, mktime_tz(date) - time.time()) if date else None


def _session() -> requests.Session:
    """The session that huggingface_hub 0.x creates per thread. From 1.0 on this must be a client factory for httpx."""
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
                # urllib3 then returns the response without a retry.
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
