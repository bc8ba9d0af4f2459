"""The application in this process: responses, refusals, metrics, and what it does not reveal."""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import re
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.documentation import ROOT, asks_a_server, blocks, pipelines
from tests.encoders import make_panicking
from tests.serving.running import Gated, ask, metric, predict, served
from tests.waiting import LIMIT_S, wait_until
from tf_tokclf.errors import UserError
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.serving.hosts import AllowedHosts
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.server import listening_socket
from tf_tokclf.serving.service import Service

PAGE = ROOT / "docs" / "serving.md"

TEXTS = ["ada lovelace visited london .", "", "grace left  oslo", "x 😀 ada\n\nrome", "ada " * 60]


@contextmanager
def server_of(tagger: Tagger, hosts: Sequence[str] = (), **limits: Any) -> Iterator[int]:
    service = Service(tagger, "tests/tiny", Limits(**limits))
    service.start()
    with served(service, AllowedHosts.parse(hosts)) as port:
        yield port


@pytest.fixture(scope="module")
def port(tagger: Tagger) -> Iterator[int]:
    with server_of(tagger, max_texts=8, max_length=500, max_body_bytes=20_000) as port:
        yield port


def same(answers: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    """Compare records, with a tolerance for scores."""
    assert len(answers) == len(records)
    for answer, record in zip(answers, records):
        assert list(answer) == list(record)
        for name, value in record.items():
            if name == "scores":
                assert answer[name] == pytest.approx(value, abs=2e-5)
            elif name == "spans":
                assert [{**one, "score": 0} for one in answer[name]] == [{**one, "score": 0} for one in value]
                assert [one["score"] for one in answer[name]] == pytest.approx(
                    [one["score"] for one in value], abs=2e-5
                )
            elif name == "top":
                assert [[one["label"] for one in word] for word in answer[name]] == [
                    [one["label"] for one in word] for word in value
                ]
            else:
                assert answer[name] == value


def test_answers_are_the_records_of_predict(port: int, predicted):
    answer = predict(port, inputs=TEXTS)
    assert answer.status == 200
    same(answer.json["predictions"], predicted(TEXTS))
    assert any(one["spans"] for one in answer.json["predictions"])


def test_a_text_alone_is_a_list_of_one(port: int, predicted):
    same(predict(port, inputs=TEXTS[0]).json["predictions"], predicted(TEXTS[:1]))
    assert predict(port, inputs=[]).json == {"predictions": []}


def test_words_stay_as_they_are(port: int, predicted):
    words = [["ada", "lovelace-x", "", "left", "oslo"], [], ["New York", "."]]
    same(predict(port, inputs=words).json["predictions"], predicted(words))


def test_options_are_those_of_predict(port: int, predicted):
    options = ["--threshold", "0.6", "--top-k", "2", "--offset-unit", "utf16"]
    answer = predict(port, inputs=TEXTS, threshold=0.6, top_k=2, offset_unit="utf16")
    same(answer.json["predictions"], predicted(TEXTS, *options))
    assert len(answer.json["predictions"][0]["top"][0]) == 2


def test_a_whole_number_is_one_however_it_is_written(port: int):
    answer = ask(port, "/predict", b'{"inputs": "ada", "top_k": 2.0}')
    assert len(answer.json["predictions"][0]["top"][0]) == 2
    assert "valid integer" in ask(port, "/predict", b'{"inputs": "ada", "top_k": 2.5}').detail


def test_words_and_spans_can_be_left_out(port: int):
    (only_spans,) = predict(port, inputs=TEXTS[0], words=False).json["predictions"]
    assert list(only_spans) == ["text", "spans"]
    (only_words,) = predict(port, inputs=TEXTS[0], spans=False).json["predictions"]
    assert list(only_words) == ["text", "words", "labels", "scores"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"inputs": "a" * 501}, "inputs: String should have at most 500 characters"),
        ({"inputs": ["a", "a" * 501]}, "inputs[1]: String should have at most 500 characters"),
        ({"inputs": ["a"] * 9}, "inputs: List should have at most 8 items, not 9"),
        ({"inputs": [["a"] * 501]}, "inputs[0]: List should have at most 500 items, not 501"),
        ({"inputs": [["a"], "b"]}, "inputs[1]: Input should be a valid list"),
        ({"inputs": ["a", 3]}, "inputs[1]: Input should be a valid string"),
        ({"inputs": 3}, "inputs: must be a text, a list of texts, or a list of lists of words"),
        ({"inputs": None}, "inputs: must be a text"),
        ({"inputs": "\ud800"}, "inputs: Input should be a valid string, unable to parse raw data as a unicode"),
        ({}, "inputs: is required"),
        (b"", "the body: must be a JSON object, sent as application/json"),
        ({"inputs": "a", "threshold": 1.5}, "threshold: Input should be less than or equal to 1"),
        ({"inputs": "a", "threshold": float("nan")}, "threshold: "),
        ({"inputs": "a", "top_k": True}, "top_k: Input should be a valid integer"),
        (
            {"inputs": "a", "treshold": 0.5},
            "treshold: there is no such field; the fields are inputs, threshold, top_k, words,",
        ),
        ({"inputs": list(range(8))}, "and 3 more"),
        (["a"], "the body: must be a JSON object"),
        (b'{"inputs": "a"', "the body: is not valid JSON (Expecting ',' delimiter at character 14)"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(port: int, request_: Any, message: str):
    answer = ask(port, "/predict", request_)
    assert answer.status == 422
    assert message in answer.detail


@pytest.mark.parametrize("body", [b'{"inputs": "\xff"}', b"[" * 15_000, b"1" * 5_000])
def test_what_no_reader_gets_through_is_said(port: int, body: bytes):
    answer = ask(port, "/predict", body)
    assert answer.status == 400
    assert answer.detail == "the body is not UTF-8, is nested too deeply, or contains a number with too many digits"


def test_a_body_of_another_type_is_told_the_right_one(port: int):
    answer = ask(port, "/predict", {"inputs": "a"}, content_type="text/plain")
    assert (answer.status, answer.detail) == (422, "the body: must be a JSON object, sent as application/json")


def test_a_threshold_needs_spans(tagger: Tagger):
    from tf_tokclf.labels.label_set import LabelSet
    from tf_tokclf.labels.schemes import Scheme

    labels = LabelSet(tagger.labels.names, Scheme.NONE)
    without_spans = Tagger(tagger.forward_pass, tagger.tokenizer, replace(tagger.info, labels=labels))
    with server_of(without_spans) as port:
        answer = predict(port, inputs="ada", threshold=0.5)
        assert (answer.status, answer.detail) == (
            422,
            "threshold applies to spans, but the labels of this model form no spans.",
        )
        page = ask(port, "/", b"text=ada+lovelace", content_type="application/x-www-form-urlencoded").text
    assert "2 words in 2 words" in page
    assert page.count("<mark") == 2


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("n_bytes", [20_001, 150_000])
def test_large_bodies_are_refused(port: int, n_bytes: int, chunked: bool):
    body = b'{"inputs": "' + b"a" * n_bytes + b'"}'
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as connection:
        connection.request("POST", "/predict", iter([body[:9], body[9:]]) if chunked else body, encode_chunked=chunked)
        response = connection.getresponse()
        assert response.status == 413
        assert b"larger than 20,000 bytes" in response.read()


def test_a_huge_body_is_not_read_to_its_end(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000000\r\n\r\n")
        answer = b""
        try:
            while not answer:
                client.sendall(b"a" * 10_000)
                client.settimeout(0.01)
                try:
                    answer = client.recv(1000)
                except TimeoutError:
                    client.settimeout(LIMIT_S)
        except ConnectionError:
            return
        assert b" 413 " in answer


def test_a_body_that_does_not_come_is_not_waited_for(tagger: Tagger):
    with server_of(tagger, timeout_s=0.2) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as client:
            client.sendall(b'POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"inputs')
            assert b" 408 " in client.recv(1000)
        assert metric(port, 'tf_tokclf_requests_total{path="/predict",status="408"}') == 1


def test_an_answer_that_does_not_come_is_not_waited_for(tagger: Tagger):
    gated = Gated(tagger)
    with server_of(gated.tagger, timeout_s=0.2) as port:
        gated.gate.clear()
        answer = predict(port, inputs="ada")
        assert (answer.status, answer.detail) == (504, "the response was not ready within 0.2 s")
        # Any response may take too long on a busy machine.
        stuck = wait_until(lambda: (now := ask(port, "/health")).json.get("status") == "stuck" and now)
        assert stuck.status == 503
        gated.gate.set()
        wait_until(lambda: ask(port, "/health").json.get("status") == "ready")
        wait_until(lambda: predict(port, inputs="ada").status == 200)


def test_work_that_nobody_waits_for_is_given_up(tagger: Tagger):
    forward, n_windows, asked = tagger.forward_pass, [], threading.Event()

    def slow(*batch: Any) -> Any:
        # The first forward pass takes all the time of the request.
        if asked.is_set() and not n_windows:
            time.sleep(0.5)
        if asked.is_set():
            n_windows.append(len(batch[0]))
        return forward(*batch)

    with server_of(tagger.with_forward(slow), timeout_s=0.5) as port:
        asked.set()
        assert predict(port, inputs=["ada " * 1000] * 100).status == 504
        wait_until(lambda: predict(port, inputs="ada").status == 200)
    # The texts have 1,900 windows.
    assert sum(n_windows) < 100


def test_a_model_thread_that_has_ended_is_unhealthy(tagger: Tagger):
    def leave(*batch: Any) -> Any:
        raise SystemExit(3)

    service = Service(tagger.with_forward(leave), "tests/tiny", Limits(timeout_s=20))
    service._batcher.start()  # without the warm-up, which would end this thread
    with served(service) as port:
        answers = [predict(port, inputs="ada") for _ in range(2)]
        assert [(one.status, one.detail) for one in answers] == [(503, "the server is stopping")] * 2
        health = ask(port, "/health")
        assert (health.status, health.json["status"]) == (503, "failed")


def test_what_is_too_much_at_once_is_turned_away(tagger: Tagger):
    gated = Gated(tagger)
    with server_of(gated.tagger, max_texts=4, max_waiting_texts=6) as port, ThreadPoolExecutor(8) as pool:
        gated.gate.clear()
        first = pool.submit(predict, port, inputs="ada")
        assert gated.waits.wait(LIMIT_S)
        waiting = [pool.submit(predict, port, inputs=["ada"] * 3) for _ in range(2)]
        wait_until(lambda: metric(port, "tf_tokclf_waiting_texts") == 6)
        refused = predict(port, inputs="grace")
        page = ask(port, "/", b"text=grace", content_type="application/x-www-form-urlencoded")
        assert (refused.status, page.status) == (503, 503)
        assert int(refused.headers["retry-after"]) >= 1
        assert "too many texts are waiting" in refused.detail
        assert "too many texts are waiting" in page.text
        gated.gate.set()
        assert [one.result().status for one in (first, *waiting)] == [200, 200, 200]
        assert predict(port, inputs="grace").status == 200


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match="Raise --max-waiting-texts or lower --max-texts"):
        Limits(max_texts=10, max_waiting_texts=9)


def test_texts_of_one_request_are_neighbours_and_those_of_others_are_not(tagger: Tagger):
    reading = replace(tagger.info.reading, context_sentences=1)
    with_context = Tagger(tagger.forward_pass, tagger.tokenizer, replace(tagger.info, reading=reading))
    texts = ["ada left", "paris .", "grace saw rome"]
    sentences = Service(with_context, "m", Limits()).sentences_of(texts)
    alone = [next(with_context.tag([one])).scores for one in sentences]
    together = [one.scores for one in with_context.tag(sentences)]
    assert alone != [pytest.approx(scores, abs=1e-4) for scores in together]
    gated = Gated(with_context)
    with server_of(gated.tagger) as port, ThreadPoolExecutor(8) as pool:
        gated.gate.clear()
        first = pool.submit(predict, port, inputs="ada")
        assert gated.waits.wait(LIMIT_S)
        singly = [pool.submit(predict, port, inputs=text) for text in texts]
        jointly = pool.submit(predict, port, inputs=texts)
        wait_until(lambda: metric(port, "tf_tokclf_waiting_texts") == 6)
        gated.gate.set()
        assert first.result().status == 200
        scores = [answer.result().json["predictions"][0]["scores"] for answer in singly]
        assert scores == [pytest.approx(one, abs=1e-4) for one in alone]
        scores = [one["scores"] for one in jointly.result().json["predictions"]]
        assert scores == [pytest.approx(one, abs=1e-4) for one in together]
        assert metric(port, "tf_tokclf_batch_texts_sum") == 7


def test_a_model_that_fails_is_answered_and_logged_without_the_text(tagger: Tagger, caplog: pytest.LogCaptureFixture):
    gated = Gated(tagger)

    def failing(input_ids: Any, *rest: Any) -> Any:
        if input_ids.shape[1] > 40:
            raise ValueError(f"secret {input_ids.tolist()}")
        return gated(input_ids, *rest)

    with server_of(tagger.with_forward(failing)) as port:
        answer = predict(port, inputs="secret " * 30)
        page = ask(port, "/", b"text=" + b"secret+" * 30, content_type="application/x-www-form-urlencoded")
        assert (answer.status, page.status) == (500, 500)
        assert "the model failed on this request" in answer.detail
        assert "the model failed on this request" in page.text
        assert predict(port, inputs="ada").status == 200
    assert "ValueError in a batch" in caplog.text
    assert "secret [" not in caplog.text


def test_a_text_that_the_tokenizer_panics_on_fails_alone(
    tiny_classifier: Path, tmp_path: Path, predicted: Callable[..., Any], caplog: pytest.LogCaptureFixture
):
    gated = Gated(Tagger.load(make_panicking(tiny_classifier, tmp_path / "panics")))
    with server_of(gated.tagger) as port, ThreadPoolExecutor(8) as pool:
        gated.gate.clear()
        first = pool.submit(predict, port, inputs="ada")
        assert gated.waits.wait(LIMIT_S)
        # These run in one batch.
        others = [pool.submit(predict, port, inputs=text) for text in TEXTS[:3]]
        panicking = [pool.submit(predict, port, inputs=text) for text in ("secret 😀", "grace 😀")]
        wait_until(lambda: metric(port, "tf_tokclf_waiting_texts") == 5)
        gated.gate.set()
        assert first.result().status == 200
        assert [one.result().status for one in panicking] == [500, 500]
        assert "the model failed on this request" in panicking[0].result().detail
        answers = [one.result().json["predictions"][0] for one in others]
        page = ask(port, "/", "text=😀".encode(), content_type="application/x-www-form-urlencoded")
        assert page.status == 500
        assert predict(port, inputs="ada").status == 200
        assert ask(port, "/health").json["status"] == "ready"
    assert caplog.text.count("UserError, caused by PanicException in a batch") == 3
    assert "secret" not in caplog.text
    same(answers, predicted(TEXTS[:3]))


class Panic(BaseException):
    """Like the panics of Rust libraries, which `except Exception` does not catch."""


@pytest.mark.parametrize("kind", [RuntimeError, Panic])
def test_what_else_fails_is_answered_and_logged_without_its_message(
    tagger: Tagger, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
):
    def failing(self: Service, inputs: Any) -> Any:
        raise kind(f"about {inputs}")

    monkeypatch.setattr(Service, "sentences_of", failing)
    with server_of(tagger) as port:
        answer = predict(port, inputs="secret")
        assert (answer.status, answer.detail) == (500, "the server failed; see its log")
        assert metric(port, 'tf_tokclf_requests_total{path="/predict",status="500"}') == 1
    assert f"{kind.__name__} in a request" in caplog.text
    assert "secret" not in caplog.text


def test_requests_texts_and_batches_are_counted(tagger: Tagger):
    with server_of(tagger) as port:
        predict(port, inputs=["ada left oslo", "rome"])
        ask(port, "/predict", {"inputs": 3})
        ask(port, "/predict")
        ask(port, "/no/such/page")
        answer = ask(port, "/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        for name, value in {
            'tf_tokclf_requests_total{path="/predict",status="200"}': 1,
            'tf_tokclf_requests_total{path="/predict",status="422"}': 1,
            'tf_tokclf_requests_total{path="/predict",status="405"}': 1,
            'tf_tokclf_requests_total{path="other",status="404"}': 1,
            "tf_tokclf_texts_total": 2,
            "tf_tokclf_words_total": 4,
            "tf_tokclf_batch_texts_sum": 2,
            "tf_tokclf_batch_requests_count": 1,
            "tf_tokclf_waiting_texts": 0,
            "tf_tokclf_requests_in_hand": 1,
        }.items():
            assert metric(port, name) == value, name


def test_health_says_what_is_served(port: int):
    answer = ask(port, "/health")
    assert (answer.status, answer.json["status"], answer.json["model"]) == (200, "ready", "tests/tiny")
    assert answer.json["labels"][0] == "O"


def test_the_page_escapes_what_it_shows(port: int):
    body = b"text=%3Cscript%3Ealert(1)%3C/script%3E+ada+%E2%80%AE%1B%5B2J%0D%0A%22%3E"
    answer = ask(port, "/", body, content_type="application/x-www-form-urlencoded")
    assert answer.status == 200
    assert "<script" not in answer.text
    assert "&lt;" in answer.text
    assert "\u202e" not in answer.text.partition("<textarea")[0]
    assert "\x1b" not in answer.text.partition("<textarea")[0]


def test_the_page_fetches_nothing_and_is_kept_nowhere(port: int):
    answer = ask(port, "/")
    assert "script" not in answer.text
    assert " src=" not in answer.text
    assert "http" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_the_page_says_when_a_text_is_too_long(port: int):
    answer = ask(port, "/", b"text=" + b"a" * 501, content_type="application/x-www-form-urlencoded")
    assert answer.status == 422
    assert "The text has 501 characters; the limit is 500." in answer.text


def test_a_connection_serves_request_after_request(port: int):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as connection:
        for i in range(20):
            body = json.dumps({"inputs": "ada " * i, "spans": False})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            assert connection.getresponse().read().count(b'"ada"') == i


def test_answers_on_an_open_connection_wait_for_no_acknowledgement():
    with listening_socket("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_clients_that_go_away_leave_nothing_behind(tagger: Tagger):
    gated = Gated(tagger)
    with server_of(gated.tagger, timeout_s=LIMIT_S) as port, ExitStack() as clients:
        gated.gate.clear()
        for _ in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
            clients.enter_context(closing(connection))
            connection.request("POST", "/predict", '{"inputs": "ada"}', {"Content-Type": "application/json"})
        # The request for this number counts too.
        wait_until(lambda: metric(port, "tf_tokclf_requests_in_hand") == 21)
        clients.close()
        gated.gate.set()
        assert predict(port, inputs="ada").status == 200
        wait_until(lambda: metric(port, "tf_tokclf_requests_in_hand") == 1)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.1.2.3",
        "[::1]",
        "[::1]:80",
    ],
)
def test_names_of_this_machine_are_answered(port: int, host: str):
    assert ask(port, "/health", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "[2001:db8::1]",
        "localhost@evil.example",
        "localhost/evil.example",
        "localhost evil.example",
        "::1",
        "[::1",
        "[localhost]",
        "localhost:port",
        "",
        "*",
    ],
)
@pytest.mark.parametrize("path", ["/", "/predict", "/health", "/metrics", "/docs", "/openapi.json", "/none"])
def test_other_names_are_refused(port: int, host: str, path: str):
    body = {"inputs": "ada"} if path == "/predict" else None
    answer = ask(port, path, body, host=host)
    assert (answer.status, answer.detail) == (400, "the server does not accept this Host; see --allowed-host")


