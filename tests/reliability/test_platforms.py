"""The program does not need modules, or names in `os` and `signal`, that Windows lacks."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.killing import UNTRACED
from tests.waiting import LIMIT_S

PACKAGE = Path(__file__).parents[2] / "tf_tokclf"

MODULES = {
    *("crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline", "resource", "spwd"),
    *("syslog", "termios", "tty"),
}
# Of `os`, `signal`, `select`, `socket`, `time` and `mmap`.
NAMES = {
    "os": {
        *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "O_DSYNC", "O_CLOEXEC", "O_TMPFILE", "O_PATH"),
        *("WNOHANG", "WIFEXITED", "WEXITSTATUS", "WIFSIGNALED", "WTERMSIG", "SCHED_OTHER", "EX_OK"),
        *("chown", "chroot", "confstr", "fchmod", "fchown", "fdatasync", "fork", "forkpty", "getegid", "geteuid"),
        *("getgid", "getgroups", "getloadavg", "getpgid", "getpgrp", "getpriority", "getresuid", "getsid", "getuid"),
        *("killpg", "lchown", "lockf", "mkfifo", "mknod", "nice", "openpty", "pathconf", "posix_fadvise"),
        *("posix_fallocate", "posix_spawn", "pread", "preadv", "pwrite", "pwritev", "register_at_fork"),
        *("sched_getaffinity", "sched_setaffinity", "sched_yield", "sendfile", "setegid", "seteuid", "setgid"),
        *("setpgid", "setpriority", "setsid", "setuid", "statvfs", "sync", "sysconf", "tcgetpgrp", "ttyname"),
        *("uname", "wait", "wait3", "wait4", "waitid", "getxattr", "setxattr", "memfd_create", "pidfd_open"),
    },
    "signal": {
        *("SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT", "SIGSTOP"),
        *("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM", "SIGWINCH", "SIGXCPU"),
        *("SIGXFSZ", "alarm", "setitimer", "getitimer", "pause", "pthread_kill", "pthread_sigmask", "siginterrupt"),
        *("sigpending", "sigwait", "sigwaitinfo"),
    },
    "select": {"poll", "epoll", "kqueue", "devpoll"},
    "socket": {"AF_UNIX", "SO_REUSEPORT", "sethostname", "CMSG_LEN", "SCM_RIGHTS"},
    "time": {"tzset", "clock_settime", "pthread_getcpuclockid"},
    "mmap": {"MAP_SHARED", "MAP_PRIVATE", "MAP_ANONYMOUS", "PROT_READ", "PROT_WRITE", "MADV_DONTNEED"},
}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def guarded(tree: ast.Module) -> set[ast.AST]:
    """The nodes inside a `try` that handles a missing module, and inside conditions on the operating system."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        caught = isinstance(node, ast.Try) and any(
            isinstance(handler.type, ast.Name) and handler.type.id in ("ImportError", "ModuleNotFoundError")
            for handler in node.handlers
        )
        asked = isinstance(node, (ast.If, ast.IfExp)) and re.search(r"hasattr\(|sys\.platform", ast.unparse(node.test))
        if caught or asked:
            found.update(ast.walk(node))
    return found


def test_no_module_of_posix_is_imported_unguarded():
    found = []
    for path, tree in sources():
        safe = guarded(tree)
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name.split(".")[0] in MODULES and node not in safe]
    assert found == []


def test_no_name_of_posix_is_used_unguarded():
    found = []
    for path, tree in sources():
        safe = guarded(tree)
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node not in safe:
                names = [(node.value.id, node.attr)]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "", alias.name) for alias in node.names]
            found += [(path.name, node.lineno, name) for module, name in names if name in NAMES.get(module, ())]
    assert found == []


# The platform is changed only for the code of this package; libraries still see Linux.
WITHOUT_POSIX = """
import builtins, importlib, json, sys, types
names, modules, code = json.loads(sys.argv[1])

class Without(types.ModuleType):
    def __init__(self, name):
        super().__init__(name)
        self._module = importlib.import_module(name)

    def __getattr__(self, attribute):
        if attribute in names[self.__name__]:
            raise AttributeError(f"module {self.__name__!r} has no attribute {attribute!r}", name=attribute, obj=self)
        return "nt" if (self.__name__, attribute) == ("os", "name") else getattr(self._module, attribute)

without = {name: Without(name) for name in names}
imported = builtins.__import__
def import_for_us(name, globals=None, locals=None, fromlist=(), level=0):
    if str((globals or {}).get("__name__")).startswith("tf_tokclf"):
        if name.split(".")[0] in modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in without:
            return without[name]
    return imported(name, globals, locals, fromlist, level)
builtins.__import__ = import_for_us
exec(code)
"""


