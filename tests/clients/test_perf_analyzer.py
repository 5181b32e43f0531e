"""Triton's perf_analyzer, unchanged."""

from collections.abc import Callable
from pathlib import Path

import pytest
from local_stack.stack import Stack


@pytest.mark.requirement("OIP-012")
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-i", "http"], id="HTTP"),
        pytest.param(["-i", "http", "--input-tensor-format", "json", "--output-tensor-format", "json"], id="HTTP JSON"),
        pytest.param(["-i", "grpc"], id="gRPC"),
        pytest.param(["-i", "grpc", "--streaming"], id="gRPC stream"),
    ],
)
def test_perf_analyzer_measures_through_the_gateway(
    stack: Stack, perf_analyzer: tuple[Path, dict[str, str]], run_program: Callable[..., str], options: list[str]
) -> None:
    program, environment = perf_analyzer
    address = stack.grpc_address if "grpc" in options else stack.http_url.removeprefix("http://")
    counted = ["--measurement-mode", "count_windows", "--measurement-request-count", "30"]
    few = ["--concurrency-range", "2", "--max-trials", "3", "--stability-percentage", "999", "--shape", "pixels:64"]
    printed = run_program([program, "-m", "digits", "-u", address, *options, *counted, *few], environment=environment)
    assert "Throughput:" in printed
