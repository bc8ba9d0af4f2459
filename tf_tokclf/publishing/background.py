"""Pushes while training goes on: one thread, the newest snapshot wins, failures are told, nobody waits."""

from __future__ import annotations

import logging
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from tf_tokclf.publishing.pushing import HubRepository, Patience

log = logging.getLogger(__name__)

# A later epoch brings the next chance anyhow.
PATIENCE_IN_TRAINING = Patience(tries=3)


@dataclass(frozen=True)
class Snapshot:
    """A folder that nobody writes to any more; it is removed once pushed or overtaken."""

    folder: Path
    message: str
    path_in_repo: str = ""

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
        self.failures: list[str] = []

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
            pushed = self._repository.push(
                snapshot.folder,
                message=snapshot.message,
                path_in_repo=snapshot.path_in_repo,
                patience=PATIENCE_IN_TRAINING,
            )
            log.info("Hub: %s is at %s", snapshot.message, pushed.url)
        # Whatever it is, training goes on: the last push, which nobody may miss, raises.
        except Exception as error:
            self.failures.append(f"{snapshot.message}: {error}")
            log.warning("Hub: not pushed, training goes on. %s: %s", snapshot.message, error)
