"""All metrics of the preprocessing service."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The instruments, registered once per process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.call_seconds = Histogram(
            "preprocessing_call_seconds",
            "Time of one gRPC call, by method and status, waiting included.",
            ["method", "code"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.pictures = Counter(
            "preprocessing_pictures_transformed_total",
            "Pictures turned into rows.",
            ["feature_spec"],
            registry=registry,
        )
        self.waiting = Gauge("preprocessing_queue_waiting", "Calls that wait for their turn.", registry=registry)
