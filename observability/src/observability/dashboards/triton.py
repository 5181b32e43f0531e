"""Where inference spends its time: Triton's own figures."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders.dashboard import Dashboard

from observability.panels import AnyPanel, Query, board, curves, filled

_IN = 'namespace=~"$namespace"'
_OVER = "[$__rate_interval]"
_BY = "model, version"
_NAME = "{{model}} {{version}}"
# In the order in which a request goes through them.
_STAGES = {
    "queue": "nv_inference_queue_duration_us",
    "input": "nv_inference_compute_input_duration_us",
    "inference": "nv_inference_compute_infer_duration_us",
    "output": "nv_inference_compute_output_duration_us",
}


def dashboard() -> Dashboard:
    """Build it."""
    begun = board(
        "triton",
        "Triton",
        "Queue, batches, computation and hardware of the inference servers.",
        namespaces_of="nv_inference_request_success",
    )
    return filled(begun, [("Requests", _requests()), ("Time and batches", _time()), ("Hardware", _hardware())])


def _requests() -> Iterator[AnyPanel]:
    yield curves(
        "Rate",
        "reqps",
        Query(f"sum by ({_BY}) (rate(nv_inference_request_success{{{_IN}}}{_OVER}))", _NAME),
        meaning="Requests per second that succeeded, by model version.",
        stacked=True,
    )
    yield curves(
        "Failures",
        "reqps",
        Query(
            f"sum by ({_BY}, reason) (rate(nv_inference_request_failure{{{_IN}}}{_OVER}))", f"{_NAME} {{{{reason}}}}"
        ),
        meaning="Requests per second that failed. REJECTED: the queue was full or too slow; CANCELED: the caller left.",
    )
    yield curves(
        "Waiting",
        "short",
        Query(f"sum by ({_BY}, pod) (nv_inference_pending_request_count{{{_IN}}})", f"{_NAME} {{{{pod}}}}"),
        meaning="Requests that wait to be executed, per model version.",
    )


def _time() -> Iterator[AnyPanel]:
    requests = f"sum(rate(nv_inference_request_success{{{_IN}}}{_OVER}))"
    yield curves(
        "Mean time of a request",
        "µs",
        *(Query(f"sum(rate({metric}{{{_IN}}}{_OVER})) / {requests}", stage) for stage, metric in _STAGES.items()),
        meaning="Where a request spends its time. A queue that grows while inference does not: more load than fits.",
        width=12,
        stacked=True,
    )
    yield curves(
        "Batch size",
        "short",
        Query(
            f"sum by ({_BY}) (rate(nv_inference_count{{{_IN}}}{_OVER}))"
            f" / sum by ({_BY}) (rate(nv_inference_exec_count{{{_IN}}}{_OVER}))",
            _NAME,
        ),
        meaning="Rows that one execution of the model works on, on average.",
        width=6,
    )
    yield curves(
        "Executions",
        "ops",
        Query(f"sum by ({_BY}) (rate(nv_inference_exec_count{{{_IN}}}{_OVER}))", _NAME),
        meaning="Executions of the model per second.",
        width=6,
    )


def _hardware() -> Iterator[AnyPanel]:
    yield curves(
        "Starts",
        "s",
        Query(f"max by (pod) (inference_start_seconds{{{_IN}}})", "{{pod}}"),
        meaning="Seconds from the launcher's start until golden vectors had passed.",
        width=6,
    )
    yield curves(
        "GPU",
        "percentunit",
        Query(f"avg by (pod, gpu_uuid) (nv_gpu_utilization{{{_IN}}})", "{{pod}} {{gpu_uuid}}"),
        meaning="Share of time in which the GPU worked. Empty where Triton runs on CPU.",
        width=6,
        share=True,
    )
    yield curves(
        "GPU memory",
        "bytes",
        Query(f"sum by (pod, gpu_uuid) (nv_gpu_memory_used_bytes{{{_IN}}})", "{{pod}} {{gpu_uuid}}"),
        meaning="Memory of the GPU in use. Empty where Triton runs on CPU.",
        width=6,
    )
    yield curves(
        "GPU power",
        "watt",
        Query(f"sum by (pod, gpu_uuid) (nv_gpu_power_usage{{{_IN}}})", "{{pod}} {{gpu_uuid}}"),
        meaning="Power that the GPU draws. Empty where Triton runs on CPU.",
        width=6,
    )
