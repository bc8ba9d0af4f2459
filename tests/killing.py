"""Run `tf-tokclf` in separate processes that can be killed at a chosen moment.

Importing TensorFlow takes seconds. Therefore one process imports it, computes nothing, and is forked for each run. An
audit hook counts the changes that a run makes to its folder (files opened for writing, renamed, removed ...). The run
is killed immediately before change number n, or some time after it.

Tests that need a process with its own standard files, such as pipes, start `KillServer.command_line`.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn
from uuid import uuid4

from tests.waiting import LIMIT_S

# Python code for `before`, with the effect of the fixture `untraced`.
UNTRACED = "from tf_tokclf.model.backend import tf; tf.config.run_functions_eagerly(True)"
# Python code for `before`: compute the halves of batches in parallel, as on a machine with two cores or more.
TWO_LANES = """
from tf_tokclf.model import forward
from tf_tokclf.training import step
forward.n_lanes = step.n_lanes = lambda: 2
"""
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.copyfile", "shutil.rmtree"}


@dataclass(frozen=True)
class Ending:
    """When to send a signal to a run, and which one.

    change: send it before this change of the folder (from 1). None: count the time from the start of the run.
    seconds: wait this long after the change or the start. place: count only changes whose text "EVENT PATH " contains
    it.
    """

    change: int | None = None
    seconds: float = 0.0
    signal: int = signal.SIGKILL
    place: str = ""


@dataclass(frozen=True)
class Call:
    """A run of `tf-tokclf ARGS`.

    folder: changes in this folder are counted. max_file_size: bytes after which writing to a file fails. environment:
    additional variables or, with `place`, all of them. n_cpus: logical CPU devices of TensorFlow. before: Python code
    that the process runs first. place: its current folder. text: its standard input. limit_s: seconds after which it is
    killed.
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
    """How a run ended. code: the exit code, negative for a signal. n_changes: number of changes in the folder."""

    code: int
    n_changes: int
    stdout: str
    stderr: str


class KillServer:
    """The process that imports TensorFlow once and is forked for each run, as a context manager."""

    def __enter__(self) -> KillServer:
        self._socket = f"tf-tokclf-tests-{uuid4()}"
        # In a separate session, so that its child processes can be ended together with it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing", self._socket],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
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

    def command_line(self, *args: object, before: str = "") -> list[str]:
        """A command line that does the same as `tf-tokclf ARGS`, in seconds less.

        It has its own standard files, folder and environment, and it can be sent signals. before: Python code to run
        first. The modules are imported before the environment is set.
        """
        client = Path(__file__).with_name("forked_command.py")
        return [sys.executable, "-IS", str(client), self._socket, before, *map(str, args)]

    def run(
        self,
        args: Sequence[str],
        folder: Path,
        ending: Ending | None = None,
        *,
        max_file_size: int | None = None,
        before: str = "",
    ) -> Ended:
        """Run `tf-tokclf ARGS` and count the changes in `folder`.

        max_file_size: bytes after which writing to a file fails, as on a full disk. before: Python code to run first.
        """
        (ended,) = self.run_together([Call(tuple(args), str(folder), ending, max_file_size, before=before)])
        return ended

    def command(
        self,
        *args: object,
        before: str = "",
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        text: str = "",
        file_limit: int | None = None,
        limit_s: float = LIMIT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command like `processes.run_command`, but with TensorFlow imported before the limits are set.

        environment: additional variables. text: its standard input. file_limit: bytes after which writing to a file
        fails, as on a full disk.
        """
        place = str(folder or Path.cwd())
        call = Call(
            tuple(map(str, args)),
            place,
            max_file_size=file_limit,
            environment={**os.environ, **(environment or {})},
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


def serve(socket_name: str) -> None:
    """Run commands until the parent process closes standard input."""
    import tf_tokclf.runs.fit
    import tf_tokclf.training.train

    with suppress(ImportError):
        import tf_tokclf.serving.server  # noqa: F401 - imported once, for all runs

    # The garbage collector would otherwise copy the memory of these objects into each process.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{socket_name}")
        listening.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([0, listening], [], [])
            if listening in ready:
                _fork_for(listening)
            elif line := sys.stdin.readline():
                _run_together(line)
            else:
                return


def _run_together(line: str) -> None:
    calls = [
        Call(**fields | {"ending": Ending(**fields["ending"]) if fields["ending"] else None})
        for fields in json.loads(line)
    ]
    waits = [_start(call) for call in calls]
    print(json.dumps([asdict(wait()) for wait in waits]), flush=True)


def _fork_for(listening: socket.socket) -> None:
    """Accept a connection of `forked_command` and fork. In the fork, run the command and raise SystemExit."""
    connection, _ = listening.accept()
    head, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    (n_bytes,) = struct.unpack("!Q", head)
    request = json.loads(connection.recv(n_bytes, socket.MSG_WAITALL))
    pid = os.fork()
    if pid == 0:
        listening.close()
        _run_as_asked(request, dict(zip(request["descriptors"], descriptors)), connection)
    for descriptor in descriptors:
        os.close(descriptor)
    threading.Thread(target=_report_end, args=(pid, connection)).start()


def _report_end(pid: int, connection: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with connection, suppress(OSError):
        connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(status)))


def _run_as_asked(request: dict[str, Any], descriptors: dict[int, int], connection: socket.socket) -> NoReturn:
    from tf_tokclf.cli.main import main

    threading.Thread(target=_obey, args=(connection,), daemon=True).start()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number in descriptors:
            os.dup2(descriptors[number], number)
            os.close(descriptors[number])
            stream = open(0, encoding="utf-8") if number == 0 else getattr(sys, name)  # noqa: SIM115
        else:
            # As Python does when it is started without the file.
            os.close(number)
            stream = None
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["tf-tokclf", *request["args"]]
    exec(request["before"], {})
    main()
    sys.exit(0)


def _obey(connection: socket.socket) -> None:
    """Pass on the signals that the other process got, and end with it."""
    with suppress(OSError):
        while number := connection.recv(1):
            os.kill(os.getpid(), number[0])
    os.kill(os.getpid(), signal.SIGKILL)


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
        # Before another process can get the same number.
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
        # Otherwise the limit would truncate Python's byte code files.
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
    serve(sys.argv[1])
