"""Push a folder to the Hub over HTTP and verify the upload."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from tf_tokclf.encoding.thresholds_file import FILE_NAME as THRESHOLDS
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.files import check_links
from tf_tokclf.hub import (
    LOGIN,
    causes,
    explain,
    hub_errors,
    never_connected,
    retry_after_s,
    status_of,
    stored_token,
    waiting_time,
)
from tf_tokclf.redaction import redact

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile

T = TypeVar("T")
log = logging.getLogger(__name__)

# The rules of git-check-ref-format, for the name of a branch.
_BAD_BRANCH = re.compile(r"^$|^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|(^|/)\.|\.lock(/|$)|[/.]$")


@dataclass(frozen=True)
class Patience:
    """How often to try, and how long to wait between tries. Each wait is twice as long as the previous one.

    longest_asked_s: the longest wait that the Hub may request (`Retry-After`). If it requests a longer one, there is no
    further try.
    """

    tries: int = 5
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    longest_asked_s: float = 300.0

    def wait_s(self, n_failed: int, asked: float | None = None) -> float:
        """Seconds to wait after `n_failed` tries, or the wait that the Hub requested.

        >>> [Patience().wait_s(n) for n in (1, 2, 9)], Patience().wait_s(1, asked=70)
        ([1.0, 2.0, 30.0], 70)
        """
        if asked is not None:
            return asked
        return min(self.first_wait_s * 2 ** (n_failed - 1), self.longest_wait_s)


PATIENCE = Patience()
# Shorter, because the user is waiting for training to start.
PATIENCE_AT_START = Patience(tries=3, longest_asked_s=60.0)


@dataclass(frozen=True)
class Pushed:
    """The result of a push. changed: False if the repository was up to date, so that no commit was made."""

    repo_id: str
    commit: str
    url: str
    changed: bool


@dataclass
class HubRepository:
    """An existing repository with write access.

    token: kept in memory only; None for HF_TOKEN or the stored login.
    head: the commit of the last push.
    closed_until: no requests before this time (of `time.monotonic`), because the Hub requested a wait.
    """

    repo_id: str
    revision: str = "main"
    token: str | None = None
    head: str | None = None
    closed_until: float = 0.0

    @classmethod
    def prepare(
        cls,
        repo_id: str,
        *,
        token: str | None = None,
        private: bool = False,
        revision: str | None = None,
        patience: Patience = PATIENCE_AT_START,
    ) -> HubRepository:
        """Create the repository (and branch) if it does not exist, and check for write access. Uploads nothing.

        Raises UserError for an invalid name, a missing or invalid token, missing write access, or a public repository
        if `private` is set. Raises JobError if the Hub cannot be reached, at once if no connection can be made.
        """
        from huggingface_hub import HfApi, constants

        check_revision(revision)
        if constants.HF_HUB_OFFLINE:
            raise UserError(
                "offline mode is on (HF_HUB_OFFLINE), so nothing can be pushed.",
                hint="Unset HF_HUB_OFFLINE, or push later with: tf-tokclf push RUN",
            )
        if not (token or stored_token()):
            raise UserError("there is no Hub token, so nothing can be pushed.", hint=LOGIN)
        api = HfApi(token=token)

        def prepare() -> HubRepository:
            name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            if private and not api.repo_info(name).private:
                raise UserError(
                    f"model {name} is public, but --hub-private-repo requires a private one.",
                    hint="Make it private in its settings on the Hub, or push without --hub-private-repo.",
                )
            if revision and revision != "main":
                api.create_branch(name, branch=revision, exist_ok=True)
            _check_right_to_write(api, name, revision or "main")
            return cls(name, revision or "main", token, api.repo_info(name, revision=revision).sha)

        return _patiently(prepare, repo_id, patience, needs_connection=True)

    def push(
        self,
        folder: Path,
        *,
        message: str = "Upload token classifier",
        patience: Patience = PATIENCE,
    ) -> Pushed:
        """Upload the files of `folder`, except hidden and partial ones, and verify their hashes on the Hub.

        If the repository contains them already, no commit is made. Failures of the network or the Hub are retried;
        files that were uploaded before are not sent again. Raises JobError after the last try, or if the Hub requests a
        long wait, and UserError for errors that a retry cannot solve.
        """
        closed_s = self.closed_until - time.monotonic()
        if closed_s > patience.longest_asked_s:
            wait = waiting_time(closed_s)
            raise JobError(f"model {self.repo_id}: the Hub requested a pause. Try again in {wait}.")
        if closed_s > 0:
            time.sleep(closed_s)
        try:
            return _patiently(lambda: self._push_once(folder, message), self.repo_id, patience)
        except JobError as error:
            self.closed_until = time.monotonic() + (retry_after_s(error) or 0.0)
            raise

    def _push_once(self, folder: Path, message: str) -> Pushed:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

        api = HfApi(token=self.token)
        files = files_to_push(folder)
        ours = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
        head = str(api.repo_info(self.repo_id, revision=self.revision).sha)
        published = self._published(api, head)
        leftover = _leftover(ours, published)
        changed = bool(leftover or _differing(ours, published))
        if changed:
            if self.head not in (None, head):
                log.warning("Hub: the repository has a new commit that is not from this run (%.8s).", head)
            head = api.create_commit(
                self.repo_id,
                [*ours, *map(CommitOperationDelete, leftover)],
                commit_message=message,
                revision=self.revision,
                # A delayed commit of this process must not overwrite a newer one.
                parent_commit=head,
            ).oid
            differing = _differing(ours, self._published(api, head))
            if differing:
                names = ", ".join(differing)
                raise JobError(f"model {self.repo_id}, commit {head}: on the Hub, {names} differ from {folder}.")
        self.head = head
        return Pushed(self.repo_id, head, f"{constants.ENDPOINT}/{self.repo_id}/tree/{head}", changed)

    def _published(self, api: HfApi, commit: str) -> dict[str, RepoFile]:
        from huggingface_hub.hf_api import RepoFile

        tree = api.list_repo_tree(self.repo_id, recursive=True, revision=commit)
        return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    revision: str | None = None,
    message: str = "Upload token classifier",
    patience: Patience = PATIENCE,
) -> Pushed:
    """Publish the files of `folder` in the model repository `repo_id` and verify the upload.

    The repository is created if it does not exist. The address of the Hub can be changed with HF_ENDPOINT. Without a
    token, HF_TOKEN or the stored login is used. If nothing changed since the last push, no commit is made.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("this folder does not exist.", path=folder, hint="Give a run or a model folder.")
    if not files_to_push(folder):
        raise UserError("contains no files to push.", path=folder, hint="Give a run or a model folder.")
    repository = HubRepository.prepare(repo_id, token=token, private=private, revision=revision, patience=patience)
    return repository.push(folder, message=message, patience=patience)


