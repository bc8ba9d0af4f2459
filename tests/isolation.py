"""Isolate each test from the user's environment and from other tests.

A plugin of pytest, which `conftest.py` beside the package loads, so that it holds for the examples in docstrings too.
"""

from __future__ import annotations

import errno
import gc
import ipaddress
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import reserved_socket

ROOT = Path(__file__).parent.parent

# What of the environment says how this machine runs programs, and what the tools of the tests tell their processes.
KEPT = {
    *("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "USER", "LOGNAME"),
    # Not PYTHONDONTWRITEBYTECODE: each command that a test starts would compile the package again in 0.4 s.
    *("PYTHONHASHSEED", "PYTHONUNBUFFERED"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM", "TF_FORCE_GPU_ALLOW_GROWTH"),
    *("CI", "TF_TOKCLF_RUNTIME_ENVIRONMENTS", "TF_TOKCLF_SHARED_DATA", "TF_TOKCLF_WITHOUT"),
}
KEPT_BEGINNINGS = ("COVERAGE_", "COV_CORE_", "CUDA_", "HYPOTHESIS_", "NVIDIA_", "PYTEST_")
LOCAL = {None, "", "localhost", socket.gethostname()}


def environment_of_tests(users: dict[str, str], *, home: Path, hub: str) -> dict[str, str]:
    """The environment variables of tests and their processes. hub: an address at which no Hub answers."""
    kept = {name: value for name, value in users.items() if name in KEPT or name.startswith(KEPT_BEGINNINGS)}
    return kept | {
        # Processes of tests import this checkout, whatever their current folder is.
        "PYTHONPATH": str(ROOT),
        # A process that is killed leaves its temporary files behind, such as those of TensorFlow's AutoGraph.
        "TMPDIR": str(home / "tmp"),
        "HOME": str(home),
        "TF_TOKCLF_CACHE": str(home / "cache"),
        "HF_ENDPOINT": hub,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        "TZ": "UTC",
    }


# Last, as pytest chooses its colours by the user's environment.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Leave the user's environment and the network, before anything that reads them is imported."""
    # Workers of pytest-xdist have the environment of the process that started them. Their folders are beside its
    # folder, and not in it, because the names of sockets must be short.
    beside = Path(os.environ["HOME"]).parent if hasattr(config, "workerinput") else None
    home = Path(tempfile.mkdtemp(prefix="tf-tokclf-tests-", dir=beside))
    (home / "tmp").mkdir()
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    nobody = reserved_socket()
    config.add_cleanup(nobody.close)
    hub = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    before = dict(os.environ)
    _replace_environment(environment_of_tests(before, home=home, hub=hub))
    config.add_cleanup(lambda: _replace_environment(before))
    sys.addaudithook(_refuse_network)


def _replace_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _refuse_network(event: str, args: tuple[Any, ...]) -> None:
    """Restrict the network access of this process to addresses of this machine."""
    if event == "socket.connect" and isinstance(args[1], tuple) and not _is_local(args[1][0]):
        raise OSError(errno.ENETUNREACH, f"tests have no network, and asked for {args[1][0]}")
    if event == "socket.getaddrinfo" and not _is_local(args[0]) and not _is_address(args[0]):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _is_local(host: Any) -> bool:
    host = host.decode() if isinstance(host, bytes) else host
    return host in LOCAL or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


# The file of the test before.
_file: Path | None = None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Reset TensorFlow's random seed before each test, as pytest-randomly does for Python and NumPy.

    Before the first test of a file, exclude all objects from garbage collection, which training triggers: the imported
    modules, and what earlier files left behind.
    """
    global _file
    if item.path != _file:
        _file = item.path
        gc.collect()
        gc.freeze()
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.random.set_seed(item.config.getoption("randomly_seed", 0) % 2**31)


@pytest.fixture(scope="session")
def _places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places")


@pytest.fixture(autouse=True)
def _apart(_places: Path) -> Iterator[None]:
    """Give each test an empty current folder, an empty cache and a terminal of a fixed size."""
    # Not by the fixture monkeypatch, whose `undo` tests may call.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=_places) as place:
        patch.setenv("TF_TOKCLF_CACHE", f"{place}/cache")
        patch.setenv("COLUMNS", "80")
        patch.setenv("LINES", "24")
        here = Path(place, "here")
        here.mkdir()
        patch.chdir(here)
        yield


@pytest.fixture(autouse=True)
def _own_messages() -> None:
    """Restore logging and the width of the terminal, which commands change, also in module fixtures."""
    ours = logging.getLogger("tf_tokclf")
    ours.handlers.clear()
    ours.propagate = True
    ours.setLevel(logging.NOTSET)
    if terminal := sys.modules.get("tf_tokclf.report.terminal"):
        terminal.stdout_console.cache_clear()
        terminal.stderr_console.cache_clear()
