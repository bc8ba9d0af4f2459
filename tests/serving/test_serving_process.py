"""`tf-tokclf serve` as a process: many clients at once, stopping, and its output."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.killing import KillServer
from tests.serving.running import Answer, ServeProcess, ask, metric, predict
from tests.serving.test_app import same
from tests.waiting import LIMIT_S, wait_until

WORDS = ("ada", "grace", "london", "oslo", "visited", "left", "x", "-", ".")


def texts_of(seed: int, n: int, longest: int) -> list[str]:
    """Different texts, short and long."""
    rng = np.random.default_rng(seed)
    return [f"{i} " + " ".join(rng.choice(WORDS, rng.integers(0, longest))) for i in range(n)]


def test_nothing_is_lost_or_mixed_up_under_concurrency(server: ServeProcess, predicted):
    texts = texts_of(3, 600, 40)
    requests = [texts[i : i + 1 + i % 5] for i in range(0, 600, 5)] + [[text] for text in texts[::3]]
    # Other tests use the same server.
    before = batched(server)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda request: predict(server.port, inputs=request), requests))
    assert {answer.status for answer in answers} == {200}
    records = dict(zip(texts, predicted(texts)))
    for request, answer in zip(requests, answers):
        same(answer.json["predictions"], [records[text] for text in request])
    n_requests, n_batches = batched(server) - before
    assert n_requests == len(requests) > n_batches


def batched(server: ServeProcess) -> np.ndarray:
    """The number of requests in batches, and the number of batches."""
    return np.array([metric(server.port, f"tf_tokclf_batch_requests_{name}") for name in ("sum", "count")])


def test_nothing_of_a_request_is_printed(server: ServeProcess):
    hidden = "zyxwv"
    requests = [
        {"inputs": f"{hidden} {hidden}"},
        {"inputs": [hidden, 3]},
        {"inputs": hidden * 1000},
        {hidden: hidden},
        f'{{"inputs": "{hidden}'.encode(),
        f"{hidden}\xff".encode("latin-1"),
    ]
    assert [ask(server.port, "/predict", one).status for one in requests] == [200, 422, 422, 422, 422, 400]
    ask(server.port, f"/?text={hidden}")
    ask(server.port, f"/{hidden}")
    ask(server.port, "/", hidden.encode(), content_type=hidden)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(f"{hidden} nothing of HTTP\r\n\r\n".encode())
        client.recv(1000)
    assert hidden not in server.log
    assert hidden not in ask(server.port, "/metrics").text


def refuses(port: int) -> bool:
    """Whether connections to the port are refused."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_stopping_finishes_what_is_in_flight(kill_server: KillServer, tiny_classifier: Path, tmp_path: Path, predicted):
    texts = texts_of(5, 1000, 60)
    requests = [texts[i : i + 50] for i in range(0, 1000, 50)]
    answers: dict[int, Answer] = {}

    def client(i: int) -> None:
        answers[i] = predict(process.port, inputs=requests[i])

    limits = ("--max-waiting-texts", "5000", "--max-batch-texts", "8", "--timeout-s", str(LIMIT_S))
    with ServeProcess(kill_server, tiny_classifier, tmp_path, *limits) as process:
        port = process.port
        # A request that has started and cannot finish, so that one is running however fast the server is.
        late = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        body = json.dumps({"inputs": texts[0]}).encode()
        late.putrequest("POST", "/predict")
        late.putheader("Content-Type", "application/json")
        late.putheader("Content-Length", str(len(body)))
        late.endheaders(body[:5])
        threads = [threading.Thread(target=client, args=[i]) for i in range(len(requests))]
        for thread in threads:
            thread.start()
        # All have arrived: these, the late one, and the request for this number.
        wait_until(lambda: metric(port, "tf_tokclf_requests_in_hand") + len(answers) >= len(requests) + 2)
        process.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(port))
        late.send(body[5:])
        answer = late.getresponse()
        last = json.loads(answer.read())
        late.close()
        assert answer.status == 200
        for thread in threads:
            thread.join()
        assert process.process.wait(LIMIT_S) == 0
        assert process.log.splitlines()[-1] == "stopped"
        assert "Traceback" not in process.log
    assert [answers[i].status for i in range(len(requests))] == [200] * len(requests)
    records = predicted(texts)
    same(last["predictions"], records[:1])
    for i, request in enumerate(requests):
        same(answers[i].json["predictions"], records[50 * i : 50 * i + len(request)])


def test_the_log_of_a_server_is_short(server: ServeProcess):
    # With --verbose, libraries log too. The server itself logs one line.
    assert server.log.count("serving on http://127.0.0.1:") == 1
    assert "Traceback" not in server.log
    assert "Error" not in server.log


def test_the_process_ends_when_the_thread_that_runs_the_model_does(
    kill_server: KillServer, tiny_classifier: Path, tmp_path: Path
):
    code = """
from tf_tokclf.serving.service import Service
tag = Service._tag
def leave(self, requests):
    if any("leave" in sentence.words for own in requests for sentence in own):
        raise SystemExit(0)
    return tag(self, requests)
Service._tag = leave
"""
    with ServeProcess(kill_server, tiny_classifier, tmp_path, before=code) as process:
        assert predict(process.port, inputs="ada").status == 200
        with socket.create_connection(("127.0.0.1", process.port)):
            assert predict(process.port, inputs="please leave").status == 503
            assert process.process.wait(timeout=LIMIT_S) == 1
        assert process.log.splitlines()[-1] == (
            "Error: the thread that runs the model ended (SystemExit). Start the server again."
        )
        assert "SystemExit ended the thread that runs the model, at:" in process.log
