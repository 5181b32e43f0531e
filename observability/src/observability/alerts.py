"""What people must look at, and where it says what to do."""

from dataclasses import dataclass
from typing import Any

PAGE, TICKET = "page", "ticket"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition, how long it must last, and the runbook in docs/runbooks for whoever gets it."""

    name: str
    expression: str
    lasting: str
    severity: str
    runbook: str
    summary: str

    @property
    def rule(self) -> dict[str, Any]:
        """The alert as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook": f"docs/runbooks/{self.runbook}.md"},
        }


def _burns(name: str, factor: float, long: str, short: str, severity: str) -> Alert:
    return Alert(
        name,
        f"objective:budget_burn:rate{long} > {factor} and objective:budget_burn:rate{short} > {factor}",
        "1m",
        severity,
        "error-budget",
        f"{{{{ $labels.service }}}} {{{{ $labels.route }}}} uses up its budget of {{{{ $labels.figure }}}} "
        f"{{{{ $value | humanize }}}} times faster than loadtests/slo.yaml allows ({long}).",
    )


# Windows and factors of the Site Reliability Workbook, chapter 5: 2 % of a month's budget in an hour, 5 % in six hours,
# 10 % in three days; the short window lets an alert end soon after its cause.
ALERTS = (
    _burns("BudgetBurnsFast", 14.4, "1h", "5m", PAGE),
    _burns("BudgetBurnsSteadily", 6, "6h", "30m", PAGE),
    _burns("BudgetBurnsSlowly", 1, "3d", "6h", TICKET),
    Alert(
        "ServiceDown",
        'sum by (namespace, service) (up{service=~"gateway|preprocessing|inference|monitoring"}) == 0',
        "2m",
        PAGE,
        "service-down",
        "No replica of {{ $labels.service }} in {{ $labels.namespace }} can be scraped.",
    ),
    Alert(
        "RecordsDropped",
        "sum by (namespace, reason) (increase(gateway_records_dropped_total[10m])) > 0",
        "0m",
        TICKET,
        "records-dropped",
        "{{ $value | humanize }} predictions were dropped on their way to monitoring ({{ $labels.reason }}).",
    ),
    Alert(
        "StorageFailing",
        "max by (namespace) (monitoring_storage_failing) == 1",
        "1m",
        PAGE,
        "monitoring-disk-full",
        "Monitoring can store nothing.",
    ),
    Alert(
        "DatabaseMovedAside",
        "max by (namespace) (monitoring_databases_moved_aside) > 0",
        "0m",
        TICKET,
        "monitoring-disk-full",
        "A corrupt database was moved aside and begun anew.",
    ),
    Alert(
        "AccuracyDropped",
        "monitoring_accuracy_upper_ratio < monitoring_accuracy_lower_ratio offset 1d",
        "15m",
        TICKET,
        "model-quality",
        "{{ $labels.model }} {{ $labels.digest }} is right at most {{ $value | humanizePercentage }} of the time: less "
        "than it was a day ago.",
    ),
    Alert(
        "DigestWorse",
        "monitoring_accuracy_upper_ratio < on (namespace, model) group_left ()"
        " max by (namespace, model) (monitoring_accuracy_lower_ratio)",
        "15m",
        TICKET,
        "model-quality",
        "{{ $labels.model }} {{ $labels.digest }} is less accurate than another digest that answers beside it.",
    ),
    Alert(
        "ClassesShifted",
        "model:class_shift:ratio1h > 0.3",
        "30m",
        TICKET,
        "model-quality",
        "{{ $value | humanizePercentage }} of the answers of {{ $labels.model }} moved to other classes within a day.",
    ),
    Alert(
        "IssuerKeysStale",
        "min by (namespace) (time() - gateway_issuer_keys_read_timestamp_seconds) > 1800",
        "5m",
        TICKET,
        "callers-turned-away",
        "The issuer's keys were not read for {{ $value | humanizeDuration }}: tokens of a new one are refused.",
    ),
    Alert(
        "WorkloadCertificateEnds",
        "min by (namespace, pod) (istio_agent_cert_expiry_seconds) < 3600",
        "5m",
        PAGE,
        "certificates",
        "The certificate of {{ $labels.pod }} ends in {{ $value | humanizeDuration }} and was not renewed.",
    ),
    Alert(
        "MeshRootEnds",
        "min(citadel_server_root_cert_expiry_timestamp) - time() < 30 * 86400",
        "1h",
        TICKET,
        "certificates",
        "The root certificate of the mesh ends in {{ $value | humanizeDuration }}.",
    ),
    Alert(
        "EndpointEjected",
        "sum by (namespace, service, cluster_name) (envoy_cluster_outlier_detection_ejections_active) > 0",
        "5m",
        TICKET,
        "mesh",
        "{{ $labels.service }} leaves out {{ $value }} failing endpoints of {{ $labels.cluster_name }}.",
    ),
    Alert(
        "ConfigurationRefused",
        "sum by (type) (increase(pilot_total_xds_rejects[10m])) > 0",
        "5m",
        TICKET,
        "mesh",
        "Proxies refuse configuration of type {{ $labels.type }} from istiod.",
    ),
    Alert(
        "RolloutAborted",
        'max by (exported_namespace, namespace, name) (rollout_info{phase="Degraded"}) == 1',
        "1m",
        TICKET,
        "aborted-canary",
        "The rollout of {{ $labels.name }} was aborted: git is ahead of what runs.",
    ),
)