def run_without_posix(code: str, folder: Path) -> str:
    """The output of Python code for which this package sees Windows without POSIX modules."""
    names = {module: sorted(found) for module, found in NAMES.items()}
    argument = json.dumps([names, sorted(MODULES), code])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX, argument],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


IMPORT_ALL = """
import pkgutil, tf_tokclf
assert not hasattr(importlib.import_module("tf_tokclf.files").os, "fork")
found = [module.name for module in pkgutil.walk_packages(tf_tokclf.__path__, "tf_tokclf.")]
for name in found:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(found))
"""
COMMANDS = [
    *(["--help"], ["--version"]),
    *([name, "--help"] for name in ("init", "config", "inspect", "fit", "evaluate", "compare", "convert", "predict")),
    *([name, "--help"] for name in ("serve", "export", "push", "cache")),
    ["init", "--data", "a.conll", "--output", "c.yaml"],
    ["config", "check", "c.yaml"],
    ["config", "fill", "c.yaml", "--output", "filled.yaml"],
    ["config", "schema", "--output", "schema.json"],
    ["inspect", "a.conll"],
    ["convert", "a.conll", "b.jsonl"],
    ["convert", "--to", "brat", "a.conll", "brat"],
    ["convert", "--to", "parquet", "a.conll", "b.parquet"],
    ["evaluate", "--predictions", "p.jsonl", "--output", "s.json"],
    ["compare", "p.jsonl", "p.jsonl", "--samples", "10", "--output", "d.json"],
    ["cache", "show"],
    ["cache", "clear"],
]
RUN = """
from click.testing import CliRunner
from tf_tokclf.cli.main import cli
assert "tensorflow" not in sys.modules or {with_tensorflow}
for args in {commands!r}:
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, (args, result.output, result.exception)
"""


def test_commands_that_need_no_tensorflow_run_without_posix(tmp_path: Path):
    (tmp_path / "a.conll").write_text("ada\tB-PER\nsaw\tO\nrome\tB-LOC\n\n", encoding="utf-8")
    (tmp_path / "p.jsonl").write_text('{"words": ["a"], "predicted": ["O"], "gold": ["O"]}\n', encoding="utf-8")
    code = RUN.format(commands=COMMANDS, with_tensorflow=False)
    run_without_posix(code, tmp_path)
    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"c.yaml", "filled.yaml", "schema.json", "b.jsonl", "brat", "b.parquet", "s.json", "d.json"}


def test_every_module_is_imported_and_training_and_prediction_run_without_posix(
    tmp_path: Path, conll_files: dict[str, str], tiny_bert: Path, tiny_classifier: Path
):
    options = [f"--{key.replace('_', '-')}={path}" for key, path in conll_files.items()]
    fit = [
        "fit",
        *options,
        "--recipe=none",
        f"--model-name-or-path={tiny_bert}",
        "--num-train-epochs=1",
        "--output-dir=run",
    ]
    (tmp_path / "in.txt").write_text("ada saw rome\n", encoding="utf-8")
    shutil.copytree(tiny_classifier, tmp_path / "model")
    commands = [fit, [*fit, "--force"], ["predict", "model", "in.txt", "-o", "out.jsonl"], ["evaluate", "run"]]
    code = f"{IMPORT_ALL}\n{UNTRACED}\n{RUN.format(commands=commands, with_tensorflow=True)}"
    n_modules = int(run_without_posix(code, tmp_path))
    assert n_modules == sum(1 for path, _ in sources() if path != PACKAGE / "__init__.py")
    assert (tmp_path / "out.jsonl").is_file()
    assert (tmp_path / "run" / "results.json").is_file()
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_names_are_those_of_this_system(name: str):
    """A misspelt name would have no effect."""
    module = __import__(name)
    known = {one for one in NAMES[name] if hasattr(module, one)}
    # Names of other systems or other Python versions.
    elsewhere = {"kqueue", "devpoll", "lockf", "sethostname"}
    assert NAMES[name] - known <= elsewhere
