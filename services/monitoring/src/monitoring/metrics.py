"""All metrics of the monitoring service."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_MAX_LABELS = 200
OTHER = "other"
_DIGEST_START = len("sha256:")
_DIGEST_SHOWN = 12


class Metrics:
    """The instruments, registered once per process; labels stay few whatever the callers send."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._seen: set[tuple[str, ...]] = set()
        self.predictions = Counter(
            "monitoring_predictions_recorded_total",
            "Predictions stored, once each, by model and predicted class.",
            ["model", "label"],
            registry=registry,
        )
        self.repeated = Counter(
            "monitoring_predictions_repeated_total", "Predictions that were stored already.", registry=registry
        )
        self.refused = Counter(
            "monitoring_records_refused_total",
            "Batches, feedback and comparisons that were not stored, by reason.",
            ["reason"],
            registry=registry,
        )
        self.feedback = Counter(
            "monitoring_feedback_recorded_total",
            "Feedback stored, by whether its prediction was known then.",
            ["prediction"],
            registry=registry,
        )
        self.comparisons = Counter(
            "monitoring_comparisons_recorded_total",
            "Answers of a shadow compared with stable's, stored once each, by what came of it.",
            ["model", "stable", "shadow", "outcome"],
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "monitoring_commit_seconds", "Time of one durable commit.", buckets=_SECONDS, registry=registry
        )
        self.call_seconds = Histogram(
            "monitoring_call_seconds",
            "Time of one gRPC call, by method and status; a stream counts when it ends.",
            ["method", "code"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.waiting = Gauge(
            "monitoring_queue_waiting", "Batches and feedback that wait for the disk.", registry=registry
        )
        self.storage_failing = Gauge(
            "monitoring_storage_failing", "1 while the database takes no writes.", registry=registry
        )
        self.database_bytes = Gauge("monitoring_database_bytes", "Bytes of the database in use.", registry=registry)
        self.database_rows = Gauge("monitoring_database_predictions", "Predictions kept.", registry=registry)
        self.trimmed = Counter(
            "monitoring_predictions_trimmed_total", "Predictions that retention removed.", registry=registry
        )
        self.orphans_trimmed = Counter(
            "monitoring_orphans_trimmed_total", "Feedback removed because its prediction never came.", registry=registry
        )
        self.history_merged = Counter(
            "monitoring_history_merged_total", "Counts per minute that were merged into hours.", registry=registry
        )
        self.moved_aside = Gauge(
            "monitoring_databases_moved_aside", "Corrupt databases kept beside the current one.", registry=registry
        )

    def bounded(self, *labels: str) -> tuple[str, ...]:
        """Return them as metric labels, or "other" for each once too many were seen."""
        if labels not in self._seen:
            if len(self._seen) >= _MAX_LABELS:
                return tuple(OTHER for _ in labels)
            self._seen.add(labels)
        return labels


def shown_digest(digest: str) -> str:
    """Return a digest as labels have it: short, and still one of its kind."""
    return digest[_DIGEST_START:][:_DIGEST_SHOWN]


class QualityMetrics:
    """What labels say of the answers, by digest, and split by revision and by arm."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        quality = ["model", "digest"]
        self.accuracy = Gauge(
            "monitoring_accuracy_ratio", "Share of right answers in the window.", quality, registry=registry
        )
        self.accuracy_lower = Gauge(
            "monitoring_accuracy_lower_ratio", "Lower end of the 95 % Wilson interval.", quality, registry=registry
        )
        self.accuracy_upper = Gauge(
            "monitoring_accuracy_upper_ratio", "Upper end of the 95 % Wilson interval.", quality, registry=registry
        )
        self.labelled = Gauge(
            "monitoring_labelled_predictions", "Predictions in the window with feedback.", quality, registry=registry
        )

        split = ["model", "by", "value"]
        self.split_accuracy = Gauge(
            "monitoring_split_accuracy_ratio",
            "Share of right answers in the window, by revision of the gateway and by arm of an experiment.",
            split,
            registry=registry,
        )
        self.split_accuracy_lower = Gauge(
            "monitoring_split_accuracy_lower_ratio", "Lower end of its 95 % Wilson interval.", split, registry=registry
        )
        self.split_accuracy_upper = Gauge(
            "monitoring_split_accuracy_upper_ratio", "Upper end of its 95 % Wilson interval.", split, registry=registry
        )
        self.split_labelled = Gauge(
            "monitoring_split_labelled_predictions",
            "Predictions in the window with feedback, by revision and by arm.",
            split,
            registry=registry,
        )
