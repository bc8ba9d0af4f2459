"""Servers on loopback: in a thread of this process, or `tf-tokclf serve` in a process of its own."""

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

from tests.killing import KillServer
from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.serving.app import create_app
from tf_tokclf.serving.hosts import THIS_MACHINE, AllowedHosts
from tf_tokclf.serving.server import listening_socket, server_config
from tf_tokclf.serving.service import Service


@dataclass(frozen=True)
class Answer:
    """A response."""

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


def ask(
    port: int,
    path: str,
    body: Any = None,
    *,
    content_type: str = "application/json",
    method: str | None = None,
    host: str | None = None,
    address: str = "127.0.0.1",
) -> Answer:
    """GET `path`, or POST `body` to it (bytes, or a value that is sent as JSON)."""
    named = {} if host is None else {"Host": host}
    connection = http.client.HTTPConnection(address, port, timeout=LIMIT_S)
    try:
        if body is None:
            connection.request(method or "GET", path, headers=named)
        else:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method or "POST", path, sent, {"Content-Type": content_type, **named})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read().decode())
    finally:
        connection.close()


def predict(port: int, **request: Any) -> Answer:
    """POST to /predict."""
    return ask(port, "/predict", request)


def metric(port: int, name: str) -> float:
    """The value of a line of /metrics. The request is repeated if the server does not respond in time."""
    text = wait_until(lambda: (answer := ask(port, "/metrics")).status == 200 and answer.text)
    found = re.search(rf"^{re.escape(name)} (.*)$", text, re.MULTILINE)
    assert found, f"no {name} in:\n{text}"
    return float(found[1])


@contextmanager
def served(service: Service, hosts: AllowedHosts = THIS_MACHINE) -> Iterator[int]:
    """The port of a server in this process that serves `service`."""
    app = create_app(service, hosts)
    listening = listening_socket("127.0.0.1", 0)
    server = uvicorn.Server(server_config(app, service.limits, service.metrics))
    thread = threading.Thread(target=server.run, args=([listening],))
    port = listening.getsockname()[1]
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield port
    finally:
        server.should_exit = True
        thread.join()


class Gated:
    """A forward pass that waits at a gate."""

    def __init__(self, tagger: Tagger) -> None:
        self._forward = tagger.forward_pass
        self.gate = threading.Event()
        self.gate.set()
        self.waits = threading.Event()
        self.tagger = tagger.with_forward(self)

    def __call__(self, *batch: Any) -> Any:
        if not self.gate.is_set():
            self.waits.set()
        assert self.gate.wait(LIMIT_S)
        return self._forward(*batch)


class ServeProcess:
    """`tf-tokclf serve MODEL OPTIONS`, on a port of its own.

    kill_server: forks the process. None: a new process. before: Python code that runs first.
    """

    def __init__(
        self, kill_server: KillServer | None, model: Path, folder: Path, *options: str, before: str = ""
    ) -> None:
        self._log = folder / "serve.log"
        args = ("serve", str(model), "--port", "0", *options)
        if kill_server is None:
            start = f"{before}\nfrom tf_tokclf.__main__ import main\nmain()\n"
            command = [sys.executable, "-c", start, *args]
        else:
            command = kill_server.command_line(*args, before=before)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.url = ""
        self.port = 0

    @property
    def log(self) -> str:
        """Everything that it has printed."""
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> ServeProcess:
        try:
            self.url = wait_until(self._own_url)
            self.port = int(self.url.rstrip("/").rpartition(":")[2])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _own_url(self) -> str:
        """The URL in its log; empty until it listens."""
        assert self.process.poll() is None, self.log
        found = re.search(r"serving on (http://\S+:\d+/)", self.log)
        return found[1] if found else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, number: int) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=LIMIT_S)
