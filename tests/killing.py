"""Runs of `tf-tokclf` in processes of their own that end by SIGKILL at a chosen moment.

TensorFlow takes seconds to import: one process imports it and forks for each run, before it has computed
anything. Moments are counted in the changes that a run makes to its folder (files opened for writing, renamed,
removed ...), seen by an audit hook: the run is killed before the n-th, or some time after it, in the middle of
what follows.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.waiting import LIMIT_S

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile", "shutil.rmtree"}


@dataclass(frozen=True)
class Ending:
    """When to send which signal: before change number `change` of the run's folder (from 1), or later.

    seconds: so long after that change, or after the start where there is none. place: count only changes that contain
    it when they are written as "EVENT PATH ".
    """

    change: int | None = None
    seconds: float = 0.0
    signal: int = signal.SIGKILL
    place: str = ""


@dataclass(frozen=True)
class Call:
    """A run of `tf-tokclf ARGS`.

    max_file_size: bytes. environment: more variables. n_cpus: devices that TensorFlow is to see in the CPU.
    """

    args: tuple[str, ...]
    folder: str
    ending: Ending | None = None
    max_file_size: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    n_cpus: int = 1


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code, negative for a signal; the changes it made; its messages.

    A run that does not end within LIMIT_S is killed.
    """

    code: int
    n_changes: int
    stderr: str


class KillServer:
    """A context manager: `run` is a call of the command line in a fresh process."""

    def __enter__(self) -> KillServer:
        # A session of its own: what it leaves behind can be ended with it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        if kind is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(LIMIT_S)
        self._process.stdout.close()

    def run(
        self, args: Sequence[str], folder: Path, ending: Ending | None = None, *, max_file_size: int | None = None
    ) -> Ended:
        """Run `tf-tokclf ARGS`; changes are counted in `folder`.

        max_file_size: bytes after which writing fails, as on a disk that is full.
        """
        (ended,) = self.run_together([Call(tuple(args), str(folder), ending, max_file_size)])
        return ended

    def run_together(self, calls: Sequence[Call]) -> list[Ended]:
        """Several runs at the same time."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([asdict(call) for call in calls]) + "\n")
        self._process.stdin.flush()
        return [Ended(**ended) for ended in json.loads(self._process.stdout.readline())]


def serve() -> None:
    """Answer requests until there are no more."""
    import tf_tokclf.runs.fit
    import tf_tokclf.training.train  # noqa: F401 - imported once, for all runs

    for line in sys.stdin:
        calls = [
            Call(**fields | {"ending": Ending(**fields["ending"]) if fields["ending"] else None})
            for fields in json.loads(line)
        ]
        waits = [_start(call) for call in calls]
        print(json.dumps([asdict(wait()) for wait in waits]), flush=True)


def _start(call: Call) -> Callable[[], Ended]:
    """Begin a run; the function that comes back waits for its end."""
    counts, counting = os.pipe()
    errors, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(counts)
        os.close(errors)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writing, 2)
        _run(call, counting)
    os.close(counting)
    os.close(writing)
    n_changes, text = [], []
    readers = [
        threading.Thread(target=lambda: n_changes.append(len(_read_all(counts)))),
        threading.Thread(target=lambda: text.append(_read_all(errors).decode(errors="replace"))),
    ]
    for reader in readers:
        reader.start()
    limit = threading.Timer(LIMIT_S, os.kill, (pid, signal.SIGKILL))
    limit.start()

    def wait() -> Ended:
        for reader in readers:
            reader.join()
        # Before its number can be another's.
        limit.cancel()
        _, status = os.waitpid(pid, 0)
        return Ended(os.waitstatus_to_exitcode(status), n_changes[0], text[0])

    return wait


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _run(call: Call, counting: int) -> None:
    from tf_tokclf.cli.main import cli
    from tf_tokclf.model.backend import tf

    os.environ.update(call.environment)
    if call.max_file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (call.max_file_size, resource.RLIM_INFINITY))
    if call.n_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * call.n_cpus)
    _arrange(call.folder, call.ending, counting)
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123 - as long as the process
    code = 70
    try:
        cli(list(call.args), prog_name="tf-tokclf")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _arrange(folder: str, ending: Ending | None, counting: int) -> None:
    n_there = 0

    def end() -> None:
        os.kill(os.getpid(), ending.signal)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal n_there
        if event == "open":
            path, _, flags = args
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in CHANGES:
            path = args[0]
        else:
            return
        if not (isinstance(path, (str, os.PathLike)) and str(path).startswith(folder)):
            return
        os.write(counting, b".")
        if not (ending and ending.place in f"{event} {path} "):
            return
        n_there += 1
        if ending.change == n_there:
            if not ending.seconds:
                end()
            else:
                threading.Timer(ending.seconds, end).start()

    sys.addaudithook(hook)
    if ending and ending.change is None:
        threading.Timer(ending.seconds, end).start()


if __name__ == "__main__":
    serve()
