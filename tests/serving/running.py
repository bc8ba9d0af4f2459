"""Servers to ask: in a thread of this process, or as `tf-tokclf serve` in one of their own, both on loopback."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from tf_tokclf.serving.server import listening_socket

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)

    @property
    def detail(self) -> str:
        """What is wrong."""
        return self.json["detail"]


def ask(port: int, path: str, body: Any = None, *, content_type: str = "application/json") -> Answer:
    """GET `path`, or POST `body` (bytes, or what is sent as JSON) to it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", path, sent, {"Content-Type": content_type})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read().decode())
    finally:
        connection.close()


def predict(port: int, **request: Any) -> Answer:
    """POST to /predict."""
    return ask(port, "/predict", request)


def metric(port: int, name: str) -> float:
    """The value of a line of /metrics."""
    text = ask(port, "/metrics").text
    found = re.search(rf"^{re.escape(name)} (.*)$", text, re.MULTILINE)
    assert found, f"no {name} in:\n{text}"
    return float(found[1])


def wait_until(condition: Any, *, seconds: float = 20) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


@contextmanager
def served(app: Any) -> Iterator[int]:
    """The port of a server of this process that serves `app`."""
    listening = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(app, access_log=False, log_config=None, log_level="error", timeout_graceful_shutdown=30)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    port = listening.getsockname()[1]
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield port
    finally:
        server.should_exit = True
        thread.join()


class ServeProcess:
    """`tf-tokclf serve MODEL OPTIONS`, on a port of its own."""

    def __init__(self, model: Path, folder: Path, *options: str) -> None:
        self._log = folder / "serve.log"
        command = [sys.executable, "-m", "tf_tokclf", "serve", str(model), "--port", "0", *options]
        with self._log.open("wb") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        self.port = 0

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> ServeProcess:
        try:
            self.port = self._own_port(seconds=300)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _own_port(self, *, seconds: float) -> int:
        """What it says that it listens on, as soon as it does."""
        end = time.monotonic() + seconds
        while not (found := re.search(r"serving on http://127\.0\.0\.1:(\d+)", self.log)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.05)
        return int(found[1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, number: int) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


def is_listening(port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
