"""Run `tf-tokclf` in separate processes that can be killed at a chosen moment.

TensorFlow takes seconds to import: one process imports it and forks for each run, before it has computed
anything. Moments are counted in the changes that a run makes to its folder (files opened for writing, renamed,
removed ...), seen by an audit hook: the run is killed before the n-th, or some time after it, in the middle of
what follows.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from tests.waiting import LIMIT_S

# Python to begin a command with that stands for the fixture `untraced`.
UNTRACED = "from tf_tokclf.model.backend import tf; tf.config.run_functions_eagerly(True)"
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile", "shutil.rmtree"}


@dataclass(frozen=True)
class Ending:
    """When to send which signal: before change number `change` (from 1) of the run's folder, or later.

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

    folder: where changes are counted. max_file_size: bytes. environment: more variables; all of them where `place` is
    given. n_cpus: devices that TensorFlow is to see in the CPU. before: Python that the process runs first. place: its
    current folder. text: its standard input. limit_s: after which it is killed.
    """

    args: tuple[str, ...]
    folder: str
    ending: Ending | None = None
    max_file_size: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    n_cpus: int = 1
    before: str = ""
    place: str | None = None
    text: str = ""
    limit_s: float = LIMIT_S


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code (negative for a signal), changes of the folder, output and messages."""

    code: int
    n_changes: int
    stdout: str
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
        self,
        args: Sequence[str],
        folder: Path,
        ending: Ending | None = None,
        *,
        max_file_size: int | None = None,
        before: str = "",
    ) -> Ended:
        """Run `tf-tokclf ARGS`; changes are counted in `folder`.

        max_file_size: bytes after which writing fails, as on a disk that is full. before: Python to begin with.
        """
        (ended,) = self.run_together([Call(tuple(args), str(folder), ending, max_file_size, before=before)])
        return ended

    def command(
        self,
        *args: object,
        before: str = "",
        folder: Path | None = None,
        text: str = "",
        file_limit: int | None = None,
        limit_s: float = LIMIT_S,
    ) -> subprocess.CompletedProcess[str]:
        """What `processes.run_command` does, but for the import of TensorFlow: that is done, without these limits.

        text: its standard input. file_limit: bytes after which writing fails, as on a disk that is full.
        """
        place = str(folder or Path.cwd())
        call = Call(
            tuple(map(str, args)),
            place,
            max_file_size=file_limit,
            environment=dict(os.environ),
            before=before,
            place=place,
            text=text,
            limit_s=limit_s,
        )
        (ended,) = self.run_together([call])
        return subprocess.CompletedProcess(["tf-tokclf", *call.args], ended.code, ended.stdout, ended.stderr)

    def run_together(self, calls: Sequence[Call]) -> list[Ended]:
        """Run several commands at the same time."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([asdict(call) for call in calls]) + "\n")
        self._process.stdin.flush()
        return [Ended(**ended) for ended in json.loads(self._process.stdout.readline())]


def serve() -> None:
    """Answer requests until the other side closes the connection."""
    import tf_tokclf.runs.fit
    import tf_tokclf.training.train  # noqa: F401 - imported once, for all runs

    # What is here need not be looked at, and copied, in each process.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        calls = [
            Call(**fields | {"ending": Ending(**fields["ending"]) if fields["ending"] else None})
            for fields in json.loads(line)
        ]
        waits = [_start(call) for call in calls]
        print(json.dumps([asdict(wait()) for wait in waits]), flush=True)


def _start(call: Call) -> Callable[[], Ended]:
    """Start a run. The returned function waits for its end."""
    pipes = [os.pipe() for _ in range(3)]
    with tempfile.TemporaryFile() as given:
        given.write(call.text.encode())
        given.seek(0)
        pid = os.fork()
        if pid == 0:
            os.dup2(given.fileno(), 0)
            for number, (reading, writing) in enumerate(pipes):
                os.close(reading)
                if number:
                    os.dup2(writing, number)
                    os.close(writing)
            _run(call, counting=pipes[0][1])
    read: list[bytes] = [b""] * len(pipes)

    def read_all(number: int, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as file:
            read[number] = file.read()

    readers = []
    for number, (reading, writing) in enumerate(pipes):
        os.close(writing)
        readers.append(threading.Thread(target=read_all, args=(number, reading)))
        readers[-1].start()
    limit = threading.Timer(call.limit_s, os.kill, (pid, signal.SIGKILL))
    limit.start()

    def wait() -> Ended:
        for reader in readers:
            reader.join()
        # Before its number can be another's.
        limit.cancel()
        _, status = os.waitpid(pid, 0)
        changes, *texts = read
        return Ended(
            os.waitstatus_to_exitcode(status), len(changes), *(text.decode(errors="replace") for text in texts)
        )

    return wait


def _run(call: Call, counting: int) -> NoReturn:
    from tf_tokclf.cli.main import main
    from tf_tokclf.model.backend import tf

    if call.place:
        os.chdir(call.place)
        os.environ.clear()
    os.environ.update(call.environment)
    if call.max_file_size:
        # The byte code of modules that Python keeps would be cut short.
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (call.max_file_size, resource.RLIM_INFINITY))
    if call.n_cpus > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * call.n_cpus)
    _arrange(call.folder, call.ending, counting)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.argv[1:] = call.args
    code = 1
    try:
        exec(call.before, {})
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
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
