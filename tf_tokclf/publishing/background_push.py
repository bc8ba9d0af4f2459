"""Push snapshots in a background thread during training. Failures are logged, and training never waits."""

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

# A failed push is not critical, because a later epoch will push again.
PATIENCE_IN_TRAINING = Patience(tries=3)
LONGEST_WAIT_AT_THE_END_S = 900.0


class Publisher:
    """Publishes snapshots during a training run, and the finished model at its end.

    keep_all: push every snapshot, in order. By default, a new snapshot replaces those that still wait.
    patience: for the final push.
    """

    def __init__(self, repository: HubRepository, *, keep_all: bool = False, patience: Patience = PATIENCE) -> None:
        # They would interfere with the progress bars of training.
        hide_progress_bars()
        self.repository = repository
        self._patience = patience
        self._pusher = BackgroundPusher(repository, keep_all=keep_all)
        # Removed with its contents when the process ends, whether training succeeded or not.
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
        # For example a full disk, or a panic in Rust code, which does not derive from Exception. Training continues.
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            log.warning("Hub: the snapshot could not be written; training continues. %s: %s", message, error)
            return
        self._pusher.offer(Snapshot(folder, message))

    def finish(
        self, folder: Path, message: str, *, command: str, check: Callable[[Path], None] = lambda folder: None
    ) -> Pushed:
        """Push the finished model and verify the upload. On failure, the JobError tells the user to run `command`.

        check: raises UserError if the folder must not be published.
        """
        if not self._pusher.close(LONGEST_WAIT_AT_THE_END_S):
            log.warning("Hub: an earlier push is still running; starting the final push.")
        try:
            check(folder)
            pushed = self.repository.push(folder, message=message, patience=self._patience)
        except (JobError, UserError) as error:
            state = f"The model is complete in {folder}, but not on the Hub."
            raise JobError(f"{error} {state} Push it with: {command}") from error
        finally:
            self._work.cleanup()
        log.info("Hub: pushed to %s and verified every file", pushed.url)
        return pushed


@dataclass(frozen=True)
class Snapshot:
    """A folder with a complete snapshot. It is deleted when it has been pushed or replaced by a newer one."""

    folder: Path
    message: str

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class BackgroundPusher:
    """Pushes snapshots in a separate thread.

    keep_all: push all of them, in order. By default, a newer snapshot replaces the one that waits, so that at most two
    are on disk. The thread is a daemon, so a process that ends early does not wait for the Hub.
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
        """Queue `snapshot` and return immediately."""
        with self._changed:
            if not self._keep_all:
                self._drop_waiting()
            self._waiting.append(snapshot)
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="push-to-hub", daemon=True)
                self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Accept no more snapshots and wait for the running push. Waiting snapshots are dropped, unless all are kept.

        Returns False on timeout.
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
            log.info("Hub: %s, pushed to %s", snapshot.message, pushed.url)
        # Training continues after any error here; only the final push raises. If an error ended this thread, `close`
        # would wait forever.
        except BaseException as error:
            log.warning("Hub: the push failed; training continues. %s: %s", snapshot.message, error)
