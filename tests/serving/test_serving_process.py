"""`tf-tokclf serve` as a process: many clients at once, the end of it, and what it prints."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.serving.running import Answer, ServeProcess, ask, metric, predict
from tests.serving.test_app import same
from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.cli.main import cli

WORDS = ("ada", "grace", "london", "oslo", "visited", "left", "x", "-", ".")


def texts_of(seed: int, n: int, longest: int) -> list[str]:
    """Different texts, short and long."""
    rng = np.random.default_rng(seed)
    return [f"{i} " + " ".join(rng.choice(WORDS, rng.integers(0, longest))) for i in range(n)]


def test_nothing_is_lost_or_mixed_up_under_concurrency(server: ServeProcess, predicted):
    texts = texts_of(3, 600, 40)
    requests = [texts[i : i + 1 + i % 5] for i in range(0, 600, 5)] + [[text] for text in texts[::3]]
    # Other tests ask the same server.
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
    """How many requests have run in batches, and in how many."""
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
    """Whether no connection is taken there any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_stopping_finishes_what_is_in_flight(tiny_classifier: Path, tmp_path: Path, predicted):
    texts = texts_of(5, 1000, 60)
    requests = [texts[i : i + 50] for i in range(0, 1000, 50)]
    answers: dict[int, Answer] = {}

    def client(i: int) -> None:
        answers[i] = predict(process.port, inputs=requests[i])

    limits = ("--max-waiting-texts", "5000", "--max-batch-texts", "8", "--timeout-s", str(LIMIT_S))
    with ServeProcess(tiny_classifier, tmp_path, *limits) as process:
        port = process.port
        # One that has begun and is kept from ending, so that something is in flight however fast the server is.
        late = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        body = json.dumps({"inputs": texts[0]}).encode()
        late.putrequest("POST", "/predict")
        late.putheader("Content-Type", "application/json")
        late.putheader("Content-Length", str(len(body)))
        late.endheaders(body[:5])
        threads = [threading.Thread(target=client, args=[i]) for i in range(len(requests))]
        for thread in threads:
            thread.start()
        # All have come: these, the late one and the question how many there are.
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


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(cli, ["serve", str(tmp_path / "no-model"), "--port", str(port)])
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: port {port} of 127.0.0.1 is taken. Choose another with --port; 0 takes one that is free.\n"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["./nothing"], "there is no model folder ./nothing"),
        (["x", "--host", "no.such.host.invalid"], "there is no host 'no.such.host.invalid'"),
        (["x", "--host", "192.0.2.1"], "cannot listen on port 0 of 192.0.2.1"),
        (["x", "--max-texts", "2000"], "Raise --max-waiting-texts or lower --max-texts."),
        (["x", "--host", "0.0.0.0"], "Add --allowed-host NAME for each of them, or --allowed-host '*' to accept any"),
        (["x", "--host", "::"], "a server at :: needs to know by which names clients reach it."),
        (["x", "--allowed-host", "http://ner.example.org"], "Give the name alone, without scheme, port and path"),
        (["x", "--allowed-host", "ner.example.org:80"], "Give the name alone, without scheme, port and path"),
        (["x", "--allowed-host", ""], "--allowed-host '' is not the name of a host."),
        (["x", "--max-connections", "0"], "--max-connections"),
        (["x", "--headers-timeout-s", "nan"], "--headers-timeout-s"),
        (["x", "--keep-alive-s", "0"], "--keep-alive-s"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(args: list[str], message: str):
    result = CliRunner().invoke(cli, ["serve", "--port", "0", *args])
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_one_message(missing: str):
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "from tf_tokclf.cli.main import cli\ncli(['serve', 'x', '--port', '0'], prog_name='tf-tokclf')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: serving needs {missing}, which is not installed. "
        "Install it: python -m pip install 'tf-tokclf[serve]'\n"
    )


def test_the_log_of_a_server_is_short(server: ServeProcess):
    # Libraries speak too, since it runs with --verbose; the server itself says one thing.
    assert server.log.count("serving on http://127.0.0.1:") == 1
    assert "Traceback" not in server.log
    assert "Error" not in server.log


def loopback() -> str:
    """The other address of this machine; the usual one where there is no IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return "127.0.0.1"
    return "::1"


def test_the_address_to_open_is_printed(tiny_classifier: Path, tmp_path: Path):
    host = loopback()
    with ServeProcess(tiny_classifier, tmp_path, "--host", host) as process:
        assert process.url == f"http://{f'[{host}]' if ':' in host else host}:{process.port}/"
        assert process.port > 0
        for address in (process.url, f"{process.url}docs"):
            with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:
                assert answer.status == 200
        assert "whoever reaches" not in process.log
        assert ask(process.port, "/health", host="ner.example.org", address=host).status == 400


def test_the_address_to_open_is_printed_for_a_server_on_all_addresses(tiny_classifier: Path, tmp_path: Path):
    options = ("--host", "0.0.0.0", "--allowed-host", "ner.example.org", "--allowed-host", "ner")
    with ServeProcess(tiny_classifier, tmp_path, *options) as process:
        assert process.url == f"http://127.0.0.1:{process.port}/"
        assert "whoever reaches 0.0.0.0 can use the server" in process.log
        assert ask(process.port, "/health", host="ner.example.org").status == 200
        assert ask(process.port, "/health", host="example.org").status == 400


def test_the_process_ends_when_the_thread_that_runs_the_model_does(tiny_classifier: Path, tmp_path: Path):
    code = """
from tf_tokclf.serving.service import Service
tag = Service._tag
def leave(self, requests):
    if any("leave" in sentence.words for own in requests for sentence in own):
        raise SystemExit(0)
    return tag(self, requests)
Service._tag = leave
"""
    with ServeProcess(tiny_classifier, tmp_path, before=code) as process:
        assert predict(process.port, inputs="ada").status == 200
        with socket.create_connection(("127.0.0.1", process.port)):
            assert predict(process.port, inputs="please leave").status == 503
            assert process.process.wait(timeout=LIMIT_S) == 1
        assert process.log.splitlines()[-1] == (
            "Error: the thread that runs the model ended (SystemExit). Start the server again."
        )
        assert "SystemExit ended the thread that runs the model, at:" in process.log
