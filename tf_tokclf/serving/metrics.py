"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from tf_tokclf.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counts of one server."""

    def __init__(self, model_name: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("tf_tokclf_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "tf_tokclf_request_seconds",
            "From a request's headers to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_hand = Gauge("tf_tokclf_requests_in_hand", "Requests that are not answered yet.", registry=registry)
        self.texts = Counter("tf_tokclf_texts", "Texts labelled.", registry=registry)
        self.words = Counter("tf_tokclf_words", "Words labelled.", registry=registry)
        self.batch_texts = Histogram(
            "tf_tokclf_batch_texts", "Texts that ran together.", buckets=_SIZES, registry=registry
        )
        self.batch_requests = Histogram(
            "tf_tokclf_batch_requests", "Requests whose texts ran together.", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "tf_tokclf_batch_seconds", "Time of a batch in the model.", buckets=_SECONDS, registry=registry
        )
        self.closed_connections = Counter(
            "tf_tokclf_closed_connections",
            "Connections that the server closed without answering a request.",
            ["reason"],
            registry=registry,
        )
        about = Info("tf_tokclf", "What is served.", registry=registry)
        about.info({"model": model_name, "version": __version__})

    def watch_waiting(self, n_waiting: Callable[[], float]) -> None:
        """Show `n_waiting()` as the texts that wait."""
        waiting = Gauge("tf_tokclf_waiting_texts", "Texts of requests that wait for the model.", registry=self.registry)
        waiting.set_function(n_waiting)

    def watch_connections(self, n_open: Callable[[], float]) -> None:
        """Show `n_open()` as the open connections."""
        connections = Gauge("tf_tokclf_connections", "Open connections.", registry=self.registry)
        connections.set_function(n_open)

    def count_connection(self, reason: str) -> None:
        """Note a connection that the server closed."""
        self.closed_connections.labels(reason).inc()

    def count_batch(self, n_requests: int, n_texts: int, seconds: float) -> None:
        """Note a batch that ran."""
        self.batch_requests.observe(n_requests)
        self.batch_texts.observe(n_texts)
        self.batch_seconds.observe(seconds)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Note an answer."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