def test_a_request_without_host_is_refused(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as client:
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert b" 400 " in client.recv(1000)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/health", 200),
        ("HTTP://127.0.0.1:8000/health/?a=b", 200),
        ("http://localhost", 200),
        ("http://localhost/none", 404),
        ("http://evil.example/health", 400),
        ("http://localhost@evil.example/health", 400),
        ("http:///health", 400),
    ],
)
def test_a_first_line_with_a_whole_address(target: str, status: int, port: int):
    """Every server must accept absolute URLs, which clients send to proxies (RFC 9112, 3.2.2)."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(1000).startswith(f"HTTP/1.1 {status} ".encode())


def test_allowed_names_are_answered(tagger: Tagger):
    with server_of(tagger, ["NER.example.org", "192.0.2.1", "2001:db8:0::1"]) as port:
        hosts = ["ner.example.org", "Ner.Example.org:443", "192.0.2.1:80", "[2001:db8::1]:80", "localhost"]
        assert [ask(port, "/health", host=host).status for host in hosts] == [200] * 5
        hosts = ["example.org", "x.ner.example.org", "192.0.2.2"]
        assert [ask(port, "/health", host=host).status for host in hosts] == [400] * 3


def test_any_name_can_be_allowed(tagger: Tagger):
    with server_of(tagger, ["*"]) as port:
        assert ask(port, "/health", host="evil.example").status == 200
        assert ask(port, "/health", host="'; rm -rf").status == 400


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/docs", "/openapi.json", "/none"])
def test_head_is_get_without_a_body(port: int, path: str):
    get, head = ask(port, path), ask(port, path, method="HEAD")
    assert (head.status, head.text) == (get.status, "")
    for name in ("content-type", "content-security-policy"):
        assert head.headers.get(name) == get.headers.get(name)
    if path not in ("/metrics",):
        assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json"])
def test_a_slash_at_the_end_changes_nothing_and_leads_nowhere(port: int, path: str):
    answer = ask(port, f"{path}/")
    assert answer.status == 200
    assert "location" not in answer.headers
    assert metric(port, f'tf_tokclf_requests_total{{path="{path}",status="200"}}') >= 1


def test_predict_may_end_in_a_slash_too(port: int):
    assert ask(port, "/predict/", {"inputs": "ada"}).json == predict(port, inputs="ada").json


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/", "GET, HEAD, POST"), ("/predict", "POST"), ("/health", "GET, HEAD"), ("/docs", "GET, HEAD")],
)
def test_methods_that_a_path_does_not_have_are_answered_with_those_it_has(port: int, path: str, allowed: str):
    answer = ask(port, path, method="DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert answer.detail == f"this path does not support DELETE; it supports {allowed}"


def test_the_python_code_in_the_documentation_prints_spans(port: int, capsys: pytest.CaptureFixture[str]):
    (code,) = blocks(PAGE, "python")
    assert "http://127.0.0.1:8000/" in code.text
    exec(code.text.replace(":8000/", f":{port}/"), names := {})
    spans = [span for prediction in names["predictions"] for span in prediction["spans"]]
    printed = [f"{span['type']} {span['text']} {span['score']}" for span in spans]
    assert capsys.readouterr().out.splitlines() == printed
    assert printed


def test_the_documentation_shows_requests_and_a_response_as_they_are(port: int):
    sent = [
        json.loads(command[command.index("--data") + 1])
        for block in blocks(PAGE, "bash")
        for pipeline in pipelines(block)
        for command in pipeline.commands
        if asks_a_server(command)
    ]
    assert len(sent) == 3
    assert [ask(port, "/predict", request).status for request in sent] == [200, 200, 200]
    (shown,) = [json.loads(block.text) for block in blocks(PAGE, "json") if "predictions" in block.text]
    found = predict(port, inputs=shown["predictions"][0]["text"]).json
    assert found.keys() == shown.keys()
    assert list(found["predictions"][0]) == list(shown["predictions"][0])
    assert list(found["predictions"][0]["spans"][0]) == list(shown["predictions"][0]["spans"][0])


def test_an_unknown_path_is_told_where_the_paths_are_listed(port: int):
    answer = ask(port, "/label", {"inputs": "ada"})
    assert (answer.status, answer.detail) == (404, "there is no such path; /docs lists the paths")


def test_the_page_has_its_style_and_no_other(port: int):
    answer = ask(port, "/", b"text=ada+visited+london", content_type="application/x-www-form-urlencoded")
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert " style=" not in answer.text


def test_the_api_is_described(port: int):
    answer = ask(port, "/docs")
    document = ask(port, "/openapi.json").json
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            assert f"<code>{method.upper()} {path}</code>" in answer.text
            assert set(about["responses"]) <= set(re.findall(r'<th scope="row">(\d+)</th>', answer.text))
    for name, schema in document["components"]["schemas"].items():
        assert f'<h2 id="schema-{name}">{name}</h2>' in answer.text
        for key, about in schema["properties"].items():
            assert f"<code>{key}</code>" in answer.text
            assert html.escape(about["description"], quote=False) in html.unescape(answer.text)
    assert f"http://127.0.0.1:{port}/predict</code>" in answer.text


def test_the_command_in_the_description_works(port: int):
    command = html.unescape(re.search(r"<code>(curl --header.*?)</code>", ask(port, "/docs").text, re.DOTALL)[1])
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    data = words[words.index("--data") + 1]
    assert urlsplit(words[-1]).path == "/predict"
    assert ask(port, "/predict", data.encode()).status == 200


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_description_runs_and_fetches_nothing_and_its_links_lead_somewhere(port: int, path: str):
    answer = ask(port, path)
    assert not re.search(r"<script|<link|<img|<iframe| src=| on\w+=|@import|url\(", answer.text)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    links = re.findall(r'href="([^"]*)"', answer.text)
    assert len(links) > 5
    for link in links:
        url = urljoin(f"http://127.0.0.1:{port}{path}", link)
        assert url.startswith(f"http://127.0.0.1:{port}/")
        assert ask(port, urlsplit(url).path).status == 200
        if anchor := urlsplit(url).fragment:
            assert f'id="{anchor}"' in answer.text


def test_the_description_escapes_the_model_s_name(tagger: Tagger):
    service = Service(tagger, "<script>alert(1)</script>\u202e", Limits())
    service.start()
    with served(service) as port:
        for path in ("/", "/docs"):
            text = ask(port, path).text
            assert "<script" not in text
            assert "\u202e" not in text
