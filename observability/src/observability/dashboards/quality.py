"""Whether the answers are right, by digest, revision and arm, and whether what is asked has changed."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from observability.panels import AnyPanel, Query, board, curves, figure, filled

_IN = 'namespace=~"$namespace"'


def dashboard() -> Dashboard:
    """Build it."""
    begun = board(
        "quality",
        "Model quality",
        "Accuracy by digest, revision and arm with 95 % intervals, how much of it is labelled, drift and disagreement.",
        namespaces_of="monitoring_database_predictions",
    )
    rows = [
        ("Accuracy by digest", _digests()),
        ("By revision of the gateway", _split("revision")),
        ("By arm of an experiment", _split("arm")),
        ("What is asked and answered", _drift()),
        ("The storage behind these figures", _storage()),
    ]
    return filled(begun, rows)


def _digests() -> Iterator[AnyPanel]:
    names = {"accuracy": "ratio", "lower": "lower_ratio", "upper": "upper_ratio"}
    yield curves(
        "Accuracy",
        "percentunit",
        *(
            Query(
                f"max by (model, digest) (monitoring_accuracy_{name}{{{_IN}}})", f"{{{{model}}}} {{{{digest}}}} {part}"
            )
            for part, name in names.items()
        ),
        meaning="Share of right answers among those with feedback in the last MONITORING_QUALITY_WINDOW_HOURS, between "
        "the ends of its 95 % interval. Digests whose intervals do not meet differ: docs/runbooks/model-quality.md.",
        width=16,
        share=True,
        banded=True,
    )
    yield curves(
        "Labelled",
        "short",
        Query(f"max by (model, digest) (monitoring_labelled_predictions{{{_IN}}})", "{{model}} {{digest}}"),
        meaning="Answers with feedback that the accuracy is computed from: few make wide intervals.",
    )


def _split(by: str) -> Iterator[AnyPanel]:
    chosen = f'{_IN},by="{by}"'
    names = {"accuracy": "accuracy_ratio", "lower": "accuracy_lower_ratio", "upper": "accuracy_upper_ratio"}
    yield curves(
        f"Accuracy by {by}",
        "percentunit",
        *(
            Query(f"max by (model, value) (monitoring_split_{name}{{{chosen}}})", f"{{{{model}}}} {{{{value}}}} {part}")
            for part, name in names.items()
        ),
        meaning=f"As above, by {by}.",
        width=16,
        share=True,
        banded=True,
    )
    yield curves(
        f"Labelled by {by}",
        "short",
        Query(f"max by (model, value) (monitoring_split_labelled_predictions{{{chosen}}})", "{{model}} {{value}}"),
        meaning="Answers with feedback that the accuracy is computed from.",
    )


def _drift() -> Iterator[AnyPanel]:
    recorded = f"monitoring_predictions_recorded_total{{{_IN}}}"
    yield curves(
        "Predicted classes",
        "percentunit",
        Query(
            f"sum by (model, label) (rate({recorded}[15m]))"
            f" / on (model) group_left () sum by (model) (rate({recorded}[15m]))",
            "{{model}} {{label}}",
        ),
        meaning="Share of each class among the answers of the last 15 minutes.",
        stacked=True,
        share=True,
    )
    yield curves(
        "Shift of the classes",
        "percentunit",
        Query(f"max by (model) (model:class_shift:ratio1h{{{_IN}}})", "{{model}}"),
        meaning="Share of the answers of the last hour that would have to be of another class to look like the day "
        "before (total variation distance), from the recording rules of platform/alerts.",
        share=True,
        limit=0.3,
    )
    compared = f"monitoring_comparisons_recorded_total{{{_IN}}}"
    yield curves(
        "Shadow against stable",
        "percentunit",
        Query(
            f'sum by (stable, shadow, outcome) (rate({compared[:-1]},outcome!="agreed"}}[15m]))'
            f" / on (stable, shadow) group_left () sum by (stable, shadow) (rate({compared}[15m]))",
            "{{shadow}} {{outcome}}, against {{stable}}",
        ),
        meaning="Share of compared answers in which a shadow failed, gave another label or other numbers than stable: "
        "docs/judgements.md.",
    )
    yield curves(
        "Feedback",
        "cpm",
        Query(
            f"60 * sum by (prediction) (rate(monitoring_feedback_recorded_total{{{_IN}}}[$__rate_interval]))",
            "{{prediction}}",
        ),
        meaning="Labels per minute, by whether their prediction was known when they came.",
        width=12,
    )
    yield curves(
        "Refused records",
        "reqps",
        Query(f"sum by (reason) (rate(monitoring_records_refused_total{{{_IN}}}[$__rate_interval]))", "{{reason}}"),
        meaning="Batches, feedback and comparisons that were not stored.",
        width=12,
    )


def _storage() -> Iterator[AnyPanel]:
    yield figure(
        "Storage failing",
        "short",
        Query(f"max(monitoring_storage_failing{{{_IN}}})"),
        meaning="1 while nothing can be written: docs/runbooks/monitoring-disk-full.md.",
        limit=1,
    )
    yield figure(
        "Databases moved aside",
        "short",
        Query(f"max(monitoring_databases_moved_aside{{{_IN}}})"),
        meaning="Corrupt databases kept beside the current one.",
        limit=1,
    )
    yield figure(
        "Predictions kept",
        "short",
        Query(f"sum(monitoring_database_predictions{{{_IN}}})"),
        meaning="Rows in the database.",
    )
    yield figure(
        "Size",
        "bytes",
        Query(f"sum(monitoring_database_bytes{{{_IN}}})"),
        meaning="Bytes of the database in use; MONITORING_MAX_BYTES bounds it.",
    )
