"""Tests are isolated from the user's environment, the network and each other."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import reserved_ports
from tests.processes import Marked, memory_needed
from tests.requirements import need, need_modules, need_proc, need_program
from tests.waiting import LIMIT_S, wait_until

ROOT = Path(__file__).parent.parent
# What a user may have set, and what would change what tests see.
USERS = {
    **{
        "HF_TOKEN": "hf_of_the_user_0123456789",
        "HF_HOME": "/nowhere",
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": "http://x",
    },
    **{"XDG_CACHE_HOME": "/nowhere", "TF_TOKCLF_CACHE": "/nowhere", "TF_TOKCLF_HUB_TIMEOUT_S": "0"},
    **{"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "RAY_ADDRESS": "127.0.0.1:9"},
    **{"TF_CONFIG": "{", "TF_CPP_MIN_LOG_LEVEL": "0", "TRANSFORMERS_OFFLINE": "1", "PYTHONWARNINGS": "error"},
    **{"COLUMNS": "9", "LINES": "2", "TERM": "dumb", "NO_COLOR": "1", "FORCE_COLOR": "1", "LC_ALL": "C", "TZ": "JST"},
    **{"GIT_DIR": "/nowhere", "GIT_CONFIG_GLOBAL": "/nowhere/config", "WANDB_MODE": "online", "PYTHONPATH": "/nowhere"},
}
APART = """
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

def test_apart():
    users = {users!r}
    assert {{name for name, value in users.items() if os.environ.get(name) == value}} == set()
    assert Path.home() != Path({home!r})
    assert not list(Path().iterdir())
    assert not Path(os.environ["TF_TOKCLF_CACHE"]).exists()
    Path("left").touch()

def test_apart_from_the_test_before():
    assert not list(Path().iterdir())

def test_processes_import_this_checkout():
    code = "import tf_tokclf; print(tf_tokclf.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to({root!r})

def test_no_network():
    with pytest.raises(OSError, match="tests have no network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(socket.gaierror):
        socket.create_connection(("huggingface.co", 443), timeout=1)
"""


def test_the_user_s_environment_and_the_network_are_out_of_reach(tmp_path: Path):
    text = APART.format(users=USERS, home=os.environ["HOME"], root=str(ROOT))
    (tmp_path / "test_apart.py").write_text(text, encoding="utf-8")
    (tmp_path / "conftest.py").write_text("", encoding="utf-8")
    options = ("-p", "tests.isolation", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-q")
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import pytest; sys.exit(pytest.main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *options, f"--rootdir={tmp_path}", "test_apart.py"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **USERS, "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_a_reserved_port_is_nobody_else_s_and_a_server_can_take_it():
    with reserved_ports(20) as ports:
        for _ in range(2000):
            with socket.socket() as other:
                other.bind(("127.0.0.1", 0))
                assert other.getsockname()[1] not in ports
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[0]), timeout=LIMIT_S)
        with socket.create_server(("127.0.0.1", ports[0])):
            socket.create_connection(("127.0.0.1", ports[0]), timeout=LIMIT_S).close()


def test_marked_processes_are_those_of_one_test_with_what_they_started():
    need_proc()
    ours, others = Marked(), Marked()
    # The shell ends immediately, so the other process is no longer a descendant of this test.
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()', 'secret'], stdin=0)"
    reading, writing = os.pipe()
    try:
        for marked in (ours, others):
            environment = {**os.environ, **marked.environment}
            subprocess.run([sys.executable, "-c", code], stdin=reading, env=environment, check=True)
        for marked in (ours, others):
            (pid,) = wait_until(lambda marked=marked: len(pids := marked.pids()) == 1 and pids)
            wait_until(lambda marked=marked: any(line.endswith(b"\0secret\0") for line in marked.command_lines()))
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda marked=marked: not marked.pids())
    finally:
        os.close(reading)
        os.close(writing)


def test_memory_is_that_of_a_process_of_its_own():
    need_proc()
    fillings = "x = bytes(1) * arguments['n']"
    assert memory_needed(f"{fillings}\ndel x", n=200_000_000) > 190_000_000
    assert memory_needed("pass", before=f"{fillings}\ndel x", n=200_000_000) < 190_000_000
    assert memory_needed("pass") < 10_000_000


@pytest.mark.parametrize(("ci", "ends"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_is_missing_skips_a_test_and_fails_it_in_continuous_integration(
    monkeypatch: pytest.MonkeyPatch, ci: str, ends: type[BaseException]
):
    monkeypatch.setenv("CI", ci)
    need("sand", "there", "the desert")
    need_modules("json", extra="none")
    assert Path(need_program("no-such-program", "python3", remedy="")).is_file()
    with pytest.raises(ends, match="needs sand: the desert"):
        need("sand", None, "the desert")
    with pytest.raises(ends, match=r"needs no_such_module: pip install 'tf-tokclf\[x\]'"):
        need_modules("no_such_module", extra="x")
    with pytest.raises(ends, match="needs no-such-program: apt-get"):
        need_program("no-such-program", remedy="apt-get")
    monkeypatch.setenv("TF_TOKCLF_WITHOUT", "that,no_such_module")
    with pytest.raises(pytest.skip.Exception, match="this environment leaves no_such_module out"):
        need_modules("no_such_module", extra="x")


# What a test could look at or change that it does not own, and the files that may: the helpers that take care.
SHARED = {
    r"importorskip|pytest\.skip\(|shutil\.which": {"tests/requirements.py"},
    r"skipif": {"tests/model/test_memory.py", "tests/reliability/test_memory_limits.py"},  # of other systems
    r"getrusage|ru_maxrss|psutil|pgrep": {"tests/model/test_memory.py"},  # page faults of its own process
    r"\"/proc\"|/proc/\[|/proc/\{": {"tests/processes.py", "tests/requirements.py"},
    # test_hub.py: no sooner than asked. test_step_losses.py: not longer than the time that passed.
    r"time\.monotonic|perf_counter": {"tests/waiting.py", "tests/test_hub.py", "tests/training/test_step_losses.py"},
    # test_faults.py only writes such lines for processes that it starts.
    r"os\.environ\[[^]]*\] *=(?!=)|os\.environ\.(update|clear|pop|setdefault)": {
        "tests/isolation.py",
        "tests/killing.py",
        "tests/reliability/test_faults.py",
    },
    # killing.py changes only the folder of the processes that it starts, and test_files.py puts the mask back.
    r"os\.chdir|os\.umask": {
        "tests/killing.py",
        "tests/reliability/bad_inputs/cells.py",
        "tests/reliability/test_faults.py",
        "tests/test_files.py",
    },
    r"resource\.setrlimit|\bos\.sete?uid": {
        "tests/killing.py",
        "tests/processes.py",
        "tests/reliability/test_memory_limits.py",
    },
    r"gettempdir|\"/tmp|mkdtemp|NamedTemporaryFile": {"tests/isolation.py"},
    # killing.py binds a name of its own, and not a port.
    r"\.bind\(": {"tests/killing.py", "tests/ports.py", "tests/reliability/bad_inputs/cells.py"},
    r"range\(\d+\):\s*\n\s*time\.sleep": set(),
}


@pytest.mark.parametrize("pattern", SHARED)
def test_only_helpers_touch_what_tests_share(pattern: str):
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found - SHARED[pattern] == set()
