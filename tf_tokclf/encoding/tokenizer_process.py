"""Run a tokenizer in a child process, which is killed if it takes too long.

The time that an untrusted regular expression needs can double with each character, and calls into the tokenizers
library cannot be interrupted. Tokenizers with unknown expressions therefore run in a child process. So does the
conversion of a vocabulary of SentencePiece, whose library may end its process on a damaged file. Parent and child
exchange lines of JSON.

The limits are limits of CPU time, so they do not depend on the load of the machine: the operating system ends a child
that reaches its limit (RLIMIT_CPU). A much longer limit of wall-clock time ends a child that uses no CPU time, and any
child on Windows, which has no limit of CPU time.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

from tf_tokclf.encoding.hints import AGAIN, UNTRUSTED
from tf_tokclf.errors import UserError

# The child uses the import path of its parent. `python -m` would first look in the working directory, which may be the
# folder of the model.
_START = f"import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from {__name__} import serve; serve()"
# Limit of CPU time. Loading a tokenizer takes a second at most.
LOAD_LIMIT_S = 10.0
# Converting a vocabulary of 250,000 tokens, as many as mDeBERTa has, takes 2 s.
CONVERT_LIMIT_S = 60.0
# Lowest accepted throughput, in characters per second of CPU time. Tokenizers usually process 100 times as many, so a
# slow machine does not reach this limit.
CHARACTERS_PER_SECOND = 10_000
# Limits of wall-clock time: for the start of the child, which imports libraries, and as a multiple of the CPU time.
START_LIMIT_S = 600.0
CLOCK_FACTOR = 30
# None on Windows.
_CPU_LIMIT_REACHED = getattr(signal, "SIGXCPU", None)


class TokenizerProcess:
    """Tokenises words in a child process. Several threads can use it; their requests are processed one by one."""

    def __init__(self, definition: str, pattern: str, *, place: str | Path) -> None:
        """definition: the tokenizer as JSON. pattern, place: the expression and the file, for error messages."""
        self._definition = definition
        self._pattern = pattern
        self._place = place
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __call__(self, words: Sequence[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        """The token ids of each word. Raises UserError if the child takes too long or fails."""
        with self._lock:
            if self._child is None:
                self._child = _Child(["encode"], _tokenizing(self._pattern), self._place)
                self._ask({"definition": self._definition}, LOAD_LIMIT_S)
            limit_s = LOAD_LIMIT_S + sum(map(len, words)) / CHARACTERS_PER_SECOND
            ids: list[list[int]] = self._ask({"words": list(words), "special": add_special_tokens}, limit_s)
            return ids

    def _ask(self, request: dict[str, Any], limit_s: float) -> Any:
        assert self._child is not None
        try:
            return self._child.ask(request, limit_s)
        except UserError:
            # The next request starts a new child.
            self._child = None
            raise

    @staticmethod
    def try_loading(folder: Path, class_name: str, pattern: str, *, place: Path) -> None:
        """Load the tokenizer in `folder` with transformers in a child. Raises UserError if this takes too long."""
        child = _Child(["load"], _tokenizing(pattern), place)
        try:
            child.ask({"folder": str(folder), "class": class_name}, LOAD_LIMIT_S)
        finally:
            child.kill()

    @staticmethod
    def converted(folder: Path, class_name: str, *, place: Path) -> str:
        """The tokenizer.json that transformers makes of the vocabulary in `folder`, without truncation and padding.

        Raises UserError if the vocabulary cannot be converted.
        """
        child = _Child(["load"], "converting the vocabulary", place, hint=AGAIN)
        try:
            definition: str = child.ask({"folder": str(folder), "class": class_name, "convert": True}, CONVERT_LIMIT_S)
        finally:
            child.kill()
        return definition


def _tokenizing(pattern: str) -> str:
    return f"tokenizing with the expression {pattern[:80]!r}"


class _Child:
    """The child process and the thread that reads its answers."""

    def __init__(self, args: list[str], task: str, place: str | Path, *, hint: str = UNTRUSTED) -> None:
        """task: what the child does, as the subject of a message."""
        self._task, self._place, self._hint = task, place, hint
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, json.dumps(sys.path), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._answers: Queue[bytes] = Queue()
        assert self._process.stdout is not None
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._answers), daemon=True).start()
        self._finalizer = weakref.finalize(self, _end, self._process)
        self._answer(START_LIMIT_S)

    def ask(self, request: dict[str, Any], limit_s: float) -> Any:
        """The answer to a request. If it needs more than `limit_s` of CPU time, kill the child and raise UserError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**request, "limit_s": limit_s}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failure("ended") from error
        return self._answer(CLOCK_FACTOR * limit_s, cpu_s=limit_s)

    def kill(self) -> None:
        """End the child."""
        self._finalizer()

    def _answer(self, limit_s: float, *, cpu_s: float = 0.0) -> Any:
        try:
            line = self._answers.get(timeout=limit_s)
        except Empty:
            raise self._failure(f"did not end within {limit_s:.0f} s") from None
        if not line:
            if _CPU_LIMIT_REACHED is not None and _exit_code(self._process) == -_CPU_LIMIT_REACHED:
                raise self._failure(f"did not end within {cpu_s:.0f} s of CPU time")
            raise self._failure("ended its process")
        answer = json.loads(line)
        if "problem" in answer:
            raise self._failure(f"failed ({answer['problem']})")
        return answer["result"]

    def _failure(self, what: str) -> UserError:
        self.kill()
        return UserError(f"{self._task} {what}.", path=self._place, hint=self._hint)


def _pass_on(source: IO[bytes], answers: Queue[bytes]) -> None:
    try:
        for line in source:
            answers.put(line)
    finally:
        answers.put(b"")  # ends the wait for an answer, whatever ended this thread


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a child that has closed its output; None if it is still running."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=10)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # data that was not written yet
                pipe.close()
    process.wait()


def serve() -> None:
    """Run the child: answer requests until the parent closes the pipe."""
    from tokenizers import Tokenizer

    if sys.argv[1] == "load":
        import transformers
    answer({"result": "ready"})
    tokenizer: Any = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_cpu_time(request["limit_s"])
        try:
            if "folder" in request:
                loaded = getattr(transformers, request["class"]).from_pretrained(request["folder"])
                answer({"result": loaded.backend_tokenizer.to_str() if request.get("convert") else "loaded"})
            elif "definition" in request:
                tokenizer = Tokenizer.from_str(request["definition"])
                answer({"result": "loaded"})
            else:
                encodings = tokenizer.encode_batch(
                    [[word] for word in request["words"]],
                    is_pretokenized=True,
                    add_special_tokens=request["special"],
                )
                answer({"result": [encoding.ids for encoding in encodings]})
        except BaseException as error:  # panics in Rust do not derive from Exception
            # transformers appends the names of all its converters.
            problem = (str(error) or type(error).__name__).splitlines()[0].partition(", if a converter")[0]
            answer({"problem": problem[:200]})


def _limit_cpu_time(limit_s: float) -> None:
    """End this process after `limit_s` more of CPU time in all its threads. Windows has no such limit."""
    if sys.platform != "win32":
        import resource

        signal.signal(signal.SIGXCPU, signal.SIG_DFL)  # a parent process may have set it to be ignored
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        most = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = math.ceil(time.process_time() + limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (soft if most == resource.RLIM_INFINITY else min(soft, most), most))


def answer(value: dict[str, Any]) -> None:
    """Send one answer to the parent."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
