"""Run commands in separate processes, and inspect only the processes that a test has started."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from tests.waiting import LIMIT_S

# Python code for `before`. It gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, so that permissions apply to root too.
WITHOUT_PRIVILEGES = """
import ctypes, os
if os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    for number in range(3):
        sets[number] &= ~0b110
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())
"""


def with_open_files(soft: int, hard: int | None = None) -> str:
    """Python code for `before`, after which the command may open `soft` files.

    hard: the limit to which the command may raise this. None: the current hard limit.
    """
    return (
        f"import resource; hard = {hard} or resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        f" resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, hard))"
    )


def run_command(
    *args: object,
    before: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = LIMIT_S,
) -> subprocess.CompletedProcess[str]:
    """Run `tf-tokclf ARGS` in a separate process.

    before: Python code that the process runs first. folder: its current folder. environment: additional variables.
    """
    return subprocess.run(
        [sys.executable, "-c", f"{before}\nfrom tf_tokclf.cli.main import main\nmain()", *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        timeout=limit_s,
    )


_MEMORY = """
import json, sys

def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name + ":"))

arguments = json.loads(sys.argv[1])
{before}
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
held = memory("VmRSS")
{code}
print(memory("VmHWM") - held, file=sys.__stdout__)
"""


def memory_needed(code: str, *, before: str = "", **arguments: object) -> int:
    """The peak memory of `code` in a separate process, in bytes, without the memory in use after `before`.

    before, code: Python code. arguments: values that JSON can represent; the code finds them in the dictionary
    `arguments`. The peak of the process that runs the tests would not do, because it also includes all earlier tests.
    Linux only.
    """
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY.format(before=before, code=code), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def state(pid: int) -> str | None:
    """State of a process: R (running), S or D (waiting), T (stopped), Z (ended), or None if it is gone. Linux only."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return None


class Marked:
    """The processes that were started with the variables in `environment`, and all of their child processes."""

    def __init__(self) -> None:
        self.environment = {"TF_TOKCLF_TEST": str(uuid4())}
        ((name, value),) = self.environment.items()
        self._mark = f"{name}={value}".encode()

    def pids(self) -> list[int]:
        """The numbers of the processes that are running now."""
        return [int(folder.name) for folder in self._folders()]

    def command_lines(self) -> set[bytes]:
        """The arguments of each process, each followed by a null byte."""
        found = set()
        for folder in self._folders():
            with contextlib.suppress(OSError):
                found.add((folder / "cmdline").read_bytes())
        return found

    def holder_of(self, path: Path) -> int | None:
        """The number of a process that has the file open, or None."""
        for folder in self._folders():
            with contextlib.suppress(OSError):
                if any(descriptor.readlink() == path for descriptor in (folder / "fd").iterdir()):
                    return int(folder.name)
        return None

    def _folders(self) -> Iterator[Path]:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark in (folder / "environ").read_bytes().split(b"\0"):
                    yield folder