def files_to_push(folder: Path) -> list[Path]:
    """The files of a folder in order, without hidden and partial ones.

    Raises UserError for a link to a file outside the folder, which would be published by accident.
    """
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".partial")
    found = sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    check_links(folder, found, hint="Remove the link, or put a copy of the file in its place.")
    return found


def check_revision(name: str | None) -> None:
    """Raise UserError if git does not allow a branch of this name."""
    if name is not None and _BAD_BRANCH.search(name):
        problem = f"{name!r} is not a valid name of a branch."
        hint = "Use letters, digits, and single - _ . or / between them, such as v1 or trial/2."
        raise UserError(f"--revision: {problem}", hint=hint)


def _differing(ours: list[CommitOperationAdd], published: dict[str, RepoFile]) -> list[str]:
    """Names of the files that are missing or different on the Hub."""
    return [one.path_in_repo for one in ours if not _is_same(one, published.get(one.path_in_repo))]


def _leftover(ours: list[CommitOperationAdd], published: dict[str, RepoFile]) -> list[str]:
    """Published files to delete: those in sub-folders of `ours` that are not ours, which are from older checkpoints,
    and thresholds, which are for earlier weights.

    Other files at the top level of the repository are never deleted.
    """
    names = {one.path_in_repo for one in ours}
    folders = {PurePosixPath(name).parent for name in names} - {PurePosixPath()}
    return [
        name
        for name in published
        if name not in names and (PurePosixPath(name).parent in folders or name == THRESHOLDS)
    ]


def _is_same(ours: CommitOperationAdd, published: RepoFile | None) -> bool:
    """Whether the hashes are equal: SHA-256 for large files (LFS), git's hash for the others."""
    size = ours.upload_info.size
    if published is None or published.size != size:
        return False
    if published.lfs:
        return ours.upload_info.sha256.hex() == published.lfs.sha256
    with ours.as_file() as file:
        return hashlib.sha1(b"blob %d\0" % size + file.read()).hexdigest() == published.blob_id


def _patiently(action: Callable[[], T], repo_id: str, patience: Patience, *, needs_connection: bool = False) -> T:
    """Run `action`, and repeat it after temporary failures.

    needs_connection: do not repeat it if no connection can be made.
    """
    subject = f"model {repo_id}"
    with hub_errors(subject, reading=False):
        for n_failed in range(1, patience.tries):
            try:
                return action()
            except Exception as error:
                asked_s = retry_after_s(error)
                if needs_connection and never_connected(error):
                    raise
                if not _may_pass(error) or (asked_s or 0.0) > patience.longest_asked_s:
                    raise
                wait_s = patience.wait_s(n_failed, asked_s)
                reason = explain(error, subject, reading=False) or redact(str(error))
                log.info("Hub: try %d of %d failed, retrying in %.0f s: %s", n_failed, patience.tries, wait_s, reason)
                time.sleep(wait_s)
        return action()


def _check_right_to_write(api: HfApi, repo_id: str, revision: str) -> None:
    """Request an upload, because creating an existing repository succeeds even with a read-only token."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    answer = get_session().post(
        f"{api.endpoint}/api/models/{repo_id}/preupload/{revision.replace('/', '%2F')}",
        json={"files": [{"path": "config.json", "sample": "", "size": 0}]},
        headers=build_hf_headers(token=api.token),
    )
    hf_raise_for_status(answer)


def _may_pass(error: Exception) -> bool:
    """Whether a retry can succeed: connection error, timeout, 408, 409 and 412 (concurrent commits), 429, 5xx."""
    import requests

    if any("Error while uploading" in str(one) for one in causes(error) if isinstance(one, RuntimeError)):
        return True
    status = status_of(error)
    if status is not None:
        return status in (408, 409, 412, 429) or status >= 500
    return any(isinstance(one, (requests.ConnectionError, requests.Timeout)) for one in causes(error))
