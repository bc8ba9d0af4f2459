"""What went wrong with the Hub, as one message that says what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf_tokclf.errors import JobError, UserError
from tf_tokclf.hub_http import bound_requests, redact, seconds_to_wait

_LOGIN = "Log in with `hf auth login` or set HF_TOKEN."


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
    import requests
    from huggingface_hub import constants, get_token
    from huggingface_hub import errors as hub

    def found(*kinds: type[BaseException]) -> Any:
        return next((one for one in causes(error) if isinstance(one, kinds)), None)

    def user_error(problem: str, hint: str) -> UserError:
        return UserError(redact(problem, get_token()), hint=hint)

    def job_error(problem: str, hint: str) -> JobError:
        return JobError(redact(f"{problem} {hint}", get_token()))

    endpoint = constants.ENDPOINT
    check_network = f"{_CHECK_NETWORK}{_READ_FROM_CACHE if reading else ''}."
    status = status_of(error)
    if gated := found(hub.GatedRepoError):
        anonymous = status_of(gated) == 401
        hint = _LOGIN if anonymous else "Ask for access on its page, with the account that your token belongs to."
        return user_error(f"{subject} is gated: its owner decides who may read it.", hint)
    if found(hub.RevisionNotFoundError):
        return user_error(f"{subject} has no such revision.", "Its page on the Hub lists branches, tags and commits.")
    if status == 401 and not found(hub.RepositoryNotFoundError):
        if get_token() is None and not _sent_token(error):
            return user_error(f"{subject}: the Hub wants to know who you are.", _LOGIN)
        remedy = f"Make a new one at {endpoint}/settings/tokens, then `hf auth login`, or set HF_TOKEN."
        return user_error(f"{subject}: the Hub does not accept your token.", remedy)
    if found(hub.RepositoryNotFoundError):
        hint = "Check the name; if it is private, " + (
            "your token's account has to be allowed to read it."
            if _sent_token(error)
            else _LOGIN[0].lower() + _LOGIN[1:]
        )
        return user_error(f"{subject} is not on the Hub, or not for you to see.", hint)
    if status == 400 and isinstance(error, ValueError):
        # Only a card is checked for what it says.
        text = " ".join(str(error).split())
        return user_error(f"{subject}: {text}.", "Correct the metadata at the top of README.md or its template.")
    if status == 403:
        said = _server_message(error)
        return user_error(
            f"{subject}: your token lacks the right{f' ({said})' if said else ''}.",
            "Use a token with write access, of an account that belongs to the repository's owner.",
        )
    if status == 429:
        hint = _try_again(error) or "Try again later; with a token the limits are higher."
        return job_error(f"{subject}: the Hub limits how often you may ask (429).", hint)
    if status and status >= 500:
        hint = _try_again(error) or "Try again later."
        return job_error(f"{subject}: the Hub has a problem of its own ({status}).", hint)
    if found(hub.OfflineModeIsEnabled) or (constants.HF_HUB_OFFLINE and found(hub.LocalEntryNotFoundError)):
        return user_error(
            f"{subject} is not complete in the local cache, and offline mode is on.",
            "Fetch it once with a network, or unset HF_HUB_OFFLINE.",
        )
    if found(hub.EntryNotFoundError) and not found(hub.LocalEntryNotFoundError):
        return user_error(f"{subject} lacks a file that is needed: {_first_line(error)}", "Is it the right repository?")
    if found(requests.Timeout):
        return job_error(f"{subject}: the Hub at {endpoint} does not answer in time.", check_network)
    if found(requests.ConnectionError, hub.LocalEntryNotFoundError, ConnectionError):
        return job_error(f"{subject}: the Hub at {endpoint} cannot be reached.", check_network)
    if found(hub.HFValidationError):
        return user_error(f"{subject}: {_first_line(found(hub.HFValidationError))}", "A Hub id is NAME or ORG/NAME.")
    if status:
        return job_error(f"{subject}: the Hub refused ({status}): {_server_message(error) or _first_line(error)}.", "")
    return None


_CHECK_NETWORK = "Check the network, proxies and HF_ENDPOINT"
_READ_FROM_CACHE = "; what is in the cache works with HF_HUB_OFFLINE=1"


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
