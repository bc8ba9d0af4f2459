"""Put load on `tf-tokclf serve` over loopback: measure its rate and response times, and check each response.

    scripts/benchmark serve runs/mine/model lines.txt [--clients 1,4,16,64] [--seconds 10]

First, `tf-tokclf predict` labels each line. Then there are three kinds of load. In the first, N clients send one line
after the other over connections that stay open, each as soon as the last response arrives. This gives the highest rate
of the server. In the second, requests are sent at a fixed rate, a share of the highest one, even if earlier ones have
no response yet. Their time begins when they should be sent. In the third, many large requests are sent at once, so that
more texts wait than the server allows. Clients and server share the machine. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tf_tokclf"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# Scores differ by rounding between batches.
TOLERANCE = 1e-4


@dataclass
class Measured:
    """The results of all clients. seconds: time of each response. statuses: number of responses by status. n_wrong:
    number of responses that differ from the output of `predict`."""

    texts: int = 0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    n_wrong: int = 0
    whole_seconds: float = 0.0

    def row(self, name: str, texts_a_batch: float) -> str:
        """A row of the table."""
        ordered = sorted(self.seconds)
        p50, p99 = (1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.99))
        n_other = sum(self.statuses.values()) - self.statuses["200"]
        return (
            f"| {name} | {self.texts / self.whole_seconds:,.0f} | {p50:.1f} | {p99:.1f} | {texts_a_batch:.1f} "
            f"| {self.statuses['200']:,} | {n_other:,} | {self.n_wrong} |"
        )


def main() -> None:
    """Start the server, put load on it, and print the results."""
    options = parse_options()
    lines = options.text.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as folder:
        expected = expected_records(options.model, lines, Path(folder))
        with server_of(options.model, Path(folder)) as port:
            load = Load(port, lines, expected, options.seconds, options.requests)
            print("| load | texts per second | p50, ms | p99, ms | texts per batch | 200 | 503, others | wrong |")
            print("|---|---|---|---|---|---|---|---|")
            rates = []
            for n_clients in map(int, options.clients.split(",")):
                name = f"{n_clients} client{'s' if n_clients > 1 else ''}, one text per request"
                measured = load.closed(name, n_clients=n_clients, n_texts=1)
                rates.append(measured.texts / measured.whole_seconds)
            rate = options.share * max(rates)
            load.open(f"{rate:,.0f} texts per second, {options.share:.0%} of the highest rate", rate=rate)
            load.closed("32 clients, 64 texts a request", n_clients=32, n_texts=64)
            statuses = load.lost_or_wrong
    print(f"\nlost: {statuses['lost']}, wrong: {statuses['wrong']}; the server stopped with exit code 0")
    sys.exit(1 if statuses["lost"] or statuses["wrong"] else 0)


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("text", type=Path, help="file with one text per line")
    parser.add_argument("--clients", default="1,4,16,64", help="numbers of clients, one measurement each")
    parser.add_argument("--seconds", type=float, default=10, help="longest time of each measurement")
    parser.add_argument("--requests", type=int, default=20_000, help="largest number of requests in each measurement")
    parser.add_argument(
        "--share", type=float, default=0.75, help="share of the highest rate that is sent at a fixed rate"
    )
    return parser.parse_args()


def expected_records(model: str, lines: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """The output of `tf-tokclf predict` for each line."""
    source, output = folder / "lines.jsonl", folder / "expected.jsonl"
    source.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    command = [*COMMAND, "predict", model, str(source), "-o", str(output), "--output-format", "jsonl", "--quiet"]
    subprocess.run(command, env=ENVIRONMENT, check=True)
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


@contextmanager
def server_of(model: str, folder: Path) -> Iterator[int]:
    """Run a server in a separate process, which must end with exit code 0. Yields its port."""
    log = folder / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen([*COMMAND, "serve", model, "--port", "0"], stderr=file, env=ENVIRONMENT)
    try:
        while not (found := re.search(r"serving on http://127\.0\.0\.1:(\d+)", log.read_text())):
            if process.poll() is not None:
                sys.exit(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield int(found[1])
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=60) != 0:
            sys.exit(f"the server ended badly:\n{log.read_text()}")
    finally:
        process.kill()
        process.wait()


class Load:
    """Sends lines to a server as requests, and records the responses."""

    def __init__(
        self, port: int, lines: Sequence[str], expected: Sequence[dict[str, Any]], seconds: float, n_requests: int
    ) -> None:
        self._port = port
        self._lines = lines
        self._expected = expected
        self._seconds = seconds
        self._n_requests = n_requests
        self._lock = threading.Lock()
        self.lost_or_wrong: Counter[str] = Counter()

    def closed(self, name: str, *, n_clients: int, n_texts: int) -> Measured:
        """Run clients that send the next request as soon as the last response has arrived."""
        return self._phase(name, n_clients=n_clients, n_texts=n_texts, due=lambda number: 0.0)

    def open(self, name: str, *, rate: float) -> Measured:
        """Send `rate` requests per second, even if earlier ones have no response yet."""
        return self._phase(name, n_clients=128, n_texts=1, due=lambda number: number / rate)

    def _phase(self, name: str, *, n_clients: int, n_texts: int, due: Callable[[int], float]) -> Measured:
        measured, numbers = Measured(), count()
        before = self._batches()
        begun = time.perf_counter()

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            while True:
                with self._lock:
                    number = next(numbers)
                at = begun + due(number)
                if number >= self._n_requests or max(at, time.perf_counter()) > begun + self._seconds:
                    break
                time.sleep(max(at - time.perf_counter(), 0))
                pause_s = self._ask(connection, number, n_texts, measured, due(number) and at)
                time.sleep(max(min(pause_s, begun + self._seconds - time.perf_counter()), 0))
            connection.close()

        threads = [threading.Thread(target=client) for _ in range(n_clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        measured.whole_seconds = time.perf_counter() - begun
        texts, batches = (after - earlier for after, earlier in zip(self._batches(), before))
        print(measured.row(name, texts / max(batches, 1)), flush=True)
        self.lost_or_wrong["lost"] += measured.statuses["lost"]
        self.lost_or_wrong["wrong"] += measured.n_wrong
        return measured

    def _ask(
        self, connection: http.client.HTTPConnection, number: int, n_texts: int, measured: Measured, due_at: float
    ) -> float:
        """Send a request and record the response. Returns how long the server asks the client to wait."""
        chosen = [(number * n_texts + i) % len(self._lines) for i in range(n_texts)]
        body = json.dumps({"inputs": [self._lines[i] for i in chosen]})
        begun = due_at or time.perf_counter()
        try:
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            status, content = str(response.status), response.read()
            retry_after_s = float(response.getheader("Retry-After") or 0)
        except (OSError, http.client.HTTPException):
            connection.close()
            status, content, retry_after_s = "lost", b"", 0.0
        seconds = time.perf_counter() - begun
        right = status != "200" or self._is_right(json.loads(content)["predictions"], chosen)
        with self._lock:
            measured.statuses[status] += 1
            measured.n_wrong += not right
            if status == "200":
                measured.texts += n_texts
                measured.seconds.append(seconds)
        return retry_after_s

    def _is_right(self, answers: list[dict[str, Any]], chosen: Sequence[int]) -> bool:
        """Whether the predictions are those of `predict`, except for rounding of the scores."""
        return len(answers) == len(chosen) and all(
            answer["text"] == self._lines[i]
            and answer["labels"] == self._expected[i]["labels"]
            and all(map(_is_near, answer["scores"], self._expected[i]["scores"]))
            for answer, i in zip(answers, chosen)
        )

    def _batches(self) -> tuple[float, float]:
        """The numbers of texts and batches that the server has processed."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        texts, batches = (re.search(rf"^tf_tokclf_batch_texts_{name} (.*)$", text, re.M) for name in ("sum", "count"))
        assert texts is not None
        assert batches is not None
        return float(texts[1]), float(batches[1])


def _is_near(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) < TOLERANCE


if __name__ == "__main__":
    main()
