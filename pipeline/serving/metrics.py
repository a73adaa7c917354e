"""What Prometheus may know: GET /metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

from pipeline.serving.lanes import Answer
from pipeline.serving.model import Model

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
PARTS = ("body", "queue", "decode", "model", "request")


class Metrics:
    """Counters of one server; a registry of its own, so that two never mix."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU seconds, memory, open files
        self._requests = Counter(
            "classifier_requests", "Answered requests.", ["endpoint", "code"], registry=registry
        )
        self._rejections = Counter(
            "classifier_rejections", "Refused requests and images.", ["reason"], registry=registry
        )
        parts = Histogram(
            "classifier_seconds",
            "Time by part: body received, waiting in the queue, decoding, model, whole request.",
            ["part"],
            buckets=SECONDS,
            registry=registry,
        )
        self._parts = {part: parts.labels(part) for part in PARTS}
        self._batch_size = Histogram(
            "classifier_batch_images",
            "Images in the batch of an answered image.",
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self._loads = Counter(
            "classifier_model_loads", "Versions loaded or refused.", ["result"], registry=registry
        )
        for result in ("loaded", "refused"):
            self._loads.labels(result)
        self._info = Gauge(
            "classifier_model_info",
            "1 for the model that answers and the provider it really runs on.",
            ["name", "version", "provider", "sha256"],
            registry=registry,
        )

    def gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a value that is looked up when somebody asks."""
        Gauge(f"classifier_{name}", description, registry=self._registry).set_function(value)

    def request(self, endpoint: str, code: int, seconds: float) -> None:
        """Count one request; `endpoint` is one of the routes, never what a client sent."""
        self._requests.labels(endpoint, str(code)).inc()
        self._parts["request"].observe(seconds)

    def body(self, seconds: float) -> None:
        """Count the time that a body took to arrive."""
        self._parts["body"].observe(seconds)

    def answer(self, answer: Answer) -> None:
        """Count one classified image."""
        self._parts["queue"].observe(answer.queue_s)
        self._parts["decode"].observe(answer.decode_s)
        self._parts["model"].observe(answer.model_s)
        self._batch_size.observe(answer.batch_size)

    def rejection(self, reason: str) -> None:
        """Count one refusal."""
        self._rejections.labels(reason).inc()

    def load(self, model: Model | None) -> None:
        """Count a version that took over, or None for one that was refused."""
        self._loads.labels("refused" if model is None else "loaded").inc()
        if model is not None:
            self._info.clear()
            labels = (model.name, model.version, model.classifier.provider, model.sha256)
            self._info.labels(*labels).set(1)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
