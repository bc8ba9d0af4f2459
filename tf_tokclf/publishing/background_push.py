"""Pushes while training goes on: one thread, the newest snapshot wins, failures are told, nobody waits."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.errors import JobError, UserError
from tf_tokclf.hub import hide_progress_bars
from tf_tokclf.publishing.hub_repository import PATIENCE, HubRepository, Patience, Pushed

log = logging.getLogger(__name__)

# A later epoch brings the next chance anyhow.
PATIENCE_IN_TRAINING = Patience(tries=3)
LONGEST_WAIT_AT_THE_END_S = 900.0


class Publisher:
    """Publishes the states of one training: snapshots on the way, and at the end what has to arrive.

    keep_all: every snapshot is pushed, in order; otherwise the newest one that waits replaces older ones.
    patience: of the last push.
    """

    def __init__(self, repository: HubRepository, *, keep_all: bool = False, patience: Patience = PATIENCE) -> None:
        # They would run into those of the training.
        hide_progress_bars()
        self.repository = repository
        self._patience = patience
        self._pusher = BackgroundPusher(repository, keep_all=keep_all)
        # Removed with all that is left in it when the process ends, however training did.
        self._work = tempfile.TemporaryDirectory(prefix="tf-tokclf-push-", ignore_cleanup_errors=True)
        self._n_snapshots = 0

    def offer(self, fill: Callable[[Path], object], message: str) -> None:
        """Let `fill` write a snapshot and push it in the background."""
        self._n_snapshots += 1
        folder = Path(self._work.name) / str(self._n_snapshots)
        try:
            folder.mkdir()
            fill(folder)
        except (KeyboardInterrupt, SystemExit):
            raise
        # A full disk, for example, or a panic in Rust code, which does not derive from Exception: training goes on.
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            log.warning("Hub: no snapshot, training goes on. %s: %s", message, error)
            return
        self._pusher.offer(Snapshot(folder, message))

    def finish(self, folder: Path, message: str, *, command: str) -> Pushed:
        """Push the finished model and read it back. JobError names the command that finishes the job."""
        if not self._pusher.close(LONGEST_WAIT_AT_THE_END_S):
            log.warning("Hub: an earlier push still runs; the last one is started.")
        try:
            pushed = self.repository.push(folder, message=message, patience=self._patience)
        except (JobError, UserError) as error:
            state = f"The model is complete in {folder} but not on the Hub."
            raise JobError(f"{error} {state} This finishes the job: {command}") from error
        finally:
            self._work.cleanup()
        log.info("Hub: %s, read back file by file", pushed.url)
        return pushed


@dataclass(frozen=True)
class Snapshot:
    """A folder that nobody writes to any more; it is removed once pushed or overtaken."""

    folder: Path
    message: str

    def remove(self) -> None:
        """Forget it."""
        shutil.rmtree(self.folder, ignore_errors=True)


class BackgroundPusher:
    """Pushes snapshots in a thread of its own.

    keep_all: push each in its turn; otherwise a newer one replaces the one that still waits, so that at most
    two are on disk. The thread is a daemon: a process that ends early does not wait for the Hub.
    """

    def __init__(self, repository: HubRepository, *, keep_all: bool = False) -> None:
        self._repository = repository
        self._keep_all = keep_all
        self._waiting: list[Snapshot] = []
        self._changed = threading.Condition()
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def offer(self, snapshot: Snapshot) -> None:
        """Push `snapshot` when it is its turn; returns at once."""
        with self._changed:
            if not self._keep_all:
                self._drop_waiting()
            self._waiting.append(snapshot)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="push-to-hub", daemon=True)
                self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Take no more and wait for the push under way; what waits is dropped unless all are kept.

        False when the time was over before.
        """
        with self._changed:
            self._closed = True
            if not self._keep_all:
                self._drop_waiting()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not (self._running or self._waiting), timeout_s)

    def _drop_waiting(self) -> None:
        for snapshot in self._waiting:
            snapshot.remove()
        self._waiting.clear()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                snapshot = self._waiting.pop(0)
                self._running = True
            try:
                self._push(snapshot)
            finally:
                snapshot.remove()
                with self._changed:
                    self._running = False
                    self._changed.notify_all()

    def _push(self, snapshot: Snapshot) -> None:
        try:
            pushed = self._repository.push(snapshot.folder, message=snapshot.message, patience=PATIENCE_IN_TRAINING)
            log.info("Hub: %s is at %s", snapshot.message, pushed.url)
        # Whatever it is, training goes on: the last push, which nobody may miss, raises. If an error ended this thread,
        # `close` would wait in vain.
        except BaseException as error:
            log.warning("Hub: not pushed, training goes on. %s: %s", snapshot.message, error)
