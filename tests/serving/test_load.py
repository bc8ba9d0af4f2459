"""A server among hostile clients responds to every well-formed request."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.encoders import make_panicking
from tests.killing import KillServer
from tests.processes import with_open_files
from tests.serving.running import ServeProcess, predict
from tests.serving.test_app import same
from tests.waiting import LIMIT_S

pytestmark = pytest.mark.long

CLIENTS = f"{with_open_files(4096)}\nfrom tests.serving.load import main\nmain()\nraise SystemExit"
# A time limit that is long enough for a busy machine.
PATIENT = ("--timeout-s", str(LIMIT_S))


def load(
    kill_server: KillServer, server: ServeProcess, *, n_idle: int, n_half_sent: int, texts: list[str]
) -> dict[str, Any]:
    """The result of the load."""
    done = subprocess.run(
        kill_server.command_line(server.port, n_idle, n_half_sent, before=CLIENTS),
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_well_formed_request_is_answered(
    kill_server: KillServer, tiny_classifier: Path, tmp_path: Path, predicted
):
    texts = [f"ada visited london {i}" for i in range(200)]
    model = make_panicking(tiny_classifier, tmp_path / "panics")
    # The default limit on open files of most systems.
    with ServeProcess(kill_server, model, tmp_path, *PATIENT, before=with_open_files(1024)) as server:
        found = load(kill_server, server, n_idle=1100, n_half_sent=300, texts=texts)
        assert found["statuses"] == [200]
        assert found["panicking"] == [500] * 10
        assert found["others"] == [200] * 3
        assert found["n_connections"] <= 1000
        same(found["predictions"], predicted(texts))
        assert predict(server.port, inputs="ada").status == 200
        assert "out of system resource" not in server.log


def test_connections_fit_into_the_files_that_may_be_open(
    kill_server: KillServer, tiny_classifier: Path, tmp_path: Path
):
    with ServeProcess(kill_server, tiny_classifier, tmp_path, *PATIENT, before=with_open_files(700, 700)) as server:
        assert "at most 125 connections instead of 1000, because this process may open only 700 files" in server.log
        found = load(
            kill_server, server, n_idle=900, n_half_sent=40, texts=[f"ada visited london {i}" for i in range(20)]
        )
        assert found["statuses"] == [200]
        assert found["n_connections"] <= 125
        assert "out of system resource" not in server.log
