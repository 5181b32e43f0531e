"""The launcher's own metrics; Triton's are on Triton's metrics port."""

from prometheus_client import Gauge

PINNED = Gauge("inference_model_pinned_info", "Model package that is served; always 1", ["model", "version", "digest"])
START_SECONDS = Gauge("inference_start_seconds", "Seconds from the launcher's start until golden vectors had passed")
