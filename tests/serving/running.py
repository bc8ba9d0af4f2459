"""Servers to ask: in a thread of this process, or as `tf-tokclf serve` in one of their own, both on loopback."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.serving.server import listening_socket


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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
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
    """The value of a line of /metrics, asked for again while the server does not come to answer in time."""
    text = wait_until(lambda: (answer := ask(port, "/metrics")).status == 200 and answer.text)
    found = re.search(rf"^{re.escape(name)} (.*)$", text, re.MULTILINE)
    assert found, f"no {name} in:\n{text}"
    return float(found[1])


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
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.port = 0

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> ServeProcess:
        try:
            self.port = wait_until(self._own_port)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _own_port(self) -> int:
        """What it says that it listens on; 0 as long as it does not."""
        assert self.process.poll() is None, self.log
        found = re.search(r"serving on http://127\.0\.0\.1:(\d+)", self.log)
        return int(found[1]) if found else 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, number: int) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=LIMIT_S)
