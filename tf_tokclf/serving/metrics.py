"""The metrics of a server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from tf_tokclf.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one server."""

    def __init__(self, model_name: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("tf_tokclf_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "tf_tokclf_request_seconds",
            "Time from the headers of a request to the end of its response.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_hand = Gauge("tf_tokclf_requests_in_hand", "Unanswered requests.", registry=registry)
        self.texts = Counter("tf_tokclf_texts", "Texts labelled.", registry=registry)
        self.words = Counter("tf_tokclf_words", "Words labelled.", registry=registry)
        self.batch_texts = Histogram("tf_tokclf_batch_texts", "Texts in a batch.", buckets=_SIZES, registry=registry)
        self.batch_requests = Histogram(
            "tf_tokclf_batch_requests", "Requests in a batch.", buckets=_SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "tf_tokclf_batch_seconds", "Time of the model for a batch.", buckets=_SECONDS, registry=registry
        )
        self.closed_connections = Counter(
            "tf_tokclf_closed_connections",
            "Connections that the server closed without answering a request.",
            ["reason"],
            registry=registry,
        )
        about = Info("tf_tokclf", "Model and version.", registry=registry)
        about.info({"model": model_name, "version": __version__})

    def watch_waiting(self, n_waiting: Callable[[], float]) -> None:
        """Report `n_waiting()` as the number of waiting texts."""
        waiting = Gauge("tf_tokclf_waiting_texts", "Texts that wait for the model.", registry=self.registry)
        waiting.set_function(n_waiting)

    def watch_connections(self, n_open: Callable[[], float]) -> None:
        """Report `n_open()` as the number of open connections."""
        connections = Gauge("tf_tokclf_connections", "Open connections.", registry=self.registry)
        connections.set_function(n_open)

    def count_connection(self, reason: str) -> None:
        """Count a connection that the server closed."""
        self.closed_connections.labels(reason).inc()

    def count_batch(self, n_requests: int, n_texts: int, seconds: float) -> None:
        """Count a batch."""
        self.batch_requests.observe(n_requests)
        self.batch_texts.observe(n_texts)
        self.batch_seconds.observe(seconds)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a response."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)
