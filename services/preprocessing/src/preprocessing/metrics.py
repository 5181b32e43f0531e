"""All metrics of the preprocessing service."""

from functools import cache

from grpc import StatusCode
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The instruments, registered once per process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        call_seconds = Histogram(
            "preprocessing_call_seconds",
            "Time of one gRPC call, by method and status, waiting included.",
            ["method", "code"],
            buckets=_SECONDS,
            registry=registry,
        )
        pictures = Counter(
            "preprocessing_pictures_transformed_total",
            "Pictures turned into rows.",
            ["feature_spec"],
            registry=registry,
        )
        self.waiting = Gauge("preprocessing_queue_waiting", "Calls that wait for their turn.", registry=registry)
        # Looking up a label set costs more than counting: each is looked up once. Methods, codes and specs are few.
        self._call_seconds = cache(call_seconds.labels)
        self._pictures = cache(pictures.labels)

    def observe(self, method: str, code: StatusCode, seconds: float) -> None:
        """Count one answered call by the path of its method."""
        self._call_seconds(method.rpartition("/")[2], code.name).observe(seconds)

    def count(self, feature_spec: str, pictures: int) -> None:
        """Count pictures that became rows."""
        self._pictures(feature_spec).inc(pictures)
